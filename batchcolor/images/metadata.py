"""What a picture carries beside its pixels, read once and given to what is written."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

ORIENTATION = 0x0112
SOFTWARE = 0x0131
XMP_ORIENTATION = (b'tiff:Orientation="', b"<tiff:Orientation>")


@dataclass(frozen=True)
class Metadata:
    """Blocks as they stand in files; empty where the source had none.

    `exif` begins with the TIFF header (without `Exif\\0\\0`); `dpi` is horizontal, vertical.
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    comment: bytes = b""
    dpi: tuple[float, float] | None = None


def read(image: Image.Image, notes: list[str]) -> tuple[Metadata, int]:
    """Metadata of an opened picture and its EXIF orientation, 1 to 8.

    The orientation tag in the returned block is 1, as pixels are turned upright when decoded.
    A broken block costs itself, with a note.
    """
    exif, orientation = _read_exif(image, notes)
    icc = image.info.get("icc_profile") or b""
    if icc and icc[16:20] != b"RGB ":
        notes.append(f"{icc[16:20].decode('latin-1').strip() or 'broken'} profile dropped")
        icc = b""
    xmp = image.info.get("xmp") or b""
    if isinstance(xmp, str):
        xmp = xmp.encode()
    for opening in XMP_ORIENTATION:
        place = xmp.find(opening)
        if place >= 0:
            place += len(opening)
            xmp = xmp[:place] + b"1" + xmp[place + 1 :]
    comment = image.info.get("comment") or b""
    if isinstance(comment, str):
        comment = comment.encode("utf-8", "replace")
    dpi = image.info.get("dpi")
    try:
        density = (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        density = None
    return Metadata(exif, icc, xmp, comment, density), orientation


def _read_exif(image: Image.Image, notes: list[str]) -> tuple[bytes, int]:
    """Return the EXIF block with orientation 1, and the orientation; the image is not changed."""
    try:
        tags = image.getexif()
        if not tags:
            return b"", 1
        stored = tags.get(ORIENTATION)
        block = _serialize_exif(tags, image.format)
        if stored is not None:
            tags[ORIENTATION] = stored  # Pillow returns the same object at the next call
        return block, stored if isinstance(stored, int) and 1 <= stored <= 8 else 1
    except Exception as error:  # EXIF of old scanners breaks parsers in every possible way
        notes.append(f"damaged EXIF dropped ({type(error).__name__})")
        return b"", 1


def _serialize_exif(tags: Image.Exif, image_format: str | None) -> bytes:
    if ORIENTATION in tags:
        tags[ORIENTATION] = 1
    if image_format == "TIFF":  # its tags also describe how the pixels are stored
        kept = Image.Exif()
        kept.update({tag: value for tag, value in tags.items() if tag in DESCRIPTIVE_TAGS})
        tags = kept
    return tags.tobytes().removeprefix(b"Exif\0\0") if tags else b""


DESCRIPTIVE_TAGS = frozenset({0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298})
"""TIFF tags that describe a photograph and not the way in which its pixels lie."""


def descriptive_tags(metadata: Metadata) -> dict[int, str]:
    """The EXIF block's tags that describe a photograph, as text."""
    tags = Image.Exif()
    if metadata.exif:
        tags.load(b"Exif\0\0" + metadata.exif)
    return {tag: str(value) for tag, value in tags.items() if tag in DESCRIPTIVE_TAGS}
