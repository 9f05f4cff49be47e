"""Timestamps: every frame is written at its time, also where timestamps decrease or repeat."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from batchcolor.color import BT601
from batchcolor.video.frame_format import FrameFormat
from batchcolor.video.output.timestamps import Timeline, compute_decoding_timestamps
from batchcolor.video.source_info import SourceInfo


def test_every_frame_keeps_its_time_and_luma_and_gets_colour(
    make_clip, colour_film, tmp_path, assert_same_times
):
    before, after, _ = colour_film(make_clip(tmp_path / "film.mp4", frames=30))
    assert_same_times(before, after)
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
def test_variable_frame_rate_is_kept_to_the_tick(
    make_clip, colour_film, tmp_path, name, times, assert_same_times
):
    clip = make_clip(tmp_path / name, times=times, time_base=Fraction(1, 1000))
    before, after, _ = colour_film(clip)
    assert_same_times(before, after)


@pytest.mark.parametrize(
    "times",
    [
        [0, 40, 80, 60, 160, 200, 240, 280, 320, 360, 400, 440],
        [0, 40, 80, 80, 80, 200, 240, 280, 320, 360, 400, 440],
        [1000, 1040, 1080, 1120, 1160, 1200, 0, 40, 80, 120, 160, 200],
    ],
    ids=["decreasing", "repeated", "restarted"],
)
def test_decreasing_and_repeated_timestamps_are_kept_to_the_tick(
    make_clip, colour_film, tmp_path, times, assert_same_times
):
    ordered = make_clip(tmp_path / "parts" / "film.mkv", codec="mjpeg", pixel_format="yuvj420p")
    clip = tmp_path / "film.mkv"
    with av.open(str(ordered)) as source, av.open(str(clip), "w", options={}) as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        packets = [packet for packet in source.demux() if packet.size]
        for packet, time in zip(packets, times, strict=True):
            packet.stream, packet.pts, packet.dts = stream, time, 0
            target.mux(packet)
    before, after, _ = colour_film(clip)
    assert [float(t) for t in before.times] == [t / 1000 for t in times]
    assert_same_times(before, after)


def test_ntsc_frame_rate_is_kept_as_a_fraction(make_clip, colour_film, tmp_path, assert_same_times):
    rate = Fraction(30000, 1001)
    clip = make_clip(tmp_path / "film.mp4", rate=rate, time_base=Fraction(1, 30000))
    before, after, _ = colour_film(clip)
    assert before.rate == after.rate == rate
    assert_same_times(before, after)


def test_jittering_timestamps_of_reordered_frames_are_kept_to_the_tick(
    make_clip, colour_film, tmp_path, assert_same_times
):
    ordered = make_clip(tmp_path / "parts" / "film.mkv", frames=40, time_base=Fraction(1, 1000))
    clip = tmp_path / "film.mkv"
    with av.open(str(ordered)) as source, av.open(str(clip), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for index, packet in enumerate(p for p in source.demux() if p.size):
            packet.stream, packet.dts = stream, -1000
            packet.pts += 0 if packet.pts < 80 else (0, 50, -60, 7)[index % 4]
            target.mux(packet)
    before, after, _ = colour_film(clip)
    assert before.times != sorted(before.times)
    assert_same_times(before, after)


def test_late_start_is_kept_to_the_tick_in_mp4(make_clip, colour_film, tmp_path, assert_same_times):
    clip = make_clip(
        tmp_path / "late.mp4",
        rate=Fraction(30000, 1001),
        time_base=Fraction(1, 30000),
        times=[1001 * (n + 1) for n in range(12)],
        muxer={"movie_timescale": "30000"},
    )
    before, after, _ = colour_film(clip)
    assert before.times[0] == pytest.approx(1001 / 30000)
    assert_same_times(before, after)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_frames_of_an_avi_with_b_frames_are_shown_in_order(make_clip, colour_film, tmp_path, codec):
    """FFmpeg estimates timestamps of B-frames in AVI; for H.264 they decrease."""

    def setup(stream):
        stream.codec_context.max_b_frames = 2

    rates = {"rate": Fraction(25), "time_base": Fraction(1, 25)}
    clip = make_clip(tmp_path / "tape.avi", codec=codec, frames=40, setup=setup, **rates)
    before, after, _ = colour_film(clip)
    assert (before.times != sorted(before.times)) is (codec == "libx264")
    steps = np.array([float(time) for time in after.times]) - float(before.times[0])
    assert steps == pytest.approx(np.arange(40) / 25, abs=0.001)
    for old, new in zip(before.luma, after.luma, strict=True):
        assert np.abs(old - new).mean() < 0.7


def test_negative_timestamps_are_shifted_in_mkv_and_reported(
    make_clip, colour_film, tmp_path, command, flat
):
    clip = make_clip(
        tmp_path / "early.mkv",
        codec="mjpeg",
        pixel_format="yuvj420p",
        times=[-200 + 40 * n for n in range(20)],
        time_base=Fraction(1, 1000),
        muxer={"avoid_negative_ts": "disabled"},
    )
    before, after, _ = colour_film(clip)
    assert before.times[0] == Fraction(-1, 5)
    assert after.times[0] == 0
    assert np.diff(after.times).tolist() == np.diff(before.times).tolist()
    again = command("run", clip, "-m", flat, "-o", "again", "--json")
    assert "before zero" in again.stdout


def test_timeline_restored_from_its_state_continues_identically():
    frame_format = FrameFormat(64, 48, "yuv420p", BT601)
    source = SourceInfo(Path("film.mkv"), 0, frame_format, Fraction(25), Fraction(1, 1000))
    whole = Timeline(source)
    times = [1000, 1040, 1040, None, 0, 40, 20, 80]  # restarted, repeated, missing, decreasing

    def assign(timeline, part):
        frames = [av.VideoFrame(64, 48, "yuv420p") for _ in part]
        for frame, pts in zip(frames, part, strict=True):
            frame.pts = pts
            timeline.assign_encoder_pts(frame)
        return [frame.pts for frame in frames]

    expected = assign(whole, times)
    assert (np.diff(expected) > 0).all()
    assert whole.end == 1120
    for split in range(1, len(times)):
        first, resumed = Timeline(source), Timeline(source)
        assert assign(first, times[:split]) == expected[:split]
        resumed.restore(json.loads(json.dumps(first.state())))
        assert assign(resumed, times[split:]) == expected[split:]
        assert resumed.state() == whole.state()


@pytest.mark.parametrize("reorders", [True, False])
def test_short_last_frame_of_mp4_stays_short(make_clip, command, flat, tmp_path, reorders):
    whole = make_clip(
        tmp_path / "whole.mp4",
        frames=25,
        setup=lambda stream: setattr(stream, "options", {"bf": "2" if reorders else "0"}),
    )
    clip = tmp_path / "film.mp4"
    with av.open(str(whole)) as source, av.open(str(clip), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for packet in packets:
            packet.stream = stream
            packet.duration = 100 if packet is packets[-1] else 512
            target.mux(packet)
    assert command("run", clip, "-m", flat, "-o", "out").returncode == 0
    for path in (clip, tmp_path / "out" / "film.mp4"):
        with av.open(str(path)) as film:
            assert film.streams.video[0].duration == 24 * 512 + 100


def test_decoding_timestamps_that_x265_never_set_are_replaced():
    pts = np.array([0, 3750])
    unset = np.array([-4396770241120767045, -4396770241120763295])
    assert compute_decoding_timestamps(pts, unset).tolist() == [0, 3750]
    assert compute_decoding_timestamps(pts, np.array([-3750, 0])).tolist() == [-3750, 0]
