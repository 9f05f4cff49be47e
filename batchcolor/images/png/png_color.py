"""Reads the colour space of a PNG: cICP before iCCP, sRGB, and gAMA with cHRM.

Source: PNG, third edition, sections 4.3 and 11.3.2; code points of ITU-T H.273.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.color_profiles.rgb_profiles import (
    BT709_PRIMARIES,
    D65,
    P3_PRIMARIES,
    SRGB_CURVE,
    Primaries,
    build_parametric_curve,
    build_rgb_profile,
    build_sampled_curve,
)
from batchcolor.images.decode_options import OutputProfile
from batchcolor.images.metadata.model import Block, Metadata
from batchcolor.images.metadata.png import SRGB_CHUNKS
from batchcolor.images.png.png_chunks import PIXELS, parse_png_header, walk_chunks

COLOR_CHUNKS = frozenset({"cICP", "sRGB", "gAMA", "cHRM", "mDCV", "cLLI"})
GREY_TYPES = (0, 4)
"""Colour types without colour."""
SRGB_GAMMA, GAMMA_TOLERANCE = 0.45455, 0.01
CHROMATICITY_TOLERANCE = 0.003
D50_FILM, DCI_WHITE = (0.310, 0.316), (0.314, 0.351)
CICP_PRIMARIES = {
    1: BT709_PRIMARIES,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), D50_FILM),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), D50_FILM),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), DCI_WHITE),
    12: P3_PRIMARIES,
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
"""ColourPrimaries (H.273, table 2)."""
BT1886_GAMMA = 2.4
CICP_CURVES = {
    **dict.fromkeys((1, 6, 14, 15), build_parametric_curve(0, (BT1886_GAMMA,))),
    4: build_parametric_curve(0, (2.2,)),
    5: build_parametric_curve(0, (2.8,)),
    8: build_parametric_curve(0, (1.0,)),
    13: SRGB_CURVE,
}
"""From encoded to displayed values by TransferCharacteristics (H.273, table 3): for BT.709, BT.601
and BT.2020 those of a reference display (ITU-R BT.1886), as browsers show them."""
PQ, HLG = 16, 18
CURVE_SIZE = 4096
REFERENCE_WHITE = 203.0
"""cd/m2 of diffuse white in HDR (ITU-R BT.2408), and of white in a profile."""
PQ_PEAK, HLG_PEAK = 10000.0, 1000.0
"""cd/m2 of the brightest value."""
PQ_M1, PQ_M2, PQ_C1, PQ_C2, PQ_C3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
"""Constants of PQ (ITU-R BT.2100, table 4)."""


@dataclass(frozen=True)
class PngColor:
    """The colour space of the samples. `profile` is empty for sRGB and for none.

    `is_kept`: the result stays in it, unless another is asked for, and has the chunks `blocks`.
    """

    profile: bytes = b""
    is_kept: bool = True
    blocks: tuple[Block, ...] = ()


def read_png_color(data: bytes, metadata: Metadata, notes: list[str]) -> PngColor:
    """Returns the colour space of a PNG, whose own profile is `metadata.icc`.

    Notes which chunks are converted or ignored.
    """
    chunks: dict[str, bytes] = {}
    for chunk in walk_chunks(data):
        if chunk.kind == PIXELS:
            break
        if chunk.kind in COLOR_CHUNKS:
            chunks.setdefault(chunk.kind, chunk.read(data))
    if "cICP" in chunks:
        profile = _read_cicp(chunks["cICP"], notes)
        if profile is not None:
            kept = ("cICP", "mDCV", "cLLI")
            blocks = tuple(Block("png", kind, chunks[kind]) for kind in kept if kind in chunks)
            return PngColor(profile, True, blocks)
    if metadata.icc:
        return PngColor(metadata.icc)
    if "sRGB" in chunks:
        return PngColor()
    if parse_png_header(data).color_type in GREY_TYPES:
        chunks.pop("cHRM", None)  # grey is neutral with all primaries
    return PngColor(_read_gamma_and_primaries(chunks, notes), is_kept=False)


def select_output(color: PngColor, output: OutputProfile) -> OutputProfile:
    """Returns the space of the result: what gAMA and cHRM state is converted to sRGB."""
    return "srgb" if output == "keep" and color.profile and not color.is_kept else output


def replace_color_blocks(metadata: Metadata, color: PngColor, icc: bytes) -> Metadata:
    """Returns the metadata of a result with the profile `icc`, and the chunks that agree."""
    is_unchanged = icc == color.profile
    blocks = tuple(block for block in metadata.blocks if not (icc and block.kind in SRGB_CHUNKS))
    return replace(metadata, icc=icc, blocks=blocks + (color.blocks if is_unchanged else ()))


def _read_cicp(content: bytes, notes: list[str]) -> bytes | None:
    """Returns the profile of code points, empty for sRGB, or None for unknown ones."""
    if len(content) != 4:
        notes.append("damaged cICP chunk ignored")
        return None
    primaries, transfer, matrix, full_range = content
    if primaries not in CICP_PRIMARIES or matrix != 0:
        notes.append(f"cICP {primaries}/{transfer}/{matrix} ignored: not known for PNG")
        return None
    curve = CICP_CURVES.get(transfer) if full_range else None
    if curve is None:
        linear = _linearize(transfer, full_range=bool(full_range))
        if linear is None:
            notes.append(f"cICP {primaries}/{transfer}/{matrix} ignored: not known for PNG")
            return None
        curve = build_sampled_curve(linear)
    if primaries == 1 and curve == SRGB_CURVE:
        return b""
    return build_rgb_profile(f"CICP {primaries}/{transfer}", CICP_PRIMARIES[primaries], curve)


def _linearize(transfer: int, *, full_range: bool) -> NDArray[np.float64] | None:
    """Returns the displayed values 0..1 of encoded ones; brighter ones of HDR are compressed."""
    encoded = np.linspace(0, 1, CURVE_SIZE)
    if not full_range:
        encoded = np.clip((encoded * 255 - 16) / 219, 0, 1)
    if transfer == PQ:
        return _compress_highlights(encoded, PQ_PEAK)
    if transfer == HLG:  # ITU-R BT.2100, table 5; system gamma 1.2 of a display of 1000 cd/m2
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(encoded <= 0.5, encoded**2 / 3, (np.exp((encoded - c) / a) + b) / 12)
        return _compress_highlights(_encode_pq(scene**1.2 * HLG_PEAK), HLG_PEAK)
    if transfer == 13:
        return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    gamma = {**dict.fromkeys((1, 6, 14, 15), BT1886_GAMMA), 4: 2.2, 5: 2.8, 8: 1.0}.get(transfer)
    return None if gamma is None else encoded**gamma


def _encode_pq(luminance: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Returns PQ values 0..1 of cd/m2."""
    power = (np.asarray(luminance) / PQ_PEAK) ** PQ_M1
    return np.asarray(((PQ_C1 + PQ_C2 * power) / (1 + PQ_C3 * power)) ** PQ_M2)


def _compress_highlights(encoded: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    """Returns linear values 0..1 of PQ for a display whose white is `REFERENCE_WHITE`.

    `peak` becomes white. Source: ITU-R BT.2390, section 5.4.1 (EETF).
    """
    whole = float(_encode_pq(peak))
    value = np.minimum(encoded / whole, 1)
    limit = float(_encode_pq(REFERENCE_WHITE)) / whole
    knee = 1.5 * limit - 0.5
    t = np.clip((value - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee
    spline += (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * limit
    root = (np.where(value < knee, value, spline) * whole) ** (1 / PQ_M2)
    base = np.maximum(root - PQ_C1, 0) / (PQ_C2 - PQ_C3 * root)
    return np.asarray(base ** (1 / PQ_M1) * PQ_PEAK / REFERENCE_WHITE)


def _read_gamma_and_primaries(chunks: dict[str, bytes], notes: list[str]) -> bytes:
    """Returns the profile of gAMA and cHRM; empty where there is none, or it is that of sRGB."""
    gamma, primaries = _read_gamma(chunks.get("gAMA")), _read_primaries(chunks.get("cHRM"))
    damaged = [k for k, v in (("gAMA", gamma), ("cHRM", primaries)) if k in chunks and v is None]
    if damaged:
        notes.append(f"damaged {' and '.join(damaged)} chunk ignored")
    is_srgb_gamma = gamma is None or abs(gamma / SRGB_GAMMA - 1) < GAMMA_TOLERANCE
    if is_srgb_gamma and (primaries is None or _is_close(primaries, BT709_PRIMARIES)):
        return b""
    curve = build_parametric_curve(0, (1 / gamma,)) if gamma else SRGB_CURVE
    try:
        profile = build_rgb_profile("PNG gAMA and cHRM", primaries or BT709_PRIMARIES, curve)
    except (ValueError, np.linalg.LinAlgError) as error:
        notes.append(f"damaged cHRM chunk ignored ({error})")
        if is_srgb_gamma:
            return b""
        profile = build_rgb_profile("PNG gAMA and cHRM", BT709_PRIMARIES, curve)
    stated = [f"gamma {gamma:g}"] if gamma else []
    stated += ["primaries"] if primaries else []
    notes.append(f"converted from its {' and '.join(stated)} (PNG) to sRGB")
    return profile


def _read_gamma(content: bytes | None) -> float | None:
    """Returns the exponent from linear to encoded values; None for none or an absurd one."""
    value = int.from_bytes(content, "big") / 100000 if content and len(content) == 4 else 0.0
    return value if 0.05 <= value <= 20 else None


def _read_primaries(content: bytes | None) -> Primaries | None:
    if not content or len(content) != 32:
        return None
    values = [value / 100000 for value in struct.unpack(">8i", content)]
    white, red, green, blue = zip(values[::2], values[1::2], strict=True)
    primaries = Primaries(red, green, blue, white)
    points = (red, green, blue, white)
    return primaries if all(0 <= x <= 1 and 0 < y <= 1 for x, y in points) else None


def _is_close(primaries: Primaries, known: Primaries) -> bool:
    pairs = zip(vars(primaries).values(), vars(known).values(), strict=True)
    return all(
        abs(a - b) < CHROMATICITY_TOLERANCE
        for point, other in pairs
        for a, b in zip(point, other, strict=True)
    )
