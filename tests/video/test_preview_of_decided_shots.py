"""Decisions and references of shots in a preview that starts later, and in one of shots."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.store import DecisionStore

RATE, LENGTH = 25, 150
"""Frames per second, and frames of each of two shots: longer than the first part that is searched
for the beginning of a shot."""


@pytest.fixture
def two_long_shots(request, tmp_path):
    path = tmp_path / getattr(request, "param", "film.mkv")
    codec = {".ts": "mpeg2video", ".gif": "gif", ".mkv": "libx264"}[path.suffix]
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=Fraction(RATE))
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "gray" if codec == "gif" else "yuv420p"
        for number in range(2 * LENGTH):
            areas = np.random.default_rng(number // LENGTH).integers(40, 200, (6, 8), np.uint8)
            luma = areas.repeat(8, 0).repeat(8, 1)
            luma[40:, : 1 + number % LENGTH // 4] = 235
            frame = VideoFrame.from_ndarray(luma, "gray").reformat(format=stream.pix_fmt)
            frame.pts = number
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def read_strength(path):
    """Mean distance of Cb from grey of each frame."""
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="yuv444p") for frame in film.decode(video=0)]
    return np.array([frame[1].astype(float).mean() - 128 for frame in frames])


@pytest.mark.parametrize(
    ("two_long_shots", "stabilize"),
    [("film.mkv", "fast"), ("film.ts", "off"), ("film.gif", "off")],
    indirect=["two_long_shots"],
)
def test_decision_for_a_shot_that_begins_before_the_preview_applies(
    command, flat, two_long_shots, tmp_path, stabilize
):
    values = [{"frame": 0, "strength": 0.5}, {"frame": LENGTH, "state": "rejected"}]
    DecisionStore(tmp_path / "out").append(
        Decision.from_values({"source": two_long_shots.name, "shots": values})
    )
    arguments = ("run", two_long_shots, "-m", flat, "--stabilize", stabilize)
    for start, is_first_shot in ((5.6, True), (11.6, False)):
        preview = ("--preview", f"{start}+{0.8 if is_first_shot else 0.2}s")
        found = []
        for output in ("plain", "out"):
            done = command(*arguments, "-o", tmp_path / output, *preview)
            assert done.returncode == 0, done.stderr
            (result,) = (tmp_path / output).glob("film-preview-0h00m*")
            found.append(read_strength(result))
            result.unlink()
        plain, decided = found
        assert np.abs(plain).min() > 8
        if not is_first_shot:
            assert len(plain) == 5
            assert np.abs(decided).max() < 2
            continue
        assert len(plain) == 20
        assert decided[:9] == pytest.approx(plain[:9] / 2, abs=2)
        assert np.abs(decided[11:]).max() < 2  # the second shot begins in it, as its frame 10


def test_decisions_apply_to_a_preview_of_shots(command, flat, two_long_shots, tmp_path):
    values = [{"frame": LENGTH, "state": "rejected"}]
    DecisionStore(tmp_path / "out").append(
        Decision.from_values({"source": two_long_shots.name, "shots": values})
    )
    done = command("run", two_long_shots, "-m", flat, "-o", "out", "--preview", "shots")
    assert done.returncode == 0, done.stderr
    (result,) = (tmp_path / "out").glob("film-preview-shots*")
    first, *_, last = np.abs(read_strength(result))
    assert first > 8
    assert last < 2


def test_reference_of_the_shot_that_a_preview_starts_in_is_used(
    command, flat, two_long_shots, tmp_path
):
    folder = tmp_path / "references"
    folder.mkdir()
    for number, color in ((0, (230, 60, 60)), (LENGTH, (60, 60, 230))):
        noise = np.random.default_rng(1).integers(-30, 30, (64, 64, 1))
        picture = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"film-{number:06d}.png")
    done = command(
        *("run", two_long_shots, "-m", flat, "-o", "out", "--references", folder, "--json"),
        *("--preview", "5+0.2s"),
    )
    assert done.returncode == 0, done.stderr
    notes = [it["note"] for it in json.loads(done.stdout)["picture_notes"]]
    assert "shot from frame 0: colours of film-000000.png (by its name)" in " ".join(notes)
