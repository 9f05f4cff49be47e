"""The location of chroma samples is read from H.264 and H.265, and stated by results."""

import shutil
import subprocess

import av
import pytest

from batchcolor.video.chroma_location import NAMES, read_chroma_location


def read_location(path):
    with av.open(str(path)) as film:
        context = film.streams.video[0].codec_context
        return read_chroma_location(context.name, bytes(context.extradata or b""))


def write_source(make_clip, path, codec, number, parameters=""):
    option = {"libx264": "x264-params", "libx265": "x265-params"}[codec]
    quiet = "log-level=none:" if codec == "libx265" else ""

    def setup(stream):
        text = f"{quiet}chromaloc={number}{parameters}"
        stream.codec_context.options = {option: text, "preset": "ultrafast"}

    return make_clip(path, codec=codec, frames=2, setup=setup)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize(
    ("codec", "suffix", "parameters"),
    [
        ("libx264", ".mp4", ":sar=4/3"),
        ("libx264", ".ts", ":cqm=jvt:interlaced=1"),
        ("libx265", ".ts", ":sar=2:scaling-list=default"),
        ("libx265", ".ts", ":temporal-layers=3:bframes=4:repeat-headers=1"),
    ],
)
def test_location_is_read_from_the_parameter_set(
    make_clip, tmp_path, codec, suffix, parameters, number
):
    path = write_source(make_clip, tmp_path / f"a{suffix}", codec, number, parameters)
    is_default = codec == "libx264" and number == 0  # x264 does not state the default
    assert read_location(path) == ("" if is_default else NAMES[number])


def test_a_truncated_header_states_no_location(make_clip, tmp_path):
    path = write_source(make_clip, tmp_path / "a.ts", "libx265", 2)
    with av.open(str(path)) as film:
        data = bytes(film.streams.video[0].codec_context.extradata)
    assert read_chroma_location("hevc", data) == "topleft"
    for length in range(0, len(data), 7):
        assert read_chroma_location("hevc", data[:length]) in ("", "topleft")


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_result_has_the_location_of_the_source(command, flat, make_clip, tmp_path, codec):
    write_source(make_clip, tmp_path / "a.ts", "libx265", 2)
    options = ("--codec", codec, "--preset", "ultrafast")
    result = command("run", "a.ts", "-m", flat, "-o", "out", "--format", "mp4", *options)
    assert result.returncode == 0, result.stderr
    assert read_location(tmp_path / "out" / "a.mp4") == "topleft"


def test_mkv_states_the_location_where_the_codec_does_not(command, flat, make_clip, tmp_path):
    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        pytest.skip("ffprobe is not on PATH")
    write_source(make_clip, tmp_path / "a.mkv", "libx264", 2)
    result = command("run", "a.mkv", "-m", flat, "-o", "out", "--codec", "ffv1")
    assert result.returncode == 0, result.stderr
    show = [ffprobe, "-v", "error", "-show_entries", "stream=chroma_location", "-of", "csv=p=0"]
    shown = subprocess.run(
        [*show, str(tmp_path / "out" / "a.mkv")], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "topleft"
