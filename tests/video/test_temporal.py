"""Colorizers that remember: the frames of one film in order, and a reset at each shot."""

import json

import av
import numpy as np
import pytest
from PIL import Image

COUNTING = """
    import batchcolor, os, time

    class Counting:
        # Its blue says how many frames it has seen since its last reset; a log says which.
        def __init__(self):
            self.seen = 0

        def reset(self):
            self.seen = 0
            self.log("reset")

        def log(self, word):
            with open(os.environ["COUNTING_LOG"], "a") as file:
                file.write(word + "\\n")

        def __call__(self, luma):
            import torch
            assert len(luma) == 1
            time.sleep(float(os.environ.get("COUNTING_SECONDS", "0")))
            self.log(f"{float(luma.mean()):.4f}")
            chroma = torch.zeros((1, 2, 4, 4), dtype=luma.dtype, device=luma.device)
            chroma[:, 0] = min(0.4, 0.001 * self.seen)
            self.seen += 1
            return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [
            batchcolor.ColorizerSpec(
                "counting", "remembers", 16, lambda options: Counting(), temporal=True
            )
        ]
"""


@pytest.fixture
def counting(plugin, environment, monkeypatch, tmp_path):
    """Installs the colorizer; gives what it has been shown since it was last asked."""
    log = tmp_path / "log"
    plugin("countingpack", COUNTING)
    environment["COUNTING_LOG"] = str(log)

    def read():
        words = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return words

    return read


def film_of(path, shots, frames, size=(64, 48)):
    """A film of so many shots of so many frames; each frame is a little brighter than the last."""
    width, height = size
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "gray"
        for shot in range(shots):
            cells = np.random.default_rng(10 + shot).integers(20, 200, (6, 6), dtype=np.uint8)
            broad = np.asarray(Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC))
            for number in range(frames):
                luma = np.clip(broad.astype(int) + number // 4, 0, 255).astype(np.uint8)
                film.mux(stream.encode(av.VideoFrame.from_ndarray(luma, format="gray")))
        film.mux(stream.encode(None))
    return path


def blues_of(path):
    with av.open(str(path)) as film:
        return [f.to_ndarray(format="yuv444p")[1].mean() - 128 for f in film.decode(video=0)]


def runs_of(words):
    """How many frames came after each reset."""
    text = " ".join(words)
    return [len(part.split()) for part in text.split("reset")[1:]]


def test_it_gets_all_frames_in_order_and_a_reset_at_each_shot(counting, command, tmp_path):
    clip = film_of(tmp_path / "film.mkv", shots=3, frames=12)
    options = ("-m", "counting", "--codec", "ffv1", "--stabilize", "off")
    result = command("run", clip, "-o", "out", *options)
    assert result.returncode == 0, result.stderr
    assert runs_of(counting()) == [12, 12, 12]
    blues = np.array(blues_of(tmp_path / "out" / "film.mkv")).reshape(3, 12)
    assert (np.diff(blues, axis=1) >= 0).all()
    assert (blues[:, 0] <= 0.5).all()
    assert (blues[:, -1] > 1.5).all()


def test_films_and_stills_never_come_between_the_frames_of_a_film(
    counting, command, album, tmp_path
):
    folder = album(4)
    for number in range(3):
        film_of(folder / f"{number}.mkv", shots=2, frames=10 + number)
    result = command("run", folder, "-m", "counting", "-o", "out", "--workers", "3", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["done"] == 7
    runs = runs_of(counting())
    assert sorted(runs) == [1] * 4 + [10, 10, 11, 11, 12, 12]
    films = [run for run in runs if run > 1]
    assert films[0::2] == films[1::2]  # both shots of a film come one after the other


@pytest.mark.slow
@pytest.mark.parametrize(("shots", "frames"), [(1, 330), (3, 110)])
@pytest.mark.parametrize("mode", ["off", "best"])
def test_a_killed_film_is_shown_again_from_its_shot_and_equals_one_that_was_not(
    counting, start, command, tmp_path, shots, frames, mode
):
    clip, out = film_of(tmp_path / "film.mkv", shots, frames), tmp_path / "out"
    options = ("--codec", "ffv1", "--stabilize", mode)
    process = start(clip, out, *options, model="counting", COUNTING_SECONDS="0.02")
    process.kill()
    process.communicate()
    counting()
    again = command("run", clip, "-m", "counting", "-o", out, *options, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["frames"] == 330 - 250
    assert runs_of(counting()) == ([330] if shots == 1 else [110])
    assert command("run", clip, "-m", "counting", "-o", "whole", *options).returncode == 0
    assert blues_of(out / "film.mkv") == blues_of(tmp_path / "whole" / "film.mkv")


def test_one_without_a_reset_is_named(plugin, command, album, tmp_path):
    code = COUNTING.replace("def reset(self)", "def forget(self)")
    plugin("countingpack", code)
    result = command("run", album(1), "-m", "counting", COUNTING_LOG=str(tmp_path / "log"))
    assert result.returncode == 5
    assert "has no reset()" in result.stderr


def test_one_that_breaks_at_its_reset_costs_what_it_was_asked_for(plugin, command, album, tmp_path):
    code = COUNTING.replace('self.log("reset")', 'raise ValueError("worn out")')
    plugin("countingpack", code)
    words = ("-m", "counting", "-o", "out", "--json")
    result = command("run", album(2), *words, COUNTING_LOG=str(tmp_path / "log"))
    assert result.returncode == 3
    failures = json.loads(result.stdout)["failures"]
    assert len(failures) == 2
    assert all("reset() raised ValueError: worn out" in failure["reason"] for failure in failures)


def test_evaluating_it_shows_it_every_film_in_order(counting, command, tmp_path):
    clip = film_of(tmp_path / "film.mkv", shots=2, frames=15)
    result = command("evaluate", "--video", clip, "-m", "counting", "--json")
    assert result.returncode == 0, result.stderr
    assert runs_of(counting()) == [15, 15]
