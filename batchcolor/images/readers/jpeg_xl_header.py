"""Parses the header of a JPEG XL codestream and the boxes around it (ISO/IEC 18181-1 and -2).

libjxl allocates a picture before batchcolor could compare its size with `--max-pixels`, so the size
is read here. All fields up to the colour encoding are parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Literal, TypeAlias

from batchcolor.images.iso_boxes import iterate_boxes

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
RATIOS = (
    *(None, Fraction(1), Fraction(12, 10), Fraction(4, 3)),
    *(Fraction(3, 2), Fraction(16, 9), Fraction(5, 4), Fraction(2)),
)
"""Width by height for the values 1 to 7 of the field `ratio`."""
SIZE = ((9, 1), (13, 1), (18, 1), (30, 1))
PREVIEW_SIZE = ((6, 1), (8, 65), (10, 321), (12, 1345))
PREVIEW_SIZE_DIV8 = ((0, 16), (0, 32), (5, 1), (9, 33))
ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))
EXTRA_CHANNELS = ((0, 0), (0, 1), (4, 2), (12, 1))
CUSTOM_XY = ((19, 0), (19, 524288), (20, 1048576), (21, 2097152))
ALPHA, SPOT_COLOUR, COLOUR_FILTER_ARRAY = 0, 2, 5
GREY, XYB = 1, 2
CUSTOM = 2
D65, SRGB_PRIMARIES = 1, 1
HEAD_SIZE = 1 << 16
"""Bytes of the codestream that hold every header field, with names of extra channels."""
MAX_METADATA = 16 << 20
"""Bytes of a compressed box of metadata."""


ColourSpace: TypeAlias = Literal["srgb", "linear", "icc", "other"]


TRANSFER_FUNCTIONS: dict[int, ColourSpace] = {8: "linear", 13: "srgb"}
"""Values of ITU-T H.273, table 3."""


@dataclass(frozen=True)
class JpegXlHeader:
    """Properties of a JPEG XL picture; `width` and `height` are those before the orientation."""

    width: int
    height: int
    bits: int = 8
    is_float: bool = False
    is_animated: bool = False
    is_premultiplied: bool = False
    """Whether colours are multiplied by alpha."""
    is_xyb: bool = True
    """Whether colours are coded in XYB: the decoder converts them to the space asked for."""
    colour_space: ColourSpace = "srgb"
    """`linear` is sRGB without its transfer function, `icc` a profile, `other` anything else."""


class _BitReader:
    """Reads fields of a codestream: least significant bit first (18181-1, section 9)."""

    def __init__(self, data: bytes) -> None:
        self._value, self._length, self._position = int.from_bytes(data, "little"), len(data) * 8, 0

    def bits(self, count: int) -> int:
        self._position += count
        if self._position > self._length:
            raise ValueError("truncated: the JPEG XL header is incomplete")
        return self._value >> (self._position - count) & ((1 << count) - 1)

    def flag(self) -> bool:
        return self.bits(1) == 1

    def choice(self, choices: tuple[tuple[int, int], ...]) -> int:
        """The field U32: two bits select how many bits follow, and what is added to them."""
        count, offset = choices[self.bits(2)]
        return self.bits(count) + offset


def parse_codestream_header(data: bytes) -> JpegXlHeader:
    """Returns the properties of a codestream that begins with `data`. Raises ValueError."""
    if data[:2] != CODESTREAM:
        raise ValueError("damaged: no JPEG XL codestream")
    reader = _BitReader(data[2:HEAD_SIZE])
    height, width = _read_size(reader)
    if reader.flag():  # all fields have their default
        return JpegXlHeader(width, height)
    has_extra_fields, is_animated = reader.flag(), False
    if has_extra_fields:
        reader.bits(3)  # orientation
        if reader.flag():
            _read_size(reader)  # intrinsic size
        if reader.flag():
            _skip_preview_size(reader)
        is_animated = reader.flag()
        if is_animated:
            _skip_animation(reader)
    bits, is_float = _read_bit_depth(reader)
    reader.flag()  # modular_16bit_buffers
    is_premultiplied = False
    for _ in range(reader.choice(EXTRA_CHANNELS)):
        is_premultiplied |= _read_extra_channel(reader)
    is_xyb = reader.flag()
    space = _read_colour_space(reader)
    return JpegXlHeader(width, height, bits, is_float, is_animated, is_premultiplied, is_xyb, space)


def _read_size(reader: _BitReader) -> tuple[int, int]:
    """Returns height and width of the field SizeHeader."""
    is_small = reader.flag()
    height = (reader.bits(5) + 1) * 8 if is_small else reader.choice(SIZE)
    ratio = RATIOS[reader.bits(3)]
    if ratio is not None:
        return height, int(height * ratio)
    return height, (reader.bits(5) + 1) * 8 if is_small else reader.choice(SIZE)


def _skip_preview_size(reader: _BitReader) -> None:
    choices = PREVIEW_SIZE_DIV8 if reader.flag() else PREVIEW_SIZE
    reader.choice(choices)
    if not reader.bits(3):
        reader.choice(choices)


def _skip_animation(reader: _BitReader) -> None:
    """Skips the field AnimationHeader: ticks per second, number of loops, timecodes."""
    reader.choice(((0, 100), (0, 1000), (10, 1), (30, 1)))
    reader.choice(((0, 1), (0, 1001), (8, 1), (10, 1)))
    reader.choice(((0, 0), (3, 0), (16, 0), (32, 0)))
    reader.flag()


def _read_bit_depth(reader: _BitReader) -> tuple[int, bool]:
    if not reader.flag():
        return reader.choice(((0, 8), (0, 10), (0, 12), (6, 1))), False
    bits = reader.choice(((0, 32), (0, 16), (0, 24), (6, 1)))
    reader.bits(4)  # bits of the exponent
    return bits, True


def _read_extra_channel(reader: _BitReader) -> bool:
    """Skips the description of an extra channel; returns whether it is premultiplied alpha."""
    if reader.flag():  # straight alpha of 8 bits
        return False
    kind = reader.choice(ENUM)
    _read_bit_depth(reader)
    reader.choice(((0, 0), (0, 3), (0, 4), (3, 1)))  # subsampling
    reader.bits(8 * reader.choice(((0, 0), (4, 0), (5, 16), (10, 48))))  # name
    if kind == ALPHA:
        return reader.flag()
    if kind == SPOT_COLOUR:
        reader.bits(4 * 16)
    if kind == COLOUR_FILTER_ARRAY:
        reader.choice(((0, 1), (2, 0), (4, 3), (8, 19)))
    return False


def _read_colour_space(reader: _BitReader) -> ColourSpace:
    if reader.flag():
        return "srgb"
    has_icc, space = reader.flag(), reader.choice(ENUM)
    if has_icc:
        return "icc"
    if space == XYB:
        return "other"
    white = reader.choice(ENUM)
    if white == CUSTOM:
        _skip_points(reader, 1)
    primaries = SRGB_PRIMARIES if space == GREY else reader.choice(ENUM)
    if primaries == CUSTOM:
        _skip_points(reader, 3)
    if reader.flag() or (white, primaries) != (D65, SRGB_PRIMARIES):  # a gamma, or other primaries
        return "other"
    return TRANSFER_FUNCTIONS.get(reader.choice(ENUM), "other")


def _skip_points(reader: _BitReader, count: int) -> None:
    for _ in range(2 * count):
        reader.choice(CUSTOM_XY)


def read_codestream_head(file: BinaryIO) -> bytes:
    """Returns the first `HEAD_SIZE` bytes of the codestream of an open file.

    Raises ValueError where there is none.
    """
    head = file.read(len(CONTAINER))
    if head[:2] == CODESTREAM:
        return head + file.read(HEAD_SIZE - len(head))
    if head != CONTAINER:
        raise ValueError("damaged: neither a JPEG XL codestream nor its container")
    codestream = b""
    for kind, _, size in iterate_boxes(file, len(CONTAINER), file.seek(0, 2)):
        if kind == b"jxlc":
            return file.read(min(size, HEAD_SIZE))
        if kind == b"jxlp":  # a part of it, after the number of the part
            codestream += file.read(min(size, HEAD_SIZE + 4))[4:]
            if len(codestream) >= HEAD_SIZE:
                break
    if not codestream:
        raise ValueError("truncated: its container has no codestream")
    return codestream[:HEAD_SIZE]


def read_boxes(file: BinaryIO, kinds: frozenset[bytes]) -> dict[bytes, bytes]:
    """Returns the first box of each of `kinds`, by its type, of an open container.

    Boxes that are compressed with Brotli (`brob`) are decompressed. Raises ValueError.
    """
    found: dict[bytes, bytes] = {}
    if file.read(len(CONTAINER)) != CONTAINER:
        return found
    for kind, _, size in iterate_boxes(file, len(CONTAINER), file.seek(0, 2)):
        if kind == b"brob" and size > 4:
            content = file.read(size)
            if content[:4] in kinds:
                found.setdefault(content[:4], _decompress(content[4:]))
        elif kind in kinds:
            found.setdefault(kind, file.read(size))
    return found


def _decompress(content: bytes) -> bytes:
    """Returns what Brotli compressed. Raises ValueError for damage and a decompression bomb."""
    import imagecodecs

    try:
        return bytes(imagecodecs.brotli_decode(content, out=MAX_METADATA))
    except imagecodecs.BrotliError as error:
        reason = f"its compressed metadata have more than {MAX_METADATA // 2**20} MiB, or damage"
        raise ValueError(f"damaged: {reason}") from error
