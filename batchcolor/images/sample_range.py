"""Scales samples of any type and number of bits to the full range of uint8 or uint16."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError

STRIP_HEIGHT = 64
"""Rows scaled at once, so that temporary arrays are small."""
NEARLY_FULL = 2
"""Values belong to a range of 8 or 16 bits if their maximum exceeds one half of it."""
MAX_CLIPPED_BELOW, MAX_CLIPPED_ABOVE = 0.25, 0.5
"""Floating-point values below 0 and above 1 are clipped, as other programs do, where they are at
most these shares of all: filters leave some below black, and highlights are above white."""


def scale_samples(values: NDArray[Any], bits: int, notes: list[str]) -> NDArray[Any]:
    """Returns samples as uint8, or as uint16 for more than 8 bits, over the full range.

    Unsigned integers of up to 16 bits are scaled from the range of their `bits`; uint8 and uint16
    are returned as they are; int8 is read as uint8, as libtiff does. Wider and signed integers are
    scaled from the range that they use, and floating-point numbers from 0..1, or where they exceed
    it from the range that they use, with a note. Raises ProcessingError for numbers that are not
    finite.
    """
    kind = values.dtype.kind
    if kind == "b":
        return values.view(np.uint8) * np.uint8(255)
    if kind == "i" and values.itemsize == 1:
        notes.append("its signed samples of 8 bits are taken as unsigned ones")
        return values.view(np.uint8)
    if kind == "u" and values.itemsize <= 2:
        return _scale_unsigned(values, bits if isinstance(bits, int) else 8 * values.itemsize)
    low, high = _find_extrema(values)
    if kind == "f":
        low, high = _choose_float_range(values, low, high, notes)
    else:
        low, high = _choose_integer_range(values.dtype, bits, low, high, notes)
    return _scale_range(values, low, high)


def _scale_unsigned(values: NDArray[Any], bits: int) -> NDArray[Any]:
    full, maximum = 8 * values.itemsize, (1 << bits) - 1
    if bits == full:
        return values
    top = (1 << full) - 1
    table = (np.arange(maximum + 1, dtype=np.uint64) * top + maximum // 2) // maximum
    result: NDArray[Any] = table.astype(values.dtype).take(values, mode="clip")
    return result


def _find_extrema(values: NDArray[Any]) -> tuple[float, float]:
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):  # both are NaN where one sample is
        raise ProcessingError("decode", "has samples that are not finite numbers")
    return float(low), float(high)


def _measure_share(chosen: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(chosen) / chosen.size)


def _choose_float_range(
    values: NDArray[Any], low: float, high: float, notes: list[str]
) -> tuple[float, float]:
    """Returns the values that become black and white."""
    black, white = 0.0, 1.0
    if low < 0 and _measure_share(values < 0) > MAX_CLIPPED_BELOW:
        black = low
    if high > 1 and _measure_share(values > 1) > MAX_CLIPPED_ABOVE:
        nominal = (255.0, 65535.0)
        white = next((n for n in nominal if n / NEARLY_FULL < high <= n), high)
    if low < 0 or high > 1:
        _note_range(low, high, black, white, notes)
    return black, white


def _choose_integer_range(
    dtype: np.dtype[Any], bits: int, low: float, high: float, notes: list[str]
) -> tuple[float, float]:
    """Returns the values that become black and white, for signed or wide integers."""
    is_signed = dtype.kind == "i"
    full = float(2 ** (bits - is_signed) - 1)
    if low < 0:
        _note_range(low, high, low, high, notes)
        return low, high
    if bits <= 16 or high > full / 256:
        return 0.0, full
    white = next((n for n in (255.0, 65535.0) if high <= n), high)
    _note_range(low, high, 0.0, white, notes)
    return 0.0, white


def _note_range(low: float, high: float, black: float, white: float, notes: list[str]) -> None:
    notes.append(
        f"samples from {low:g} to {high:g}: {black:g} is taken as black and {white:g} as white"
    )


def _scale_range(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint16]:
    """Returns values of `low` to `high` over the full range of 16 bits, rounded."""
    result = np.empty(values.shape, np.uint16)
    factor = 65535 / ((high - low) or 1.0)
    for top in range(0, len(values), STRIP_HEIGHT):
        part = values[top : top + STRIP_HEIGHT].astype(np.float64)
        part -= low
        part *= factor
        part += 0.5
        result[top : top + STRIP_HEIGHT] = np.clip(part, 0, 65535, out=part)
    return result
