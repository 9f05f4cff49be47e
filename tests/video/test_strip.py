"""`--strip`: one frame of each shot on a sheet beside the film."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
from PIL import Image


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


def test_a_strip_shows_one_frame_of_each_shot(flat, command, tmp_path):
    clip = shots_clip(tmp_path / "film.mp4", seeds=(1, 2, 3))
    result = command("run", clip, "-m", flat, "-o", "out", "--strip")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out" / "film-strip.jpg") as strip:
        assert strip.width == 3 * (240 + 6) + 6
        cells = [np.asarray(strip.crop((6 + 246 * n, 6, 246 + 246 * n, 166))) for n in range(3)]
    assert all(np.abs(a.astype(int) - b).mean() > 20 for a, b in pairwise(cells))
    assert all(np.ptp(cell.reshape(-1, 3).mean(axis=0)) > 5 for cell in cells)  # in colour


def test_a_strip_that_is_there_is_left_and_said(flat, command, tmp_path):
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
