"""The still formats: what they are called, how their first bytes look, what they can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchcolor.errors import ImpossiblePlanError
from batchcolor.hooks.hookspecs import Reader


@dataclass(frozen=True)
class Format:
    """A still format. `suffixes` are lower-case with their dot, the first one is written."""

    name: str
    suffixes: tuple[str, ...]
    writable: bool = True
    alpha: bool = False
    """Whether what is written can hold transparency."""
    deep: bool = False
    """Whether what is written can hold 16 bits a channel."""


JPEG = Format("jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"))
PNG = Format("png", (".png",), alpha=True, deep=True)
WEBP = Format("webp", (".webp",), alpha=True)
TIFF = Format("tiff", (".tif", ".tiff"), alpha=True, deep=True)
BMP = Format("bmp", (".bmp", ".dib"))
FORMATS = (JPEG, PNG, WEBP, TIFF, BMP)

FILM_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts"),
        *(".m2ts", ".wmv", ".flv", ".ogv", ".3gp", ".vob"),
    }
)
CAMERA_RAW = frozenset(
    {
        *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".orf", ".rw2", ".raf"),
        *(".pef", ".srw", ".3fr", ".iiq", ".rwl"),
    }
)
"""Many are TIFF by content; what would be read of them is a thumbnail."""
UNREAD_SUFFIXES = CAMERA_RAW | {
    *(".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".psd", ".psb", ".xcf", ".pcx"),
    *(".tga", ".ppm", ".pgm", ".pnm", ".exr", ".djvu"),
}
"""Pictures that are not read here unless a plugin does: passed over, but not in silence."""
HEAD = 64
"""Bytes of a file that `sniff` looks at."""


def sniff(head: bytes, readers: Sequence[Reader] = ()) -> Format | None:
    """The format that the first bytes of a file show, whatever its name says, or None.

    Built-in formats are asked first, then plugins' readers; a reader that raises says no.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return TIFF
    if head[:2] == b"BM" and head[14:18] in (
        b"\x0c\0\0\0",
        b"\x28\0\0\0",
        b"\x6c\0\0\0",
        b"\x7c\0\0\0",
    ):
        return BMP
    for reader in readers:
        try:
            if reader.sniff(head):
                return Format(reader.name, reader.suffixes, writable=False)
        except Exception:  # a plugin's sniff may raise anything; then the file is not its own
            continue
    return None


def format_named(name: str) -> Format:
    """The writable format of that name. Raises ImpossiblePlanError naming those there are."""
    for known in FORMATS:
        if name.lower() == known.name or f".{name.lower()}" in known.suffixes:
            return known
    names = ", ".join(known.name for known in FORMATS)
    raise ImpossiblePlanError(f"--format {name}: not a format that is written here ({names})")


def is_picture_suffix(suffix: str, readers: Sequence[Reader] = ()) -> bool:
    """Whether a file with this suffix is expected to be a picture."""
    suffix = suffix.lower()
    return any(suffix in known.suffixes for known in FORMATS) or any(
        suffix in reader.suffixes for reader in readers
    )
