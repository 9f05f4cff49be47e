"""Builds the RGB profile with the tone curve of a grey one: grey samples can stay as they are."""

from __future__ import annotations

import struct
from functools import lru_cache

from batchcolor.images.color_profiles.rgb_profiles import (
    BT709_PRIMARIES,
    HEADER_SIZE,
    TAG_SIZE,
    build_rgb_profile,
)

CURVE = b"kTRC"
"""The tag of the tone curve of a grey profile (ICC.1:2022, section 8.3.4)."""
CURVE_TYPES = (b"curv", b"para")
NAME = "sRGB primaries, tone curve of the grey source"


@lru_cache(maxsize=64)
def build_rgb_equivalent(grey: bytes) -> bytes:
    """Returns the profile of RGB whose equal samples look as the samples of a grey profile do.

    Empty for a profile without a tone curve.
    """
    curve = _read_tag(grey, CURVE)
    if curve[:4] not in CURVE_TYPES:
        return b""
    return build_rgb_profile(NAME, BT709_PRIMARIES, curve)


def _read_tag(profile: bytes, signature: bytes) -> bytes:
    """Returns the content of a tag; empty where the profile lacks it."""
    (count,) = struct.unpack_from(">I", profile, HEADER_SIZE)
    for index in range(min(count, (len(profile) - HEADER_SIZE - 4) // TAG_SIZE)):
        place = HEADER_SIZE + 4 + TAG_SIZE * index
        name, offset, size = struct.unpack_from(">4sII", profile, place)
        if name == signature:
            return profile[offset : offset + size]
    return b""
