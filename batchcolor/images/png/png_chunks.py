"""Walks the chunks of a PNG, and repairs those that do not concern its pixels (PNG, third edition).

Pillow refuses a file for a damaged text, and decodes damaged pixels without a word; libpng prints
warnings. So checksums are compared here, before any decoder sees the file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from batchcolor.errors import ProcessingError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
OVERHEAD = 12
"""Bytes of a chunk beside its content: length, type and checksum."""
HEADER, PIXELS, END, ANIMATION, FRAME = "IHDR", "IDAT", "IEND", "acTL", "fcTL"
PIXEL_CHUNKS = frozenset({"tRNS", ANIMATION, FRAME, "fdAT"})
"""Ancillary chunks that decoders of pixels need."""
END_CHUNK = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
PALETTE, INDEXED = "PLTE", 3
"""The chunk, and the colour type that needs it."""
PART = 2**20
"""Bytes that are decompressed at once."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel by colour type."""


@dataclass(frozen=True)
class Chunk:
    """A chunk at `start`. `end` is beyond the file where the file is truncated."""

    kind: str
    start: int
    end: int

    @property
    def is_critical(self) -> bool:
        """Whether pixels cannot be decoded without it (section 5.4)."""
        return self.kind[:1].isupper()

    @property
    def is_pixel_chunk(self) -> bool:
        """Whether a decoder uses it for samples, transparency or frames."""
        return self.is_critical or self.kind in PIXEL_CHUNKS

    def read(self, data: bytes) -> bytes:
        """Returns its content."""
        return data[self.start + 8 : self.end - 4]

    def read_available(self, data: bytes) -> bytes:
        """Returns its content as far as the file has it."""
        return data[self.start + 8 : min(self.end - 4, len(data))]

    def is_intact(self, data: bytes) -> bool:
        """Whether it is complete and its checksum is right."""
        if self.end > len(data):
            return False
        stored = int.from_bytes(data[self.end - 4 : self.end], "big")
        return zlib.crc32(memoryview(data)[self.start + 4 : self.end - 4]) == stored


@dataclass(frozen=True)
class PngHeader:
    """The fields of the IHDR chunk, and the number of pictures: of an animation its frames, and the
    default image where that is none of them."""

    width: int
    height: int
    bits: int
    color_type: int
    is_interlaced: bool
    frames: int = 1
    has_default_image: bool = False
    """Whether the picture for viewers without animation is none of the frames."""


def read_png_header(path: Path) -> PngHeader:
    """Returns the header. Raises ProcessingError where the file does not begin with one.

    The number of frames is the one stated, but not more than the file has.
    """
    with path.open("rb") as file:
        header = parse_png_header(file.read(len(SIGNATURE) + OVERHEAD + 13))
        stated = frames = 0
        has_default_image = False
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            kind = name.decode("latin-1")
            content = file.read(4) if kind == ANIMATION else b""
            stated = int.from_bytes(content, "big") if content else stated
            frames += kind == FRAME
            has_default_image |= kind == PIXELS and not frames
            if kind == END or (kind == PIXELS and not stated):
                break
            file.seek(length + 4 - len(content), 1)
    frames = min(stated, frames)
    has_default_image &= frames > 0
    total = max(1, frames + has_default_image)
    return replace(header, frames=total, has_default_image=has_default_image)


def parse_png_header(data: bytes) -> PngHeader:
    """Returns the header. Raises ProcessingError."""
    if len(data) < 29 or data[12:16] != b"IHDR":
        raise ProcessingError("decode", "damaged: it has no PNG header")
    width, height, bits, color_type, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    if color_type not in SAMPLES or not width or not height:
        raise ProcessingError("decode", "damaged: its PNG header is not valid")
    return PngHeader(width, height, bits, color_type, bool(interlace))


def walk_chunks(data: bytes) -> Iterator[Chunk]:
    """Yields the chunks up to the end chunk, also one that the end of the file cuts."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        chunk = Chunk(name.decode("latin-1"), position, position + OVERHEAD + length)
        yield chunk
        if chunk.kind == END:
            return
        position = chunk.end


def repair_png(data: bytes, notes: list[str]) -> bytes:
    """Returns a PNG whose pixels are complete as one that every decoder accepts.

    Damaged ancillary chunks are dropped, and wrong checksums of intact pixels and a missing end
    are set right, each with a note. An intact file is returned as it is. Raises ProcessingError
    for damage that concerns pixels.
    """
    chunks = list(walk_chunks(data))
    damaged = [chunk for chunk in chunks if not chunk.is_intact(data)]
    if not damaged and chunks and chunks[-1].kind == END:
        return data
    kept = bytearray(SIGNATURE)
    for chunk in chunks:
        if chunk not in damaged:
            kept += data[chunk.start : chunk.end]
        elif chunk.kind == PIXELS:
            _check_pixels(data, chunks)
            notes.append("the checksum of its pixels is wrong, but they are intact")
            kept += build_chunk(PIXELS, chunk.read(data))
        elif chunk.is_critical and chunk.kind != END:
            raise ProcessingError("decode", f"damaged: the checksum of {chunk.kind} is wrong")
        elif chunk.kind != END:
            notes.append(f"damaged {_printable(chunk.kind)} chunk dropped")
    if not chunks or chunks[-1].kind != END or chunks[-1] in damaged:
        _check_pixels(data, chunks)
        notes.append("its end is missing, but its pixels are complete")
        kept += END_CHUNK
    return bytes(kept)


def keep_pixel_chunks(data: bytes) -> bytes:
    """Returns a PNG with only the chunks that decoders of pixels need.

    Pillow and libpng refuse a whole file for a text or profile that is a decompression bomb.
    """
    chunks = list(walk_chunks(data))
    if all(chunk.is_pixel_chunk for chunk in chunks):
        return data
    view = memoryview(data)
    kept = (view[chunk.start : chunk.end] for chunk in chunks if chunk.is_pixel_chunk)
    return b"".join((SIGNATURE, *kept))


def build_chunk(kind: str, content: bytes) -> bytes:
    """Returns a chunk with its checksum."""
    name = kind.encode("latin-1")
    return (
        struct.pack(">I4s", len(content), name)
        + content
        + zlib.crc32(name + content).to_bytes(4, "big")
    )


def count_raw_bytes(header: PngHeader) -> int:
    """Returns the bytes of all rows with their filter types, before compression (section 7)."""
    return sum(rows * size for rows, size in list_passes(header))


def list_passes(header: PngHeader) -> list[tuple[int, int]]:
    """Returns the number of rows of each pass, and the bytes of a row with its filter type."""
    bits = header.bits * SAMPLES[header.color_type]
    passes = ADAM7 if header.is_interlaced else ((0, 0, 1, 1),)
    found = []
    for x, y, step_x, step_y in passes:
        width = (header.width - x + step_x - 1) // step_x
        height = (header.height - y + step_y - 1) // step_y
        if width > 0 and height > 0:
            found.append((height, 1 + (width * bits + 7) // 8))
    return found


ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)),
    (0, 1, 1, 2),
)
"""First column, first row, column step and row step of each pass (section 8.1)."""


def _check_pixels(data: bytes, chunks: list[Chunk]) -> None:
    """Raises ProcessingError unless the compressed pixels are complete and their own checksum
    is right."""
    header = parse_png_header(data)
    inflater, size = zlib.decompressobj(), 0
    try:
        for chunk in chunks:
            rest = chunk.read(data) if chunk.kind == PIXELS else b""
            while rest:  # in parts, as it may be a decompression bomb
                size += len(inflater.decompress(rest, PART))
                rest = inflater.unconsumed_tail
        size += len(inflater.flush())
    except zlib.error as error:
        raise ProcessingError(
            "decode", f"damaged: its pixels cannot be decoded ({error})"
        ) from error
    if not inflater.eof or size < count_raw_bytes(header):
        raise ProcessingError("decode", "truncated: its pixels are not complete")


def _printable(kind: str) -> str:
    return kind if kind.isalnum() else repr(kind)
