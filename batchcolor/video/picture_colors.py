"""How pictures of frames state a colour space that programs do not assume.

High dynamic range is stated by chunks of PNG alone, wide primaries of standard range by an ICC
profile, in PNG by a chunk as well. Source: PNG, third edition, sections 11.3.2.6 to 11.3.2.8 (cICP,
mDCV, cLLI).
"""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction

from batchcolor.images.color_profiles.cicp import (
    CICP_CURVES,
    build_cicp_profile,
    find_code_points,
)
from batchcolor.images.formats import AVIF, HEIF, JPEG, PNG, TIFF, WEBP, Format
from batchcolor.images.metadata.model import Block, Metadata
from batchcolor.video.frame_format import ColorTags, FrameFormat
from batchcolor.video.frame_metadata import HdrMetadata
from batchcolor.video.hdr import BT2020_PRIMARIES, HDR_NAMES

RGB_MATRIX, FULL_RANGE_FLAG, MATRIX_BT2020 = 0, 1, 9
"""Code points of ITU-T H.273."""
CICP_BYTES = 4
WIDE_PRIMARIES = {4: "NTSC 1953", 8: "film", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
"""Primaries that contain colours outside BT.709 (H.273, table 2); programs assume those of sRGB."""
UNSPECIFIED, TRANSFER_BT709 = 2, 1
WITH_PROFILE = (PNG, JPEG, TIFF, WEBP, AVIF, HEIF)
"""Formats of pictures that hold an ICC profile."""
PRIMARY_UNIT, LUMINANCE_UNIT = 50000, 10000
"""Units of chromaticity and of cd/m2 in mDCV and cLLI."""
MASTERING, LIGHT_LEVEL = struct.Struct(">8H2I"), struct.Struct(">2I")


def describe_colors(frame_format: FrameFormat, hdr: HdrMetadata, kind: Format) -> Metadata:
    """Returns the metadata of pictures of frames; empty for frames that are as sRGB.

    For high dynamic range cICP names primaries and transfer, mDCV and cLLI hold the metadata of the
    film; for wide primaries of standard range there is an ICC profile, in PNG with cICP.
    """
    tags = frame_format.tags
    if tags.transfer not in HDR_NAMES:
        return _describe_wide_primaries(tags, kind)
    if kind != PNG:
        return Metadata()
    chunks = [_build_cicp(tags.primaries, tags.transfer)]
    if hdr.mastering:
        *points, lowest, highest = hdr.mastering
        numbers = [_round(point, PRIMARY_UNIT, 16) for point in points]
        light = [_round(number, LUMINANCE_UNIT, 32) for number in (highest, lowest)]
        chunks.append(("mDCV", MASTERING.pack(*numbers, *light)))
    if hdr.light_level:
        levels = [_round(Fraction(level), LUMINANCE_UNIT, 32) for level in hdr.light_level]
        chunks.append(("cLLI", LIGHT_LEVEL.pack(*levels)))
    return Metadata(blocks=tuple(Block(PNG.name.lower(), *chunk) for chunk in chunks))


def name_unstated_colors(tags: ColorTags, kind: Format) -> str:
    """Returns the name of what a format of pictures does not state of frames; empty for nothing."""
    if name := HDR_NAMES.get(tags.transfer):
        return "" if kind == PNG else name
    return "" if kind in WITH_PROFILE else WIDE_PRIMARIES.get(tags.primaries, "")


def _describe_wide_primaries(tags: ColorTags, kind: Format) -> Metadata:
    if tags.primaries not in WIDE_PRIMARIES or kind not in WITH_PROFILE:
        return Metadata()
    transfer = tags.transfer if tags.transfer in CICP_CURVES else TRANSFER_BT709
    chunks = [_build_cicp(tags.primaries, transfer)] if kind == PNG else []
    blocks = tuple(Block(PNG.name.lower(), *chunk) for chunk in chunks)
    return Metadata(icc=build_cicp_profile(tags.primaries, transfer) or b"", blocks=blocks)


def _build_cicp(primaries: int, transfer: int) -> tuple[str, bytes]:
    return "cICP", bytes((primaries, transfer, RGB_MATRIX, FULL_RANGE_FLAG))


def read_colors(metadata: Metadata, tags: ColorTags) -> tuple[ColorTags, HdrMetadata]:
    """Returns the tags and HDR metadata of a film of pictures with this metadata.

    `tags` are those of a film of standard dynamic range, returned where the pictures state no PQ,
    no HLG and no wide primaries.
    """
    chunks = {block.kind: block.content for block in metadata.blocks}
    cicp = chunks.get("cICP", b"")
    points = tuple(cicp[:2]) if len(cicp) == CICP_BYTES else find_code_points(metadata.icc)
    primaries, transfer = points or (UNSPECIFIED, UNSPECIFIED)
    matrix = MATRIX_BT2020 if primaries == BT2020_PRIMARIES else tags.matrix
    stated = replace(tags, primaries=primaries, transfer=transfer, matrix=matrix)
    if transfer not in HDR_NAMES:
        return (stated if primaries in WIDE_PRIMARIES else tags), HdrMetadata()
    mastering: tuple[Fraction, ...] = ()
    if len(content := chunks.get("mDCV", b"")) == MASTERING.size:
        *places, highest, lowest = MASTERING.unpack(content)
        light = [Fraction(number, LUMINANCE_UNIT) for number in (lowest, highest)]
        mastering = (*(Fraction(place, PRIMARY_UNIT) for place in places), *light)
    levels: tuple[int, ...] = ()
    if len(content := chunks.get("cLLI", b"")) == LIGHT_LEVEL.size:
        levels = tuple(round(level / LUMINANCE_UNIT) for level in LIGHT_LEVEL.unpack(content))
    return stated, HdrMetadata(mastering, levels)


def _round(number: Fraction, unit: int, bits: int) -> int:
    return max(0, min(round(number * unit), (1 << bits) - 1))
