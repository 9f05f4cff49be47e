"""Converts a Pillow image of any mode to luma and alpha."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.color_detection import GREY_MODES
from batchcolor.images.color_profiles.icc import CMYK, COLOR_SPACE, GREY, LAB, RGB, ColorConversion
from batchcolor.images.picture import Plane

PREMULTIPLIED_MODES = {"La": "LA", "RGBa": "RGBA"}
"""Modes with colours multiplied by alpha, and the same modes without the multiplication."""

ORIENTATION_TRANSFORMS = {
    2: lambda plane: plane[:, ::-1],
    3: lambda plane: plane[::-1, ::-1],
    4: lambda plane: plane[::-1],
    5: lambda plane: plane.T,
    6: lambda plane: np.rot90(plane, -1),
    7: lambda plane: plane[::-1, ::-1].T,
    8: lambda plane: np.rot90(plane),
}
"""The transform that makes stored rows upright, by EXIF orientation (CIPA DC-008, tag 0x0112)."""


def find_color_space(image: Image.Image, icc: bytes) -> bytes:
    """Returns the colour space of the samples of an image that is loaded, as profiles state it.

    Formats that store grey as RGB, such as WebP, keep a grey profile: such pictures are grey.
    """
    if image.mode in GREY_MODES:
        return GREY
    if image.mode in ("CMYK", "LAB"):
        return CMYK if image.mode == "CMYK" else LAB
    return GREY if icc[COLOR_SPACE] == GREY and _is_neutral(image) else RGB


def _is_neutral(image: Image.Image) -> bool:
    rgb = np.asarray(image.convert("RGB"))
    return bool((rgb[..., :2] == rgb[..., 1:]).all())


INVERSE_ORIENTATIONS = {6: 8, 8: 6}
"""The orientation whose transform undoes that of another one; the others undo themselves."""


def split_luma_and_alpha(
    image: Image.Image, notes: list[str], conversion: ColorConversion | None = None
) -> tuple[Plane, Plane | None]:
    """Returns luma `(H, W)` and alpha `(H, W)`, or None for an opaque image.

    Both are uint8, except that modes I, F and I;16 give 16-bit luma. Raises ProcessingError for
    samples that are not finite.
    """
    conversion = conversion or ColorConversion()
    if image.mode.startswith("I;16"):
        return conversion.to_luma(np.asarray(image).astype(np.uint16)), None
    if image.mode in ("I", "F"):
        samples = scale_to_16_bits(np.asarray(image, np.float64), notes)
        return conversion.to_luma(samples), None
    if image.mode in PREMULTIPLIED_MODES:
        image = image.convert(PREMULTIPLIED_MODES[image.mode])
    if not image.has_transparency_data:
        return _convert_to_luma(image, conversion), None
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    # Palettes and colours are converted through RGB; grey is luma already.
    grey = image if image.mode in ("LA", "L", "1") else rgba
    return _convert_to_luma(grey, conversion), None if alpha.min() == 255 else alpha


def _convert_to_luma(image: Image.Image, conversion: ColorConversion) -> Plane:
    """Returns the luma of an image with 8 bits per sample, or fewer."""
    if not conversion.is_needed:
        return np.asarray(image.convert("L"))
    if image.mode == "CMYK":
        return conversion.to_luma(np.asarray(image))
    if image.mode == "LAB":  # Pillow returns a* and b* signed, as TIFF stores them
        return conversion.to_luma(np.asarray(image) ^ np.array([0, 128, 128], np.uint8))
    is_grey = image.mode in GREY_MODES or conversion.space == GREY
    return conversion.to_luma(np.asarray(image.convert("L" if is_grey else "RGB")))


def turn_upright(
    planes: tuple[Plane, Plane | None], orientation: int
) -> tuple[Plane, Plane | None]:
    """Returns luma and alpha with the EXIF orientation 1 to 8 applied, contiguous in memory."""
    transform = ORIENTATION_TRANSFORMS.get(orientation)
    if transform is None:
        return planes
    luma, alpha = planes
    return (
        np.ascontiguousarray(transform(luma)),
        None if alpha is None else np.ascontiguousarray(transform(alpha)),
    )


def turn_as_stored(plane: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Returns an upright plane `(H, W)` with the EXIF orientation 1 to 8 undone, contiguous."""
    transform = ORIENTATION_TRANSFORMS.get(INVERSE_ORIENTATIONS.get(orientation, orientation))
    return plane if transform is None else np.ascontiguousarray(transform(plane))


def scale_to_16_bits(values: NDArray[np.float64], notes: list[str]) -> NDArray[np.uint16]:
    """Scales 32-bit samples to 16 bits.

    Samples in 0..1, 0..255 and 0..65535 are scaled from that range; others are stretched from
    their minimum and maximum to the full range, with a note. Raises ProcessingError for samples
    that are not finite.
    """
    _check_finite(values)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        scaled = values * 65535
    elif low >= 0 and high <= 65535:
        scaled = values if high > 255 else values * 257
    else:
        return stretch_to_16_bits(values, notes)
    return scaled.round().astype(np.uint16)


def stretch_to_16_bits(values: NDArray[np.float64], notes: list[str]) -> NDArray[np.uint16]:
    """Returns samples stretched from their minimum and maximum to 0..65535, with a note.

    Raises ProcessingError for samples that are not finite.
    """
    _check_finite(values)
    low, high = float(values.min()), float(values.max())
    notes.append(f"samples from {low:g} to {high:g} were stretched to the full range")
    scaled = (values - low) * (65535 / ((high - low) or 1.0))
    return scaled.round().astype(np.uint16)


def _check_finite(values: NDArray[np.float64]) -> None:
    if not np.isfinite(values).all():
        raise ProcessingError("decode", "has samples that are not finite numbers")
