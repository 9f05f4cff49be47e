"""Temporal colorizers: they get the frames of one film in order, and a reset at each shot."""

import json

import av
import numpy as np
import pytest
from PIL import Image

COUNTING = """
    import batchcolor

    class Counting:
        # Cb is the number of frames since the last reset; each frame and reset is logged.
        def __init__(self):
            self.frames = 0

        def reset(self):
            self.frames = 0
            self.log("reset")

        def log(self, word):
            with open(os.environ["COUNTING_LOG"], "a") as file:
                file.write(word + "\\n")

        def __call__(self, luma):
            import torch
            assert len(luma) == 1
            pass_gate()
            self.log(f"{float(luma.mean()):.4f}")
            chroma = torch.zeros((1, 2, 4, 4), dtype=luma.dtype, device=luma.device)
            chroma[:, 0] = min(0.4, 0.001 * self.frames)
            self.frames += 1
            return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [
            batchcolor.ColorizerSpec(
                "counting", "counts", 16, lambda options: Counting(), temporal=True
            )
        ]
"""


@pytest.fixture
def read_log(plugin, gate_code, environment, tmp_path):
    """Installs the colorizer; returns and clears its log of frames and resets."""
    log = tmp_path / "log"
    plugin("countingpack", gate_code + COUNTING)
    environment["COUNTING_LOG"] = str(log)

    def read():
        message = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return message

    return read


def film_of(path, shots, frames, size=(64, 48)):
    """Writes a lossless film; frames become brighter within each shot."""
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


def mean_cb(path):
    with av.open(str(path)) as film:
        return [f.to_ndarray(format="yuv444p")[1].mean() - 128 for f in film.decode(video=0)]


def frames_per_reset(message):
    """Returns the number of frames after each reset."""
    text = " ".join(message)
    return [len(part.split()) for part in text.split("reset")[1:]]


def test_temporal_model_gets_all_frames_in_order_and_a_reset_at_each_shot(
    read_log, command, tmp_path
):
    clip = film_of(tmp_path / "film.mkv", shots=3, frames=12)
    options = ("-m", "counting", "--codec", "ffv1", "--stabilize", "off")
    result = command("run", clip, "-o", "out", *options)
    assert result.returncode == 0, result.stderr
    assert frames_per_reset(read_log()) == [12, 12, 12]
    means = np.array(mean_cb(tmp_path / "out" / "film.mkv")).reshape(3, 12)
    assert (np.diff(means, axis=1) >= 0).all()
    assert (means[:, 0] <= 0.5).all()
    assert (means[:, -1] > 1.5).all()


def test_no_other_film_or_picture_comes_between_the_frames_of_a_film(
    read_log, command, album, tmp_path
):
    folder = album(4)
    for number in range(3):
        film_of(folder / f"{number}.mkv", shots=2, frames=10 + number)
    result = command("run", folder, "-m", "counting", "-o", "out", "--workers", "3", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["done"] == 7
    runs = frames_per_reset(read_log())
    assert sorted(runs) == [1] * 4 + [10, 10, 11, 11, 12, 12]
    films = [run for run in runs if run > 1]
    assert films[0::2] == films[1::2]  # the two shots of a film are consecutive


@pytest.mark.parametrize(
    ("shots", "frames", "calls", "mode"),
    [(1, 48, 40, "off"), (1, 60, 55, "fast"), (3, 16, 40, "off"), (3, 16, 40, "best")],
)
def test_killed_film_is_replayed_from_its_shot_and_equals_an_uninterrupted_one(
    read_log, start_film, command, tmp_path, shots, frames, calls, mode
):
    clip, out = film_of(tmp_path / "film.mkv", shots, frames), tmp_path / "out"
    options = ("--codec", "ffv1", "--stabilize", mode)
    process = start_film(clip, out, *options, model="counting", calls=calls)
    process.kill()
    process.communicate()
    read_log()
    resumed = command("run", clip, "-m", "counting", "-o", out, *options, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["frames"] == shots * frames - 25
    assert frames_per_reset(read_log()) == ([frames] if shots == 1 else [16, 16])
    assert command("run", clip, "-m", "counting", "-o", "whole", *options).returncode == 0
    assert mean_cb(out / "film.mkv") == mean_cb(tmp_path / "whole" / "film.mkv")


def test_temporal_model_without_reset_is_refused(plugin, gate_code, command, album, tmp_path):
    code = gate_code + COUNTING.replace("def reset(self)", "def forget(self)")
    plugin("countingpack", code)
    result = command("run", album(1), "-m", "counting", COUNTING_LOG=str(tmp_path / "log"))
    assert result.returncode == 5
    assert "has no reset()" in result.stderr


def test_pictures_fail_if_the_reset_of_a_temporal_model_raises(
    plugin, gate_code, command, album, tmp_path
):
    code = gate_code + COUNTING.replace('self.log("reset")', 'raise ValueError("worn out")')
    plugin("countingpack", code)
    message = ("-m", "counting", "-o", "out", "--json")
    result = command("run", album(2), *message, COUNTING_LOG=str(tmp_path / "log"))
    assert result.returncode == 3
    failures = json.loads(result.stdout)["failures"]
    assert len(failures) == 2
    assert all("reset() raised ValueError: worn out" in failure["reason"] for failure in failures)


def test_evaluation_passes_frames_to_a_temporal_model_in_order(read_log, command, tmp_path):
    clip = film_of(tmp_path / "film.mkv", shots=2, frames=15)
    result = command("evaluate", "--video", clip, "-m", "counting", "--json")
    assert result.returncode == 0, result.stderr
    assert frames_per_reset(read_log()) == [15, 15]
