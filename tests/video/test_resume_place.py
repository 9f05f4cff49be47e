"""Films are resumed from a key frame, with the frames of a film that is decoded as a whole."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import batchcolor.video.output.segments as segments_module
from batchcolor.video.frame_mark import mark_frame
from batchcolor.video.input import decoder as decoder_module
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.input.image_sequence_reader import ImageSequenceReader, probe_image_sequence
from batchcolor.video.planes import view_plane
from batchcolor.video.probe import probe

FRAMES, KNOWN = 150, 120
MPEG_TICK, TS_TICK = Fraction(1, 25), Fraction(1, 90000)
OPEN_GOP = "open-gop=1:keyint=25:min-keyint=25:scenecut=0:bframes=3:log-level=none"


def options(**values):
    def setup(stream):
        stream.options = {**stream.options, **values}

    return setup


def gop(frames, **values):
    def setup(stream):
        stream.codec_context.gop_size = frames
        stream.options = {**stream.options, **values}

    return setup


GOP = options(**{"g": "25", "bf": "2"})
IRREGULAR = [512 * n + (300 * (n % 3 == 1)) + 40000 * (n > 60) for n in range(FRAMES)]
FILMS = {
    "film.mp4": {"setup": GOP},
    "film.mkv": {"setup": options(**{"x264-params": OPEN_GOP})},
    "open.mp4": {"codec": "libx265", "setup": options(**{"x265-params": OPEN_GOP})},
    "irregular.mkv": {"setup": GOP, "times": IRREGULAR},
    "irregular.mp4": {"setup": GOP, "times": IRREGULAR},
    "film.ts": {"setup": GOP, "time_base": TS_TICK, "audio": ("mp2",)},
    "film.mpg": {
        **{"codec": "mpeg2video", "setup": gop(25, bf="2"), "time_base": MPEG_TICK},
        "sizes": ((480, 360),),
    },
    "open.ts": {"codec": "mpeg2video", "setup": gop(25, bf="2"), "time_base": MPEG_TICK},
    "film.webm": {
        "codec": "libvpx-vp9",
        "setup": gop(25, deadline="realtime", **{"cpu-used": "8"}),
    },
    "film.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
}


def decode_all(source):
    return [(frame.pts, view_plane(frame, 0).copy(), mark_frame(frame)) for frame in source]


def assert_same_rest(resumed, whole):
    rest = decode_all(resumed)
    assert len(rest) == len(whole)
    for (tick, luma, _), (expected_tick, expected, _) in zip(rest, whole, strict=True):
        assert tick == expected_tick
        assert np.array_equal(luma, expected)


@pytest.mark.parametrize("name", FILMS)
def test_rest_of_a_film_is_decoded_from_a_key_frame_with_equal_frames(make_clip, tmp_path, name):
    clip = make_clip(tmp_path / name, frames=FRAMES, **FILMS[name])
    source = probe(clip, 10**6)
    whole = decode_all(VideoDecoder(source, strict=True))
    resumed = VideoDecoder(source, strict=True)
    resumed.resume(KNOWN - 10, [mark for _, _, mark in whole[:KNOWN]], 0)
    rest = iter(resumed)
    first = next(rest)
    assert first.pts == whole[KNOWN - 10][0]
    assert resumed.number_of_first_decoded > 0, "it was decoded from the beginning"
    again = VideoDecoder(source, strict=True)
    again.resume(KNOWN - 10, [mark for _, _, mark in whole[:KNOWN]], 0)
    assert_same_rest(again, whole[KNOWN - 10 :])
    assert again.count == FRAMES
    assert again.notes == []


@pytest.mark.parametrize("change", ["luma", "tick", "repeated"])
def test_film_that_is_not_as_it_was_is_decoded_from_its_beginning(make_clip, tmp_path, change):
    source = probe(make_clip(tmp_path / "film.mkv", frames=FRAMES, setup=GOP), 10**6)
    whole = decode_all(VideoDecoder(source, strict=True))
    marks = [mark for _, _, mark in whole[:KNOWN]]
    other = {"luma": {"checksum": 1}, "tick": {"tick": marks[-1].tick + 1}}
    marks[-1] = replace(marks[-1], **other.get(change, {"tick": marks[-2].tick}))
    resumed = VideoDecoder(source, strict=True)
    resumed.resume(KNOWN, marks, 0)
    assert_same_rest(resumed, whole[KNOWN:])
    assert resumed.number_of_first_decoded == 0


def test_pictures_of_a_sequence_that_are_done_are_not_decoded(tmp_path):
    from PIL import Image

    folder = tmp_path / "reel"
    folder.mkdir()
    for number in range(12):
        Image.new("L", (32, 24), 20 * number).save(folder / f"{number:03d}.png")
    source = probe_image_sequence(folder, Fraction(24), 10**6)
    whole = decode_all(
        ImageSequenceReader(source, source.frame_format, strict=True, max_pixels=9999)
    )
    (folder / "003.png").write_bytes(b"not read")
    resumed = ImageSequenceReader(source, source.frame_format, strict=True, max_pixels=9999)
    resumed.resume(8, [mark for _, _, mark in whole[:10]], 0)
    assert_same_rest(resumed, whole[8:])
    assert resumed.count == 12


@pytest.mark.parametrize("options", [(), ("--stabilize", "best"), ("--preview", "1s+4s")])
def test_result_of_a_film_resumed_by_seeking_equals_that_of_an_uninterrupted_run(
    flat, make_clip, command, tmp_path, monkeypatch, options
):
    clip = make_clip(tmp_path / "film.mp4", frames=FRAMES, setup=GOP, audio=("aac",))
    monkeypatch.setattr(segments_module, "SEGMENT_FRAMES", 30)
    close, closed = segments_module.Segments.close_segment, []

    def close_three(segments, *arguments, **more):
        close(segments, *arguments, **more)
        closed.append(segments)
        if len(closed) == 3:
            raise OSError(28, "No space left on device")

    words = ("run", clip, "-m", flat, "--crf", "1", *options)
    with monkeypatch.context() as patch:
        patch.setattr(segments_module.Segments, "close_segment", close_three)
        assert command(*words, "-o", "out").returncode == 4
    found, find = [], decoder_module.find_resume_place

    def remember(*arguments):
        found.append(find(*arguments))
        return found[-1]

    monkeypatch.setattr(decoder_module, "find_resume_place", remember)
    result = command(*words, "-o", "out", "--json")
    assert result.returncode == 0, result.stderr
    assert any("resumed at frame 90" in note for note in json.loads(result.stdout)["notes"])
    assert any(place is not None and place.number > 0 for place in found)
    assert command(*words, "-o", "whole").returncode == 0
    (target,) = (tmp_path / "whole").glob("film*.mp4")
    assert (tmp_path / "out" / target.name).read_bytes() == target.read_bytes()
