"""Reads the colour space of a PNG: cICP before iCCP, sRGB, and gAMA with cHRM.

Source: PNG, third edition, sections 4.3 and 11.3.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np

from batchcolor.images.color_profiles.cicp import CICP_PRIMARIES, build_cicp_profile
from batchcolor.images.color_profiles.rgb_profiles import (
    BT709_PRIMARIES,
    SRGB_CURVE,
    Primaries,
    build_parametric_curve,
    build_rgb_profile,
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
    profile = build_cicp_profile(primaries, transfer, full_range=bool(full_range))
    if profile is None:
        notes.append(f"cICP {primaries}/{transfer}/{matrix} ignored: not known for PNG")
    return profile


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
