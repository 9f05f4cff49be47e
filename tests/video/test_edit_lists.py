"""mp4 films whose edit list hides a part of them, or lets their picture begin late."""

import json
import struct

import numpy as np
import pytest

FRAME = 512
"""Ticks of a frame at 25 a second, in the time base of `make_clip`."""


def edited(clip, frames, seconds):
    """The same film, whose edit list begins so many frames later and lasts so many seconds."""
    data = bytearray(clip.read_bytes())
    place = data.index(b"elst") + 4  # that of the picture, whose track is the first
    version, entries, _, begins = struct.unpack_from(">IIIi", data, place)
    assert (version, entries) == (0, 1)
    struct.pack_into(">Ii", data, place + 8, int(seconds * 1000), begins + frames * FRAME)
    clip.write_bytes(data)
    return clip


@pytest.mark.parametrize("frames", [7, 30])
@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_what_an_edit_list_hides_is_not_missed_and_all_else_keeps_its_time(
    make_clip, flat, command, look, same_times, tmp_path, frames, strict
):
    clip = make_clip(tmp_path / "film.mp4", frames=60, audio=("aac",))
    whole = look(clip)
    before = look(edited(clip, frames, seconds=1))
    assert 24 <= len(before.times) < len(whole.times)
    result = command("run", clip, "-m", flat, "-o", "out", "--crf", "1", "--json", *strict)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["notes"] == []
    after = look(tmp_path / "out" / "film.mp4")
    same_times(before, after)
    for old, new in zip(before.luma, after.luma, strict=True):
        assert np.abs(old - new).mean() < 0.7
    assert [digest for digest, _ in after.packets[1]] == [d for d, _ in before.packets[1]]


def test_frames_that_an_edit_list_has_cut_off_are_not_missed(
    make_clip, flat, command, look, tmp_path
):
    """As an editor trims a film whose every frame stands for itself."""
    clip = make_clip(
        tmp_path / "film.mov", codec="mjpeg", pixel_format="yuvj420p", frames=60, audio=("aac",)
    )
    before = look(edited(clip, 20, seconds=1))
    result = command("run", clip, "-m", flat, "-o", "out", "--json", "--strict")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["notes"] == []
    after = look(tmp_path / "out" / "film.mov")
    assert len(after.times) == len(before.times) < 40


def test_a_picture_that_begins_after_its_sound_still_does(
    make_clip, coloured, same_times, tmp_path
):
    times = [10 * FRAME + n * FRAME for n in range(30)]
    clip = make_clip(tmp_path / "film.mp4", frames=30, times=times, audio=("aac",))
    before, after, _ = coloured(clip)
    assert before.times[0] == pytest.approx(0.4)
    same_times(before, after)
    sounds = [film.packets[1][0][1] for film in (before, after)]
    assert sounds[0] == sounds[1]
