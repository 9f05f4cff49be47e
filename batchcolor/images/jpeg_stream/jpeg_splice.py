"""Makes a colour JPEG of a grey one, whose coded luma is copied byte for byte.

A JPEG may have one scan a component (ITU-T T.81, B.2.3). The frame header gets three components,
luma keeps its scans, and scans of Cb and Cr follow them. A scan of one component has as many
blocks as its own size needs, whatever the sampling factors: with luma at 2 x 2 and chroma at
1 x 1 luma has ceil(W / 8) x ceil(H / 8) blocks, as in the grey file (A.2.2).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.jpeg_stream.chroma_scans import ChromaComponent, encode_scans
from batchcolor.images.jpeg_stream.grey_jpeg import DRI, GreyJpeg
from batchcolor.images.jpeg_stream.jpeg_frame import PROGRESSIVE, SOS
from batchcolor.images.jpeg_stream.jpeg_structure import Segment
from batchcolor.images.jpeg_stream.source_record import Piece, assemble
from batchcolor.images.metadata.jpeg import (
    APP0,
    APP1,
    APP2,
    APP13,
    APP14,
    COMMENT,
    EXIF_HEADER,
    EXTENDED_HEADER,
    ICC_HEADER,
    JFIF,
    JFIF_SIZE,
    JFXX,
    MAX_EXIF,
    PHOTOSHOP_HEADER,
    XMP_HEADER,
    build_segment,
    build_segments,
)
from batchcolor.images.metadata.model import Metadata

LUMA = 1
"""The component that readers take for luma in a file without JFIF and Adobe segments."""
YCBCR = 1
"""Transform of the Adobe segment (ITU-T T.872, 6.5.3); grey files have 0, which means RGB."""
ADOBE_TRANSFORM = 11
"""Offset of the transform in the Adobe segment's payload."""


def splice(
    source: GreyJpeg,
    cb: NDArray[np.uint8],
    cr: NDArray[np.uint8],
    quality: int,
    metadata: Metadata | None = None,
    notes: list[str] | None = None,
) -> bytes:
    """Returns the JPEG of a grey one with chroma, from which a grey file can be restored.

    `cb` and `cr` are `(ceil(H/2), ceil(W/2))` for pixels as stored, neutral at 128; `quality`,
    1..100, is that of chroma. `metadata` is that of the source, where EXIF, XMP, Photoshop
    resources and the profile may be changed; all other segments are copied, but for grey
    thumbnails in JFIF.
    Appends to `notes` which change does not fit.
    """
    notes = [] if notes is None else notes
    view, segments = memoryview(source.data), source.segments
    rebuilt = _rebuild_segments(source.stored_metadata, metadata or source.metadata, notes)
    pieces = [Piece.copy(view[:2])]
    record_index = 0  # behind the metadata: so what programs edit does not move the rest
    for segment in segments[:-1]:
        if segment.marker != APP0:  # JFIF has to be the first segment
            pieces += [Piece(content) for content in _pop_new(rebuilt, source)]
        if not record_index and not _is_metadata(segment.marker):
            record_index = len(pieces)
        pieces += _convert_segment(source, segment, rebuilt)
    pieces.append(Piece(_encode_chroma(source, cb, cr, quality)))
    pieces.append(Piece.copy(view[segments[-1].start :]))  # the end marker, and what follows it
    if not source.is_file:
        return b"".join(piece.content for piece in pieces)
    return assemble(pieces, record_index, len(source.data), source.sha256)


def _convert_segment(
    source: GreyJpeg, segment: Segment, rebuilt: dict[bytes, list[bytes]]
) -> Iterator[Piece]:
    """Yields what becomes of one segment: the same, changed, several, or nothing."""
    view = memoryview(source.data)[segment.start : segment.end]
    payload = source.data[segment.payload : segment.header_end]
    changed: bytes | None = None
    if segment is source.frame:
        changed = build_segment(segment.marker, _build_frame(source))
    elif segment.marker == SOS and source.component != LUMA:
        header = payload[:1] + bytes((LUMA,)) + payload[2:]
        data = source.data[segment.header_end : segment.end]
        changed = build_segment(SOS, header) + data
    elif segment.marker == APP14 and payload[:5] == b"Adobe" and len(payload) > ADOBE_TRANSFORM:
        transform = payload[:ADOBE_TRANSFORM] + bytes((YCBCR,)) + payload[ADOBE_TRANSFORM + 1 :]
        changed = build_segment(APP14, transform)
    elif segment.marker == APP0 and payload.startswith(JFXX):
        changed = b""
    elif segment.marker == APP0 and payload.startswith(JFIF) and any(payload[12:JFIF_SIZE]):
        changed = build_segment(APP0, payload[: JFIF_SIZE - 2] + b"\0\0")
    elif (kind := _find_kind(segment.marker, payload)) in rebuilt:
        changed = b"".join(rebuilt[kind])  # in place of the first; the others are in it
        rebuilt[kind] = []
    yield Piece.copy(view) if changed is None else Piece(changed, view)


def _build_frame(source: GreyJpeg) -> bytes:
    """Returns the payload of the frame header with three components, 4:2:0."""
    frame = source.data[source.frame.payload : source.frame.header_end]
    table = frame[8]
    luma = bytes((LUMA, 0x22, table))
    chroma = b"".join(bytes((c.number, 0x11, c.quantization_table)) for c in _components(table))
    return frame[:5] + bytes((3,)) + luma + chroma


def _components(luma_table: int) -> tuple[ChromaComponent, ChromaComponent]:
    """Returns Cb and Cr. Their tables are defined after the luma scans, which used their own."""
    table = 1 if luma_table != 1 else 0
    return ChromaComponent(LUMA + 1, table, 1), ChromaComponent(LUMA + 2, table, 1)


def _encode_chroma(
    source: GreyJpeg, cb: NDArray[np.uint8], cr: NDArray[np.uint8], quality: int
) -> bytes:
    is_progressive = source.frame.marker == PROGRESSIVE
    components = _components(source.data[source.frame.payload + 8])
    scans = [
        encode_scans(plane, component, quality, is_progressive=is_progressive)
        for plane, component in zip((cb, cr), components, strict=True)
    ]
    intervals = [s for s in source.segments if s.marker == DRI]
    if any(any(source.data[s.payload : s.header_end]) for s in intervals):
        scans.insert(0, build_segment(DRI, b"\0\0"))  # an interval is valid until the next one
    return b"".join(scans)


def _is_metadata(marker: int) -> bool:
    """Whether it is the marker of an APPn or COM segment."""
    return APP0 <= marker <= APP0 + 15 or marker == COMMENT


def _find_kind(marker: int, payload: bytes) -> bytes:
    """Returns the identifier of a segment that is rebuilt where its metadata are changed."""
    if marker == APP1 and payload.startswith(EXIF_HEADER):
        return EXIF_HEADER
    if marker == APP1 and payload.startswith((XMP_HEADER, EXTENDED_HEADER)):
        return XMP_HEADER
    if marker == APP2 and payload.startswith(ICC_HEADER):
        return ICC_HEADER
    if marker == APP13 and payload.startswith(PHOTOSHOP_HEADER):
        return PHOTOSHOP_HEADER
    return b""


def _rebuild_segments(old: Metadata, new: Metadata, notes: list[str]) -> dict[bytes, list[bytes]]:
    """Returns the segments of each kind of metadata that differs, by its identifier."""
    changed: dict[bytes, Metadata] = {}
    if old.exif != new.exif and len(new.exif) > MAX_EXIF:
        notes.append("not marked in EXIF: it exceeds one JPEG segment")
    elif old.exif != new.exif:
        changed[EXIF_HEADER] = Metadata(exif=new.exif)
    if (old.xmp, old.extended_xmp) != (new.xmp, new.extended_xmp):
        changed[XMP_HEADER] = Metadata(xmp=new.xmp, extended_xmp=new.extended_xmp)
    if old.icc != new.icc:
        changed[ICC_HEADER] = Metadata(icc=new.icc)
    if old.photoshop != new.photoshop:
        changed[PHOTOSHOP_HEADER] = Metadata(photoshop=new.photoshop)
    return {
        kind: [segment for _, segment in build_segments(b"", metadata, notes)]
        for kind, metadata in changed.items()
    }


def _pop_new(rebuilt: dict[bytes, list[bytes]], source: GreyJpeg) -> Iterator[bytes]:
    """Yields the segments of kinds that the source does not have."""
    present = {_find_kind(s.marker, source.data[s.payload : s.header_end]) for s in source.segments}
    for kind in list(rebuilt):
        if kind not in present:
            yield from rebuilt.pop(kind)
