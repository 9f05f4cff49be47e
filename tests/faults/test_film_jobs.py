"""Jobs on films that are stopped or killed in the middle, or too much for their disk."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image


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


@pytest.mark.parametrize("small_disk", ["512k"], indirect=True)
def test_a_full_disk_stops_with_exit_4_and_more_room_lets_the_same_command_go_on(
    flat, command, tmp_path, small_disk, frames_of, temporaries
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


def pixels_of(path):
    with av.open(str(path)) as film:
        return [(f.pts * f.time_base, f.to_ndarray().tobytes()) for f in film.decode(video=0)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "best"])
def test_a_killed_film_goes_on_from_its_last_segment_and_equals_one_that_was_not(
    start, command, make_clip, tmp_path, mode, frames_of, temporaries, segments
):
    clip, out = make_clip(tmp_path / "film.mp4", frames=420), tmp_path / "out"
    options = ("-m", "slow", "--batch-size", "1", "--stabilize", mode)
    process = start(clip, out, "--stabilize", mode)
    process.kill()
    process.communicate()
    assert not (out / "film.mp4").exists()
    again = command("run", clip, "-o", out, *options, "--json")
    assert again.returncode == 0, again.stderr
    document = json.loads(again.stdout)
    assert any("resumed at frame 250" in note for note in document["notes"])
    assert document["frames"] == 170
    assert not segments(out)
    assert not temporaries(out)
    assert command("run", clip, "-o", "whole", *options).returncode == 0
    assert pixels_of(out / "film.mp4") == pixels_of(tmp_path / "whole" / "film.mp4")
    assert len(frames_of(out / "film.mp4")) == 420


@pytest.mark.slow
@pytest.mark.parametrize("change", ["settings", "source"])
def test_segments_of_another_source_or_other_settings_are_not_used(
    start, command, make_clip, tmp_path, change, segments
):
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


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_film_soon_and_keeps_its_segments_for_the_next_run(
    start, make_clip, tmp_path, number, code, temporaries, segments
):
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


@pytest.mark.slow
def test_a_film_whose_source_changes_meanwhile_is_named_and_makes_nothing(
    start, make_clip, tmp_path, temporaries, segments
):
    clip, out = make_clip(tmp_path / "film.mkv", frames=330), tmp_path / "out"
    process = start(clip, out)
    with clip.open("ab") as file:
        file.write(b"\0" * 100)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "the source changed" in " ".join(said.split())
    assert not (out / "film.mkv").exists()
    assert not temporaries(out)
    assert not segments(out)


@pytest.mark.slow
def test_a_killed_folder_of_frames_goes_on_and_equals_one_that_was_not(
    start, command, make_clip, tmp_path
):
    clip, out = make_clip(tmp_path / "film.mp4", frames=420), tmp_path / "out"
    options = ("--to-frames", "--format", "bmp")
    process = start(clip, out, *options)
    process.kill()
    process.communicate()
    assert not (out / "film-frames").exists()
    words = ("-m", "slow", "--batch-size", "1", *options)
    again = command("run", clip, "-o", out, *words, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["frames"] == 170
    assert command("run", clip, "-o", "whole", *words).returncode == 0
    made, whole = (
        {path.name: path.read_bytes() for path in (folder / "film-frames").iterdir()}
        for folder in (out, tmp_path / "whole")
    )
    assert len(whole) == 420
    assert made == whole


def test_a_folder_that_lost_its_name_in_a_kill_between_two_renames_has_it_back(
    flat, command, make_clip, tmp_path
):
    clip, out = make_clip(tmp_path / "film.mp4"), tmp_path / "out"
    words = ("run", clip, "-m", flat, "-o", out, "--to-frames")
    assert command(*words).returncode == 0
    name = hashlib.sha256(os.fsencode(clip)).hexdigest()[:16]
    former = out / ".batchcolor" / "films" / name / "former"
    former.parent.mkdir(parents=True)
    (out / "film-frames").rename(former)
    (former / "000099.png").write_text("the old one")
    result = command(*words, "--strength", "0.5")
    assert result.returncode == 3
    assert "its name was taken" in " ".join(result.stderr.split())
    assert (out / "film-frames" / "000099.png").exists()
    again = command(*words, "--strength", "0.5", "--if-exists", "overwrite", "--retry-failed")
    assert again.returncode == 0, again.stderr
    assert not (out / "film-frames" / "000099.png").exists()
    assert len(list((out / "film-frames").iterdir())) == 12


@pytest.fixture
def reel(tmp_path):
    """A folder of 330 numbered frames."""
    folder = tmp_path / "reel"
    folder.mkdir()
    ramp = np.linspace(30, 180, 64 * 48).reshape(48, 64).astype(np.uint8)
    for number in range(330):
        Image.fromarray(np.roll(ramp, number, axis=1)).save(folder / f"{number:04d}.png")
    return folder


@pytest.mark.slow
def test_a_killed_film_of_frames_goes_on_and_equals_one_that_was_not(
    start, command, reel, tmp_path
):
    out = tmp_path / "out"
    process = start(reel, out, "--frames")
    process.kill()
    process.communicate()
    words = ("-m", "slow", "--batch-size", "1", "--frames")
    again = command("run", reel, "-o", out, *words, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["frames"] == 80
    assert command("run", reel, "-o", "whole", *words).returncode == 0
    assert pixels_of(out / "reel.mp4") == pixels_of(tmp_path / "whole" / "reel.mp4")


@pytest.mark.slow
def test_a_folder_of_frames_that_changes_meanwhile_is_named_and_makes_nothing(
    start, reel, tmp_path
):
    process = start(reel, tmp_path / "out", "--frames")
    (reel / "0300.png").write_bytes((reel / "0001.png").read_bytes())
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "the source changed" in " ".join(said.split())
    assert not (tmp_path / "out" / "reel.mp4").exists()


LAZY = """
    import batchcolor, time

    def lazy(luma):
        time.sleep(0.5)
        return (luma[:, :, ::4, ::4] - 0.5).mul(0.4).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("lazy", "half a second each", 16, lambda options: lazy)]
"""


@pytest.mark.slow
@pytest.mark.usefixtures("default_signals")
def test_a_film_that_is_refused_is_named_before_other_work_begins(
    environment, plugin, make_clip, album, tmp_path
):
    plugin("lazypack", LAZY)
    folder = album(40)
    make_clip(folder / "z.mkv", subtitles=("deu",))
    words = ["run", folder, "-m", "lazy", "-o", "out", "--format", "mp4", "--batch-size", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "batchcolor", *map(str, words)],
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = process.stderr.readline()
    done = len(list((tmp_path / "out").rglob("*.jpg")))
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert "cannot be coloured" in first, first + rest
    assert "z.mkv" in first
    assert done < 3
    assert process.returncode == 130
