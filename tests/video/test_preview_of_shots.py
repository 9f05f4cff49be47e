"""`--preview shots`: one frame of each shot."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from batchcolor.errors import UsageError
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.piped.pipe_job import check_settings

SHOTS = (20, 5, 30)
"""Frames of the shots: the second is shorter than the number of the frame that is preferred."""
CHOSEN = (12, 20, 37)


def draw(shot, number):
    """Returns one frame of noise that is a shot's own, with a bar that grows with the number."""
    y = np.random.default_rng(shot).integers(40, 200, (6, 8)).repeat(8, 0).repeat(8, 1)
    y[40:, : number + 1] = 235
    return np.vstack([y, np.full((24, 64), 128)]).astype(np.uint8)


@pytest.fixture
def make_shots(tmp_path):
    """Writes a film of three shots at 25 frames per second, with sound and a chapter."""

    def make(name, codec="libx264", pixels="yuv420p", lengths=SHOTS):
        path = tmp_path / name
        with av.open(str(path), "w") as film:
            stream = film.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            sound = None
            if path.suffix != ".gif":
                stream.options = {"crf": "5"}
                stream.metadata["timecode"] = "10:00:00:00"
                sound = film.add_stream("aac", rate=48000, layout="mono")
                chapter = {"id": 0, "start": 0, "end": 1, "time_base": Fraction(1)}
                film.set_chapters([chapter | {"metadata": {"title": "One"}}])
            shots = [shot for shot, length in enumerate(lengths) for _ in range(length)]
            for number, shot in enumerate(shots):
                frame = VideoFrame.from_ndarray(draw(shot, number), "yuv420p").reformat(
                    format=pixels
                )
                frame.pts = number
                film.mux(stream.encode(frame))
            film.mux(stream.encode())
            if sound is not None:
                silence = av.AudioFrame.from_ndarray(
                    np.zeros((1, 48000), np.float32), "fltp", "mono"
                )
                silence.sample_rate, silence.pts = 48000, 0
                film.mux(sound.encode(silence))
                film.mux(sound.encode())
        return path

    return make


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.mov"])
@pytest.mark.parametrize("stabilize", ["off", "fast", "best"])
def test_one_settled_frame_of_each_shot_is_shown_for_a_second(
    make_shots, colour_film, name, stabilize
):
    before, after, target = colour_film(
        make_shots(name), "--preview", "shots", "--stabilize", stabilize
    )
    assert target.name == name.replace("film", "film-preview-shots")
    assert after.times == [0, 1, 2]
    assert after.seconds == pytest.approx(3, abs=0.05)
    for luma, number in zip(after.luma, CHOSEN, strict=True):
        differences = [np.abs(luma - other).mean() for other in before.luma]
        assert np.argmin(differences) == number
        assert differences[number] < 1
    assert [stream[0] for stream in after.streams] == ["video"]
    assert not after.chapters
    assert not any("timecode" in key for key in after.metadata)


def test_report_and_info_state_the_preview(make_shots, flat, command, tmp_path):
    make_shots("film.mp4")
    result = command("run", "film.mp4", "-m", flat, "-o", "out", "--preview", "shots")
    assert result.returncode == 0, result.stderr
    assert "other streams (audio" in result.stdout + result.stderr
    result = command("info", tmp_path / "out" / "film-preview-shots.mp4", "--json")
    assert '"shots"' in json.dumps(json.loads(result.stdout))


def test_pictures_of_the_shots(make_shots, flat, command, tmp_path):
    clip = make_shots("film.mp4")
    words = ("-m", flat, "-o", "out", "--preview", "shots", "--to-frames")
    assert command("run", clip, *words).returncode == 0
    folder = tmp_path / "out" / "film-preview-shots-frames"
    assert [path.stem for path in sorted(folder.iterdir())] == ["000001", "000002", "000003"]


def write_reel(clip, folder):
    """Writes the frames of a film as grey pictures, numbered from 100 on."""
    folder.mkdir()
    with av.open(str(clip)) as film:
        for number, frame in enumerate(film.decode(video=0), start=100):
            frame.to_image().convert("L").save(folder / f"{number:04d}.png")
    return folder


def test_numbered_frames_keep_their_numbers(make_shots, flat, command, tmp_path, read_film):
    reel = write_reel(make_shots("film.mp4"), tmp_path / "reel")
    words = ("run", reel, "-m", flat, "-o", "out", "--frames", "--fps", "25", "--preview", "shots")
    for options in ([], ["--to-frames"]):
        result = command(*words, *options)
        assert result.returncode == 0, result.stderr
    assert read_film(tmp_path / "out" / "reel-preview-shots.mp4").times == [0, 1, 2]
    pictures = sorted((tmp_path / "out" / "reel-preview-shots-frames").iterdir())
    assert [path.stem for path in pictures] == [f"{100 + n:04d}" for n in CHOSEN]


def test_gif_shows_each_shot_for_a_second(make_shots, flat, command, tmp_path, read_film):
    clip = make_shots("film.gif", "gif", "gray")
    result = command("run", clip, "-m", flat, "-o", "out", "--preview", "shots")
    assert result.returncode == 0, result.stderr
    film = read_film(tmp_path / "out" / "film-preview-shots.gif")
    assert film.times == [0, 1, 2]
    assert film.seconds == pytest.approx(3, abs=0.05)


@pytest.fixture
def kill_and_resume(
    start_film: Callable[..., Any], command: Callable[..., Any], tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Kills a job on a film and repeats it, with the results in `out`; an uninterrupted one has
    `whole`. Returns the report of the repeated job."""

    def run(clip: Path, *options: str) -> dict[str, Any]:
        process = start_film(clip, tmp_path / "out", *options, calls=30)
        process.kill()
        process.communicate()
        words = ("run", clip, "-m", "gated-film", "--batch-size", "1", *options)
        resumed = command(*words, "-o", "out", "--json")
        assert resumed.returncode == 0, resumed.stderr
        document: dict[str, Any] = json.loads(resumed.stdout)
        assert any("resumed at frame 25" in note for note in document["notes"])
        assert command(*words, "-o", "whole").returncode == 0
        return document

    return run


def test_killed_preview_resumes_and_equals_an_uninterrupted_one(
    make_shots, kill_and_resume, tmp_path
):
    clip = make_shots("film.mkv", lengths=[2] * 45)
    options = ("--preview", "shots")
    document = kill_and_resume(clip, *options)
    films = [tmp_path / folder / "film-preview-shots.mkv" for folder in ("out", "whole")]
    packets = []
    for path in films:
        with av.open(str(path)) as film:
            packets.append([(p.pts, bytes(p)) for p in film.demux(video=0) if p.size])
    assert len(packets[0]) == 25 + document["frames"]
    assert document["frames"] > 10
    assert packets[0] == packets[1]


@pytest.mark.parametrize("is_reel", [False, True])
def test_killed_pictures_of_the_shots_resume_and_equal_uninterrupted_ones(
    make_shots, kill_and_resume, tmp_path, is_reel
):
    clip, options = make_shots("film.mkv", lengths=[2] * 45), ["--preview", "shots", "--to-frames"]
    if is_reel:
        clip, options = write_reel(clip, tmp_path / "film"), [*options, "--frames", "--fps", "25"]
    document = kill_and_resume(clip, *options)
    assert 10 < document["frames"] < 45
    contents = []
    for folder in ("out", "whole"):
        pictures = sorted((tmp_path / folder / "film-preview-shots-frames").iterdir())
        contents.append([(path.name, path.read_bytes()) for path in pictures])
    assert len(contents[0]) == 25 + document["frames"]
    assert contents[0] == contents[1]


def test_mxf_shows_each_shot_for_a_frame_without_timecode(make_shots, flat, command, tmp_path):
    with av.open(str(make_shots("film.mkv"))) as film:
        frames = [frame.to_ndarray() for frame in film.decode(video=0)]
    with av.open(str(tmp_path / "film.mxf"), "w") as film:
        film.metadata["timecode"] = "10:00:00:00"
        stream = film.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 9_000_000
        for number, pixels in enumerate(frames):
            frame = VideoFrame.from_ndarray(pixels, "yuv420p")
            frame.pts = number
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    result = command("run", "film.mxf", "-m", flat, "-o", "out", "--preview", "shots")
    assert result.returncode == 0, result.stderr
    assert "the timecode is that of the film's beginning: dropped" in result.stderr
    with av.open(str(tmp_path / "out" / "film-preview-shots.mxf")) as film:
        assert film.metadata.get("timecode") in (None, "00:00:00:00")
        times = [frame.pts * frame.time_base for frame in film.decode(video=0)]
    assert times == [Fraction(number, 25) for number in range(3)]


def test_shots_are_not_for_a_pipe():
    settings = RunSettings(sources=("film.mp4",), preview="shots")
    with pytest.raises(UsageError, match="--preview shots is not for a pipe"):
        check_settings(settings, is_pipe=False)


def test_other_words_are_refused(make_shots, flat, command):
    result = command("run", make_shots("film.mp4"), "-m", flat, "--preview", "scenes")
    assert result.returncode == 2
    assert "as 10s or 2m" in result.stderr
