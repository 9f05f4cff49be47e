"""NVIDIA's encoders, on request: refused in a sentence where there are none."""

import av
import pytest
import torch

from batchcolor.errors import UsageError
from batchcolor.images.formats import MOV, WEBM
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.encoders import require_encoder

NAMES = ["h264_nvenc", "hevc_nvenc"]


def reason_against(name):
    """Why there is no such encoder here; empty where there is one."""
    try:
        require_encoder(VideoSettings(name))
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_the_options_are_those_of_the_encoder(name):
    usual = VideoSettings(name)
    assert usual.encoder_options == {
        "rc": "vbr",
        "b": "0",
        "cq": "19" if name == "h264_nvenc" else "22",
        "preset": "p5",
    }
    asked = VideoSettings(name, crf=30, preset="p7").encoder_options
    assert (asked["cq"], asked["preset"]) == ("30", "p7")
    assert usual.choose_container(MOV) == MOV
    assert usual.choose_container(WEBM).name == "mkv"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"preset": "medium"}, "presets of h264_nvenc: p1, p2"),
        ({"crf": 52}, "0 to 51"),
        ({"bit_depth": 10}, "h264_nvenc supports only 8"),
    ],
)
def test_what_the_encoder_does_not_know_is_refused(more, words):
    with pytest.raises(UsageError, match=words):
        VideoSettings("h264_nvenc", **more)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_machine_without_it_says_so_before_anything_is_touched(
    flat, command, make_clip, tmp_path, name, more
):
    if not reason_against(name):
        pytest.skip("this machine has the encoder")
    clip = make_clip(tmp_path / "film.mp4")
    result = command("run", clip, "-m", flat, "-o", "out", "--codec", name, *more)
    assert result.returncode == 2
    said = " ".join(result.stderr.split())
    assert f"--codec {name}" in said
    assert "NVIDIA GPU" in said or "the installed PyAV has no encoder" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.cuda
@pytest.mark.parametrize("name", NAMES)
def test_a_film_is_written_by_the_gpu(flat, command, make_clip, tmp_path, name):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    if reason := reason_against(name):
        pytest.skip(reason)
    clip = make_clip(tmp_path / "film.mp4", frames=30, sizes=((640, 480),), audio=("aac",))
    result = command("run", clip, "-m", flat, "-o", "out", "--codec", name)
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out" / "film.mp4")) as film:
        assert film.streams.video[0].codec_context.name == name.split("_")[0]
        assert len(list(film.decode(video=0))) == 30
