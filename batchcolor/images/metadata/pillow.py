"""Reads the metadata of a picture: EXIF, ICC profile, XMP, comment and resolution."""

from __future__ import annotations

from PIL import Image

from batchcolor.images.metadata.model import Metadata

ORIENTATION = 0x0112
SOFTWARE = 0x0131
XMP_ORIENTATION = (b'tiff:Orientation="', b"<tiff:Orientation>")


def read_metadata(image: Image.Image, notes: list[str]) -> tuple[Metadata, int]:
    """Returns the metadata of an opened picture and its EXIF orientation, 1 to 8.

    The orientation in the returned EXIF and XMP is 1, as decoded pixels are turned upright. A
    damaged EXIF block, and an ICC profile that is not RGB, are dropped with a note.
    """
    exif, orientation = _read_exif(image, notes)
    icc = image.info.get("icc_profile") or b""
    if icc and icc[16:20] != b"RGB ":  # colour space of the data (ICC.1:2022, section 7.2.8)
        notes.append(f"{icc[16:20].decode('latin-1').strip() or 'damaged'} profile dropped")
        icc = b""
    xmp = _reset_xmp_orientation(_to_bytes(image.info.get("xmp")))
    comment = _to_bytes(image.info.get("comment"))
    comments = (comment,) if comment else ()
    metadata = Metadata(exif, icc, xmp, comments=comments, dpi=_read_dpi(image))
    return metadata, orientation


def _to_bytes(block: bytes | str | None) -> bytes:
    return block.encode("utf-8", "replace") if isinstance(block, str) else block or b""


def _reset_xmp_orientation(xmp: bytes) -> bytes:
    """Returns the XMP packet with orientation 1, written as an attribute or as an element."""
    for opening in XMP_ORIENTATION:
        start = xmp.find(opening)
        if start >= 0:
            start += len(opening)
            xmp = xmp[:start] + b"1" + xmp[start + 1 :]
    return xmp


def _read_dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    try:
        return (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return None


def _read_exif(image: Image.Image, notes: list[str]) -> tuple[bytes, int]:
    """Returns the EXIF block with orientation 1, and the orientation; the image is unchanged."""
    try:
        tags = image.getexif()
        if not tags:
            return b"", 1
        stored = tags.get(ORIENTATION)
        block = _serialize_exif(tags, image.format)
        if stored is not None:
            tags[ORIENTATION] = stored  # Pillow returns the same object at the next call
        return block, stored if isinstance(stored, int) and 1 <= stored <= 8 else 1
    except Exception as error:  # parsers raise many types of errors for damaged EXIF
        notes.append(f"damaged EXIF dropped ({type(error).__name__})")
        return b"", 1


def _serialize_exif(tags: Image.Exif, image_format: str | None) -> bytes:
    """Returns the tags as a block, with orientation 1; of a TIFF only those that describe it."""
    if ORIENTATION in tags:
        tags[ORIENTATION] = 1
    if image_format == "TIFF":  # the same directory describes how its pixels are stored
        kept = Image.Exif()
        kept.update({tag: value for tag, value in tags.items() if tag in DESCRIPTIVE_TAGS})
        tags = kept
    return tags.tobytes().removeprefix(b"Exif\0\0") if tags else b""


DESCRIPTIVE_TAGS = frozenset({0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298})
"""TIFF tags that describe a photograph and not how its pixels are stored: DocumentName,
ImageDescription, Make, Model, Software, DateTime, Artist and Copyright."""


def read_descriptive_tags(metadata: Metadata) -> dict[int, str]:
    """Returns the tags of the EXIF block that are in `DESCRIPTIVE_TAGS`, as text."""
    tags = Image.Exif()
    if metadata.exif:
        tags.load(b"Exif\0\0" + metadata.exif)
    return {tag: str(value) for tag, value in tags.items() if tag in DESCRIPTIVE_TAGS}
