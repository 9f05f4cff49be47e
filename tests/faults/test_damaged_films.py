"""Damaged and truncated films: intact frames are kept, and the damage is reported."""

import os
from fractions import Fraction
from itertools import pairwise

import av
import pytest


def duration_of(path):
    with av.open(str(path)) as film:
        return film.duration / 1e6


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
    copy_with_index_first(make_clip(tmp_path / "parts" / name, frames=100, sizes=((96, 64),)), cut)
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
    assert "shown until there" not in failure(document)[1]  # no film was written


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
        tmp_path / "result.mkv",
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


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts"])
def test_empty_film_is_reported_as_empty(report, tmp_path, name):
    empty = tmp_path / name
    empty.touch()
    code, document = report(empty)
    assert (code, failure(document)) == (3, ("decode", "the file is empty"))
