"""Converts a Pillow image of any mode to luma and alpha."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from batchcolor.errors import ProcessingError
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


def split_luma_and_alpha(image: Image.Image, notes: list[str]) -> tuple[Plane, Plane | None]:
    """Returns luma `(H, W)` and alpha `(H, W)`, or None for an opaque image.

    Both are uint8, except that modes I, F and I;16 give 16-bit luma. Raises ProcessingError for
    samples that are not finite.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), None
    if image.mode in ("I", "F"):
        return scale_to_16_bits(np.asarray(image, np.float64), notes), None
    if image.mode in PREMULTIPLIED_MODES:
        image = image.convert(PREMULTIPLIED_MODES[image.mode])
    if image.mode == "LAB":
        image = lab_to_rgb(image)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L")), None
    rgba = image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    # Palettes and colours are converted through RGB; grey is luma already.
    grey = image if image.mode in ("LA", "L", "1") else rgba
    return np.asarray(grey.convert("L")), None if alpha.min() == 255 else alpha


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


def lab_to_rgb(image: Image.Image) -> Image.Image:
    """Converts a CIELab image (mode LAB) to sRGB."""
    to_srgb = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    rgb = ImageCms.applyTransform(image, to_srgb)
    assert rgb is not None  # only in-place transforms return None
    return rgb
