"""Reads the metadata chunks of WebP (RFC 9649), and adds those that Pillow does not write."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from batchcolor.images.metadata.model import Block, Metadata

HEADER_SIZE = 12
PIXEL_CHUNKS = frozenset({"VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF"})
HAS_ALPHA, HAS_EXIF, HAS_XMP, HAS_ICC = 0x10, 0x08, 0x04, 0x20


def read_webp(data: bytes, notes: list[str]) -> Metadata:
    """Returns the metadata of the chunks of a WebP file."""
    found: dict[str, bytes] = {}
    blocks: list[Block] = []
    for kind, content in _walk(data):
        kind = kind.replace("\0", " ")  # some programs end the name of XMP with a zero
        if kind in ("EXIF", "XMP ", "ICCP"):
            found.setdefault(kind, content)
        elif kind == "C2PA":
            notes.append("content credentials dropped: they sign the pixels of the source")
        elif kind not in PIXEL_CHUNKS:
            blocks.append(Block("webp", kind, content))
    return Metadata(
        exif=found.get("EXIF", b"").removeprefix(b"Exif\0\0"),
        icc=found.get("ICCP", b""),
        xmp=found.get("XMP ", b"").rstrip(b"\0"),
        blocks=tuple(blocks),
    )


def _walk(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields type and content of each chunk; contents of pixels are not copied."""
    position = HEADER_SIZE
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        kind = name.decode("latin-1")
        end = position + 8 + length
        yield kind, b"" if kind in PIXEL_CHUNKS else data[position + 8 : end]
        position = end + length % 2


def write_webp(encoded: bytes, metadata: Metadata, size: tuple[int, int]) -> bytes:
    """Returns an encoded WebP without metadata as one with all metadata.

    `size` is width and height in pixels.
    """
    own = [block for block in metadata.blocks if block.format == "webp"]
    if not (metadata.exif or metadata.xmp or metadata.icc or own):
        return encoded
    chunks = list(_list_pixel_chunks(encoded))
    extended = encoded[HEADER_SIZE : HEADER_SIZE + 4] == b"VP8X"
    flags = encoded[HEADER_SIZE + 8] if extended else HAS_ALPHA * _has_lossless_alpha(*chunks[0])
    flags |= HAS_ICC * bool(metadata.icc)
    flags |= HAS_EXIF * bool(metadata.exif) | HAS_XMP * bool(metadata.xmp)
    width, height = (side - 1 for side in size)
    header = struct.pack("<I", flags) + width.to_bytes(3, "little") + height.to_bytes(3, "little")
    listed = [
        (b"VP8X", header),
        (b"ICCP", metadata.icc),
        *chunks,
        (b"EXIF", metadata.exif),
        (b"XMP ", metadata.xmp),
        *((block.kind.encode("latin-1"), block.content) for block in own),
    ]
    body = b"".join(_build_chunk(kind, content) for kind, content in listed if content)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _list_pixel_chunks(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = HEADER_SIZE
    while position + 8 <= len(encoded):
        name, length = struct.unpack_from("<4sI", encoded, position)
        if name != b"VP8X":
            yield name, encoded[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _has_lossless_alpha(kind: bytes, content: bytes) -> bool:
    """Whether a lossless bitstream states alpha (RFC 9649, section 3.4)."""
    return kind == b"VP8L" and bool(content[4] & 0x10)


def _build_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
