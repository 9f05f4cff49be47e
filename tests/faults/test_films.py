"""Films that are damaged, odd or too much for their disk; jobs that are killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

SLOW = """
    import batchcolor, time

    class Slow:
        def __call__(self, luma):
            import torch
            time.sleep(0.02)
            return (luma[:, :, ::4, ::4] - 0.5).mul(0.4).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("slow", "takes its time", 16, lambda options: Slow())]
"""


def frames_of(path):
    """Times of the frames that an independent reader gets, stepping over what is damaged."""
    times = []
    with av.open(str(path)) as film:
        for packet in film.demux(film.streams.video[0]):
            try:
                times += [frame.time for frame in packet.decode()]
            except av.FFmpegError:
                continue
    return times


def duration_of(path):
    with av.open(str(path)) as film:
        return film.duration / 1e6


def temporaries(folder):
    return list(Path(folder).rglob("*.batchcolor-tmp"))


@pytest.fixture
def report(flat, command, tmp_path):
    """Runs the command on films and gives its exit code and report."""

    def run(*arguments):
        result = command("run", *arguments, "-m", flat, "-o", "out", "--json")
        return result.returncode, json.loads(result.stdout)

    return run


def failure(told):
    """The one failure of a report, as its step and reason."""
    (only,) = told["failures"]
    return only["step"], only["reason"]


def index_first(clip, target):
    """The same film with its index before its pictures, as films on the web have it."""
    options = {"movflags": "faststart"} if target.suffix == ".mp4" else {}
    with (
        av.open(str(clip)) as source,
        av.open(str(target), "w", container_options=options) as moved,
    ):
        stream = moved.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                moved.mux(packet)


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_a_truncated_film_keeps_what_decodes_and_its_length_and_says_so(
    report, make_clip, tmp_path, name
):
    cut = tmp_path / name
    index_first(make_clip(tmp_path / "made" / name, frames=100, sizes=((96, 64),)), cut)
    whole = duration_of(cut)
    os.truncate(cut, cut.stat().st_size * 2 // 3)
    code, told = report(cut)
    assert code == 0, told
    out = tmp_path / "out" / name
    assert frames_of(out) == pytest.approx(frames_of(cut), abs=0.001)
    assert 0 < len(frames_of(out)) < 100
    assert duration_of(out) == pytest.approx(whole, abs=0.05)
    assert any("its picture ends" in note for note in told["notes"]), told["notes"]
    code, told = report(cut, "--strict", "--if-exists", "overwrite")
    assert code == 3
    assert failure(told)[0] == "decode"


def test_damaged_packets_are_named_and_all_other_frames_keep_their_time(
    report, make_clip, tmp_path
):
    broken = make_clip(tmp_path / "film.mp4", frames=60, sizes=((96, 64),))
    data = bytearray(broken.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = b"\x55" * 40
    broken.write_bytes(data)
    code, told = report(broken)
    assert code == 0, told
    assert any("damaged" in note for note in told["notes"])
    times = frames_of(tmp_path / "out" / "film.mp4")
    assert times == pytest.approx(frames_of(broken), abs=0.001)
    assert 50 < len(times) < 60
    assert times[-1] == pytest.approx(59 / 25, abs=0.001)
    code, told = report(broken, "--strict", "--if-exists", "overwrite")
    assert code == 3
    assert "--strict" in failure(told)[1]


def sound_only(path, make_clip):
    whole = make_clip(path.with_name("whole.mkv"), audio=("aac",))
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0], opaque=True)
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    whole.unlink()


def cover_only(path, make_clip):
    whole = make_clip(
        path.with_name("whole.mkv"), audio=("aac",), codec="mjpeg", pixel_format="yuvj420p"
    )
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        cover = target.add_stream_from_template(source.streams.video[0], opaque=True)
        cover.disposition = av.stream.Disposition.attached_pic
        sound = target.add_stream_from_template(source.streams.audio[0], opaque=True)
        first = True
        for packet in source.demux():
            if packet.size and (packet.stream.type == "audio" or first):
                first = first and packet.stream.type == "audio"
                packet.stream = sound if packet.stream.type == "audio" else cover
                target.mux(packet)
    whole.unlink()


def no_frames(path, make_clip):
    make_clip(path, frames=5)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    path.write_bytes(data)


def rubbish(path, make_clip):
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(range(256)) * 8)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (sound_only, "no moving picture"),
        (cover_only, "cover picture"),
        (no_frames, "not one frame"),
        (rubbish, "cannot be read"),
    ],
    ids=["sound only", "cover only", "no frames", "rubbish"],
)
def test_what_has_no_picture_to_colour_is_named_and_makes_nothing(
    report, make_clip, tmp_path, make, words
):
    (tmp_path / "films").mkdir()
    make(tmp_path / "films" / "film.mp4", make_clip)
    code, told = report(tmp_path / "films")
    assert code == 3
    step, reason = failure(told)
    assert step == "decode"
    assert words in reason
    assert [p.name for p in (tmp_path / "out").iterdir()] == [".batchcolor"]


def test_of_two_video_streams_the_better_is_coloured_and_the_other_copied(
    report, make_clip, tmp_path
):
    def setup(stream):
        stream.disposition = av.stream.Disposition.default if stream.width == 128 else 0

    clip = make_clip(tmp_path / "film.mp4", sizes=((64, 48), (128, 96)), setup=setup)
    code, told = report(clip)
    assert code == 0
    assert any("2 video streams: 1 is coloured, 0 copied" in note for note in told["notes"])
    with av.open(str(clip)) as before, av.open(str(tmp_path / "out" / "film.mp4")) as after:
        same = [[bytes(p) for p in film.demux(video=0)] for film in (before, after)]
    assert same[0] == same[1]


def test_a_size_that_changes_in_the_middle_is_brought_to_that_of_the_beginning(
    report, make_clip, tmp_path
):
    parts = [
        make_clip(
            tmp_path / "parts" / f"{n}.mkv", codec="mjpeg", pixel_format="yuvj420p", sizes=(s,)
        )
        for n, s in enumerate([(64, 48), (96, 80)])
    ]
    clip = tmp_path / "film.mkv"
    with (
        av.open(str(clip), "w") as target,
        av.open(str(parts[0])) as first,
        av.open(str(parts[1])) as second,
    ):
        stream = target.add_stream_from_template(first.streams.video[0], opaque=True)
        for offset, source in ((0, first), (480, second)):
            for packet in source.demux():
                if packet.size:
                    packet.stream = stream
                    packet.pts += offset
                    packet.dts = packet.pts
                    target.mux(packet)
    code, told = report(clip)
    assert code == 0, told
    assert any("size changes" in note for note in told["notes"])
    with av.open(str(tmp_path / "out" / "film.mkv")) as film:
        assert {(f.width, f.height) for f in film.decode(video=0)} == {(64, 48)}
    assert len(frames_of(tmp_path / "out" / "film.mkv")) == 24


def test_a_track_that_the_container_cannot_hold_is_said_before_work_with_one_that_can(
    report, make_clip, tmp_path
):
    clip, target = make_clip(tmp_path / "film.mkv", subtitles=("deu",)), "mp4"
    code, told = report(clip, "--format", target, "--dry-run")
    assert code == 0
    assert "--format mkv can" in told["planned"][0]["reason"]
    code, told = report(clip, "--format", target)
    assert code == 3
    step, reason = failure(told)
    assert step == "plan"
    assert "subtitle track 1" in reason
    assert "--format mkv" in reason
    assert told["frames"] == 0
    assert not temporaries(tmp_path / "out")


def test_films_and_photographs_go_through_one_job(report, make_clip, album, tmp_path):
    folder = album(5)
    for index in range(3):
        make_clip(folder / f"film-{index}.mp4", frames=10)
    (folder / "unreadable.mkv").write_bytes(b"rubbish")
    code, told = report(folder, "--format", "png")
    assert code == 3
    assert told["done"] == 8
    assert told["frames"] == 30
    names = {
        p.suffix for p in (tmp_path / "out").rglob("*") if p.is_file() and ".batch" not in str(p)
    }
    assert names == {".png", ".mp4"}


def noisy_clip(path, frames=60, size=(160, 120)):
    """A film that takes its room on a disk."""
    chance = np.random.default_rng(0)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            grey = chance.integers(16, 236, (size[1], size[0]), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


@pytest.fixture
def small_disk(tmp_path):
    """A disk of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_stops_with_exit_4_and_more_room_lets_the_same_command_go_on(
    flat, command, tmp_path, small_disk
):
    clip, out = noisy_clip(tmp_path / "film.mp4"), small_disk / "out"
    result = command("run", clip, "-m", flat, "-o", out)
    assert result.returncode == 4, result.stderr
    assert "is full" in result.stderr
    assert not temporaries(small_disk)
    assert not (out / "film.mp4").exists()
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    assert command("run", clip, "-m", flat, "-o", out).returncode == 0
    assert len(frames_of(out / "film.mp4")) == 60


def segments(out):
    return list((Path(out) / ".batchcolor" / "films").glob("*/segment-*.packets"))


@pytest.fixture
def start(environment, tmp_path):
    """Starts a slow job on a film without waiting for it, and waits until it is under way."""
    started = []

    def run(clip, out, *options):
        words = [sys.executable, "-m", "batchcolor", "run", clip, "-m", "slow", "-o", out]
        process = subprocess.Popen(
            [*map(str, words), "--batch-size", "1", *options],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        end = time.monotonic() + 60
        while not segments(out):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(0.3)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def pixels_of(path):
    with av.open(str(path)) as film:
        return [(f.pts * f.time_base, f.to_ndarray().tobytes()) for f in film.decode(video=0)]


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_a_killed_film_goes_on_from_its_last_segment_and_equals_one_that_was_not(
    plugin, start, command, make_clip, tmp_path, mode
):
    plugin("slowpack", SLOW)
    clip, out = make_clip(tmp_path / "film.mp4", frames=420), tmp_path / "out"
    options = ("-m", "slow", "--batch-size", "1", "--stabilize", mode)
    process = start(clip, out, "--stabilize", mode)
    process.kill()
    process.communicate()
    assert not (out / "film.mp4").exists()
    again = command("run", clip, "-o", out, *options, "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert any("went on from frame 250" in note for note in told["notes"])
    assert told["frames"] == 170
    assert not segments(out)
    assert not temporaries(out)
    assert command("run", clip, "-o", "whole", *options).returncode == 0
    assert pixels_of(out / "film.mp4") == pixels_of(tmp_path / "whole" / "film.mp4")
    assert len(frames_of(out / "film.mp4")) == 420


@pytest.mark.parametrize("change", ["settings", "source"])
def test_segments_of_another_source_or_other_settings_are_not_used(
    plugin, start, command, make_clip, tmp_path, change
):
    plugin("slowpack", SLOW)
    clip, out = make_clip(tmp_path / "film.mp4", frames=330), tmp_path / "out"
    process = start(clip, out)
    process.kill()
    process.communicate()
    options = ["--crf", "30"] if change == "settings" else []
    if change == "source":
        make_clip(clip, frames=60, sizes=((48, 64),))
    again = command("run", clip, "-o", out, "-m", "slow", "--json", *options)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["frames"] == (60 if change == "source" else 330)
    assert not segments(out)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_film_soon_and_keeps_its_segments_for_the_next_run(
    plugin, start, make_clip, tmp_path, number, code
):
    plugin("slowpack", SLOW)
    clip, out = make_clip(tmp_path / "film.mp4", frames=2000), tmp_path / "out"
    process = start(clip, out)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code, said
    assert "run the same command again" in said
    assert not (out / "film.mp4").exists()
    assert not temporaries(out)
    assert segments(out)
    assert (out / ".batchcolor" / "journal.jsonl").stat().st_size == 0


def test_a_film_whose_source_changes_meanwhile_is_named_and_makes_nothing(
    plugin, start, make_clip, tmp_path
):
    plugin("slowpack", SLOW)
    clip, out = make_clip(tmp_path / "film.mkv", frames=330), tmp_path / "out"
    process = start(clip, out)
    with clip.open("ab") as file:
        file.write(b"\0" * 100)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "its source changed" in said.replace("\n", " ") or "changed" in said
    assert not (out / "film.mkv").exists()
    assert not temporaries(out)
    assert not segments(out)
