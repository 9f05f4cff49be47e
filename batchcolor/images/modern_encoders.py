"""Encodes AVIF, HEIC and JPEG XL with their metadata: EXIF, XMP and ICC profile.

Qualities are chosen so that luma is as near to the joined one as in JPEG of quality 96: on average
0.5 to 0.65 of 255. docs/photographs.md has the measurement.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.codec_samples import decode_srgb
from batchcolor.images.color_profiles.cicp import find_code_points
from batchcolor.images.color_profiles.rgb_profiles import build_output_profile
from batchcolor.images.dpx_writer import encode_dpx
from batchcolor.images.formats import AVIF, DPX, HEIF, JPEG_XL
from batchcolor.images.heif_items import add_metadata
from batchcolor.images.iso_boxes import build_box
from batchcolor.images.metadata.exif import remove_orientation
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.picture import Plane
from batchcolor.images.readers.jpeg_xl_header import CODESTREAM, CONTAINER

AVIF_QUALITY, HEIF_QUALITY, JPEG_XL_QUALITY = 95, 80, 97
MAX_AVIF_BITS = 12
BT709, BT601, SRGB_TRANSFER, UNSPECIFIED = 1, 6, 13, 2
"""Primaries, matrix and transfer function of ITU-T H.273."""
AVIF_SPEED = 8
"""Three times as fast as 6, with the same luma."""
AVIF_OPTIONS = {"subsampling": "4:4:4", "speed": AVIF_SPEED, "range": "full"}
FILE_TYPE = b"\0\0\0\x14ftypjxl \0\0\0\0jxl "


def encode_avif(
    rgb: Plane, metadata: Metadata, quality: int | None, notes: list[str], bits: int = 0
) -> bytes:
    """Returns RGB or RGBA as AVIF: 4:4:4, so that luma survives beside strong colours.

    uint16 is written with 12 bits, or 10 where the source has not more.
    """
    if rgb.dtype == np.uint16:
        return _encode_deep_avif(rgb, metadata, quality or AVIF_QUALITY, notes, bits)
    return _encode_with_pillow(rgb, "AVIF", metadata, quality or AVIF_QUALITY, {**AVIF_OPTIONS})


def _encode_deep_avif(
    rgb: Plane, metadata: Metadata, quality: int, notes: list[str], bits: int
) -> bytes:
    import imagecodecs

    written = _choose_bits(bits, MAX_AVIF_BITS, "AVIF", notes)
    (primaries, transfer), icc = _choose_color_space(metadata.icc)
    encoded = imagecodecs.avif_encode(
        _reduce(rgb, written),
        level=quality,
        speed=AVIF_SPEED,
        bitspersample=written,
        pixelformat="444",
        primaries=primaries,
        transfer=transfer,
        matrix=BT601,
        numthreads=1,
    )
    return add_metadata(bytes(encoded), metadata.exif, metadata.xmp, icc)


def _choose_color_space(icc: bytes) -> tuple[tuple[int, int], bytes]:
    """Returns primaries and transfer function to state, and the profile to embed, or nothing.

    A profile of code points, as of HDR, is stated by them alone, as in the source.
    """
    if not icc:
        return (BT709, SRGB_TRANSFER), b""
    code_points = find_code_points(icc)
    return (code_points, b"") if code_points else ((UNSPECIFIED, UNSPECIFIED), icc)


def _choose_bits(source: int, maximum: int, name: str, notes: list[str]) -> int:
    """Returns the bits per sample of a result, 10 or 12; notes what is lost."""
    written = maximum if source > 10 or not source else 10
    if (source or 16) > written:
        notes.append(f"{source or 16} bits reduced to {written}: {name} is written with no more")
    return written


def _reduce(samples: Plane, bits: int) -> NDArray[np.uint16]:
    """Returns uint16 over the full range as integers of `bits`, rounded."""
    maximum = (1 << bits) - 1
    table = (np.arange(65536, dtype=np.uint64) * maximum + 32767) // 65535
    result: NDArray[np.uint16] = table.astype(np.uint16).take(samples)
    return result


def encode_heif(
    rgb: Plane, metadata: Metadata, quality: int | None, notes: list[str], bits: int = 0
) -> bytes:
    """Returns RGB or RGBA as HEIC: 4:2:0, as many viewers decode nothing else.

    uint16 is written with 10 bits, as few devices decode more, or 12 where the source has them.
    """
    import pillow_heif

    if rgb.dtype == np.uint16:
        return _encode_deep_heif(rgb, metadata, quality or HEIF_QUALITY, notes, bits)
    pillow_heif.register_heif_opener()
    options: dict[str, Any] = {"chroma": "420", "enc_params": {"preset": "fast"}}
    return _encode_with_pillow(rgb, "HEIF", metadata, quality or HEIF_QUALITY, options)


def _encode_deep_heif(
    rgb: Plane, metadata: Metadata, quality: int, notes: list[str], bits: int
) -> bytes:
    import pillow_heif

    written = _choose_bits(bits, 12 if bits == 12 else 10, "HEIC", notes)
    mode = "RGBA;16" if rgb.shape[2] == 4 else "RGB;16"
    size = rgb.shape[1], rgb.shape[0]
    picture = pillow_heif.from_bytes(mode, size, np.ascontiguousarray(rgb).tobytes())
    (primaries, transfer), icc = _choose_color_space(metadata.icc)
    options: dict[str, Any] = {"icc_profile": icc} if icc else {}
    if not icc:
        options |= {"color_primaries": primaries, "transfer_characteristics": transfer}
        options |= {"matrix_coefficients": BT601, "full_range_flag": 1}
    options |= {"exif": b"Exif\0\0" + metadata.exif} if metadata.exif else {}
    options |= {"xmp": metadata.xmp} if metadata.xmp else {}
    file = io.BytesIO()
    picture.save(
        file,
        quality=quality,
        chroma="420",
        bit_depth=written,
        enc_params={"preset": "fast"},
        **options,
    )
    return file.getvalue()


def _encode_with_pillow(
    rgb: Plane, codec: str, metadata: Metadata, quality: int, options: dict[str, Any]
) -> bytes:
    image = Image.fromarray(rgb)
    if metadata.icc:
        image.info["icc_profile"] = metadata.icc  # pillow-heif takes it from here
        options["icc_profile"] = metadata.icc
    if metadata.exif:
        exif = metadata.exif
        if codec == "AVIF":  # Pillow would build a block with orientation anew, without MakerNotes
            exif = remove_orientation(exif)
        options["exif"] = b"Exif\0\0" + exif
    if metadata.xmp:
        options["xmp"] = metadata.xmp
    file = io.BytesIO()
    image.save(file, codec, quality=quality, **options)
    return file.getvalue()


def encode_jpeg_xl(
    rgb: Plane, metadata: Metadata, quality: int | None, notes: list[str], bits: int = 0
) -> bytes:
    """Returns RGB or RGBA, uint8 or uint16, as JPEG XL; lossless with quality 100.

    Always sRGB: imagecodecs writes no profile. It marks 16-bit samples as linear, so they are
    made linear.
    """
    import imagecodecs

    quality = quality or JPEG_XL_QUALITY
    pixels = _convert_to_srgb(rgb, metadata.icc, notes)
    if pixels.dtype == np.uint16:
        pixels = _make_linear(pixels)
    is_lossless = quality == 100
    data = bytes(
        imagecodecs.jpegxl_encode(
            pixels,
            effort=3 if is_lossless else 5,
            lossless=is_lossless,
            distance=None if is_lossless else _distance(quality),
            numthreads=1,
        )
    )
    return _insert_boxes(data, metadata)


def _distance(quality: int) -> float:
    """Returns the distance in just noticeable differences, as libjxl's own tools derive it."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


def _convert_to_srgb(rgb: Plane, icc: bytes, notes: list[str]) -> Plane:
    """Returns the colours in sRGB; those of a damaged profile are taken for sRGB, with a note."""
    import imagecodecs

    if not icc or icc == build_output_profile("srgb"):
        return rgb
    converted: Any = np.array(rgb)
    try:
        converted[..., :3] = imagecodecs.cms_transform(
            np.ascontiguousarray(rgb[..., :3]),
            icc,
            build_output_profile("srgb"),
            colorspace="rgb",
            outcolorspace="rgb",
            intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        )
    except (RuntimeError, ValueError) as error:
        notes.append(f"profile dropped: LittleCMS cannot convert with it ({error})")
        return rgb
    notes.append("converted from its profile to sRGB: JPEG XL is written without a profile")
    result: Plane = converted
    return result


def _make_linear(pixels: Plane) -> NDArray[np.uint16]:
    linear: Any = np.array(pixels, np.uint16)
    values = decode_srgb(pixels[..., :3]) * np.float32(65535) + np.float32(0.5)
    linear[..., :3] = values.astype(np.uint16)
    result: NDArray[np.uint16] = linear
    return result


def _insert_boxes(data: bytes, metadata: Metadata) -> bytes:
    """Returns the file with boxes for EXIF and XMP before the codestream (18181-2)."""
    boxes = b""
    if metadata.exif:
        boxes += build_box(b"Exif", bytes(4) + metadata.exif)
    if metadata.xmp:
        boxes += build_box(b"xml ", metadata.xmp)
    if not boxes:
        return data
    if data[:2] == CODESTREAM:
        return CONTAINER + FILE_TYPE + boxes + build_box(b"jxlc", data)
    position = len(CONTAINER)
    while data[position + 4 : position + 8] in (b"ftyp", b"jxll"):
        position += int.from_bytes(data[position : position + 4], "big")
    return data[:position] + boxes + data[position:]


Encoder = Callable[[Plane, Metadata, int | None, list[str], int], bytes]
ENCODERS: dict[str, Encoder] = {
    AVIF.name: encode_avif,
    HEIF.name: encode_heif,
    JPEG_XL.name: encode_jpeg_xl,
    DPX.name: encode_dpx,
}
"""Functions that encode pixels and metadata, by format name. Their last argument is that of
`Picture.bits`."""
