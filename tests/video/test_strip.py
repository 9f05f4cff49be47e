"""`--strip`: one frame of each shot on a sheet beside the film."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
from PIL import Image

from batchcolor.images.contact_sheet import (
    SheetCell,
    SheetColumn,
    SheetRow,
    SheetSection,
    layout_sheet,
)
from batchcolor.images.sheet_page import DARK, PlacedImage, TextLine
from batchcolor.images.sheet_text import measure_text_width


def shots_clip(path, seeds, frames=16):
    """A film of so many scenes."""
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


def strip_page(title, times):
    """The layout of the strip of a film of 96 x 64 pixels."""
    cells = [SheetCell(np.zeros((160, 240, 3), np.uint8), caption=time) for time in times]
    section = SheetSection((SheetColumn(),) * len(cells), (SheetRow(tuple(cells)),))
    (page,) = layout_sheet([section], 240, title=title, theme=DARK)
    return page


def test_a_strip_shows_one_frame_of_each_shot(flat, command, tmp_path):
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


def test_an_existing_strip_is_kept_and_reported(flat, command, tmp_path):
    clip = shots_clip(tmp_path / "film.mp4", seeds=(1,))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "film-strip.jpg").write_bytes(b"mine")
    result = command("run", clip, "-m", flat, "-o", "out", "--strip")
    assert result.returncode == 0, result.stderr
    assert "film-strip.jpg exists" in result.stderr
    assert (tmp_path / "out" / "film-strip.jpg").read_bytes() == b"mine"


def test_strips_of_films_of_one_name_and_a_photograph_of_that_name_differ(flat, command, tmp_path):
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


def test_a_strip_of_a_film_that_was_done_before_is_made_later(flat, command, tmp_path):
    clip = shots_clip(tmp_path / "film.mp4", seeds=(1,))
    command("run", clip, "-m", flat, "-o", "out")
    strip = tmp_path / "out" / "film-strip.jpg"
    assert not strip.exists()
    assert command("run", clip, "-m", flat, "-o", "out", "--strip").returncode == 0
    assert strip.exists()
