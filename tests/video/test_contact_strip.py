"""Contact strips (`--strip`): one frame of each shot, upright and in the film's colours."""

import io
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from PIL import Image

from batchcolor.images.sheets.contact_sheet import (
    SheetCell,
    SheetColumn,
    SheetRow,
    SheetSection,
    layout_sheet,
)
from batchcolor.images.sheets.sheet_page import DARK, PlacedImage, TextLine
from batchcolor.images.sheets.sheet_text import measure_text_width
from batchcolor.video.contact_strip import render_contact_strip


def shots_clip(path, seeds, frames=16):
    """Writes a grey film with one shot for each seed."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number, seed in enumerate(seeds):
            shapes = np.random.default_rng(seed).integers(16, 235, (7, 7), dtype=np.uint8)
            luma = Image.fromarray(shapes).resize((96, 64), Image.Resampling.BICUBIC)
            for index in range(frames):
                frame = av.VideoFrame.from_ndarray(np.asarray(luma), format="gray")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = number * frames + index, Fraction(1, 25)
                film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def strip_page(title, times, height=160):
    """Lays out the strip of a film whose frames have this height at a width of 240 pixels."""
    cells = [SheetCell(np.zeros((height, 240, 3), np.uint8), caption=time) for time in times]
    section = SheetSection((SheetColumn(),) * len(cells), (SheetRow(tuple(cells)),))
    (page,) = layout_sheet([section], 240, title=title, theme=DARK)
    return page


def test_strip_shows_one_frame_of_each_shot(flat, command, tmp_path):
    clip = shots_clip(tmp_path / "film.mp4", seeds=(1, 2, 3))
    result = command("run", clip, "-m", flat, "-o", "out", "--strip")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out" / "film-strip.jpg") as strip:
        page = strip_page("film.mp4", ["0:00:00", "0:00:01", "0:00:01"])
        assert strip.size == (page.width, page.height)
        corners = [(item.x, item.y) for item in page.items if isinstance(item, PlacedImage)]
        cells = [np.asarray(strip.crop((x, y, x + 240, y + 160))) for x, y in corners]
        for line in (item for item in page.items if isinstance(item, TextLine)):
            width = measure_text_width(line.text, line.style)
            box = (line.x, line.y - line.style.height, line.x + width, line.y)
            darkest, brightest = strip.crop(box).convert("L").getextrema()
            assert darkest < 40
            assert brightest > 180
    assert len(cells) == 3
    assert all(np.abs(a.astype(int) - b).mean() > 20 for a, b in pairwise(cells))
    assert all(np.ptp(cell.reshape(-1, 3).mean(axis=0)) > 5 for cell in cells)  # in colour


def test_existing_strip_is_kept_and_reported(flat, command, tmp_path):
    clip = shots_clip(tmp_path / "film.mp4", seeds=(1,))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "film-strip.jpg").write_bytes(b"mine")
    result = command("run", clip, "-m", flat, "-o", "out", "--strip")
    assert result.returncode == 0, result.stderr
    assert "film-strip.jpg exists" in result.stderr
    assert "-v lists" not in result.stderr  # the note is shown already
    assert (tmp_path / "out" / "film-strip.jpg").read_bytes() == b"mine"


def test_strips_of_films_with_equal_stems_and_a_photograph_have_different_names(
    flat, command, tmp_path
):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("film.mp4", "film.mkv"):
        shots_clip(source / name, seeds=(1,))
    Image.new("L", (300, 200), 90).save(source / "film-strip.jpg")
    result = command("run", source, "-m", flat, "-o", "out", "--strip")
    assert result.returncode == 0, result.stderr
    names = {"film-strip.jpg", "film-mp4-strip.jpg", "film-mkv-strip.jpg"}
    assert names <= {path.name for path in (tmp_path / "out").iterdir()}
    with Image.open(tmp_path / "out" / "film-strip.jpg") as photograph:
        assert photograph.size == (300, 200)


def test_strip_of_a_finished_film_is_written_later(flat, command, tmp_path):
    clip = shots_clip(tmp_path / "film.mp4", seeds=(1,))
    command("run", clip, "-m", flat, "-o", "out")
    strip = tmp_path / "out" / "film-strip.jpg"
    assert not strip.exists()
    result = command("run", clip, "-m", flat, "-o", "out", "--strip")
    assert result.returncode == 0, result.stderr
    assert strip.exists()
    assert "film.mp4: contact strip film-strip.jpg written" in result.stderr


KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""Luma coefficients of red and blue (ITU-R BT.601 and BT.709)."""
QUADRANTS = np.array([[[200, 70, 60], [60, 160, 80]], [[70, 90, 210], [190, 180, 60]]])
"""RGB of the quarters of a frame: red, green / blue, yellow."""


def colored_clip(path, size, matrix, setup=lambda stream: None):
    """Writes an untagged film at limited range whose frames show `QUADRANTS`.

    RGB is converted by the formulas of the standard, independent of batchcolor and FFmpeg.
    """
    width, height = size
    kr, kb = KR_KB[matrix]
    red, green, blue = (
        QUADRANTS[..., channel].repeat(height // 2, 0).repeat(width // 2, 1) / 255
        for channel in range(3)
    )
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    planes = np.stack([16 + 219 * luma, 128 + 224 * cb, 128 + 224 * cr]).round().astype(np.uint8)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        setup(stream)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        film.mux([*stream.encode(frame), *stream.encode(None)])
    with av.open(str(path)) as film:
        assert next(film.decode(video=0)).colorspace == 2  # unspecified
    return path


def shown_quadrants(path, width, height):
    """Renders the strip of a one-shot film and returns the mean RGB of each quarter, `(2, 2, 3)`.

    Fails unless the strip has the size that it has for frames of `width` x `height`.
    """
    page = strip_page(path.name, ["0:00:00"], round(240 * height / width))
    strip = Image.open(io.BytesIO(render_contact_strip(path, 10**7)))
    assert strip.size == (page.width, page.height)
    (item,) = (item for item in page.items if isinstance(item, PlacedImage))
    shown_height, shown_width = item.rgb.shape[:2]
    box = (item.x, item.y, item.x + shown_width, item.y + shown_height)
    cell = np.asarray(strip.crop(box), float)
    rows = [half[20:-20] for half in np.array_split(cell, 2, axis=0)]
    quarters = [np.array_split(row, 2, axis=1) for row in rows]
    return np.array([[part[:, 20:-20].mean(axis=(0, 1)) for part in row] for row in quarters])


@pytest.mark.parametrize(
    ("size", "matrix"), [((1280, 720), "bt709"), ((720, 576), "bt601"), ((720, 608), "bt709")]
)
def test_strip_of_an_untagged_film_uses_the_matrix_that_players_assume(tmp_path, size, matrix):
    clip = colored_clip(tmp_path / "film.mkv", size, matrix)
    assert np.abs(shown_quadrants(clip, *size) - QUADRANTS).max() < 4


@pytest.mark.parametrize(
    ("display_matrix", "quarter_turns"),
    [
        ((0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30), -1),  # 90 degrees clockwise
        ((-(1 << 16), 0, 0, 0, -(1 << 16), 0, 0, 0, 1 << 30), 2),
        ((0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30), 1),  # 90 degrees counterclockwise
    ],
    ids=["clockwise", "180", "counterclockwise"],
)
def test_strip_of_a_rotated_film_is_upright(tmp_path, display_matrix, quarter_turns):
    clip = colored_clip(
        tmp_path / "film.mp4",
        (192, 128),
        "bt601",
        lambda stream: stream.set_display_matrix(display_matrix),
    )
    width, height = (128, 192) if quarter_turns % 2 else (192, 128)
    shown = shown_quadrants(clip, width, height)
    assert np.abs(shown - np.rot90(QUADRANTS, quarter_turns)).max() < 4
