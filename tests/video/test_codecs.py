"""Codecs, bit depths, chroma subsampling and sizes that are read and written."""

from fractions import Fraction

import av
import numpy as np
import pytest


@pytest.mark.parametrize("pixels", ["yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "yuvj420p"])
def test_bit_depth_chroma_subsampling_and_range_are_kept(make_clip, colour_film, tmp_path, pixels):
    before, after, _ = colour_film(make_clip(tmp_path / "film.mkv", pixel_format=pixels))
    assert before.format == after.format == pixels
    assert before.colour[0] == after.colour[0]
    assert np.abs(before.luma[5] - after.luma[5]).mean() < 2.0
    middle = 128 << (2 if "10" in pixels else 0)
    assert after.chroma[5][0].mean() > middle


@pytest.mark.parametrize("size", [(65, 49), (63, 48), (17, 33)])
def test_odd_sizes_are_kept(make_clip, colour_film, tmp_path, size):
    clip = make_clip(tmp_path / "film.mkv", sizes=(size,), codec="ffv1")
    before, after, _ = colour_film(clip)
    assert after.size == before.size == size


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("film.mkv", "libx265", "yuv420p"),
        ("film.mpg", "mpeg2video", "yuv420p"),
        ("film.avi", "mpeg4", "yuv420p"),
        ("film.webm", "libvpx-vp9", "yuv420p"),
        ("film.mp4", "libsvtav1", "yuv420p"),
        ("film.avi", "mjpeg", "yuvj420p"),
        ("film.mov", "prores_ks", "yuv422p10le"),
        ("film.mkv", "ffv1", "gray"),
        ("film.mkv", "ffv1", "bgr0"),
    ],
)
def test_films_with_other_codecs_are_read(
    make_clip, colour_film, tmp_path, name, codec, pixels, assert_same_times
):
    clip = make_clip(
        *(tmp_path / name,),
        codec=codec,
        pixel_format=pixels,
        sizes=((96, 64),),
        time_base=Fraction(1, 25),
    )
    before, after, target = colour_film(clip)
    assert after.codec == "h264"
    assert target.suffix == (clip.suffix if clip.suffix in (".mp4", ".mkv", ".mov") else ".mkv")
    assert_same_times(before, after)


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels", "read_as"),
    [
        ("h264", ".mp4", "yuv420p", "h264"),
        ("h265", ".mp4", "yuv420p", "hevc"),
        ("av1", ".mp4", "yuv420p", "libdav1d"),
        ("prores", ".mov", "yuv422p10le", "prores"),
        ("ffv1", ".mkv", "yuv420p", "ffv1"),
    ],
)
def test_each_codec_is_written(
    make_clip, flat, command, tmp_path, codec, suffix, pixels, read_as, read_film, assert_same_times
):
    clip = make_clip(tmp_path / "film.mp4", sizes=((96, 64),))
    result = command("run", clip, "-m", flat, "-o", "out", "--codec", codec)
    assert result.returncode == 0, result.stderr
    before, after = read_film(clip), read_film((tmp_path / "out" / "film").with_suffix(suffix))
    assert after.codec == read_as
    assert after.format == pixels
    assert_same_times(before, after)
    if codec == "ffv1":
        assert all((a == b).all() for a, b in zip(before.luma, after.luma, strict=True))


def test_bit_depth_10_is_written_on_request(make_clip, colour_film, tmp_path):
    _, after, _ = colour_film(make_clip(tmp_path / "film.mkv"), "--bit-depth", "10")
    assert after.format == "yuv420p10le"


@pytest.fixture
def grainy_clip(tmp_path):
    """Writes a lossless film with grain, on which encoders take many decisions."""
    path, generator = tmp_path / "grainy.mkv", np.random.default_rng(0)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "gray"
        for index in range(40):
            ramp = np.linspace(40, 200, 160 * 120).reshape(120, 160)
            luma = np.roll(ramp, 3 * index, axis=1) + generator.integers(-20, 20, (120, 160))
            film.mux(stream.encode(av.VideoFrame.from_ndarray(luma.astype(np.uint8), "gray")))
        film.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["h264", "h265"])
def test_encoder_output_is_deterministic(grainy_clip, flat, process, tmp_path, name):
    """A resumed film equals an uninterrupted one only then. glibc's MALLOC_PERTURB_ fills
    uninitialized memory, so that an encoder that reads it has different output."""
    packets = []
    for filling in ("17", "170"):
        out = tmp_path / f"out{filling}"
        words = ("run", grainy_clip, "-m", flat, "--codec", name, "-o", out)
        result = process(*words, MALLOC_PERTURB_=filling)
        assert result.returncode == 0, result.stderr
        with av.open(str(out / "grainy.mkv")) as film:
            packets.append([bytes(packet) for packet in film.demux(video=0)])
    assert len(packets[0]) >= 40
    assert packets[0] == packets[1]


@pytest.mark.parametrize(
    ("name", "codec", "options", "note"),
    [
        ("film.avi", "huffyuv", [], "huffyuv is lossless, h264 is lossy; --codec ffv1"),
        ("film.mkv", "ffv1", [], "ffv1 is lossless, h264 is lossy; --codec ffv1"),
        ("film.mkv", "ffv1", ["--codec", "ffv1"], ""),
        ("film.mkv", "ffv1", ["--codec", "h264"], ""),
        ("film.mkv", "ffv1", ["--crf", "12"], ""),
        ("film.mp4", "libx264", [], ""),
    ],
)
def test_lossless_film_that_becomes_lossy_by_default_is_noted(
    make_clip, command, flat, tmp_path, name, codec, options, note
):
    make_clip(tmp_path / name, codec=codec, frames=3, pixel_format="yuv422p")
    result = command("run", name, "-m", flat, "-o", "out", *options)
    assert result.returncode == 0, result.stderr
    assert ("is lossless" in result.stderr) == bool(note)
    assert note in " ".join(result.stderr.split())
