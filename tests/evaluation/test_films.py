"""`evaluate --video`: flicker of a film, with each way of steadying."""

import json

import av
import numpy as np
import pytest

MOODY = """
    import batchcolor

    class Moody:
        calls = 0
        def __call__(self, luma):
            import torch
            Moody.calls += 1
            chance = torch.Generator().manual_seed(Moody.calls)
            mood = torch.rand((len(luma), 2, 1, 1), generator=chance)
            return (0.1 * mood).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("moody", "never the same", 16, lambda options: Moody())]
"""


def coloured_clip(path, frames=24):
    """A film in colour whose colours stand still."""
    cells = np.random.default_rng(3).integers(40, 216, (6, 8, 3), dtype=np.uint8)
    rgb = cells.repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv444p"
        for _ in range(frames):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        film.mux(stream.encode(None))
    return path


def test_steadying_is_measured_beside_frame_by_frame_and_the_truth(plugin, command, tmp_path):
    plugin("moody", MOODY)
    clip = coloured_clip(tmp_path / "film.mkv")
    result = command("evaluate", "--video", clip, "-m", "moody", "--json")
    assert result.returncode == 0, result.stderr
    rows = {row["stabilize"] or row["model"]: row for row in json.loads(result.stdout)["films"]}
    assert set(rows) == {"truth", "off", "fast", "best"}
    assert all(row["frames"] == 24 for row in rows.values())
    assert rows["truth"]["flicker"] < 1
    assert rows["truth"]["delta_e"] == 0
    assert rows["fast"]["flicker"] < 0.5 * rows["off"]["flicker"]
    assert rows["best"]["flicker"] < 0.5 * rows["off"]["flicker"]
    assert rows["fast"]["drift"] < rows["off"]["drift"]
    assert rows["off"]["delta_e"] > 3
    shown = command("evaluate", "--video", clip, "-m", "moody")
    assert "flicker" in shown.stdout


def test_a_grey_film_has_flicker_but_no_truth(flat, command, make_clip, tmp_path):
    result = command("evaluate", "--video", make_clip(tmp_path / "f.mp4"), "-m", flat, "--json")
    assert result.returncode == 0, result.stderr
    assert all(row["delta_e"] is None for row in json.loads(result.stdout)["films"])


def test_a_film_that_cannot_be_read_is_named_and_the_others_are_measured(
    flat, command, make_clip, tmp_path
):
    (tmp_path / "bad.mp4").write_bytes(b"rubbish")
    clip = make_clip(tmp_path / "film.mp4")
    words = ("--video", tmp_path / "bad.mp4", "--video", clip, "-m", flat, "--json")
    result = command("evaluate", *words)
    assert result.returncode == 3
    told = json.loads(result.stdout)
    assert [failure[0] for failure in told["failures"]] == [str(tmp_path / "bad.mp4")]
    assert {row["film"] for row in told["films"]} == {str(clip)}


@pytest.mark.parametrize(
    "words", [[], ["--data", ".", "--video", "f.mp4"], ["--video", "f.mp4", "--limit", "3"]]
)
def test_what_does_not_go_together_is_refused(command, words):
    assert command("evaluate", *words).returncode == 2
