"""High dynamic range: what a colorizer sees of a PQ or HLG film, and where its chroma belongs.

Models are trained on standard dynamic range. A colorizer gets luma that is tone-mapped to it, and
its chroma is converted back to signals of the film. Reference white, 203 cd/m2 (ITU-R BT.2408),
is the white of standard range; the tone curve is the identity up to `KNEE` and compresses what is
brighter. The film keeps its luma.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from batchcolor.color import Matrix, ycbcr_to_rgb

PQ, HLG = 16, 18
"""Transfer characteristics of ITU-T H.273, table 3."""
HDR_NAMES = {PQ: "PQ", HLG: "HLG"}
BT2020_PRIMARIES, P3_PRIMARIES = 9, 12
REFERENCE_WHITE = 203.0
PEAK = 1000.0
"""Nominal peak of HLG, and the brightest light that the tone curve distinguishes, in cd/m2."""
PQ_PEAK = 10000.0
DISPLAY_GAMMA, HLG_GAMMA = 2.4, 1.2
"""Of standard displays (ITU-R BT.1886), and the system gamma of HLG at `PEAK` (BT.2100)."""
KNEE = 0.9
"""Signal of standard range from which the tone curve compresses."""
LUMINANCE = np.array([0.2627, 0.6780, 0.0593])
"""Shares of R, G and B in the luminance of HLG (ITU-R BT.2100, table 5)."""
MIN_GAIN = 1e-3
TABLE_SIZE = 4096
PRIMARY_CONVERSIONS = {
    BT2020_PRIMARIES: np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    ),
    P3_PRIMARIES: np.array(
        [[0.8225, 0.1774, 0.0000], [0.0332, 0.9669, 0.0000], [0.0171, 0.0724, 0.9108]]
    ),
}
"""Linear light of BT.709 in other primaries (ITU-R BT.2087; SMPTE EG 432-1)."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DynamicRange:
    """The transfer characteristic and primaries of a film of high dynamic range."""

    transfer: int
    primaries: int

    def tone_map(self, signal: Array) -> Array:
        """Returns the signals 0..1 of standard range for luma signals 0..1 of the film."""
        light = _decode_grey(self.transfer, signal) / REFERENCE_WHITE
        return self._compress(light)

    def show(self, rgb: Array) -> Array:
        """Returns R, G, B `(..., 3)` of standard range and BT.709, for signals 0..1 of the film."""
        light = _decode_grey(self.transfer, rgb)
        if self.transfer == HLG:  # the system gamma is that of the luminance of the pixel
            scene = (light / PEAK) ** (1 / HLG_GAMMA)
            gain = np.maximum(scene @ LUMINANCE, 1e-9) ** (HLG_GAMMA - 1)
            light = PEAK * scene * gain[..., None]
        conversion = PRIMARY_CONVERSIONS.get(self.primaries)
        if conversion is not None:
            light = np.maximum(light @ np.linalg.inv(conversion).T, 0)
        light /= REFERENCE_WHITE
        brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-9)
        # The brightest of R, G and B decides, so that none is clipped and the hue stays.
        mapped = self._compress(brightest) ** DISPLAY_GAMMA
        shown: Array = (light / brightest * mapped) ** (1 / DISPLAY_GAMMA)
        return shown

    def _compress(self, light: Array) -> Array:
        """Returns the signals of standard range for light, of which 1 is the reference white."""
        value = light ** (1 / DISPLAY_GAMMA)
        peak = (PEAK / REFERENCE_WHITE) ** (1 / DISPLAY_GAMMA)
        # The compression begins with the slope of the identity and ends flat at the peak.
        excess = np.clip((value - KNEE) / (peak - KNEE), 0, 1)
        compressed = KNEE + (1 - KNEE) * (1 - (1 - excess) ** ((peak - KNEE) / (1 - KNEE)))
        mapped: Array = np.where(value <= KNEE, value, compressed)
        return mapped

    def convert_chroma(self, chroma: Array, signal: Array, matrix: Matrix) -> Array:
        """Returns Cb, Cr `(2, ...)` of the film for BT.601 chroma of the tone-mapped picture.

        `signal` is the film's luma, 0..1. The colours have the luminance of the film's luma and
        the ratios of R, G and B that the tone-mapped picture has.
        """
        luma = self.tone_map(signal)
        rgb = np.clip(np.stack(ycbcr_to_rgb(luma, chroma[0], chroma[1])), 0, 1) ** DISPLAY_GAMMA
        conversion = PRIMARY_CONVERSIONS.get(self.primaries)
        if conversion is not None:
            rgb = np.tensordot(conversion, rgb, axes=1)
        grey = np.maximum(luma**DISPLAY_GAMMA, 1e-9)
        light = _decode_grey(self.transfer, signal)
        red, green, blue = _encode(self.transfer, rgb * (light / grey), light)
        mean = matrix.red * red + (1 - matrix.red - matrix.blue) * green + matrix.blue * blue
        cb = (blue - mean) / (2 * (1 - matrix.blue))
        cr = (red - mean) / (2 * (1 - matrix.red))
        converted: Array = np.stack([cb, cr])
        return converted


@lru_cache(maxsize=8)
def make_tone_table(
    dynamic_range: DynamicRange, bits: int, *, is_full_range: bool
) -> NDArray[np.uint8]:
    """Returns the tone-mapped luma, 8 bits at full range, of each stored level of `bits`."""
    levels = to_signal(np.arange(1 << bits), bits, is_full_range=is_full_range)
    table: NDArray[np.uint8] = np.rint(dynamic_range.tone_map(levels) * 255).astype(np.uint8)
    return table


@lru_cache(maxsize=8)
def make_gain_table(dynamic_range: DynamicRange) -> NDArray[np.float32]:
    """Returns how much smaller chroma is in the film than in the tone-mapped picture, for weak
    colours, at `TABLE_SIZE` luma signals from 0 to 1."""
    signal = np.linspace(0, 1, TABLE_SIZE)
    value = dynamic_range.tone_map(signal)
    light = _decode_grey(dynamic_range.transfer, signal)
    step = 0.02
    grey = np.maximum(value, 1e-4)
    brighter = light * ((grey + step) / grey) ** DISPLAY_GAMMA
    darker = light * (np.maximum(grey - step, 0) / grey) ** DISPLAY_GAMMA
    span = _encode(dynamic_range.transfer, brighter, light) - _encode(
        dynamic_range.transfer, darker, light
    )
    gain = span / (grey + step - np.maximum(grey - step, 0))
    table: NDArray[np.float32] = np.maximum(gain, MIN_GAIN).astype(np.float32)
    return table


def look_up(table: NDArray[np.float32], signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the values of a table of `TABLE_SIZE` at signals from 0 to 1."""
    places = (signal * np.float32(TABLE_SIZE - 1)).astype(np.int32)
    return table.take(places, mode="clip")


def to_signal(levels: NDArray[np.int64], bits: int, *, is_full_range: bool) -> Array:
    """Returns stored luma levels as signals 0..1."""
    black, span = 0, (1 << bits) - 1
    if not is_full_range:
        black, span = 16 << (bits - 8), 219 << (bits - 8)
    signal: Array = np.clip((levels - black) / span, 0, 1)
    return signal


def _decode_grey(transfer: int, signal: Array) -> Array:
    """Returns the light of a display in cd/m2 for grey of a signal (ITU-R BT.2100, tables 4, 5)."""
    if transfer == PQ:
        root = signal ** (1 / 78.84375)
        light: Array = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
            1 / 0.1593017578125
        )
        return PQ_PEAK * light
    scene = np.where(
        signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    )
    display: Array = PEAK * scene**HLG_GAMMA
    return display


def _encode(transfer: int, light: Array, luminance: Array) -> Array:
    """Returns the signals of R, G or B for their light on a display, both in cd/m2.

    `luminance` is that of the pixel, which the system gamma of HLG needs.
    """
    if transfer == PQ:
        power = np.clip(light / PQ_PEAK, 0, 1) ** 0.1593017578125
        signal: Array = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
        return signal
    scene_luminance = np.maximum(luminance / PEAK, 1e-9) ** (1 / HLG_GAMMA)
    scene = np.clip(light / PEAK / scene_luminance ** (HLG_GAMMA - 1), 0, 1)
    upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    encoded: Array = np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)
    return encoded
