"""Blocks of GIF packets: bytes of a colour table or of pixels are no blocks."""

from __future__ import annotations

import pytest

from batchcolor.video.gif_structure import find_control, find_image
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
    assert find_control(packet) == len(before) + 3
    assert find_image(packet) == len(before) + len(CONTROL)


@pytest.mark.parametrize("packet", [b"", HEAD[:9], HEAD, COMMENT, CONTROL[:3], COMMENT[:5]])
def test_packets_without_a_frame_have_none(packet):
    assert find_image(packet) is None
    assert find_control(packet) is None


def test_joining_changes_the_disposal_and_no_colour():
    joined = GifJoiner(has_alpha=True).join(HEAD + CONTROL + FRAME)
    assert joined.startswith(HEAD)
    assert joined[len(HEAD) + 3] == 0b1000
    assert joined[len(HEAD) + 4 :] == (CONTROL + FRAME)[4:]
