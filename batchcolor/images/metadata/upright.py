"""Marks metadata as that of a picture whose pixels are turned upright."""

from __future__ import annotations

from dataclasses import replace

from batchcolor.images.metadata import exif, xmp
from batchcolor.images.metadata.model import Block, Metadata, is_plausible_resolution


def mark_as_upright(metadata: Metadata, notes: list[str]) -> tuple[Metadata, int]:
    """Returns the metadata for pixels that are turned upright, and the orientation of the source.

    The orientation, 1 to 8, is that of EXIF, else that of XMP. A damaged EXIF block is dropped with
    a note, and XMP of other encodings becomes UTF-8.
    """
    packet = xmp.to_utf8(metadata.xmp)
    block, orientation = metadata.exif, None
    if block:
        try:
            orientation = exif.read_orientation(block)
        except ValueError as error:
            notes.append(f"damaged EXIF dropped ({error})")
            block = b""
    if orientation is None:
        orientation = xmp.read_orientation(packet)
    is_turned = orientation >= 5
    if block:
        block = exif.mark_block_as_upright(block, is_turned=is_turned)
    dpi = metadata.dpi
    if dpi and not is_plausible_resolution(*dpi):
        dpi = None
    upright = replace(
        metadata,
        exif=block,
        xmp=xmp.mark_packet_as_upright(packet, is_turned=is_turned),
        dpi=(dpi[1], dpi[0]) if dpi and is_turned else dpi,
        blocks=tuple(_turn_density(b) if is_turned else b for b in metadata.blocks),
    )
    return upright, orientation


def _turn_density(block: Block) -> Block:
    """Exchanges horizontal and vertical density of a JFIF segment or pHYs chunk."""
    content = block.content
    if block.kind == "APP0" and len(content) >= 12:
        content = content[:8] + content[10:12] + content[8:10] + content[12:]
    elif block.kind == "pHYs":
        content = content[4:8] + content[:4] + content[8:]
    return replace(block, content=content)
