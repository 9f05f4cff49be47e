"""Reads the frame header of a JPEG: its coding process, size, precision and components.

Decoders are selected by it before any of them sees the file: some crash for processes that they do
not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchcolor.errors import ProcessingError

BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS = 0xC0, 0xC1, 0xC2, 0xC3
ARITHMETIC, ARITHMETIC_PROGRESSIVE, ARITHMETIC_LOSSLESS = 0xC9, 0xCA, 0xCB
HIERARCHICAL_FRAMES = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
DHP = 0xDE
"""Define hierarchical progression: begins a hierarchical file."""
JPEG_LS = 0xF7
FRAME_MARKERS = frozenset(
    {
        *(BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS, JPEG_LS, DHP, *HIERARCHICAL_FRAMES),
        *(ARITHMETIC, ARITHMETIC_PROGRESSIVE, ARITHMETIC_LOSSLESS),
    }
)
"""SOFn of ITU-T T.81, table B.1, and of T.87 (JPEG-LS)."""
DCT_MARKERS = frozenset({BASELINE, EXTENDED, PROGRESSIVE, ARITHMETIC, ARITHMETIC_PROGRESSIVE})
TEM, SOI, EOI, SOS = 0x01, 0xD8, 0xD9, 0xDA
RESTARTS = range(0xD0, 0xD8)
HEADER_SIZE = 6
"""Bytes of precision, height, width and number of components."""


@dataclass(frozen=True)
class JpegFrame:
    """The frame header. `offset` is that of its marker in the file."""

    marker: int
    precision: int
    width: int
    height: int
    components: int
    offset: int

    @property
    def is_8_bit_dct(self) -> bool:
        """Whether every JPEG library decodes it: 8 bits, sequential or progressive DCT."""
        return self.marker in DCT_MARKERS and self.precision == 8 and self.components in (1, 3, 4)

    @property
    def is_progressive(self) -> bool:
        """Whether later scans add detail to the picture of earlier ones."""
        return self.marker in (PROGRESSIVE, ARITHMETIC_PROGRESSIVE)

    @property
    def process(self) -> str:
        """The name of the coding process, for messages."""
        if self.marker in HIERARCHICAL_FRAMES or self.marker == DHP:
            return "hierarchical JPEG"
        if self.marker == JPEG_LS:
            return "JPEG-LS"
        is_lossless = self.marker in (LOSSLESS, ARITHMETIC_LOSSLESS)
        name = "lossless JPEG" if is_lossless else "JPEG"
        is_arithmetic = self.marker >= ARITHMETIC
        return f"{name} with arithmetic coding" if is_arithmetic else name


def read_frame_header(path: Path) -> JpegFrame:
    """Returns the frame header of a file. Raises ProcessingError, OSError."""
    with path.open("rb") as file:
        return parse_frame_header(file)


def parse_frame_header(file: BinaryIO) -> JpegFrame:
    """Returns the frame header of a JPEG that is open at its first byte.

    Skips the segments before it, and bytes between segments, as libjpeg does. Raises
    ProcessingError where there is no frame header.
    """
    file.read(2)  # SOI
    while (marker := _read_marker(file)) is not None:
        if marker == TEM or marker in RESTARTS:
            continue
        if marker in (SOI, EOI, SOS):
            raise ProcessingError("decode", "damaged: it has no frame header")
        offset = file.tell() - 2
        length = int.from_bytes(file.read(2), "big")
        if marker in FRAME_MARKERS:
            fields = file.read(HEADER_SIZE)
            if len(fields) == HEADER_SIZE:
                height, width = int.from_bytes(fields[1:3], "big"), int.from_bytes(fields[3:5])
                return JpegFrame(marker, fields[0], width, height, fields[5], offset)
        file.seek(max(0, length - 2), 1)
    raise ProcessingError("decode", "truncated: it ends before its frame header")


def _read_marker(file: BinaryIO) -> int | None:
    """Returns the second byte of the next marker, or None at the end of the file."""
    while byte := file.read(1):
        if byte != b"\xff":
            continue
        while byte == b"\xff":
            byte = file.read(1)
        if byte and byte != b"\0":
            return byte[0]
    return None
