"""The metadata of a picture, in the form in which files hold it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
MIN_DPI, MAX_DPI = 0.1, 1e6
"""Resolutions beyond these are damaged, or exceed the integers of PNG and BMP."""


@dataclass(frozen=True)
class Block:
    """A block that only the format of its source has, or that belongs to one program.

    `kind` is the marker of a JPEG segment (`APP12`) or the type of a PNG or WebP chunk (`tIME`);
    `content` is its payload, without length and checksum.
    """

    format: str
    kind: str
    content: bytes


@dataclass(frozen=True)
class Metadata:
    """Metadata blocks, byte for byte as files hold them; empty where the source has none.

    To change one, use `dataclasses.replace`: writers take every field as it is.
    """

    exif: bytes = b""
    """A TIFF structure, without `Exif\\0\\0`: offsets count from its first byte."""
    icc: bytes = b""
    """The profile of the pixels of the result."""
    xmp: bytes = b""
    """The XMP packet, of any size."""
    extended_xmp: bytes = b""
    """The second packet of a JPEG whose XMP exceeds one segment; `xmp` refers to its digest."""
    photoshop: bytes = b""
    """Photoshop image resources (`8BIM` ...), IPTC among them where the source has it there."""
    iptc: bytes = b""
    """IPTC-IIM records that the source has apart from its Photoshop resources."""
    comments: tuple[bytes, ...] = ()
    """JPEG and GIF comments, in the source's character set."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical pixels an inch, where the format has a field for it."""
    blocks: tuple[Block, ...] = ()
    """All other blocks, in the order of the source."""
    source_format: str = ""
    """The name of the format whose file these blocks were read from; empty for other origins."""
    order: tuple[str, ...] = ()
    """Names of the blocks in the order of a JPEG or PNG source; empty for others."""


def arrange(parts: Iterable[tuple[str, T]], order: Sequence[str]) -> list[tuple[str, T]]:
    """Returns named parts in the order of the source.

    Parts that the source does not have stay together, after its first one.
    """
    places = {name: place for place, name in reversed(list(enumerate(order)))}
    return sorted(parts, key=lambda part: places.get(part[0], 0.5))


def is_plausible_resolution(x: float, y: float) -> bool:
    """Whether every format can hold these pixels an inch."""
    return min(x, y) >= MIN_DPI and max(x, y) <= MAX_DPI
