"""Takes the luma of a colour JPEG out of it without coding it again, by jpeglib.

The quantized DCT coefficients of luma are read and written as a grey JPEG, whose scan is then
copied as that of any grey JPEG. jpeglib reads and writes files only, in memory of its own.
"""

from __future__ import annotations

import importlib.util
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import UsageError
from batchcolor.images.jpeg_stream.grey_jpeg import (
    APP2,
    APP11,
    HUFFMAN_FRAMES,
    JUMBF,
    GreyJpeg,
    decode_luma,
    read_grey_jpeg,
)
from batchcolor.images.jpeg_stream.jpeg_frame import FRAME_MARKERS, JpegFrame
from batchcolor.images.jpeg_stream.jpeg_structure import JpegStructureError, read_segments
from batchcolor.images.metadata.jpeg import APP0, COMMENT, MPF

CODED_AGAIN = "luma is coded again, not copied: "
"""Begins the note on a JPEG for which `--luma exact` has no effect."""
SIZE_OFFSET = 1
"""Of height and width in the payload of a frame header."""
_lock = threading.Lock()
"""jpeglib does not state that it may be used by several threads at once."""


def require_jpeglib() -> None:
    """Raises UsageError where jpeglib is not installed."""
    if importlib.util.find_spec("jpeglib") is None:
        raise UsageError("--luma exact needs one more package: pip install 'batchcolor[exact]'")


def copy_luma(data: bytes, frame: JpegFrame, luma: NDArray[np.uint8], orientation: int) -> GreyJpeg:
    """Returns a grey JPEG with the coded luma and the metadata of a JPEG with three components.

    `luma` `(H, W)`, as stored, is what the result has to decode to. Raises JpegStructureError,
    with the reason, for a JPEG of which it cannot be made.
    """
    if frame.marker not in HUFFMAN_FRAMES or frame.precision != 8:
        raise JpegStructureError(f"{frame.precision}-bit {frame.process}")
    if frame.components != 3:
        raise JpegStructureError(
            "grey, but not to be copied" if frame.components == 1 else "CMYK or YCCK"
        )
    metadata = _copy_metadata(data)
    try:
        coded = _extract(data)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise JpegStructureError("jpeglib does not read it") from error
    grey = read_grey_jpeg(_set_size(coded, frame), orientation)
    if grey is None:
        raise JpegStructureError("its luma is not a grey JPEG")
    decoded = decode_luma(grey)
    if decoded is None or not np.array_equal(decoded, luma):
        raise JpegStructureError("the stored luma is not that of the colours that viewers show")
    tables = next(s.start for s in grey.segments if not _is_metadata(s.marker))
    merged = b"".join([data[:2], *metadata, grey.data[tables:]])
    return replace(grey, data=merged, segments=tuple(read_segments(merged)), is_file=False)


def _extract(data: bytes) -> bytes:
    """Returns luma as a grey JPEG whose sides are multiples of 8 pixels."""
    import jpeglib

    with tempfile.TemporaryDirectory(prefix="batchcolor-") as folder:
        source, target = Path(folder, "source.jpg"), Path(folder, "luma.jpg")
        source.write_bytes(data)
        with _lock:
            image = jpeglib.read_dct(str(source))
            table = image.qt[[int(image.quant_tbl_no[0])]]
            jpeglib.from_dct(Y=image.Y, qt=table, quant_tbl_no=[0]).write_dct(str(target))
        return target.read_bytes()


def _set_size(grey: bytes, frame: JpegFrame) -> bytes:
    """Returns the grey JPEG with the size of the source in its frame header."""
    segment = next(s for s in read_segments(grey) if s.marker in FRAME_MARKERS)
    start = segment.payload + SIZE_OFFSET
    size = frame.height.to_bytes(2, "big") + frame.width.to_bytes(2, "big")
    return grey[:start] + size + grey[start + len(size) :]


def _copy_metadata(data: bytes) -> list[bytes]:
    """Returns the segments of metadata, without those that refer to bytes of the source."""
    kept = []
    for segment in read_segments(data):
        payload = data[segment.payload : segment.header_end]
        is_dropped = (segment.marker == APP2 and payload.startswith(MPF)) or (
            segment.marker == APP11 and payload.startswith(JUMBF)
        )
        if _is_metadata(segment.marker) and not is_dropped:
            kept.append(data[segment.start : segment.end])
    return kept


def _is_metadata(marker: int) -> bool:
    """Whether it is the marker of an APPn or COM segment."""
    return APP0 <= marker <= APP0 + 15 or marker == COMMENT
