"""The samples and metadata of a file, as the decoders of single formats return them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.metadata.model import Block
from batchcolor.images.picture import Plane


@dataclass
class FileHeader:
    """The properties of a file that decide whether it is decoded, and how much memory it needs."""

    width: int
    height: int
    pages: int = 1
    is_deep: bool = False
    """Whether samples have more than 8 bits."""


@dataclass
class Samples:
    """Decoded samples with the metadata of their file; not turned upright.

    `pixels` is grey `(H, W)` or RGB `(H, W, 3)`, uint8 or uint16 over the full range of the type,
    gamma-encoded. `alpha` is `(H, W)` of the same type, straight, or None.
    """

    pixels: Plane
    alpha: Plane | None = None
    space: bytes = b""
    """`CMYK` or `Lab ` where `pixels` are neither grey nor RGB, as `icc.ColorConversion` takes
    them."""
    exif: bytes = b""
    """A TIFF structure without `Exif\\0\\0`."""
    icc: bytes = b""
    xmp: bytes = b""
    photoshop: bytes = b""
    """Photoshop image resources, IPTC among them."""
    iptc: bytes = b""
    """IPTC records that are not among Photoshop resources."""
    dpi: tuple[float, float] | None = None
    blocks: tuple[Block, ...] = ()
    """Blocks that only this format has."""
    bits: int = 0
    """As `Picture.bits`."""
    notes: list[str] = field(default_factory=list)
    is_colored: bool | None = None
    """Whether the picture is in colour, where `pixels` are luma; None where they show it."""


def split_alpha(samples: NDArray[Any]) -> tuple[Plane, Plane | None]:
    """Returns grey or RGB, and alpha, of `(H, W)` or `(H, W, C)` with 1 to 4 channels."""
    if samples.ndim == 2:
        return samples, None
    channels = samples.shape[2]
    colour = samples[..., 0] if channels <= 2 else samples[..., :3]
    alpha = np.ascontiguousarray(samples[..., -1]) if channels in (2, 4) else None
    return np.ascontiguousarray(colour), alpha


def divide_by_alpha(pixels: Plane, alpha: Plane) -> Plane:
    """Returns straight colours of colours that are multiplied by alpha."""
    weight = alpha[..., None] if pixels.ndim == 3 else alpha
    top = np.float32(np.iinfo(pixels.dtype).max)
    straight = pixels.astype(np.float32) * (top / np.maximum(weight, 1).astype(np.float32))
    return round_like(straight, pixels)


def scale_to_full_range(samples: NDArray[Any], maximum: int) -> Plane:
    """Returns integer samples whose white is `maximum`, at most 65535, as uint8 or uint16."""
    target: type[np.uint8 | np.uint16] = np.uint8 if maximum <= 255 else np.uint16
    full = int(np.iinfo(target).max)
    result: Any = samples
    if maximum != full:
        scale: Any = (np.arange(maximum + 1, dtype=np.uint32) * full + maximum // 2) // maximum
        result = scale.astype(target).take(samples, mode="clip")
    contiguous: Any = np.ascontiguousarray(result, target)
    plane: Plane = contiguous
    return plane


def round_like(values: Any, plane: Plane) -> Plane:
    """Returns values rounded and clipped to the type of `plane`."""
    top = np.float32(np.iinfo(plane.dtype).max)
    rounded: Any = np.clip(values + np.float32(0.5), 0, top)
    result: Plane = rounded.astype(plane.dtype)
    return result


def encode_srgb(linear: NDArray[Any]) -> NDArray[np.uint16]:
    """Returns linear samples, uint8, uint16 or float in 0..1, with the curve of sRGB, as uint16.

    Source: IEC 61966-2-1.
    """
    values = linear.astype(np.float32)
    if linear.dtype.kind == "u":
        values /= np.float32(np.iinfo(linear.dtype).max)
    np.clip(values, 0, 1, out=values)
    curve = np.float32(1.055) * values ** np.float32(1 / 2.4) - np.float32(0.055)
    encoded = np.where(values <= np.float32(0.0031308), values * np.float32(12.92), curve)
    result: NDArray[np.uint16] = (encoded * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
    return result


def decode_srgb(encoded: Plane) -> NDArray[np.float32]:
    """Returns gamma-encoded samples as linear values in 0..1. Source: IEC 61966-2-1."""
    values = encoded.astype(np.float32) / np.float32(np.iinfo(encoded.dtype).max)
    curve = ((values + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    result: NDArray[np.float32] = np.where(
        values <= np.float32(0.04045), values / np.float32(12.92), curve
    ).astype(np.float32)
    return result
