"""The size of frames is checked from the header, before memory is taken for one."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.video.gif_header import GifHeader, read_gif_header
from batchcolor.video.probe import probe

Frame = tuple[int, int, int, int]
LOOP = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x05\x00\x00"


def write_gif(path: Path, size: tuple[int, int], *frames: Frame, loop: bytes = b"") -> Path:
    """A GIF with a canvas and frames (left, top, width, height), whose pixels are missing."""
    data = b"GIF89a" + struct.pack("<HHBBB", *size, 0x80, 0, 0) + bytes(6) + loop
    for frame in frames:
        data += b"\x21\xf9\x04\0\x05\0\0\0\x2c" + struct.pack("<HHHHB", *frame, 0)
        data += b"\x02\x02\x44\x01\0"
    path.write_bytes(data + b";")
    return path


@pytest.mark.parametrize(
    ("size", "frames", "expected"),
    [
        ((64, 48), [(0, 0, 64, 48), (3, 5, 8, 8)], (64, 48)),
        ((65535, 65535), [(0, 0, 1, 1)], (65535, 65535)),
        ((64, 48), [(0, 0, 64, 48), (0, 0, 65535, 65535)], (65535, 65535)),
        ((64, 48), [(60000, 60000, 8, 9)], (60008, 60009)),
    ],
)
def test_canvas_of_a_gif_holds_every_frame(
    tmp_path: Path, size: tuple[int, int], frames: list[Frame], expected: tuple[int, int]
) -> None:
    path = write_gif(tmp_path / "a.gif", size, *frames, loop=LOOP)
    assert read_gif_header(path) == GifHeader(*expected, loop=5)


@pytest.mark.parametrize("frames", [[(0, 0, 1, 1)], [(0, 0, 64, 48), (0, 0, 65535, 65535)]])
def test_gif_with_a_huge_canvas_is_refused(tmp_path: Path, frames: list[Frame]) -> None:
    path = write_gif(tmp_path / "a.gif", (64, 48) if len(frames) > 1 else (65535, 65535), *frames)
    with pytest.raises(ProcessingError, match="65535 x 65535 pixels exceed --max-pixels") as caught:
        probe(path, 10**9)
    assert caught.value.step == LIMITS


def test_gif_is_refused_whose_frames_need_more_memory_than_there_is(tmp_path: Path) -> None:
    path = write_gif(tmp_path / "a.gif", (8000, 8000), (0, 0, 1, 1))
    with pytest.raises(ProcessingError, match="need more memory than --max-memory allows"):
        probe(path, 10**9, max_frame_bytes=4 * 7999 * 7999)


@pytest.mark.parametrize("length", [0, 6, 12, 14, 30, 40, 52])
def test_header_of_a_truncated_gif_is_read_up_to_its_end(tmp_path: Path, length: int) -> None:
    path = write_gif(tmp_path / "a.gif", (64, 48), (0, 0, 64, 48), loop=LOOP)
    path.write_bytes(path.read_bytes()[:length])
    header = read_gif_header(path)
    assert (header.width, header.height) in ((0, 0), (64, 0), (64, 48))
