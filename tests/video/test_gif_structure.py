"""Blocks of GIF packets: bytes of a colour table or of pixels are no blocks."""

from __future__ import annotations

import pytest

from batchcolor.video.gif_structure import find_image
from batchcolor.video.output.gif_joiner import GifJoiner

CONTROL = bytes((0x21, 0xF9, 4, 0b100, 5, 0, 0, 0))
FRAME = bytes((0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0))
LIKE_CONTROL = bytes((0x21, 0xF9, 4, 0b100, 9, 9))
"""Two colours of a table that look like a control extension."""
HEAD = b"GIF89a" + bytes((1, 0, 1, 0, 0x80, 0, 0)) + LIKE_CONTROL
COMMENT = bytes((0x21, 0xFE, 6)) + LIKE_CONTROL + b"\0"


@pytest.mark.parametrize("before", [b"", HEAD, COMMENT, HEAD + COMMENT])
def test_blocks_are_found_by_their_structure(before):
    packet = before + CONTROL + FRAME
    assert find_image(packet) == len(before) + len(CONTROL)


@pytest.mark.parametrize("packet", [b"", HEAD[:9], HEAD, COMMENT, CONTROL[:3], COMMENT[:5]])
def test_packets_without_a_frame_have_none(packet):
    assert find_image(packet) is None


def test_joining_keeps_one_header_and_moves_later_tables_to_their_frames():
    joiner = GifJoiner()
    assert joiner.join(HEAD + CONTROL + FRAME) == HEAD + CONTROL + FRAME
    joined = joiner.join(HEAD + CONTROL + FRAME)
    assert joined.startswith(CONTROL)
    assert joined[len(CONTROL) + 9] == 0x80
    assert joined[len(CONTROL) + 10 :] == LIKE_CONTROL + FRAME[10:]
