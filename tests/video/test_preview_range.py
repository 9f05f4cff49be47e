"""`--preview START+LENGTH`: a part of a film from any time."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from batchcolor.errors import UsageError
from batchcolor.video.input import decoder
from batchcolor.video.input.seeking import find_key_frame
from batchcolor.video.probe import probe
from batchcolor.video.time_range import TimeRange, parse_time_range

FILMS = [
    ("film.mp4", "libx264", ("aac",)),
    ("film.mkv", "libx264", ("aac",)),
    ("film.ts", "libx264", ("mp2",)),
    ("film.mpg", "mpeg2video", ("mp2",)),
    ("film.avi", "mpeg4", ("mp2",)),
]


def make_film(make_clip, path, codec="libx264", audio=(), **more):
    is_mpeg = path.suffix in (".ts", ".mpg")
    tick = Fraction(1, 25) if codec.startswith("mpeg") else Fraction(1, 12800)
    if is_mpeg and codec == "libx264":
        tick = Fraction(1, 90000)
    return make_clip(path, codec=codec, audio=audio, frames=75, time_base=tick, **more)


@pytest.mark.parametrize(("name", "codec", "audio"), FILMS)
def test_result_is_that_part_of_the_film_and_begins_at_zero(
    make_clip, colour_film, tmp_path, name, codec, audio
):
    clip = make_film(make_clip, tmp_path / name, codec, audio)
    before, after, target = colour_film(clip, "--preview", "0:01.5+0.4s")
    assert target.stem == "film-preview-0h00m01_5s"
    with av.open(str(clip)) as film:
        origin = Fraction(film.start_time, av.time_base)
    start = next(n for n, time in enumerate(before.times) if time - origin >= 1.5)
    assert len(after.times) == 10
    assert after.times[0] == 0
    shift = before.times[start]
    for number, time in enumerate(after.times):
        assert time == pytest.approx(float(before.times[start + number] - shift), abs=0.001)
        assert np.abs(after.luma[number] - before.luma[start + number]).mean() < 1
    digests = [digest for digest, _ in before.packets[1]]
    first = digests.index(after.packets[1][0][0])
    count = len(after.packets[1])
    assert [digest for digest, _ in after.packets[1]] == digests[first : first + count]
    assert 0 <= after.packets[1][0][1] < 0.03
    for (_, time), (_, source) in zip(
        after.packets[1], before.packets[1][first : first + count], strict=True
    ):
        assert time == pytest.approx(float(source - shift), abs=0.0015)
    assert 0.37 < after.packets[1][-1][1] < 0.43


@pytest.mark.parametrize(("name", "codec", "audio"), FILMS[:4])
def test_frames_after_seeking_are_those_of_decoding_from_the_beginning(
    make_clip, tmp_path, monkeypatch, name, codec, audio
):
    source = probe(make_film(make_clip, tmp_path / name, codec, audio), 2**26, 2**30)

    def read(start, **more):
        preview = TimeRange(start, 0.3)
        frames = decoder.VideoDecoder(source, strict=True, preview=preview, **more)
        return [(frame.pts, frame.to_ndarray().tobytes()) for frame in frames]

    starts = (0.04, 0.5, 1.44, 1.46, 2.9)
    found = [read(start) for start in starts]
    resumed = read(1.46, skip=3)
    monkeypatch.setattr(decoder, "find_key_frame", lambda *arguments: None)
    assert found == [read(start) for start in starts]
    assert resumed == found[3][3:]
    assert [len(frames) for frames in found[:4]] == [8, 8, 8, 8]


@pytest.mark.parametrize(("name", "codec", "audio"), FILMS[:3])
def test_decoding_begins_at_a_key_frame_near_the_start(make_clip, tmp_path, name, codec, audio):
    clip = make_film(make_clip, tmp_path / name, codec, audio)
    with av.open(str(clip)) as film:
        stream = film.streams.video[0]
        tick = stream.start_time + round(2 / stream.time_base)
    assert find_key_frame(clip, 0, tick) is not None


def test_gif_is_decoded_from_its_beginning(make_clip, flat, command, tmp_path, read_film):
    clip = make_clip(tmp_path / "film.gif", codec="gif", pixel_format="pal8", frames=30)
    assert command("run", clip, "-m", flat, "-o", "out", "--preview", "0.5+0.2s").returncode == 0
    assert len(read_film(tmp_path / "out" / "film-preview-0h00m00_5s.gif").times) == 5


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_chapters_and_subtitles_of_that_part_are_kept(make_clip, colour_film, tmp_path, name):
    def prepare(film):
        film.set_chapters(
            [
                {"id": n, "start": n, "end": n + 1, "time_base": Fraction(1, 2)}
                | {"metadata": {"title": f"Part {n}"}}
                for n in range(6)
            ]
        )

    clip = make_film(make_clip, tmp_path / name, prepare=prepare, subtitles=("deu",))
    _, after, _ = colour_film(clip, "--preview", "0.12s+1s")
    assert [(float(a), float(b), tags["title"]) for a, b, tags in after.chapters] == [
        (0, pytest.approx(0.38, abs=0.01), "Part 0"),
        (pytest.approx(0.38, abs=0.01), pytest.approx(0.88, abs=0.01), "Part 1"),
        (pytest.approx(0.88, abs=0.01), pytest.approx(1, abs=0.01), "Part 2"),
    ]
    text = next(n for n, stream in enumerate(after.streams) if stream[0] == "subtitle")
    with av.open(str(tmp_path / "out" / f"film-preview-0h00m00_12s{clip.suffix}")) as film:
        shown = next(packet for packet in film.demux(film.streams[text]) if packet.size > 2)
        assert shown.pts == 0  # shown from 0.08 s to 0.2 s of the film
        assert float(shown.duration * shown.time_base) == pytest.approx(0.08, abs=0.002)


def test_chapters_after_a_preview_of_the_beginning_are_dropped(make_clip, colour_film, tmp_path):
    def prepare(film):
        chapter = {"time_base": Fraction(1), "metadata": {}}
        film.set_chapters([{"id": n, "start": n, "end": n + 1, **chapter} for n in range(3)])

    clip = make_film(make_clip, tmp_path / "film.mkv", prepare=prepare)
    _, after, _ = colour_film(clip, "--preview", "1s")
    assert [chapter[:2] for chapter in after.chapters] == [(0, 1)]


@pytest.mark.parametrize("name", ["film.mp4", "film.ts"])
def test_start_after_the_end_fails_with_the_reason(make_clip, flat, command, tmp_path, name):
    clip = make_film(make_clip, tmp_path / name)
    result = command("run", clip, "-m", flat, "-o", "out", "--preview", "1:00:05+10s")
    assert result.returncode == 3
    text = " ".join((result.stdout + result.stderr).split())
    assert "--preview starts at 1:00:05, but the film ends at 0:00:03" in text


def test_pictures_comparison_and_strip_are_of_that_part(make_clip, flat, command, tmp_path):
    clip = make_film(make_clip, tmp_path / "film.mp4")
    for options, name in (
        (["--to-frames"], "film-preview-0h00m01s-frames"),
        (["--compare", "--strip"], "film-compare-preview-0h00m01s.mp4"),
    ):
        result = command("run", clip, "-m", flat, "-o", "out", "--preview", "1+0.4s", *options)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "out" / name).exists()
    pictures = sorted((tmp_path / "out" / "film-preview-0h00m01s-frames").iterdir())
    assert [path.stem for path in pictures] == [f"{n:06d}" for n in range(1, 11)]
    assert list((tmp_path / "out").glob("*strip.jpg"))


def test_numbered_frames_keep_their_numbers(make_clip, flat, command, tmp_path, read_film):
    reel = tmp_path / "reel"
    reel.mkdir()
    with av.open(str(make_film(make_clip, tmp_path / "film.mp4"))) as film:
        for number, frame in enumerate(film.decode(video=0), start=100):
            frame.to_image().convert("L").save(reel / f"{number:04d}.png")
    for options in ([], ["--to-frames"]):
        result = command(
            *("run", reel, "-m", flat, "-o", "out", "--frames", "--fps", "25"),
            *("--preview", "1s+0.2s", *options),
        )
        assert result.returncode == 0, result.stderr
    times = read_film(tmp_path / "out" / "reel-preview-0h00m01s.mp4").times
    assert times == [Fraction(n, 25) for n in range(5)]
    pictures = sorted((tmp_path / "out" / "reel-preview-0h00m01s-frames").iterdir())
    assert [path.stem for path in pictures] == ["0125", "0126", "0127", "0128", "0129"]


def test_info_and_the_configuration_file_state_the_same_part(make_clip, flat, command, tmp_path):
    clip = make_film(make_clip, tmp_path / "in" / "film.mp4")
    (tmp_path / "in" / "batchcolor.toml").write_text('preview = "1.5s+0.2s"\n')
    assert command("run", clip.parent, "-m", flat, "-o", "out").returncode == 0
    result = command("info", tmp_path / "out" / "film-preview-0h00m01_5s.mp4")
    assert "--preview 0:00:01.5+0.2s" in " ".join(result.stdout.split())
    result = command("info", tmp_path / "out" / "film-preview-0h00m01_5s.mp4", "--json")
    assert "0:00:01.5+0.2s" in json.dumps(json.loads(result.stdout))


@pytest.mark.parametrize(
    ("text", "start", "length", "form"),
    [
        ("10s", 0, 10, "10s"),
        ("2m", 0, 120, "120s"),
        ("1:05", 0, 65, "65s"),
        ("00:12:30+10s", 750, 10, "0:12:30+10s"),
        ("12:30.25+1m", 750.25, 60, "0:12:30.25+60s"),
        ("90s+0.5", 90, 0.5, "0:01:30+0.5s"),
        ("75:00+1s", 4500, 1, "1:15:00+1s"),
        ("0+5s", 0, 5, "5s"),
    ],
)
def test_text_of_a_part_is_parsed_and_formatted(text, start, length, form):
    found = parse_time_range(text)
    assert (found.start, found.length) == (start, length)
    assert str(found) == form
    assert parse_time_range(form) == found


@pytest.mark.parametrize(
    "text", ["+", "1s+", "+1s+1s", "1:60+1s", "1:99:00+1s", "1:2:3:4+1s", "-1s+2s", "nan+1s"]
)
def test_text_that_is_no_part_is_refused(text):
    with pytest.raises(UsageError, match=r"0:12:30\+10s"):
        parse_time_range(text)


def test_previews_that_start_at_other_times_have_their_own_names(
    make_clip, flat, command, tmp_path
):
    clip = make_film(make_clip, tmp_path / "film.mkv")
    words = ("run", clip, "-m", flat, "-o", "out", "--preview")
    for part in ("1s", "1s+1s", "2s+1s", "1s+1s"):
        assert command(*words, part).returncode == 0
    assert {path.name for path in (tmp_path / "out").glob("*.mkv")} == {
        "film-preview.mkv",
        "film-preview-0h00m01s.mkv",
        "film-preview-0h00m02s.mkv",
    }


def test_timecode_of_the_beginning_is_dropped_and_reported(make_clip, flat, command, tmp_path):
    def setup(stream):
        stream.metadata["timecode"] = "10:00:00:00"

    clip = make_film(make_clip, tmp_path / "film.mov", setup=setup)
    result = command("run", clip, "-m", flat, "-o", "out", "--preview", "1s+0.4s")
    assert result.returncode == 0, result.stderr
    assert "timecode" in result.stdout + result.stderr
    with av.open(str(tmp_path / "out" / "film-preview-0h00m01s.mov")) as film:
        assert all("timecode" not in stream.metadata for stream in film.streams)
