"""Films that are damaged, or have streams that cannot be coloured or stored."""

import json
import os
from fractions import Fraction
from itertools import pairwise

import av
import pytest


def duration_of(path):
    with av.open(str(path)) as film:
        return film.duration / 1e6


@pytest.fixture
def report(flat, command, tmp_path):
    """Runs the command on films; returns its exit code and report."""

    def run(*arguments):
        result = command("run", *arguments, "-m", flat, "-o", "out", "--json")
        return result.returncode, json.loads(result.stdout)

    return run


def failure(document):
    """Returns step and reason of the only failure of a report."""
    (only,) = document["failures"]
    return only["step"], only["reason"]


def copy_with_index_first(clip, target):
    """Copies a film with its index before its packets, as films on the web have it."""
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
def test_truncated_film_keeps_intact_frames_and_its_length_and_is_reported(
    report, make_clip, tmp_path, name, frames_of
):
    cut = tmp_path / name
    copy_with_index_first(make_clip(tmp_path / "made" / name, frames=100, sizes=((96, 64),)), cut)
    whole = duration_of(cut)
    os.truncate(cut, cut.stat().st_size * 2 // 3)
    code, document = report(cut)
    assert code == 0, document
    out = tmp_path / "out" / name
    assert frames_of(out) == pytest.approx(frames_of(cut), abs=0.001)
    assert 0 < len(frames_of(out)) < 100
    assert duration_of(out) == pytest.approx(whole, abs=0.05)
    assert any("the last frame ends" in note for note in document["notes"]), document["notes"]
    code, document = report(cut, "--strict", "--if-exists", "overwrite")
    assert code == 3
    assert failure(document)[0] == "limits"
    assert "shown until there" not in failure(document)[1]  # no film was made


def test_avi_shorter_than_its_header_states_is_reported_as_truncated(report, make_clip, tmp_path):
    rates = {"rate": Fraction(25), "time_base": Fraction(1, 25)}
    cut = make_clip(
        tmp_path / "tape.avi", codec="mjpeg", pixel_format="yuvj420p", frames=100, **rates
    )
    assert report(cut, "--strict")[0] == 0
    os.truncate(cut, cut.stat().st_size // 2)
    code, document = report(cut, "--if-exists", "overwrite")
    assert code == 0, document
    assert any("the last frame ends" in note for note in document["notes"]), document["notes"]
    assert duration_of(tmp_path / "out" / "tape.mkv") == pytest.approx(4, abs=0.05)
    assert report(cut, "--strict", "--if-exists", "overwrite")[0] == 3


def test_damaged_packets_are_reported_and_other_frames_keep_their_times(
    report, make_clip, tmp_path, frames_of
):
    broken = make_clip(tmp_path / "film.mp4", frames=60, sizes=((96, 64),))
    data = bytearray(broken.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = b"\x55" * 40
    broken.write_bytes(data)
    code, document = report(broken)
    assert code == 0, document
    assert any("damaged" in note for note in document["notes"])
    times = frames_of(tmp_path / "out" / "film.mp4")
    assert times == pytest.approx(frames_of(broken), abs=0.001)
    assert 50 < len(times) < 60
    assert times[-1] == pytest.approx(59 / 25, abs=0.001)
    code, document = report(broken, "--strict", "--if-exists", "overwrite")
    assert code == 3
    assert "--strict" in failure(document)[1]


@pytest.mark.parametrize(
    ("codec", "slices"), [("libx264", 1), ("libx264", 4), ("mpeg2video", 1), ("mpeg4", 1)]
)
def test_damage_concealed_by_the_decoder_is_reported_and_loses_no_frame(
    report, make_clip, tmp_path, frames_of, codec, slices
):
    def setup(stream):
        stream.codec_context.options = {"slices": str(slices), "g": "12"}

    clip = make_clip(
        tmp_path / "whole.mkv",
        codec=codec,
        frames=40,
        sizes=((320, 192),),
        time_base=Fraction(1, 25),
        setup=setup,
    )
    assert report(clip)[1]["notes"] == []
    broken = tmp_path / "film.mkv"
    with av.open(str(clip)) as source, av.open(str(broken), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(source.demux()):
            if packet.size:
                data = bytearray(bytes(packet))
                if number in (12, 24):
                    middle = len(data) // 2
                    data[middle : middle + 20] = bytes(range(7, 27))
                damaged = av.Packet(bytes(data))
                damaged.pts, damaged.dts = packet.pts, packet.dts
                damaged.time_base, damaged.is_keyframe = packet.time_base, packet.is_keyframe
                damaged.stream = stream
                target.mux(damaged)
    code, document = report(broken)
    assert code == 0, document
    assert any("damaged" in note for note in document["notes"]), document["notes"]
    assert frames_of(tmp_path / "out" / "film.mkv") == frames_of(clip)
    code, document = report(broken, "--strict", "--if-exists", "overwrite")
    assert code == 3
    assert "--strict" in failure(document)[1]


@pytest.mark.parametrize(("name", "codec"), [("film.mkv", "libx264"), ("film.avi", "mjpeg")])
@pytest.mark.parametrize("is_intact", [True, False])
def test_block_silently_skipped_by_the_demuxer_is_reported(
    report, make_clip, tmp_path, frames_of, name, codec, is_intact
):
    clip = make_clip(
        tmp_path / name,
        codec=codec,
        pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
        frames=60,
        sizes=((96, 64),),
        audio=("pcm_s16le",),
        muxer={"cluster_time_limit": "200"} if name.endswith("mkv") else {},
    )
    if not is_intact:
        with av.open(str(clip)) as film:
            places = [(p.pos, p.size) for p in film.demux(film.streams.video[0]) if p.size]
        start, size = places[30]
        data = bytearray(clip.read_bytes())
        data[start - 12 : start + size] = bytes(size + 12)
        data = data.replace(b"idx1", b"JUNK")
        clip.write_bytes(data)
    code, document = report(clip)
    assert code == 0, document
    times = frames_of(tmp_path / "out" / name.replace("avi", "mkv"))
    assert (len(times) == 60) is is_intact
    assert (
        any("bytes between packets are damaged" in note for note in document["notes"])
        is not is_intact
    )
    assert times[-1] == pytest.approx(59 / 25, abs=0.003)
    code, document = report(clip, "--strict", "--if-exists", "overwrite")
    assert code == (0 if is_intact else 3)


def test_intact_film_with_sizes_that_look_like_block_headers_is_not_reported(
    report, make_clip, tmp_path
):
    """The size 0x21A3xx contains the two bytes with which a small SimpleBlock starts."""
    clip = make_clip(
        tmp_path / "made.mkv",
        codec="mjpeg",
        pixel_format="yuvj420p",
        frames=20,
        time_base=Fraction(1, 1000),
    )
    film = tmp_path / "film.mkv"
    with av.open(str(clip)) as source, av.open(str(film), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(p for p in source.demux() if p.size):
            size = 0x1A3E0 + number - 4  # the header of its block has four more bytes
            padded = av.Packet(bytes(packet).ljust(size, b"\0"))
            padded.pts, padded.dts, padded.time_base = packet.pts, packet.dts, packet.time_base
            padded.stream, padded.is_keyframe = stream, True
            target.mux(padded)
    code, document = report(film)
    assert code == 0, document
    assert document["notes"] == []


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


def random_bytes(path, make_clip):
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(range(256)) * 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (sound_only, "no video stream, only audio"),
        (cover_only, "only a cover picture"),
        (no_frames, "no frame can be decoded"),
        (random_bytes, "cannot be read"),
    ],
    ids=["sound only", "cover only", "no frames", "random bytes"],
)
def test_file_without_decodable_video_fails_and_writes_nothing(
    report, make_clip, tmp_path, make, message
):
    (tmp_path / "films").mkdir()
    make(tmp_path / "films" / "film.mp4", make_clip)
    code, document = report(tmp_path / "films")
    assert code == 3
    step, reason = failure(document)
    assert step == "decode"
    assert message in reason
    assert not (tmp_path / "out").exists()


def test_second_video_stream_is_copied(report, make_clip, tmp_path):
    def setup(stream):
        stream.disposition = av.stream.Disposition.default if stream.width == 128 else 0

    clip = make_clip(tmp_path / "film.mp4", sizes=((64, 48), (128, 96)), setup=setup)
    code, document = report(clip)
    assert code == 0
    assert any("2 video streams: 1 is coloured, 0 copied" in note for note in document["notes"])
    with av.open(str(clip)) as before, av.open(str(tmp_path / "out" / "film.mp4")) as after:
        copied, source = ([bytes(p) for p in film.demux(video=0)] for film in (after, before))
    assert copied == source


def test_frames_are_scaled_to_the_initial_size_if_it_changes(
    report, make_clip, tmp_path, frames_of
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
    code, document = report(clip)
    assert code == 0, document
    assert any("size changes" in note for note in document["notes"])
    with av.open(str(tmp_path / "out" / "film.mkv")) as film:
        assert {(f.width, f.height) for f in film.decode(video=0)} == {(64, 48)}
    assert len(frames_of(tmp_path / "out" / "film.mkv")) == 24


def test_stream_that_the_container_cannot_hold_is_reported_with_a_container_that_can(
    report, make_clip, tmp_path, temporaries
):
    clip, target = make_clip(tmp_path / "film.mkv", subtitles=("deu",)), "mp4"
    code, document = report(clip, "--format", target, "--dry-run")
    assert code == 0
    assert "--format mkv can" in document["planned"][0]["reason"]
    code, document = report(clip, "--format", target)
    assert code == 3
    step, reason = failure(document)
    assert step == "plan"
    assert "subtitle stream 1" in reason
    assert "--format mkv" in reason
    assert document["frames"] == 0
    assert not temporaries(tmp_path / "out")


def test_films_and_photographs_are_coloured_in_one_job(report, make_clip, album, tmp_path):
    folder = album(5)
    for index in range(3):
        make_clip(folder / f"film-{index}.mp4", frames=10)
    (folder / "unreadable.mkv").write_bytes(b"rubbish")
    code, document = report(folder, "--format", "png")
    assert code == 3
    assert document["done"] == 8
    assert document["frames"] == 30
    names = {
        p.suffix for p in (tmp_path / "out").rglob("*") if p.is_file() and ".batch" not in str(p)
    }
    assert names == {".png", ".mp4"}


def test_damaged_film_to_frames_has_no_gap_in_its_numbers(report, make_clip, tmp_path):
    broken = make_clip(
        tmp_path / "film.mkv", frames=40, codec="mjpeg", pixel_format="yuvj420p", sizes=((96, 64),)
    )
    data = bytearray(broken.read_bytes())
    starts = [place for place in range(len(data)) if data[place : place + 3] == b"\xff\xd8\xff"]
    for frame in (11, 12):
        data[starts[frame] : starts[frame + 1] - 40] = bytes(starts[frame + 1] - 40 - starts[frame])
    broken.write_bytes(data)
    code, document = report(broken, "--to-frames", "--stabilize", "off")
    assert code == 0, document
    assert any(
        "2 damaged places" in note and "last intact one" in note for note in document["notes"]
    )
    pictures = sorted((tmp_path / "out" / "film-frames").iterdir())
    assert len(pictures) == 40
    is_repeated = [a.read_bytes() == b.read_bytes() for a, b in pairwise(pictures)]
    assert [number for number, repeated in enumerate(is_repeated) if repeated] == [10, 11]
    code, document = report(broken, "--to-frames", "--strict", "--if-exists", "overwrite")
    assert code == 3


@pytest.mark.parametrize("error", [AttributeError, ValueError, TypeError])
@pytest.mark.parametrize(
    "function",
    [
        "batchcolor.pipeline.video_task.frame_luma",
        "batchcolor.pipeline.video_task.write_chroma",
        "batchcolor.video.input.decoder.fit_frame",
        "batchcolor.video.output.muxer.decoding_timestamps",
    ],
)
def test_error_in_own_code_is_an_internal_error_and_not_a_damaged_film(
    flat, command, make_clip, tmp_path, monkeypatch, function, error
):
    def fail(*arguments, **more):
        raise error("an error in batchcolor")

    clip = make_clip(tmp_path / "film.mp4")
    monkeypatch.setattr(function, fail)
    result = command("run", clip, "-m", flat, "-o", "out")
    assert result.returncode == 1, result.stderr
    assert "internal error" in result.stderr
    assert "damaged" not in result.stderr
    assert not (tmp_path / "out" / "film.mp4").exists()
