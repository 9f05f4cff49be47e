"""Identifies the format of a file by its first bytes."""

from __future__ import annotations

from collections.abc import Sequence

from batchcolor.hooks.types import Reader
from batchcolor.images.film_signatures import is_transport_stream, sniff_film
from batchcolor.images.formats import (
    AVIF,
    BMP,
    CAMERA_RAW,
    DICOM,
    DPX,
    FITS,
    FORMATS_BY_SUFFIX,
    HEIF,
    ICON,
    JPEG,
    JPEG_2000,
    JPEG_XL,
    MOTION_JPEG_SUFFIXES,
    MPEG_TS,
    NETPBM,
    OPENEXR,
    PCX,
    PNG,
    PSD,
    QOI,
    RADIANCE,
    SGI,
    SUN_RASTER,
    TIFF,
    WEBP,
    Format,
)

HEAD_SIZE = 1024
"""Bytes from the beginning of a file that `sniff` takes."""

CR2_MARK = b"CR"
"""Follows the TIFF header of a Canon CR2, whose first picture is a preview."""
BMP_HEADER_SIZES = tuple(bytes((size, 0, 0, 0)) for size in (12, 16, 40, 52, 56, 64, 108, 124))
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
STILL_BRANDS = (*HEIF_BRANDS, *AVIF_BRANDS, b"crx ", b"jp2 ")
"""Major brands of pictures in the box structure of MP4 (ISO/IEC 14496-12, section 4.3)."""
AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ")


def sniff(head: bytes, suffix: str = "", readers: Sequence[Reader] = ()) -> Format | None:
    """Returns the format of a file that begins with `head`, or None.

    Tries the formats that batchcolor writes, films, plugins' readers and the formats that are
    only read, in this order. `suffix`, lower-case with the dot, identifies camera raw, which
    often is a TIFF with a thumbnail as its first picture, and formats without a signature. A
    reader whose `sniff` raises does not know the file.
    """
    kind = _sniff_still(head, suffix) or sniff_film(head, (*STILL_BRANDS, *AUDIO_BRANDS))
    is_raw = kind in (None, TIFF) and suffix in CAMERA_RAW.suffixes
    is_raw = is_raw or (kind == TIFF and head[8:10] == CR2_MARK)
    if kind is not None and not is_raw:
        return kind
    for reader in readers:
        if is_raw and suffix not in reader.suffixes:
            continue  # a reader of TIFF would read the thumbnail
        try:
            if reader.sniff(head):
                return Format(reader.name, reader.suffixes, is_writable=False)
        except Exception:  # of any type, from a plugin's code; the reader does not know the file
            continue
    if is_raw:
        return CAMERA_RAW
    # last: rows of samples may repeat the sync byte
    return _sniff_read_only(head, suffix) or (MPEG_TS if is_transport_stream(head) else None)


def _sniff_still(head: bytes, suffix: str) -> Format | None:
    """Returns the format, one of `FORMATS`, whose signature this is."""
    if head.startswith(b"\xff\xd8\xff"):
        return None if suffix in MOTION_JPEG_SUFFIXES else JPEG
    if head.startswith(b"\xff\xd8") and suffix in JPEG.suffixes:  # bytes precede the first marker
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        is_dicom = _is_dicom(head) and suffix in DICOM.suffixes  # its preamble may be a TIFF's
        return None if is_dicom else TIFF
    if head[:2] == b"BM" and head[14:18] in BMP_HEADER_SIZES:
        return BMP
    if suffix == ".dib" and head[:4] in BMP_HEADER_SIZES[2:]:
        return BMP
    return None


def _is_dicom(head: bytes) -> bool:
    """Whether the preamble of DICOM, of any content, precedes its signature (PS3.10, 7.1)."""
    return head[128:132] == b"DICM"


def _sniff_read_only(head: bytes, suffix: str) -> Format | None:
    """Returns the format, one of `READ_ONLY_FORMATS`, by signature, or by suffix without one.

    Signatures of two bytes, which occur in other files, count only with the suffix.
    """
    if head[4:8] == b"ftyp":
        return _sniff_heif(head)
    if head.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return JPEG_2000
    if head.startswith((b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a")):
        return JPEG_XL
    if head.startswith((b"8BPS\0\x01", b"8BPS\0\x02")):
        return PSD
    if head.startswith((b"SDPX", b"XPDS")):
        return DPX
    if head.startswith(b"\x76\x2f\x31\x01"):
        return OPENEXR
    if head.startswith((b"#?RADIANCE", b"#?RGBE")):
        return RADIANCE
    if head.startswith(b"qoif"):
        return QOI
    if head.startswith(b"\x59\xa6\x6a\x95"):
        return SUN_RASTER
    if head.startswith(b"SIMPLE  ="):
        return FITS
    if _is_dicom(head):
        return DICOM
    expected = FORMATS_BY_SUFFIX.get(suffix)
    signatures = SHORT_SIGNATURES.get(expected.name) if expected is not None else None
    if signatures is None or head.startswith(signatures):
        return expected
    return None


SHORT_SIGNATURES = {
    NETPBM.name: (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7", b"Pf", b"PF"),
    PCX.name: tuple(bytes((10, version, run)) for version in (0, 2, 3, 4, 5) for run in (0, 1)),
    SGI.name: (b"\x01\xda",),
    ICON.name: (b"\0\0\1\0", b"\0\0\2\0"),
    **{
        f.name: ()
        for f in (
            JPEG_2000,
            JPEG_XL,
            PSD,
            QOI,
            SUN_RASTER,
            OPENEXR,
            RADIANCE,
            DPX,
            FITS,
            AVIF,
            HEIF,
        )
    },
}
"""Signatures that count only with the suffix, by format; none for those with a longer one."""


def _sniff_heif(head: bytes) -> Format | None:
    """Returns HEIF, AVIF or camera raw (CR3) by the brands of the first box."""
    brands = [head[8:12]]
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands += [head[i : i + 4] for i in range(16, end - 3, 4)]
    if brands[0] == b"crx ":
        return CAMERA_RAW
    if any(brand in AVIF_BRANDS for brand in brands) and brands[0] not in HEIF_BRANDS[:6]:
        return AVIF
    return HEIF if brands[0] in HEIF_BRANDS else None
