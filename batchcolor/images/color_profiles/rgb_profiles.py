"""Builds ICC profiles of RGB spaces from primaries and a tone curve (ICC.1:2022, version 4.4).

LittleCMS can build them too, but writes the time of day into each, and equal settings must give
equal files.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

D50 = np.array([0.9642, 1.0, 0.8249])
"""The white of the profile connection space (ICC.1:2022, section 7.2.16)."""
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""From XYZ to the cone responses in which white is adapted (ICC.1:2022, annex E)."""
HEADER_SIZE, TAG_SIZE = 128, 12


@dataclass(frozen=True)
class Primaries:
    """CIE 1931 x and y of red, green, blue and white, in this order."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float]


D65 = (0.3127, 0.3290)
BT709_PRIMARIES = Primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65)
P3_PRIMARIES = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
ADOBE_RGB_PRIMARIES = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)


def build_parametric_curve(kind: int, parameters: Sequence[float]) -> bytes:
    """Returns a curve from encoded to linear values (ICC.1:2022, section 10.18).

    Kind 0 is `x ** g`; kind 3 is `(a x + b) ** g` from d upwards and `c x` below it, with the
    parameters g, a, b, c, d.
    """
    return b"para" + struct.pack(">IHH", 0, kind, 0) + b"".join(map(_fixed, parameters))


def build_sampled_curve(values: NDArray[np.float64]) -> bytes:
    """Returns a curve through linear values 0..1 of evenly spaced encoded values."""
    samples = np.round(np.clip(values, 0, 1) * 65535).astype(">u2")
    return b"curv" + struct.pack(">II", 0, len(samples)) + samples.tobytes()


def build_rgb_profile(name: str, primaries: Primaries, curve: bytes) -> bytes:
    """Returns the profile of an RGB space; the same bytes at every call.

    Raises ValueError for primaries that span no colour space.
    """
    adaptation, colorants = _compute_matrices(primaries)
    tags = {
        b"desc": _text(name),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(D50),
        b"chad": b"sf32\0\0\0\0" + b"".join(map(_fixed, adaptation.ravel())),
        b"rXYZ": _xyz(colorants[:, 0]),
        b"gXYZ": _xyz(colorants[:, 1]),
        b"bXYZ": _xyz(colorants[:, 2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    return _assemble(tags)


def _compute_matrices(
    primaries: Primaries,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the matrix that adapts white to D50, and XYZ of the primaries adapted with it."""
    corners = (primaries.red, primaries.green, primaries.blue)
    if any(y <= 0 for _, y in (*corners, primaries.white)):
        raise ValueError("a primary or white has y = 0")
    xyz = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in corners]).T
    x, y = primaries.white
    white = np.array([x / y, 1.0, (1 - x - y) / y])
    if abs(np.linalg.det(xyz)) < 1e-3:
        raise ValueError("the primaries lie on one line")
    xyz = xyz * np.linalg.solve(xyz, white)
    gain = (BRADFORD @ D50) / (BRADFORD @ white)
    adaptation = np.linalg.inv(BRADFORD) @ np.diag(gain) @ BRADFORD
    return adaptation, adaptation @ xyz


def _assemble(tags: dict[bytes, bytes]) -> bytes:
    """Returns header, table of tags and contents; equal contents are stored once."""
    offset = HEADER_SIZE + 4 + TAG_SIZE * len(tags)
    table, body, stored = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    for signature, content in tags.items():
        if content not in stored:
            stored[content] = offset + len(body)
            body += content + b"\0" * (-len(content) % 4)
        table += signature + struct.pack(">II", stored[content], len(content))
    size = offset + len(body)
    header = struct.pack(">I4sI", size, b"\0" * 4, 0x04400000) + b"mntrRGB XYZ "
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    header += b"".join(map(_fixed, D50))
    return header.ljust(HEADER_SIZE, b"\0") + table + body


def _fixed(value: float) -> bytes:
    """Returns an s15Fixed16Number."""
    return struct.pack(">i", round(float(value) * 65536))


def _xyz(value: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, value))


def _text(text: str) -> bytes:
    """Returns a multiLocalizedUnicode text in English (ICC.1:2022, section 10.15)."""
    content = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(content), 28) + content


@lru_cache
def build_output_profile(name: str) -> bytes:
    """Returns the profile of results by the value of `--profile`."""
    if name == "adobe-rgb":
        title = "Compatible with Adobe RGB (1998)"
        return build_rgb_profile(title, ADOBE_RGB_PRIMARIES, ADOBE_RGB_CURVE)
    if name == "display-p3":
        return build_rgb_profile("Display P3", P3_PRIMARIES, SRGB_CURVE)
    return build_rgb_profile("sRGB", BT709_PRIMARIES, SRGB_CURVE)


SRGB_CURVE = build_parametric_curve(3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
"""IEC 61966-2-1."""
ADOBE_RGB_CURVE = build_parametric_curve(0, (563 / 256,))
"""Adobe RGB (1998) Color Image Encoding, section 4.3.4.2."""
