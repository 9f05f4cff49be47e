"""Chunks of PNG that state the colour space of frames of high dynamic range.

Source: PNG, third edition, sections 11.3.2.6 to 11.3.2.8 (cICP, mDCV, cLLI).
"""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction

from batchcolor.images.formats import PNG
from batchcolor.images.metadata.model import Block, Metadata
from batchcolor.video.frame_format import ColorTags, FrameFormat
from batchcolor.video.frame_metadata import HdrMetadata
from batchcolor.video.hdr import BT2020_PRIMARIES, HDR_NAMES

RGB_MATRIX, FULL_RANGE_FLAG, MATRIX_BT2020 = 0, 1, 9
"""Code points of ITU-T H.273."""
PRIMARY_UNIT, LUMINANCE_UNIT = 50000, 10000
"""Units of chromaticity and of cd/m2 in mDCV and cLLI."""
MASTERING, LIGHT_LEVEL = struct.Struct(">8H2I"), struct.Struct(">2I")


def describe_colors(frame_format: FrameFormat, hdr: HdrMetadata) -> Metadata:
    """Returns the chunks for pictures of frames; empty for frames of standard dynamic range.

    cICP names primaries and transfer, mDCV and cLLI hold the metadata of the film.
    """
    tags = frame_format.tags
    if tags.transfer not in HDR_NAMES:
        return Metadata()
    chunks = [("cICP", bytes((tags.primaries, tags.transfer, RGB_MATRIX, FULL_RANGE_FLAG)))]
    if hdr.mastering:
        *points, lowest, highest = hdr.mastering
        numbers = [_round(point, PRIMARY_UNIT, 16) for point in points]
        light = [_round(number, LUMINANCE_UNIT, 32) for number in (highest, lowest)]
        chunks.append(("mDCV", MASTERING.pack(*numbers, *light)))
    if hdr.light_level:
        levels = [_round(Fraction(level), LUMINANCE_UNIT, 32) for level in hdr.light_level]
        chunks.append(("cLLI", LIGHT_LEVEL.pack(*levels)))
    return Metadata(blocks=tuple(Block(PNG.name.lower(), *chunk) for chunk in chunks))


def read_colors(metadata: Metadata, tags: ColorTags) -> tuple[ColorTags, HdrMetadata]:
    """Returns the tags and HDR metadata of a film of pictures with this metadata.

    `tags` are those of a film of standard dynamic range, returned where the pictures state no PQ
    and no HLG.
    """
    chunks = {block.kind: block.content for block in metadata.blocks}
    primaries, transfer = chunks.get("cICP", bytes(4))[:2]
    if transfer not in HDR_NAMES:
        return tags, HdrMetadata()
    matrix = MATRIX_BT2020 if primaries == BT2020_PRIMARIES else tags.matrix
    mastering: tuple[Fraction, ...] = ()
    if len(content := chunks.get("mDCV", b"")) == MASTERING.size:
        *points, highest, lowest = MASTERING.unpack(content)
        light = [Fraction(number, LUMINANCE_UNIT) for number in (lowest, highest)]
        mastering = (*(Fraction(point, PRIMARY_UNIT) for point in points), *light)
    levels: tuple[int, ...] = ()
    if len(content := chunks.get("cLLI", b"")) == LIGHT_LEVEL.size:
        levels = tuple(round(level / LUMINANCE_UNIT) for level in LIGHT_LEVEL.unpack(content))
    tags = replace(tags, primaries=primaries, transfer=transfer, matrix=matrix)
    return tags, HdrMetadata(mastering, levels)


def _round(number: Fraction, unit: int, bits: int) -> int:
    return max(0, min(round(number * unit), (1 << bits) - 1))
