"""Reads AVIF and HEIC of 10 and 12 bits at 16 bits; Pillow and pillow-heif reduce them to 8.

The depth is that of the codec's configuration in the properties of the file: `av1C` (AV1 Codec ISO
Media File Format Binding, section 2.3) or `hvcC` (ISO/IEC 14496-15, section 8.3.3).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.codec_samples import scale_to_full_range, split_alpha
from batchcolor.images.color_profiles.cicp import build_cicp_profile
from batchcolor.images.formats import AVIF, HEIF, Format
from batchcolor.images.heif_items import read_code_points
from batchcolor.images.picture import Plane

PROPERTIES_SIZE = 1 << 18
"""Bytes from the beginning of a file that hold its properties."""
HIGH_BIT_DEPTH, TWELVE_BITS = 0x40, 0x20
SDR_PRIMARIES, SDR_TRANSFERS = (1, 2, 5, 6, 7), (1, 2, 6, 13, 14, 15)
"""Those that are shown as sRGB."""
HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of ITU-T H.273, table 3."""


def read_heif_bits(head: bytes, kind: Format) -> int:
    """Returns the bits per sample of a file that begins with `head`; 8 for other formats."""
    head = head[:PROPERTIES_SIZE]
    if kind == AVIF:
        flags = head[head.find(b"av1C") + 6 :][:1] if b"av1C" in head else b""
        if flags and flags[0] & HIGH_BIT_DEPTH:
            return 12 if flags[0] & TWELVE_BITS else 10
    elif kind == HEIF and b"hvcC" in head:
        depth = head[head.find(b"hvcC") + 4 + 17 :][:1]
        return 8 + (depth[0] & 7) if depth else 8
    return 8


def read_file_bits(path: Path, kind: Format) -> int:
    """As `read_heif_bits`, of a file."""
    if kind not in (AVIF, HEIF):
        return 8
    with path.open("rb") as file:
        return read_heif_bits(file.read(PROPERTIES_SIZE), kind)


def note_hdr(head: bytes, notes: list[str]) -> None:
    """Adds a note where samples are coded for high dynamic range."""
    position = head[:PROPERTIES_SIZE].find(b"colrnclx")
    transfer = int.from_bytes(head[position + 10 : position + 12], "big") if position >= 0 else 0
    if transfer in HDR:
        notes.append(f"HDR ({HDR[transfer]}): models are trained on standard dynamic range")


def read_heif_profile(data: bytes, kind: Format) -> bytes:
    """Returns the profile of code points other than those of sRGB and SDR video, else nothing."""
    points = read_code_points(data) if kind in (AVIF, HEIF) else None
    if points is None or (points[0] in SDR_PRIMARIES and points[1] in SDR_TRANSFERS):
        return b""
    return build_cicp_profile(*points) or b""


def decode_deep_heif(data: bytes, kind: Format, bits: int) -> tuple[Plane, Plane | None]:
    """Returns grey or RGB, and alpha, of `bits` per sample, as uint16 over the full range.

    Not for animated AVIF: imagecodecs decodes all frames, and crashes where one is asked for.
    """
    if kind == AVIF:
        import imagecodecs

        samples: NDArray[Any] = imagecodecs.avif_decode(data, numthreads=1)
    else:
        import pillow_heif

        file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        samples = np.asarray(file) >> (16 - bits)
    pixels, alpha = split_alpha(samples)
    maximum = (1 << bits) - 1
    scaled_alpha = None if alpha is None else scale_to_full_range(alpha, maximum)
    return scale_to_full_range(pixels, maximum), scaled_alpha
