"""`--every N`: one of so many frames goes to the model, and its colours are carried on."""

import json

import av
import numpy as np
import pytest
from PIL import Image

TELLING = """
    import batchcolor, os, time

    class Telling:
        # Says how many pictures it was shown, those that fill a batch up dropped.
        def __call__(self, luma):
            import torch
            time.sleep(float(os.environ.get("TELLING_SECONDS", "0")))
            different = len({float(one.mean()) for one in luma})
            with open(os.environ["TELLING_LOG"], "a") as file:
                file.write(f"{different} ")
            return (luma[:, :, ::4, ::4] - 0.5).mul(0.4).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        build = lambda options: Telling()
        return [batchcolor.ColorizerSpec("telling", "counts what it sees", 16, build)]
"""


@pytest.fixture
def shown(plugin, environment, tmp_path):
    """Installs the colorizer; gives how many frames it has been shown since it was last asked."""
    log = tmp_path / "log"
    plugin("tellingpack", TELLING)
    environment["TELLING_LOG"] = str(log)

    def count():
        total = sum(map(int, log.read_text().split())) if log.exists() else 0
        log.unlink(missing_ok=True)
        return total

    return count


@pytest.fixture
def film(tmp_path):
    """A film of so many shots of so many frames that become brighter, without loss."""

    def make(shots, frames):
        path = tmp_path / "film.mkv"
        with av.open(str(path), "w") as film:
            stream = film.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
            for shot in range(shots):
                cells = np.random.default_rng(20 + shot).integers(20, 150, (6, 6), dtype=np.uint8)
                broad = Image.fromarray(cells).resize((64, 48), Image.Resampling.BICUBIC)
                for number in range(frames):
                    luma = (np.asarray(broad).astype(int) + number // 5).clip(0, 255)
                    grey = av.VideoFrame.from_ndarray(luma.astype(np.uint8), format="gray")
                    film.mux(stream.encode(grey))
            film.mux(stream.encode(None))
        return path

    return make


def pixels_of(path):
    with av.open(str(path)) as film:
        return [(f.pts, f.to_ndarray().tobytes()) for f in film.decode(video=0)]


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_only_every_fourth_frame_and_the_first_of_each_shot_are_shown_to_the_model(
    shown, film, command, tmp_path, mode
):
    clip = film(shots=3, frames=22)
    result = command(
        *("run", clip, "-m", "telling", "-o", "out", "--every", "4", "--stabilize", mode, "--json")
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["frames"] == 66
    assert shown() <= 3 * 6  # a film of one brightness twice over counts once
    assert len(pixels_of(tmp_path / "out" / "film.mkv")) == 66


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "best"])
def test_a_killed_film_goes_on_in_step_and_equals_one_that_was_not(
    shown, film, start, command, tmp_path, mode
):
    clip, out = film(shots=1, frames=330), tmp_path / "out"
    options = ("--every", "7", "--stabilize", mode, "--codec", "ffv1")
    process = start(clip, out, *options, model="telling", TELLING_SECONDS="0.15")
    process.kill()
    process.communicate()
    words = ("-m", "telling", "--batch-size", "1", *options)
    again = command("run", clip, "-o", out, *words, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["frames"] == 80
    assert command("run", clip, "-o", "whole", *words).returncode == 0
    assert pixels_of(out / "film.mkv") == pixels_of(tmp_path / "whole" / "film.mkv")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--every", "4", "--stabilize", "off"], "--stabilize fast or best"),
        (["--every", "0"], "--every 0"),
        (["--every", "100"], "--every 100"),
    ],
)
def test_what_cannot_be_carried_is_refused(flat, command, make_clip, tmp_path, more, words):
    result = command("run", make_clip(tmp_path / "film.mp4"), "-m", flat, *more)
    assert result.returncode == 2
    assert words in result.stderr
    assert not (tmp_path / "film-colorized").exists()
