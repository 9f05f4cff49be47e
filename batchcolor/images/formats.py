"""The formats of stills and films: names, how their first bytes look, what they can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchcolor.errors import UsageError
from batchcolor.hooks.types import Reader


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
    film: bool = False
    """Whether it holds moving pictures: then it is a container."""


JPEG = Format("jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"))
PNG = Format("png", (".png",), alpha=True, deep=True)
WEBP = Format("webp", (".webp",), alpha=True)
TIFF = Format("tiff", (".tif", ".tiff"), alpha=True, deep=True)
BMP = Format("bmp", (".bmp", ".dib"))
FORMATS = (JPEG, PNG, WEBP, TIFF, BMP)

MP4 = Format("mp4", (".mp4", ".m4v"), film=True)
MOV = Format("mov", (".mov", ".qt"), film=True)
MKV = Format("mkv", (".mkv",), film=True)
GIF = Format("gif", (".gif",), alpha=True, film=True)
WEBM = Format("webm", (".webm",), writable=False, film=True)
AVI = Format("avi", (".avi",), writable=False, film=True)
MPEG = Format("mpeg", (".mpg", ".mpeg", ".vob"), writable=False, film=True)
FLV = Format("flv", (".flv",), writable=False, film=True)
WMV = Format("wmv", (".wmv", ".asf"), writable=False, film=True)
MOBILE = Format("3gp", (".3gp", ".3g2"), writable=False, film=True)
VIDEO_FORMATS = (MP4, MOV, MKV, GIF, WEBM, AVI, MPEG, FLV, WMV, MOBILE)

IMAGE_SEQUENCE = Format("numbered frames", (), writable=False, film=True)
"""A folder of numbered pictures that is read as a film."""

UNSNIFFABLE_VIDEO_SUFFIXES = frozenset({".ts", ".mts", ".m2ts", ".ogv"})
"""Films whose first bytes are no safe sign: they are known by their suffix."""
VIDEO_SUFFIXES = UNSNIFFABLE_VIDEO_SUFFIXES.union(*(known.suffixes for known in VIDEO_FORMATS))
AUDIO_SUFFIXES = frozenset({".m4a", ".m4b", ".mka", ".weba", ".wma"})
"""Sound in a container of films: skipped unless it is named."""
CAMERA_RAW = frozenset(
    {
        *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".orf", ".rw2", ".raf"),
        *(".pef", ".srw", ".3fr", ".iiq", ".rwl"),
    }
)
"""Many are TIFF by content; what would be read of them is a thumbnail."""
PLUGIN_ONLY_SUFFIXES = CAMERA_RAW | {
    *(".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".psd", ".psb", ".xcf", ".pcx"),
    *(".tga", ".ppm", ".pgm", ".pnm", ".exr", ".djvu", ".pdf"),
}
"""Pictures that are not read here unless a plugin does: skipped and reported."""
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
    film = _sniff_film(head)
    if film is not None:
        return film
    for reader in readers:
        try:
            if reader.sniff(head):
                return Format(reader.name, reader.suffixes, writable=False)
        except Exception:  # a plugin's sniff may raise anything; then the file is not its own
            continue
    return None


STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"crx ", b"jp2 ")
"""Major brands of pictures in the box structure of MP4 (ISO/IEC 14496-12, section 4.3)."""
SOUND_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
FIRST_ATOMS = (b"moov", b"mdat", b"wide", b"skip", b"pnot")
"""What a QuickTime film without a brand begins with."""


def _sniff_film(head: bytes) -> Format | None:
    """The container whose first bytes these are."""
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in STILL_BRANDS or brand in SOUND_BRANDS:
            return None
        return MOV if brand == b"qt  " else MOBILE if brand[:2] in (b"3g",) else MP4
    if head[4:8] in FIRST_ATOMS:
        return MOV
    if head.startswith(b"\x1aE\xdf\xa3"):
        return WEBM if b"webm" in head else MKV if b"matroska" in head else None
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return AVI
    if head.startswith(b"\0\0\x01\xba"):
        return MPEG
    if head.startswith(b"FLV\x01"):
        return FLV
    return WMV if head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11") else None


def format_by_name(name: str) -> Format:
    """The writable format of that name. Raises UsageError naming those there are."""
    writable = [known for known in (*FORMATS, *VIDEO_FORMATS) if known.writable]
    for known in writable:
        if name.lower() == known.name or f".{name.lower()}" in known.suffixes:
            return known
    names = ", ".join(known.name for known in writable)
    raise UsageError(f"--format {name}: not a format that is written here ({names})")


def is_picture_suffix(suffix: str, readers: Sequence[Reader] = ()) -> bool:
    """Whether a file with this suffix is expected to be a picture."""
    suffix = suffix.lower()
    return any(suffix in known.suffixes for known in FORMATS) or any(
        suffix in reader.suffixes for reader in readers
    )
