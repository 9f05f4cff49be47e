"""Rotation, sample aspect ratio, colour tags and field order of the source are kept."""

import struct
from fractions import Fraction

import av
import pytest

PROGRESSIVE = 1
"""AVFieldOrder."""


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_kept(make_clip, colour_film, tmp_path, degrees):
    clip = make_clip(
        tmp_path / "film.mp4", setup=lambda stream: stream.set_display_rotation(degrees)
    )
    before, after, _ = colour_film(clip)
    assert before.rotation % 360 != 0
    assert after.rotation == before.rotation
    assert after.display == before.display


def test_sample_aspect_ratio_and_colour_tags_are_kept(make_clip, colour_film, tmp_path):
    def setup(stream):
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(16, 11)
        context.color_range, context.colorspace = 1, 9
        context.color_primaries, context.color_trc = 9, 14

    before, after, _ = colour_film(make_clip(tmp_path / "film.mkv", setup=setup))
    assert before.aspect == after.aspect == Fraction(16, 11)
    assert before.colour == after.colour == (1, 9, 9, 14)


@pytest.mark.parametrize("tags", [(0, 2, 2, 2), (1, 2, 2, 2), (2, 2, 2, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("codec", ["libsvtav1", "libx265"])
def test_colour_range_tags_are_kept(make_clip, colour_film, tmp_path, tags, codec):
    def setup(stream):
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags

    before, after, _ = colour_film(make_clip(tmp_path / "film.mp4", setup=setup, codec=codec))
    assert after.colour == before.colour


def test_sample_aspect_ratio_of_the_container_overrides_that_of_the_codec(
    make_clip, colour_film, tmp_path
):
    """Remuxers set it only there, and players use it."""

    def setup(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)

    clip = make_clip(tmp_path / "film.mp4", setup=setup)
    data = clip.read_bytes()
    document = b"pasp" + struct.pack(">II", 16, 11)
    assert document in data
    clip.write_bytes(data.replace(document, b"pasp" + struct.pack(">II", 4, 3)))
    _, after, _ = colour_film(clip)
    assert after.aspect == Fraction(4, 3)


@pytest.mark.parametrize(
    ("codec", "title", "aspect"),
    [
        ("ffv1", "", Fraction(16, 15)),
        ("ffv1", "The regatta", Fraction(10, 11)),  # no whole number of pixels
        ("av1", "The regatta", Fraction(16, 15)),
        ("prores", "", Fraction(1)),
    ],
)
def test_mkv_stores_the_sample_aspect_ratio_for_codecs_without_one(
    make_clip, flat, command, tmp_path, codec, title, aspect
):
    def setup(stream):
        stream.codec_context.sample_aspect_ratio = aspect
        if title:
            stream.metadata["title"] = title

    clip = make_clip(tmp_path / "film.mkv", sizes=((120, 96),), audio=("flac",), setup=setup)
    result = command("run", clip, "-m", flat, "-o", "out", "--codec", codec, "--format", "mkv")
    assert result.returncode == 0, result.stderr
    packets = []
    for place in (clip, tmp_path / "out" / "film.mkv"):
        with av.open(str(place)) as film:
            picture = film.streams.video[0]
            assert picture.sample_aspect_ratio == aspect
            assert picture.metadata.get("title", "") == title
            packets.append([bytes(packet) for packet in film.demux(audio=0)])
            film.seek(0)
            assert sum(1 for _ in film.decode(video=0)) == 12
    assert packets[0] == packets[1]


def test_square_samples_and_progressive_frames_of_prores_are_stated_again(
    make_clip, flat, command, tmp_path
):
    """ProRes states neither in its frames; both are in the container alone."""

    def setup(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(1)
        stream.codec_context.field_order = PROGRESSIVE

    prores = {"codec": "prores_ks", "pixel_format": "yuv422p10le"}
    clip = make_clip(tmp_path / "film.mov", frames=3, setup=setup, **prores)
    result = command("run", clip, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out" / "film.mov")) as film:
        picture = film.streams.video[0]
        assert picture.codec_context.name == "prores"
        assert picture.sample_aspect_ratio == 1
        assert picture.codec_context.field_order == PROGRESSIVE


@pytest.mark.parametrize("aspect", [None, Fraction(1)])
def test_unknown_aspect_differs_from_square_samples(make_clip, flat, command, tmp_path, aspect):
    def setup(stream):
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect

    clip = make_clip(tmp_path / "film.mov", codec="mjpeg", pixel_format="yuvj420p", setup=setup)
    result = command("run", clip, "-m", flat, "-o", "out", "--codec", "ffv1")
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out" / "film.mkv")) as film:
        assert film.streams.video[0].sample_aspect_ratio == aspect


def test_dropped_transparency_is_reported(make_clip, command, flat, tmp_path):
    clip = make_clip(tmp_path / "title.mov", codec="png", pixel_format="rgba")
    result = command("run", clip, "-m", flat, "-o", "out", "--json")
    assert result.returncode == 0, result.stderr
    assert "transparency dropped" in result.stdout
