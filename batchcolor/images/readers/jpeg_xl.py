"""Decodes JPEG XL with libjxl (through imagecodecs), which also applies the orientation."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import (
    FileHeader,
    Samples,
    divide_by_alpha,
    encode_srgb,
    scale_to_full_range,
    split_alpha,
)
from batchcolor.images.readers.jpeg_xl_header import (
    JpegXlHeader,
    parse_codestream_header,
    read_boxes,
    read_codestream_head,
)

ANIMATED = "the first frame of an animated JPEG XL; the others are dropped"
EXIF, XMP = b"Exif", b"xml "


def read_header(path: Path) -> FileHeader:
    """Returns size and depth. Raises ValueError for damage."""
    with path.open("rb") as file:
        header = parse_codestream_header(read_codestream_head(file))
    return FileHeader(header.width, header.height, is_deep=header.bits > 8)


def decode(path: Path) -> Samples:
    """Returns samples and metadata. Raises ProcessingError and ValueError for damaged data."""
    import imagecodecs

    data = path.read_bytes()
    header = parse_codestream_header(read_codestream_head(io.BytesIO(data)))
    decoded: NDArray[Any] = imagecodecs.jpegxl_decode(
        data, index=0 if header.is_animated else None, numthreads=1
    )
    if sorted(decoded.shape[:2]) != sorted((header.height, header.width)):
        raise ProcessingError("decode", f"damaged: it decodes to {decoded.shape}")
    notes: list[str] = [ANIMATED] if header.is_animated else []
    pixels, alpha = split_alpha(_to_integers(decoded, header, notes))
    if alpha is not None and header.is_premultiplied:
        pixels = divide_by_alpha(pixels, alpha)
    boxes = read_boxes(io.BytesIO(data), frozenset({EXIF, XMP}))
    return Samples(
        pixels,
        alpha,
        exif=_parse_exif_box(boxes.get(EXIF, b"")),
        icc=_read_profile(data, header, notes),
        xmp=boxes.get(XMP, b""),
        notes=notes,
    )


def _to_integers(decoded: NDArray[Any], header: JpegXlHeader, notes: list[str]) -> NDArray[Any]:
    """Returns gamma-encoded samples as uint8 or uint16."""
    if decoded.dtype.kind == "f":
        values = decoded.astype(np.float32)
        if not np.isfinite(values).all():
            raise ProcessingError("decode", "has samples that are not finite numbers")
        if values.max() > 1:
            notes.append("samples above white (HDR) are clipped")
        decoded = (np.clip(values, 0, 1) * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
    elif header.bits < 8 * decoded.itemsize:  # they have the range of the codestream
        decoded = scale_to_full_range(decoded, (1 << header.bits) - 1)
    # libjxl returns XYB of a picture with an ICC profile in linear sRGB
    is_converted = header.is_xyb and header.colour_space == "icc"
    is_linear = header.colour_space == "linear" or is_converted
    if is_converted and decoded.dtype == np.uint8:
        notes.append("its dark tones are coarse: libjxl returns 8 bits of linear samples")
    if not is_linear:
        return decoded
    colours = decoded if decoded.ndim == 2 or decoded.shape[2] in (1, 3) else decoded[..., :-1]
    encoded = encode_srgb(colours)
    if colours is decoded:
        return encoded
    alpha = decoded[..., -1:].astype(np.uint16)
    return np.concatenate((encoded, alpha * (257 if decoded.dtype == np.uint8 else 1)), axis=2)


def _parse_exif_box(content: bytes) -> bytes:
    """Returns the TIFF structure of an Exif box: after four bytes with its offset.

    Some writers omit the four bytes.
    """
    if content[:2] in (b"II", b"MM"):
        return content
    return content[4 + int.from_bytes(content[:4], "big") :]


def _read_profile(data: bytes, header: JpegXlHeader, notes: list[str]) -> bytes:
    """Returns the ICC profile of samples that libjxl did not convert to sRGB.

    imagecodecs does not return it; the optional package pillow-jxl-plugin does.
    """
    is_converted = header.is_xyb and header.colour_space == "icc"
    if header.colour_space in ("srgb", "linear") or is_converted:
        return b""
    try:
        from pillow_jxl import Decoder
    except ImportError:
        notes.append(
            "its colour space was taken for sRGB: the profile needs one more package: "
            "pip install 'batchcolor[jxl]'"
        )
        return b""
    _, _, _, profile, _ = Decoder(num_threads=0)(data)
    return bytes(profile or b"")
