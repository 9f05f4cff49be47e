"""`--every N`: one of N frames is colorized, and its colours are propagated."""

import json

import av
import numpy as np
import pytest
from PIL import Image

LOGGING = """
    import batchcolor

    def log_frames(luma):
        # Logs the number of frames of a batch, its padding not counted.
        pass_gate()
        different = len({float(one.mean()) for one in luma})
        with open(os.environ["FRAME_LOG"], "a") as file:
            file.write(f"{different} ")
        return (luma[:, :, ::4, ::4] - 0.5).mul(0.4).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("logging", "logs", 16, lambda options: log_frames)]
"""


@pytest.fixture
def count_colorized(plugin, gate_code, environment, tmp_path):
    """Installs the colorizer; returns the number of frames it received since the last call."""
    log = tmp_path / "log"
    plugin("loggingpack", gate_code + LOGGING)
    environment["FRAME_LOG"] = str(log)

    def count():
        total = sum(map(int, log.read_text().split())) if log.exists() else 0
        log.unlink(missing_ok=True)
        return total

    return count


@pytest.fixture
def film(tmp_path):
    """Writes a lossless film; frames become brighter within each shot."""

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
def test_only_every_fourth_frame_and_the_first_of_each_shot_are_colorized(
    count_colorized, film, command, tmp_path, mode
):
    clip = film(shots=3, frames=22)
    result = command(
        *("run", clip, "-m", "logging", "-o", "out", "--every", "4", "--stabilize", mode, "--json")
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["frames"] == 66
    assert count_colorized() <= 3 * 6  # frames of equal brightness in one batch count once
    assert len(pixels_of(tmp_path / "out" / "film.mkv")) == 66


@pytest.mark.usefixtures("count_colorized")
@pytest.mark.parametrize(
    ("mode", "shots", "frames", "calls"),
    [("fast", 1, 60, 8), ("best", 2, 30, 7)],  # up to frame 55; into the second shot
)
def test_killed_film_resumes_with_the_same_stride_and_equals_an_uninterrupted_one(
    film, start_film, command, tmp_path, mode, shots, frames, calls
):
    clip, out = film(shots=shots, frames=frames), tmp_path / "out"
    options = ("--every", "7", "--stabilize", mode, "--codec", "ffv1")
    process = start_film(clip, out, *options, model="logging", calls=calls)
    process.kill()
    process.communicate()
    words = ("-m", "logging", "--batch-size", "1", *options)
    resumed = command("run", clip, "-o", out, *words, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["frames"] == 35
    assert command("run", clip, "-o", "whole", *words).returncode == 0
    assert pixels_of(out / "film.mkv") == pixels_of(tmp_path / "whole" / "film.mkv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", "4", "--stabilize", "off"], "--stabilize fast or best"),
        (["--every", "0"], "--every 0"),
        (["--every", "100"], "--every 100"),
    ],
)
def test_unusable_stride_is_refused(flat, command, make_clip, tmp_path, options, message):
    result = command("run", make_clip(tmp_path / "film.mp4"), "-m", flat, *options)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "film-colorized").exists()
