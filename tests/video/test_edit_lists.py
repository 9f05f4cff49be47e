"""Edit lists of mp4: they hide a part of a film, or delay its video."""

import json
import struct
from fractions import Fraction

import numpy as np
import pytest

FRAME = 512
"""Ticks per frame at 25 frames per second, in the time base of `make_clip`."""


def set_edit_list(clip, frames, seconds):
    """Changes the edit list of a film to skip the first frames and to last some seconds."""
    data = bytearray(clip.read_bytes())
    place = data.index(b"elst") + 4  # that of the video, the first track
    version, entries, _, start = struct.unpack_from(">IIIi", data, place)
    assert (version, entries) == (0, 1)
    struct.pack_into(">Ii", data, place + 8, int(seconds * 1000), start + frames * FRAME)
    clip.write_bytes(data)
    return clip


@pytest.mark.parametrize("frames", [7, 30])
@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_frames_hidden_by_an_edit_list_are_not_missing_and_others_keep_their_times(
    make_clip, flat, command, read_film, assert_same_times, tmp_path, frames, strict
):
    clip = make_clip(tmp_path / "film.mp4", frames=60, audio=("aac",))
    whole = read_film(clip)
    before = read_film(set_edit_list(clip, frames, seconds=1))
    assert 24 <= len(before.times) < len(whole.times)
    result = command("run", clip, "-m", flat, "-o", "out", "--crf", "1", "--json", *strict)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["notes"] == []
    after = read_film(tmp_path / "out" / "film.mp4")
    assert_same_times(before, after)
    for old, new in zip(before.luma, after.luma, strict=True):
        assert np.abs(old - new).mean() < 0.7
    assert [digest for digest, _ in after.packets[1]] == [d for d, _ in before.packets[1]]


def test_intra_frames_hidden_by_an_edit_list_are_not_missing(
    make_clip, flat, command, read_film, tmp_path
):
    """Editors trim films of intra frames in this way."""
    clip = make_clip(
        tmp_path / "film.mov", codec="mjpeg", pixel_format="yuvj420p", frames=60, audio=("aac",)
    )
    before = read_film(set_edit_list(clip, 20, seconds=1))
    result = command("run", clip, "-m", flat, "-o", "out", "--json", "--strict")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["notes"] == []
    after = read_film(tmp_path / "out" / "film.mov")
    assert len(after.times) == len(before.times) < 40


def test_delay_of_video_after_audio_is_kept(make_clip, colour_film, assert_same_times, tmp_path):
    times = [10 * FRAME + n * FRAME for n in range(30)]
    clip = make_clip(tmp_path / "film.mp4", frames=30, times=times, audio=("aac",))
    before, after, _ = colour_film(clip)
    assert before.times[0] == pytest.approx(0.4)
    assert_same_times(before, after)
    audio_starts = [film.packets[1][0][1] for film in (before, after)]
    assert audio_starts[0] == audio_starts[1]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_priming_of_audio_before_zero_keeps_its_time(
    make_clip, flat, command, read_film, tmp_path, container
):
    clip = make_clip(tmp_path / "film.mp4", audio=("aac",), frames=25)
    before = read_film(clip)
    assert before.packets[1][0][1] < 0
    words = ("run", clip, "-m", flat, "-o", "out", "--format", container)
    assert command(*words).returncode == 0
    after = read_film(tmp_path / "out" / f"film.{container}")
    assert [digest for digest, _ in after.packets[1]] == [d for d, _ in before.packets[1]]
    times = zip(after.packets[1], before.packets[1], strict=True)
    assert max(abs(a - b) for (_, a), (_, b) in times) <= Fraction(1, 1000)
    assert after.times == pytest.approx(before.times, abs=0.001)
