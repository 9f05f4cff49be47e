"""NVIDIA's encoders: their options, and the message if there are none."""

import av
import pytest
import torch

from batchcolor.errors import UsageError
from batchcolor.images.formats import MOV, WEBM
from batchcolor.video.output.codec_choice import choose_container
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.encoders import require_encoder

NAMES = ["h264_nvenc", "hevc_nvenc"]


def unavailable_reason(name):
    """Returns why the encoder is not available; empty if it is."""
    try:
        require_encoder(VideoSettings(name))
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_crf_and_preset_set_the_options_of_the_encoder(name):
    defaults = VideoSettings(name)
    assert defaults.encoder_options == {
        "rc": "vbr",
        "b": "0",
        "cq": "19" if name == "h264_nvenc" else "22",
        "preset": "p5",
    }
    custom = VideoSettings(name, crf=30, preset="p7").encoder_options
    assert (custom["cq"], custom["preset"]) == ("30", "p7")
    assert choose_container(defaults, MOV) == MOV
    assert choose_container(defaults, WEBM).name == "mkv"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "medium"}, "presets of h264_nvenc: p1, p2"),
        ({"crf": 52}, "0 to 51"),
        ({"bit_depth": 10}, "h264_nvenc supports only 8"),
    ],
)
def test_options_that_the_encoder_lacks_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        VideoSettings("h264_nvenc", **options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_missing_encoder_is_reported_before_anything_is_written(
    flat, command, make_clip, tmp_path, name, options
):
    if not unavailable_reason(name):
        pytest.skip("this machine has the encoder")
    clip = make_clip(tmp_path / "film.mp4")
    result = command("run", clip, "-m", flat, "-o", "out", "--codec", name, *options)
    assert result.returncode == 2
    message = " ".join(result.stderr.split())
    assert f"--codec {name}" in message
    assert "NVIDIA GPU" in message or "the installed PyAV has no encoder" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.cuda
@pytest.mark.parametrize("name", NAMES)
def test_film_is_encoded_by_the_gpu(flat, command, make_clip, tmp_path, name):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    if reason := unavailable_reason(name):
        pytest.skip(reason)
    clip = make_clip(tmp_path / "film.mp4", frames=30, sizes=((640, 480),), audio=("aac",))
    result = command("run", clip, "-m", flat, "-o", "out", "--codec", name)
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out" / "film.mp4")) as film:
        assert film.streams.video[0].codec_context.name == name.split("_")[0]
        assert len(list(film.decode(video=0))) == 30
