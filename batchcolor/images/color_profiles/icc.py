"""Converts samples with an ICC profile to luma in the RGB space of the result.

A result is RGB. So an RGB profile can be kept with its samples as they are, and a grey one can
become an RGB profile with its tone curve. CMYK, Lab and unusual grey are converted by LittleCMS:
perceptual intent, black-point compensation, 16 bits stay 16 bits.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from batchcolor.errors import ProcessingError
from batchcolor.images.color_profiles.grey_profiles import build_rgb_equivalent
from batchcolor.images.color_profiles.rgb_profiles import build_output_profile
from batchcolor.images.decode_options import OutputProfile
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.picture import Plane, array_to_luma, reduce_to_8_bits

GREY, RGB, CMYK, LAB = b"GRAY", b"RGB ", b"CMYK", b"Lab "
"""Colour spaces of samples, as profiles state them (ICC.1:2022, table 19)."""
SPACE_NAMES = {GREY: "grey", RGB: "RGB", CMYK: "CMYK", LAB: "Lab"}
LCMS_LAYOUTS = {GREY: "gray", RGB: "rgb", CMYK: "cmyk", LAB: "lab"}
COLOR_SPACE = slice(16, 20)
STRIP_PIXELS = 2**20
"""Pixels whose RGB is held at once."""
CURVE_SAMPLES = 2**16
"""Samples that a curve is applied to at once."""
MAX_CURVE_DIFFERENCE = 40
"""Levels of 255 by which a tone curve may differ from that of sRGB where samples are kept: models
expect luma of about that curve. Gamma 1.8 and dot gains are within it."""


@dataclass(frozen=True)
class ColorConversion:
    """How the samples of a picture become luma.

    `source` is the profile of the samples; empty where they are converted without one. `target`
    is the profile of the result; empty where it has none.
    """

    source: bytes = b""
    target: bytes = b""
    space: bytes = RGB

    @property
    def is_needed(self) -> bool:
        """Whether the samples change; otherwise their own luma is that of the result."""
        return bool(self.source)

    def to_luma(self, samples: NDArray[Any]) -> Plane:
        """Returns the luma `(H, W)` of the result, of the type of `samples`.

        `samples` are uint8 or uint16 over the full range: grey `(H, W)`, RGB `(H, W, 3)`, CMYK
        `(H, W, 4)` with full range for full ink, or Lab `(H, W, 3)` as ICC profiles encode it.
        """
        if samples.ndim == 3 and samples.shape[2] == 1:
            samples = samples[..., 0]
        if samples.ndim == 2:
            if not self.is_needed:
                return samples
            curve = _build_grey_curve(self.source, self.target, samples.dtype.itemsize)
            return _apply_curve(curve, samples)
        luma = np.empty(samples.shape[:2], samples.dtype)
        rows = max(1, STRIP_PIXELS // samples.shape[1])
        for top in range(0, len(luma), rows):
            luma[top : top + rows] = array_to_luma(self._to_rgb(samples[top : top + rows]))
        return luma

    def _to_rgb(self, samples: NDArray[Any]) -> NDArray[Any]:
        if self.is_needed:
            return _transform(samples, self.source, self.target)
        return convert_cmyk_to_rgb(samples) if self.space == CMYK else samples


def plan_conversion(
    icc: bytes, space: bytes, output: OutputProfile, notes: list[str]
) -> ColorConversion:
    """Returns how samples of a colour space with a profile, or without one, become luma.

    A profile that is damaged or belongs to other samples is dropped, with a note. Raises
    ProcessingError where LittleCMS cannot convert with a built-in profile either.
    """
    icc = _check_profile(icc, space, notes)
    own_space = icc[COLOR_SPACE]
    if output == "keep" and (own_space == RGB or (not icc and space != LAB)):
        return ColorConversion(target=icc, space=space)
    if output == "keep" and own_space == GREY and (equivalent := _find_rgb_equivalent(icc)):
        notes.append("its grey profile became an RGB profile with the same tone curve")
        return ColorConversion(target=equivalent, space=space)
    target = build_output_profile(output)
    source = icc or (_build_lab_profile() if space == LAB else build_output_profile("srgb"))
    if source == target or (space == CMYK and not icc):
        return ColorConversion(target=target, space=space)
    if not _is_convertible(source, target):
        if not icc:
            raise ProcessingError("decode", f"LittleCMS cannot convert its samples to {output!r}")
        notes.append(f"{_name_space(icc)} profile dropped: LittleCMS cannot convert with it")
        return plan_conversion(b"", space, output, notes)
    if icc and output == "keep":
        notes.append(f"converted from its {_name_space(icc)} profile to sRGB")
    return ColorConversion(source, target, space)


def convert_pixels(
    pixels: NDArray[Any], metadata: Metadata, output: OutputProfile, notes: list[str]
) -> tuple[Plane, Metadata]:
    """Returns the luma of grey or RGB pixels, and their metadata with the profile of the result.

    `pixels` are `(H, W)`, `(H, W, 1)` or `(H, W, 3)`, uint8 or uint16.
    """
    space = GREY if pixels.ndim == 2 or pixels.shape[2] == 1 else RGB
    conversion = plan_conversion(metadata.icc, space, output, notes)
    return conversion.to_luma(pixels), replace(metadata, icc=conversion.target)


def convert_cmyk_to_rgb(samples: NDArray[Any]) -> NDArray[Any]:
    """Returns RGB `(H, W, 3)` of CMYK without a profile: ink absorbs in proportion."""
    if samples.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(samples), "CMYK").convert("RGB"))
    full = np.iinfo(samples.dtype).max
    light = full - samples.astype(np.uint32)
    return ((light[..., :3] * light[..., 3:] + full // 2) // full).astype(samples.dtype)


def _check_profile(icc: bytes, space: bytes, notes: list[str]) -> bytes:
    """Returns the profile, or nothing, with a note, where it does not fit the samples."""
    if not icc:
        return b""
    if not _is_readable(icc):
        notes.append("damaged ICC profile dropped")
        return b""
    own_space = icc[COLOR_SPACE]
    if own_space == space or (space == GREY and own_space == RGB):
        return icc
    kind = SPACE_NAMES.get(space, "other")
    notes.append(f"{_name_space(icc)} profile dropped: the samples are {kind}")
    return b""


def _name_space(icc: bytes) -> str:
    own_space = icc[COLOR_SPACE]
    return SPACE_NAMES.get(own_space, own_space.decode("latin-1").strip())


@lru_cache(maxsize=64)
def _is_readable(icc: bytes) -> bool:
    """Whether LittleCMS reads the header and the table of tags."""
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (OSError, ValueError, TypeError):
        return False
    return True


@lru_cache(maxsize=64)
def _is_convertible(source: bytes, target: bytes) -> bool:
    space = source[COLOR_SPACE]
    if space not in LCMS_LAYOUTS:
        return False
    channels = {GREY: (), CMYK: (4,)}.get(space, (3,))
    try:
        _transform(np.zeros((1, 1, *channels), np.uint16), source, target)
    except (RuntimeError, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _find_rgb_equivalent(grey: bytes) -> bytes:
    """Returns an RGB profile with which the samples of a grey profile can be kept, else nothing.

    LittleCMS has to show both alike, and the tone curve has to be near that of sRGB.
    """
    target, equivalent = build_output_profile("srgb"), build_rgb_equivalent(grey)
    if not (equivalent and _is_convertible(grey, target) and _is_convertible(equivalent, target)):
        return b""
    shown = _build_grey_curve(grey, target, 1).astype(int)
    is_alike = np.abs(_build_grey_curve(equivalent, target, 1).astype(int) - shown).max() <= 1
    is_near = np.abs(np.arange(256) - shown).max() <= MAX_CURVE_DIFFERENCE
    return equivalent if is_alike and is_near else b""


@lru_cache(maxsize=16)
def _build_grey_curve(source: bytes, target: bytes, itemsize: int) -> Plane:
    """Returns the luma of each grey level, of 1 or 2 bytes: 256 or 65,536 values."""
    levels = np.linspace(0, 65535, 256 if itemsize == 1 else 65536).round().astype(np.uint16)
    ramp = levels[np.newaxis]
    if source[COLOR_SPACE] == RGB:
        ramp = np.repeat(ramp[..., np.newaxis], 3, axis=2)
    luma = array_to_luma(_transform(ramp, source, target, is_exact=True)).ravel()
    return luma if itemsize == 2 else reduce_to_8_bits(luma)


def _apply_curve(curve: Plane, samples: NDArray[Any]) -> Plane:
    """Returns the value of the curve for each sample; two samples of 8 bits at once."""
    stored = np.ascontiguousarray(samples).reshape(-1)
    result = np.empty(stored.size, curve.dtype)
    even = stored.size - stored.size % 2
    if curve.dtype == np.uint8:
        low, high = curve.astype(np.uint16), curve.astype(np.uint16) << 8
        pairs = (high[:, np.newaxis] | low).reshape(-1).astype("<u2")
        _take(pairs, stored[:even].view("<u2"), result[:even].view("<u2"))
        result[even:] = curve[stored[even:]]
    else:
        _take(curve, stored, result)
    return result.reshape(samples.shape)


def _take(table: NDArray[Any], indices: NDArray[Any], out: NDArray[Any]) -> None:
    """Writes the values of a table to `out`, in parts that fit the processor's cache."""
    for start in range(0, indices.size, CURVE_SAMPLES):
        part = slice(start, start + CURVE_SAMPLES)
        table.take(indices[part], mode="clip", out=out[part])


def _transform(
    samples: NDArray[Any], source: bytes, target: bytes, *, is_exact: bool = False
) -> NDArray[Any]:
    """Returns samples in the colour space of `source` as RGB `(H, W, 3)` of `target`.

    `is_exact` evaluates every sample. Otherwise LittleCMS interpolates in tables that it computes
    before, which is several times as fast; for grey they are up to 10 levels of 255 off.
    """
    import imagecodecs

    flags = int(imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION)
    if is_exact:
        flags |= imagecodecs.CMS.FLAGS.NOOPTIMIZE
    rgb: NDArray[Any] = imagecodecs.cms_transform(
        samples,
        source,
        target,
        colorspace=LCMS_LAYOUTS[source[COLOR_SPACE]],
        planar=False,
        outcolorspace="rgb",
        outplanar=False,
        intent=imagecodecs.CMS.INTENT.PERCEPTUAL,
        flags=flags,
    )
    return rgb


@lru_cache(maxsize=1)
def _build_lab_profile() -> bytes:
    """Returns the profile of CIELab samples themselves (D50), for sources without one."""
    import imagecodecs

    return bytes(imagecodecs.cms_profile("lab4"))
