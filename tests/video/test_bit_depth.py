"""Luma of deep films and pictures: every level stays where the codec has the bits."""

from fractions import Fraction

import av
import imagecodecs
import numpy as np
import pytest


def planes(frame):
    """Returns the samples of each plane as integers, without padding."""
    kind = np.dtype("<u2" if frame.format.components[0].bits > 8 else "u1")
    return [np.frombuffer(p, kind).reshape(p.height, -1)[:, : p.width] for p in frame.planes]


def write_ramp(path, pixel_format, codec="ffv1"):
    """Writes a film whose luma rises over all levels of its depth; returns that luma."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 16, pixel_format
        frame = av.VideoFrame(256, 16, pixel_format)
        component = frame.format.components[0]
        high = (1 << component.bits) - 1
        ramp = np.linspace(0, high, 256).round().astype(np.int64)
        kind = "<u2" if component.bits > 8 else "u1"
        for number, plane in enumerate(frame.planes):
            rows = np.frombuffer(plane, kind).reshape(plane.height, -1)
            is_grey = number == 0 or frame.format.is_rgb
            values = np.repeat(ramp, rows.shape[1] // 256) if frame.format.is_rgb else ramp
            rows[:] = values[: rows.shape[1]] if is_grey else (high + 1) // 2
        for number in range(3):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return ramp


def read_first_luma(path):
    with av.open(str(path)) as film:
        frame = next(film.decode(video=0))
        return frame.format.name, frame.color_range, planes(frame)[0]


@pytest.mark.parametrize("pixels", ["yuv420p12le", "yuv422p14le", "yuv444p16le", "gray16le"])
def test_ffv1_keeps_every_level(command, flat, tmp_path, pixels):
    ramp = write_ramp(tmp_path / "film.mkv", pixels)
    result = command("run", "film.mkv", "-m", flat, "-o", "out", "--codec", "ffv1")
    assert result.returncode == 0, result.stderr
    name, _, luma = read_first_luma(tmp_path / "out" / "film.mkv")
    assert name == pixels.replace("gray", "yuv420p")
    assert np.array_equal(luma[0], ramp)


@pytest.mark.parametrize(("codec", "written"), [("h264", "yuv422p10le"), ("h265", "yuv422p12le")])
def test_codec_with_fewer_bits_is_noted(command, flat, tmp_path, codec, written):
    write_ramp(tmp_path / "film.mkv", "yuv422p16le")
    result = command("run", "film.mkv", "-m", flat, "-o", "out", "--codec", codec)
    assert f"yuv422p16le becomes {written}: {codec} has no more bits" in result.stderr
    assert read_first_luma(tmp_path / "out" / "film.mkv")[0] == written


@pytest.mark.parametrize("pixels", ["bgr0", "gbrp10le", "gbrp16le"])
def test_rgb_keeps_every_grey_level_in_ffv1(command, flat, tmp_path, pixels):
    ramp = write_ramp(tmp_path / "film.mkv", pixels)
    result = command("run", "film.mkv", "-m", flat, "-o", "out", "--codec", "ffv1")
    assert result.returncode == 0, result.stderr
    _, color_range, luma = read_first_luma(tmp_path / "out" / "film.mkv")
    assert color_range == 2
    high = int(ramp[-1])
    assert np.abs(luma[0] - ramp).max() <= high / 255  # FFmpeg converts with about 8 bits
    assert len(np.unique(luma[0])) == 256


def test_16_bit_pictures_keep_their_depth_as_a_film(command, flat, tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 256).round().astype(np.uint16), (16, 1))
    (tmp_path / "reel").mkdir()
    for number in range(1, 4):
        (tmp_path / "reel" / f"{number:04d}.png").write_bytes(imagecodecs.png_encode(ramp))
    options = ("-m", flat, "-o", "out", "--frames", "--codec", "ffv1")
    result = command("run", "reel", *options)
    assert result.returncode == 0, result.stderr
    (film,) = (tmp_path / "out").glob("*.mkv")
    name, _, luma = read_first_luma(film)
    assert name == "yuv420p16le"
    assert np.array_equal(luma[0], ramp[0])
