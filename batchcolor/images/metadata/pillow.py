"""Reads the metadata of a Pillow image: of the formats that have no reader here, or in memory."""

from __future__ import annotations

from PIL import Image

from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.tiff import STRUCTURE_TAGS
from batchcolor.images.metadata.upright import mark_as_upright

EXIF_HEADER = b"Exif\0\0"


def read_metadata(image: Image.Image, notes: list[str]) -> tuple[Metadata, int]:
    """Returns the metadata of an opened picture and its EXIF orientation, 1 to 8.

    The orientation in the returned EXIF and XMP is 1, as decoded pixels are turned upright. A
    damaged EXIF block is dropped with a note.
    """
    comment = _to_bytes(image.info.get("comment"))
    metadata = Metadata(
        exif=_read_exif(image, notes),
        icc=image.info.get("icc_profile") or b"",
        xmp=_to_bytes(image.info.get("xmp")),
        comments=(comment,) if comment else (),
        dpi=_read_dpi(image),
    )
    return mark_as_upright(metadata, notes)


def _to_bytes(block: bytes | str | None) -> bytes:
    return block.encode("utf-8", "replace") if isinstance(block, str) else block or b""


def _read_dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    try:
        return (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return None


def _read_exif(image: Image.Image, notes: list[str]) -> bytes:
    """Returns the EXIF block as stored; that of a TIFF is built of its tags."""
    stored = image.info.get("exif")
    if stored:
        return _to_bytes(stored).removeprefix(EXIF_HEADER)
    try:
        tags = image.getexif()
        kept = Image.Exif()
        kept.update({tag: value for tag, value in tags.items() if tag not in STRUCTURE_TAGS})
        return kept.tobytes().removeprefix(EXIF_HEADER) if kept else b""
    except Exception as error:  # parsers raise many types of errors for damaged EXIF
        notes.append(f"damaged EXIF dropped ({type(error).__name__})")
        return b""
