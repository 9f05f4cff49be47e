"""Checks a written file before it gets its final name."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from batchcolor.errors import ProcessingError
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.formats import JPEG, PNG, Format
from batchcolor.images.header import open_with_pillow
from batchcolor.images.jpeg_stream.jpeg_frame import parse_frame_header
from batchcolor.images.png.png_chunks import read_png_header
from batchcolor.images.readers.codec_reader import find_codec
from batchcolor.images.sniff import HEAD_SIZE, sniff


def verify_image(path: Path, expected: Format) -> None:
    """Raises ProcessingError unless the file has the signature and a size of its format."""
    with path.open("rb") as file:
        if sniff(file.read(HEAD_SIZE)) != expected:
            reason = f"the written file is not recognized as {expected.name}"
            raise ProcessingError("commit", reason)
        try:
            size = _read_size(file, path, expected)
        except ProcessingError:
            raise
        except Exception as error:  # decoders raise any type of error
            reason = f"the written file cannot be opened ({describe_error(error)})"
            raise ProcessingError("commit", reason) from error
    if min(size) < 1:
        raise ProcessingError("commit", "the written file has no pixels")


def _read_size(file: BinaryIO, path: Path, kind: Format) -> tuple[int, int]:
    if kind == JPEG:
        file.seek(0)
        frame = parse_frame_header(file)
        return frame.width, frame.height
    if kind == PNG:  # Pillow refuses files with long texts
        png = read_png_header(path)
        return png.width, png.height
    codec = find_codec(kind)
    if codec is not None:
        header = codec.read_header(path)
        return header.width, header.height
    with open_with_pillow(path, kind) as image:
        return image.size
