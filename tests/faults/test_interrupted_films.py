"""Jobs on films that are killed or stopped, whose source changes, or whose disk is full."""

import errno
import hashlib
import json
import os
import signal
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

import batchcolor.video.output.segments as segments_module
from batchcolor.video.output import segment_state
from tests.film_plugins import LUMA_DEPENDENT

MODEL = ("-m", "gated-film", "--batch-size", "1")


def noisy_clip(path, frames=60, size=(160, 120)):
    """Writes a film of noise, which takes much space on a disk."""
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            grey = generator.integers(16, 236, (size[1], size[0]), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("small_disk", ["512k"], indirect=True)
def test_full_disk_ends_with_exit_code_4_and_the_job_resumes_with_more_space(
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


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_killed_film_resumes_at_its_last_segment_and_equals_an_uninterrupted_one(
    start_film, command, make_clip, tmp_path, mode, frames_of, temporaries, segments
):
    clip, out = make_clip(tmp_path / "film.mp4", frames=60, cut=35), tmp_path / "out"
    process = start_film(clip, out, "--stabilize", mode)
    process.kill()
    process.communicate()
    assert not (out / "film.mp4").exists()
    resumed = command("run", clip, "-o", out, *MODEL, "--stabilize", mode, "--json")
    assert resumed.returncode == 0, resumed.stderr
    document = json.loads(resumed.stdout)
    assert any("resumed at frame 25" in note for note in document["notes"])
    assert document["frames"] == 35
    assert not segments(out)
    assert not temporaries(out)
    assert command("run", clip, "-o", "whole", *MODEL, "--stabilize", mode).returncode == 0
    assert pixels_of(out / "film.mp4") == pixels_of(tmp_path / "whole" / "film.mp4")
    assert len(frames_of(out / "film.mp4")) == 60


@pytest.fixture
def stop_after_first_segment(monkeypatch, command):
    """Runs a job whose disk is full when the second segment of 25 frames is written."""
    monkeypatch.setattr(segments_module, "SEGMENT_FRAMES", 25)

    def run(*arguments):
        write, written = segment_state.write_atomic, []

        def write_first(path, data):
            written.append(path.name)
            if path.name == "stabilizer-000002.npz":
                raise OSError(errno.ENOSPC, "No space left on device")
            write(path, data)

        with monkeypatch.context() as patch:
            patch.setattr(segment_state, "write_atomic", write_first)
            assert command("run", *arguments).returncode == 4
        assert "state.json" in written

    return run


@pytest.mark.parametrize("mode", ["fast", "best"])
def test_film_resumes_with_equal_frames_where_a_segment_ends_among_the_last_frames(
    stop_after_first_segment, command, plugin, make_clip, tmp_path, mode
):
    plugin("lumapack", LUMA_DEPENDENT)
    clip, out = make_clip(tmp_path / "film.mp4", frames=29), tmp_path / "out"
    arguments = (clip, "-m", "luma-dependent", "--stabilize", mode)
    stop_after_first_segment(*arguments, "-o", out)
    resumed = command("run", *arguments, "-o", out, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["frames"] == 4
    assert command("run", *arguments, "-o", "whole").returncode == 0
    assert pixels_of(out / "film.mp4") == pixels_of(tmp_path / "whole" / "film.mp4")


@pytest.mark.parametrize("options", [(), ("--to-frames", "--format", "bmp")])
def test_film_whose_finished_segment_is_damaged_is_coloured_again(
    stop_after_first_segment, command, plugin, make_clip, tmp_path, options
):
    plugin("lumapack", LUMA_DEPENDENT)
    clip, out = make_clip(tmp_path / "film.mp4", frames=29), tmp_path / "out"
    arguments = (clip, "-m", "luma-dependent", *options)
    stop_after_first_segment(*arguments, "-o", out)
    folder = next((out / ".batchcolor" / "films").iterdir())
    path = min(folder.glob("pictures/*" if options else "*.packets"))
    path.write_bytes(path.read_bytes()[:-1])
    again = command("run", *arguments, "-o", out, "--json")
    assert again.returncode == 0, again.stderr
    document = json.loads(again.stdout)
    assert document["frames"] == 29
    assert any("damaged or incomplete" in note for note in document["notes"])
    assert command("run", *arguments, "-o", "whole").returncode == 0
    for path in (tmp_path / "whole").rglob("film*/*" if options else "film.mp4"):
        assert path.read_bytes() == (out / path.relative_to(tmp_path / "whole")).read_bytes()


def test_picture_of_an_unfinished_segment_is_not_copied_into_a_gap(
    stop_after_first_segment, command, reel, plugin, tmp_path
):
    plugin("lumapack", LUMA_DEPENDENT)
    for number in (25, 26, 27):
        (reel / f"{number:04d}.png").unlink()
    arguments = (reel, "-m", "luma-dependent", "--frames", "--to-frames", "--format", "png")
    stop_after_first_segment(*arguments, "-o", tmp_path / "out")
    (pictures,) = (tmp_path / "out").rglob("pictures")
    (pictures / "0025.png").write_bytes(b"half a picture")
    (pictures / "0026.png").unlink()
    again = command("run", *arguments, "-o", tmp_path / "out")
    assert again.returncode == 0, again.stderr
    (folder,) = (tmp_path / "out").glob("reel*")
    names = [f"{number:04d}.png" for number in range(24, 28)]
    assert len({(folder / name).read_bytes() for name in names}) == 1


@pytest.mark.parametrize("change", ["settings", "source"])
def test_segments_of_another_source_or_other_settings_are_not_used(
    start_film, command, make_clip, tmp_path, change, segments
):
    clip, out = make_clip(tmp_path / "film.mp4", frames=60), tmp_path / "out"
    process = start_film(clip, out)
    process.kill()
    process.communicate()
    options = ["--crf", "30"] if change == "settings" else []
    if change == "source":
        make_clip(clip, frames=30, sizes=((48, 64),))
    again = command("run", clip, "-o", out, *MODEL, "--json", *options)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["frames"] == (30 if change == "source" else 60)
    assert not segments(out)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_stops_a_film_and_keeps_its_segments_for_the_next_run(
    start_film, make_clip, tmp_path, number, code, temporaries, segments
):
    clip, out = make_clip(tmp_path / "film.mp4", frames=300), tmp_path / "out"
    process = start_film(clip, out)
    process.send_signal(number)
    (tmp_path / "gate").touch()
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == code, stderr
    assert "run the same command again" in stderr
    assert not (out / "film.mp4").exists()
    assert not temporaries(out)
    assert segments(out)
    assert (out / ".batchcolor" / "journal.jsonl").stat().st_size == 0


def test_film_whose_source_changes_during_the_job_fails_and_writes_nothing(
    start_film, make_clip, tmp_path, temporaries, segments
):
    clip, out = make_clip(tmp_path / "film.mkv", frames=60), tmp_path / "out"
    process = start_film(clip, out)
    with clip.open("ab") as file:
        file.write(b"\0" * 100)
    (tmp_path / "gate").touch()
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 3, stderr
    assert "the source changed" in " ".join(stderr.split())
    assert not (out / "film.mkv").exists()
    assert not temporaries(out)
    assert not segments(out)


def test_killed_film_to_frames_resumes_and_equals_an_uninterrupted_one(
    start_film, command, make_clip, tmp_path
):
    clip, out = make_clip(tmp_path / "film.mp4", frames=60), tmp_path / "out"
    options = ("--to-frames", "--format", "bmp")
    process = start_film(clip, out, *options)
    process.kill()
    process.communicate()
    assert not (out / "film-frames").exists()
    resumed = command("run", clip, "-o", out, *MODEL, *options, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["frames"] == 35
    assert command("run", clip, "-o", "whole", *MODEL, *options).returncode == 0
    pictures, uninterrupted = (
        {path.name: path.read_bytes() for path in (folder / "film-frames").iterdir()}
        for folder in (out, tmp_path / "whole")
    )
    assert len(uninterrupted) == 60
    assert pictures == uninterrupted


def test_folder_that_was_renamed_aside_by_a_killed_job_is_restored(
    flat, command, make_clip, tmp_path
):
    """A killed job may leave the previous result renamed, and the new one not yet in its place."""
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
    """Writes a folder of 60 numbered frames."""
    folder = tmp_path / "reel"
    folder.mkdir()
    ramp = np.linspace(30, 180, 64 * 48).reshape(48, 64).astype(np.uint8)
    for number in range(60):
        Image.fromarray(np.roll(ramp, number, axis=1)).save(folder / f"{number:04d}.png")
    return folder


def test_killed_film_from_frames_resumes_and_equals_an_uninterrupted_one(
    start_film, command, reel, tmp_path
):
    out = tmp_path / "out"
    process = start_film(reel, out, "--frames")
    process.kill()
    process.communicate()
    resumed = command("run", reel, "-o", out, *MODEL, "--frames", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["frames"] == 35
    assert command("run", reel, "-o", "whole", *MODEL, "--frames").returncode == 0
    assert pixels_of(out / "reel.mp4") == pixels_of(tmp_path / "whole" / "reel.mp4")


def test_folder_of_frames_that_changes_during_the_job_fails_and_writes_nothing(
    start_film, reel, tmp_path
):
    process = start_film(reel, tmp_path / "out", "--frames")
    (reel / "0055.png").write_bytes((reel / "0001.png").read_bytes())
    (tmp_path / "gate").touch()
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 3, stderr
    assert "the source changed" in " ".join(stderr.split())
    assert not (tmp_path / "out" / "reel.mp4").exists()


WITNESS = """
    import batchcolor, os, sys, time

    def witness(luma):
        # Before the first picture is coloured, waits for the report of a refused film.
        log, end = os.environ["WITNESS_LOG"], time.monotonic() + 300
        while not os.path.exists(log) and time.monotonic() < end:
            if "cannot be coloured" in sys.stderr.getvalue():
                with open(log, "w") as file:
                    file.write(sys.stderr.getvalue())
            time.sleep(0.01)
        return luma[:, :, ::4, ::4].sub(0.5).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("witness", "waits", 16, lambda options: witness)]
"""


def test_film_that_its_container_refuses_is_reported_before_anything_is_coloured(
    command, plugin, make_clip, album, tmp_path
):
    plugin("witnesspack", WITNESS)
    folder, log = album(6), tmp_path / "log"
    make_clip(folder / "z.mkv", subtitles=("deu",))
    words = ("run", folder, "-m", "witness", "-o", "out", "--format", "mp4", "--batch-size", "1")
    result = command(*words, WITNESS_LOG=str(log))
    assert result.returncode == 3
    assert "z.mkv" in log.read_text()
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 6
