"""Turns the stored samples of a TIFF page into colour samples over the full range of 8 or 16 bits.

Which samples are colours and which are alpha, what zero means, and the range of the values come
from PhotometricInterpretation, ExtraSamples, SampleFormat and BitsPerSample (TIFF 6.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.picture import Plane, reduce_to_8_bits
from batchcolor.images.sample_range import scale_samples
from batchcolor.images.tiff.tiff_file import JPEG_COMPRESSIONS, PHOTOMETRIC_TAG
from batchcolor.images.tiff.tiff_segments import LIBTIFF_COMPRESSIONS, LOG_L, LOG_LUV, YCBCR

if TYPE_CHECKING:
    import tifffile

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
CIE_LAB, ICC_LAB = 8, 9
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2
INK_SET, NUMBER_OF_INKS, COLOR_MAP, YCBCR_COEFFICIENTS = 332, 334, 320, 529
REFERENCE_BLACK_WHITE = 532
BT601 = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in luma, unless the page states others."""
COLOR_COUNTS = {
    **{MIN_IS_WHITE: 1, MIN_IS_BLACK: 1, RGB: 3, PALETTE: 1, CMYK: 4},
    **{YCBCR: 3, CIE_LAB: 3, ICC_LAB: 3},
}
"""Samples of colour per pixel, by PhotometricInterpretation; those after them are extra samples."""
RGB_CODECS = JPEG_COMPRESSIONS | {22610, 33004, 33005, 34712, 34933, 34934, 50001, 50002, 52546}
"""Compressions whose decoders return RGB also where the page is YCbCr."""
CCITT_COMPRESSIONS = frozenset({2, 3, 4})
STRIP_HEIGHT = 256
"""Rows converted at once, so that temporary arrays are small."""

ColorSpace = Literal["grey", "rgb", "cmyk", "lab"]


@dataclass
class ColorSamples:
    """Samples of a page, uint8 or uint16 over the full range.

    `color` is `(H, W, 1)` grey with black at 0, `(H, W, 3)` RGB, `(H, W, 4)` CMYK with paper at
    0, or `(H, W, 3)` Lab as ICC.1:2022 encodes it for 8 and 16 bits: L* 0..100 over the full
    range, a* and b* with zero at 128 of 255. `alpha` is `(H, W)` of the same type, or None for an
    opaque page; colours are not multiplied by it.
    """

    color: NDArray[Any]
    space: ColorSpace
    alpha: Plane | None


def interpret_samples(raw: NDArray[Any], page: tifffile.TiffPage, notes: list[str]) -> ColorSamples:
    """Returns the colours and alpha of stored samples `(H, W, samples)`.

    Notes what is guessed or ignored. Raises ProcessingError, which names what is missing, for
    samples that are not understood.
    """
    if page.compression in LIBTIFF_COMPRESSIONS or page.photometric in (LOG_L, LOG_LUV):
        return ColorSamples(raw, "rgb", None)
    photometric = _find_photometric(page, raw.shape[2], notes)
    count = _count_colors(page, photometric, raw.shape[2])
    extra = _find_extra_samples(page, raw.shape[2] - count)
    alpha, is_associated = _read_alpha(raw, count, extra, page, notes)
    stored = raw[..., :count]
    space: ColorSpace = "grey" if count == 1 else "rgb"
    if photometric == PALETTE:
        color = _apply_palette(stored[..., 0], page)
        return ColorSamples(color, "rgb", _match_type(alpha, color))
    if photometric in (CIE_LAB, ICC_LAB):
        color, space = _unify_lab(stored, photometric, page), "lab" if count == 3 else "grey"
    else:
        color = scale_samples(stored, page.bitspersample, notes)
    if is_associated and alpha is not None:
        color = _unmultiply(color, alpha)
    if photometric == MIN_IS_WHITE:
        color = ~color
    elif photometric == CMYK:
        space = "cmyk"
    elif photometric == YCBCR and page.compression not in RGB_CODECS:
        color = _ycbcr_to_rgb(color, page, notes)
    return ColorSamples(color, space, _match_type(alpha, color))


def _find_photometric(page: tifffile.TiffPage, samples: int, notes: list[str]) -> int:
    """Returns PhotometricInterpretation; without the tag, what libtiff takes it for."""
    if PHOTOMETRIC_TAG in page.tags:
        return int(page.photometric)
    notes.append("it does not say what its samples mean; black is taken as 0")
    if samples == 4 and INK_SET in page.tags and not page.extrasamples:
        return CMYK
    if samples >= 3:
        return RGB
    return MIN_IS_WHITE if page.compression in CCITT_COMPRESSIONS else MIN_IS_BLACK


def _count_colors(page: tifffile.TiffPage, photometric: int, samples: int) -> int:
    """Returns the number of colour samples per pixel. Raises ProcessingError."""
    count = COLOR_COUNTS.get(photometric)
    kind = page.photometric
    name = kind.name if hasattr(kind, "name") else f"number {kind}"
    if count is None:
        raise ProcessingError("decode", f"its colour space is not read: {name}")
    inks = int(page.tags.valueof(NUMBER_OF_INKS, 4))
    if photometric == CMYK and (page.tags.valueof(INK_SET, 1) != 1 or inks != 4):
        raise ProcessingError("decode", f"has {inks} inks other than CMYK, which are not read")
    if photometric in (CIE_LAB, ICC_LAB) and samples < 3:
        return 1  # L* alone
    if samples < count:
        raise ProcessingError("decode", f"damaged: {samples} samples per pixel in {name}")
    return count


def _find_extra_samples(page: tifffile.TiffPage, count: int) -> tuple[int, ...]:
    """Returns the meaning of each extra sample; one without a meaning is unspecified."""
    known = tuple(int(kind) for kind in page.extrasamples)[:count]
    return known + (0,) * (count - len(known))


def _read_alpha(
    raw: NDArray[Any],
    colors: int,
    extra: tuple[int, ...],
    page: tifffile.TiffPage,
    notes: list[str],
) -> tuple[Plane | None, bool]:
    """Returns alpha, or None for an opaque page, and whether colours are multiplied by it."""
    ignored = sum(kind not in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA) for kind in extra)
    index = next((i for i, kind in enumerate(extra) if kind in (1, 2)), None)
    if index is not None:
        ignored += len(extra) - ignored - 1
    if ignored:
        notes.append(f"{ignored} extra sample{'s' * (ignored > 1)} per pixel ignored: not alpha")
    if index is None:
        return None, False
    alpha: Plane = scale_samples(raw[..., colors + index], page.bitspersample, [])
    is_opaque = alpha.min() == np.iinfo(alpha.dtype).max
    return (None, False) if is_opaque else (alpha, extra[index] == ASSOCIATED_ALPHA)


def _match_type(alpha: Plane | None, color: NDArray[Any]) -> Plane | None:
    """Returns alpha with the type of the colours: those of a palette may have another one."""
    if alpha is None or alpha.dtype == color.dtype:
        return alpha
    return reduce_to_8_bits(alpha) if color.itemsize == 1 else alpha.astype(np.uint16) * 257


def _unmultiply(color: NDArray[Any], alpha: Plane) -> NDArray[Any]:
    """Returns colours divided by alpha, which they were multiplied by; rounded as Pillow does."""
    maximum = int(np.iinfo(color.dtype).max)
    result = np.ascontiguousarray(color).copy()
    for top in range(0, len(color), STRIP_HEIGHT):
        rows = slice(top, top + STRIP_HEIGHT)
        divisor = alpha[rows, :, None].astype(np.uint32)
        is_partial = (divisor > 0) & (divisor < maximum)
        wide = result[rows].astype(np.uint32) * maximum // np.maximum(divisor, 1)
        np.copyto(result[rows], np.minimum(wide, maximum).astype(color.dtype), where=is_partial)
    return result


def _apply_palette(indices: NDArray[Any], page: tifffile.TiffPage) -> NDArray[Any]:
    """Returns the RGB colours `(H, W, 3)` of indices `(H, W)`.

    Colours have 16 bits in TIFF; 8 are kept for indices of up to 8 bits, and those of a palette
    with 8-bit values, as some programs write, are taken as such.
    """
    stored = page.tags.valueof(COLOR_MAP)
    if stored is None:
        raise ProcessingError("decode", "damaged: it has a palette without colours")
    palette = np.asarray(stored, np.uint16).reshape(3, -1).T
    if palette.max() < 256:
        palette = palette * np.uint16(257)
    if indices.itemsize == 1:  # not rounded: some programs write 256 times the 8-bit value
        palette = (palette >> 8).astype(np.uint8)
    if indices.dtype.kind not in "ub" or int(indices.max()) >= len(palette):
        raise ProcessingError("decode", "damaged: it uses colours that its palette does not have")
    result: NDArray[Any] = palette[indices.astype(np.intp, copy=False)]
    return result


def _unify_lab(stored: NDArray[Any], photometric: int, page: tifffile.TiffPage) -> NDArray[Any]:
    """Returns L* a* b* in the encoding of ICC profiles, from that of CIELab or ICCLab in TIFF.

    CIELab has signed a* and b* of 1, or 1/256, a step. ICCLab has them with an offset, and with
    16 bits also L* in steps of 1/256 of those with 8 bits (TIFF Technical Note 4).
    """
    bits = page.bitspersample
    if bits not in (8, 16) or stored.dtype.kind == "f":
        raise ProcessingError("decode", f"has Lab samples of {bits} bits; 8 and 16 are read")
    unsigned: NDArray[Any] = np.ascontiguousarray(stored).view(f"u{bits // 8}")
    if bits == 8:
        flip = np.array([0, 0x80, 0x80], np.uint8)[: unsigned.shape[2]]
        return np.bitwise_xor(unsigned, flip) if photometric == CIE_LAB else unsigned
    result = np.empty_like(unsigned)
    for top in range(0, len(unsigned), STRIP_HEIGHT):
        rows = slice(top, top + STRIP_HEIGHT)
        part = unsigned[rows].astype(np.float32)
        if photometric == CIE_LAB:
            result[rows, :, 0] = unsigned[rows, :, 0]
            part = np.bitwise_xor(unsigned[rows], np.uint16(0x8000)).astype(np.float32)
        else:
            result[rows, :, 0] = np.minimum(part[..., 0] * (257 / 256) + 0.5, 65535)
        result[rows, :, 1:] = np.minimum(part[..., 1:] * (257 / 256) + 0.5, 65535)
    return result


def _ycbcr_to_rgb(color: NDArray[Any], page: tifffile.TiffPage, notes: list[str]) -> NDArray[Any]:
    """Returns RGB of YCbCr with the page's coefficients and reference levels (TIFF 6.0, p. 94)."""
    maximum = float(np.iinfo(color.dtype).max)
    red, green, blue = _rationals(page, YCBCR_COEFFICIENTS, BT601)
    middle = (maximum + 1) / 2
    default = (0.0, maximum, middle, maximum, middle, maximum)
    levels = _rationals(page, REFERENCE_BLACK_WHITE, default)
    black, white = np.array(levels[::2], np.float32), np.array(levels[1::2], np.float32)
    if len(levels) != 6 or (white == black).any() or not 0 < green < 1:
        notes.append("its damaged reference levels or coefficients of YCbCr are not used")
        red, green, blue = BT601
        black, white = np.array(default[::2], np.float32), np.array(default[1::2], np.float32)
    scale = np.array([maximum, middle - 1, middle - 1], np.float32) / (white - black)
    result = np.empty_like(color)
    for top in range(0, len(color), STRIP_HEIGHT):
        rows = slice(top, top + STRIP_HEIGHT)
        y, cb, cr = np.moveaxis((color[rows].astype(np.float32) - black) * scale, -1, 0)
        r = y + (2 - 2 * red) * cr
        b = y + (2 - 2 * blue) * cb
        g = (y - red * r - blue * b) / green
        for channel, plane in enumerate((r, g, b)):
            result[rows, :, channel] = np.clip(plane + 0.5, 0, maximum)
    return result


def _rationals(page: tifffile.TiffPage, tag: int, default: tuple[float, ...]) -> tuple[float, ...]:
    """Returns the values of a tag of rational or integer numbers."""
    stored = page.tags.get(tag)
    if stored is None:
        return default
    values = tuple(float(value) for value in stored.value)
    if stored.dtype in (5, 10):  # numerator and denominator
        pairs = zip(values[::2], values[1::2], strict=True)
        return tuple(top / bottom if bottom else 0.0 for top, bottom in pairs)
    return values
