"""`evaluate --video`: flicker, drift and colour error with each stabilization mode."""

import json

import av
import numpy as np
import pytest

RANDOM = """
    import batchcolor

    class Random:
        calls = 0
        def __call__(self, luma):
            import torch
            Random.calls += 1
            rng = torch.Generator().manual_seed(Random.calls)
            shade = torch.rand((len(luma), 2, 1, 1), generator=rng)
            return (0.1 * shade).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("random", "r", 16, lambda options: Random())]
"""


def coloured_clip(path, frames=24):
    """A film in colour whose colours do not change."""
    cells = np.random.default_rng(3).integers(40, 216, (6, 8, 3), dtype=np.uint8)
    rgb = cells.repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv444p"
        for _ in range(frames):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        film.mux(stream.encode(None))
    return path


HALVES = """
    import batchcolor

    def halves(luma):
        import torch
        chroma = torch.zeros(len(luma), 2, 16, 16)
        chroma[:, :, :8] = torch.tensor(UPPER).reshape(2, 1, 1)
        chroma[:, :, 8:] = torch.tensor(LOWER).reshape(2, 1, 1)
        return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("halves", "two colours", 16, lambda options: halves)]
"""
UPPER, LOWER = (200, 90, 60), (60, 110, 190)


def clip_of_two_colours(path, size, matrix, degrees):
    """A film, `UPPER` above `LOWER` when shown upright; limited range, the matrix not tagged."""
    width, height = size
    upright = np.empty((height, width, 3), np.float64)
    upright[: height // 2], upright[height // 2 :] = UPPER, LOWER
    red, green, blue = np.moveaxis(np.rot90(upright, -(degrees // 90)) / 255, -1, 0)
    kr, kb = {"BT.601": (0.299, 0.114), "BT.709": (0.2126, 0.0722)}[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    planes = np.stack([16 + 219 * luma, 128 + 224 * cb, 128 + 224 * cr]).round().astype(np.uint8)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "5", "preset": "ultrafast"})
        stream.height, stream.width = planes.shape[1:]
        stream.pix_fmt = "yuv444p"
        if degrees:
            stream.set_display_rotation(degrees)
        for _ in range(2):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv444p")))
        film.mux(stream.encode(None))
    return path


def bt601_chroma(colour):
    red, green, blue = np.array(colour) / 255
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return [float((blue - luma) / 1.772), float((red - luma) / 1.402)]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize(
    ("size", "matrix"), [((96, 64), "BT.601"), ((1280, 720), "BT.709"), ((720, 1280), "BT.709")]
)
def test_known_colours_have_no_error_whatever_rotation_and_untagged_matrix(
    plugin, command, tmp_path, size, matrix, degrees
):
    source = HALVES.replace("UPPER", str(bt601_chroma(UPPER)))
    plugin("halves", source.replace("LOWER", str(bt601_chroma(LOWER))))
    clip = clip_of_two_colours(tmp_path / "film.mp4", size, matrix, degrees)
    result = command("evaluate", "--video", clip, "-m", "halves", "--json")
    assert result.returncode == 0, result.stderr
    rows = {row["stabilize"]: row for row in json.loads(result.stdout)["films"]}
    assert rows["off"]["delta_e"] < 2


def test_every_stabilization_mode_and_the_reference_are_measured(plugin, command, tmp_path):
    plugin("randompack", RANDOM)
    clip = coloured_clip(tmp_path / "film.mkv")
    result = command("evaluate", "--video", clip, "-m", "random", "--json")
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
    assert rows["truth"]["shot_difference"] < 1
    assert rows["best"]["shot_difference"] < 0.5 * rows["off"]["shot_difference"]
    assert rows["truth"]["scene_difference"] is None  # no shot returns
    assert "halo" in rows["truth"]
    shown = command("evaluate", "--video", clip, "-m", "random")
    assert "flicker" in shown.stdout
    assert "swing" in shown.stdout


def test_grey_film_has_flicker_but_no_colour_error(flat, command, make_clip, tmp_path):
    result = command("evaluate", "--video", make_clip(tmp_path / "f.mp4"), "-m", flat, "--json")
    assert result.returncode == 0, result.stderr
    assert all(row["delta_e"] is None for row in json.loads(result.stdout)["films"])


def test_unreadable_film_is_reported_and_the_others_are_measured(
    flat, command, make_clip, tmp_path
):
    (tmp_path / "bad.mp4").write_bytes(b"rubbish")
    clip = make_clip(tmp_path / "film.mp4")
    arguments = ("--video", tmp_path / "bad.mp4", "--video", clip, "-m", flat, "--json")
    result = command("evaluate", *arguments)
    assert result.returncode == 3
    document = json.loads(result.stdout)
    assert [failure[0] for failure in document["failures"]] == [str(tmp_path / "bad.mp4")]
    assert {row["film"] for row in document["films"]} == {str(clip)}


@pytest.mark.parametrize(
    "arguments", [[], ["--data", ".", "--video", "f.mp4"], ["--video", "f.mp4", "--limit", "3"]]
)
def test_options_that_exclude_each_other_are_refused(command, arguments):
    assert command("evaluate", *arguments).returncode == 2
