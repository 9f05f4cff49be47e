"""Every frame of a film is there, at its time."""

from fractions import Fraction

import av
import numpy as np
import pytest


def test_every_frame_is_there_at_its_time_in_colour_with_its_own_luma(
    make_clip, coloured, tmp_path, same_times
):
    before, after, _ = coloured(make_clip(tmp_path / "film.mp4", frames=30))
    same_times(before, after)
    for old, new in zip(before.luma, after.luma, strict=True):
        assert np.abs(old - new).mean() < 0.5
    cb, cr = after.chroma[15]
    assert cb.mean() > 128 + 15
    assert cr.mean() < 128 - 10


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("variable.mkv", [0, 40, 41, 200, 233, 266, 900, 901, 902, 1500, 1501, 3000]),
        ("variable.mp4", [0, 40, 41, 200, 233, 266, 900, 901, 902, 1500, 1501, 3000]),
        ("late.mkv", [5000 + 40 * n for n in range(12)]),
    ],
)
def test_a_variable_frame_rate_is_kept_to_the_tick(
    make_clip, coloured, tmp_path, name, times, same_times
):
    clip = make_clip(tmp_path / name, times=times, time_base=Fraction(1, 1000))
    before, after, _ = coloured(clip)
    same_times(before, after)


@pytest.mark.parametrize(
    "times",
    [
        [0, 40, 80, 60, 160, 200, 240, 280, 320, 360, 400, 440],
        [0, 40, 80, 80, 80, 200, 240, 280, 320, 360, 400, 440],
        [1000, 1040, 1080, 1120, 1160, 1200, 0, 40, 80, 120, 160, 200],
    ],
    ids=["back", "repeated", "restarted"],
)
def test_times_that_go_back_or_repeat_are_kept_to_the_tick(
    make_clip, coloured, tmp_path, times, same_times
):
    ordered = make_clip(tmp_path / "made" / "film.mkv", codec="mjpeg", pixel_format="yuvj420p")
    clip = tmp_path / "film.mkv"
    with av.open(str(ordered)) as source, av.open(str(clip), "w", options={}) as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        packets = [packet for packet in source.demux() if packet.size]
        for packet, time in zip(packets, times, strict=True):
            packet.stream, packet.pts, packet.dts = stream, time, 0
            target.mux(packet)
    before, after, _ = coloured(clip)
    assert [float(t) for t in before.times] == [t / 1000 for t in times]
    same_times(before, after)


def test_ntsc_rates_stay_fractions(make_clip, coloured, tmp_path, same_times):
    rate = Fraction(30000, 1001)
    clip = make_clip(tmp_path / "film.mp4", rate=rate, time_base=Fraction(1, 30000))
    before, after, _ = coloured(clip)
    assert before.rate == after.rate == rate
    same_times(before, after)


def test_reordered_frames_with_jittering_times_are_kept_to_the_tick(
    make_clip, coloured, tmp_path, same_times
):
    ordered = make_clip(tmp_path / "made" / "film.mkv", frames=40, time_base=Fraction(1, 1000))
    clip = tmp_path / "film.mkv"
    with av.open(str(ordered)) as source, av.open(str(clip), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for index, packet in enumerate(p for p in source.demux() if p.size):
            packet.stream, packet.dts = stream, -1000
            packet.pts += 0 if packet.pts < 80 else (0, 50, -60, 7)[index % 4]
            target.mux(packet)
    before, after, _ = coloured(clip)
    assert before.times != sorted(before.times)
    same_times(before, after)


def test_a_late_start_is_kept_to_the_tick_where_mp4_would_round_it(
    make_clip, coloured, tmp_path, same_times
):
    clip = make_clip(
        tmp_path / "late.mp4",
        rate=Fraction(30000, 1001),
        time_base=Fraction(1, 30000),
        times=[1001 * (n + 1) for n in range(12)],
        muxer={"movie_timescale": "30000"},
    )
    before, after, _ = coloured(clip)
    assert before.times[0] == pytest.approx(1001 / 30000)
    same_times(before, after)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_an_avi_which_tells_no_times_is_shown_in_the_order_of_its_frames(
    make_clip, coloured, tmp_path, codec
):
    """Of B-frames in AVI FFmpeg guesses times, and for H.264 they go back."""

    def setup(stream):
        stream.codec_context.max_b_frames = 2

    rates = {"rate": Fraction(25), "time_base": Fraction(1, 25)}
    clip = make_clip(tmp_path / "tape.avi", codec=codec, frames=40, setup=setup, **rates)
    before, after, _ = coloured(clip)
    assert (before.times != sorted(before.times)) is (codec == "libx264")
    steps = np.array([float(time) for time in after.times]) - float(before.times[0])
    assert steps == pytest.approx(np.arange(40) / 25, abs=0.001)
    for old, new in zip(before.luma, after.luma, strict=True):
        assert np.abs(old - new).mean() < 0.7


def test_times_before_zero_which_mkv_cannot_hold_are_set_forward_and_that_is_said(
    make_clip, coloured, tmp_path, command, flat
):
    clip = make_clip(
        tmp_path / "early.mkv",
        codec="mjpeg",
        pixel_format="yuvj420p",
        times=[-200 + 40 * n for n in range(20)],
        time_base=Fraction(1, 1000),
        muxer={"avoid_negative_ts": "disabled"},
    )
    before, after, _ = coloured(clip)
    assert before.times[0] == Fraction(-1, 5)
    assert after.times[0] == 0
    assert np.diff(after.times).tolist() == np.diff(before.times).tolist()
    again = command("run", clip, "-m", flat, "-o", "again", "--json")
    assert "before zero" in again.stdout
