"""Folders of DPX and 16-bit TIFF as films: full depth, exact luma, headers of film and tape."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import tifffile

from batchcolor.images.dpx_header import parse_dpx_header
from batchcolor.images.dpx_writer import encode_dpx
from batchcolor.images.metadata.model import Block, Metadata

WEIGHTS = np.array([0.299, 0.587, 0.114])
EDGE_CODE = b"0123450012340042"
LEVELS = {8: 256, 10: 1024, 12: 4096, 16: 65536}


def make_ramp(bits):
    """Returns grey `(16, 256)` of 16 bits with levels of `bits`, black to white."""
    levels = np.linspace(0, LEVELS[bits] - 1, 16 * 256).round().reshape(16, 256)
    return (levels * 65535 / (LEVELS[bits] - 1)).round().astype(np.uint16)


def make_header(timecode, order=">"):
    """Returns a header with a timecode and a film edge code."""
    header = bytearray(b"\xff" * 2048)
    header[:4] = b"SDPX" if order == ">" else b"XPDS"
    header[8:12] = b"V2.0"
    header[1664:1680] = EDGE_CODE
    struct.pack_into(f"{order}I", header, 1920, timecode)
    return bytes(header)


def write_reel(folder, bits, order=">"):
    folder.mkdir()
    grey = make_ramp(bits)
    for number in range(1, 4):
        rgb = np.dstack([np.roll(grey, number, 1)] * 3)
        rgb = (rgb >> 8).astype(np.uint8) if bits == 8 else rgb
        block = Block("dpx", "", make_header(0x01020300 + number, order))
        data = encode_dpx(rgb, Metadata(blocks=(block,)), None, [], bits)
        (folder / f"{number:04d}.dpx").write_bytes(data)


def decode_dpx(data):
    """Returns FFmpeg's samples of a DPX, scaled to 16 bits."""
    context = av.CodecContext.create("dpx", "r")
    frame = (context.decode(av.Packet(data)) or context.decode(None))[0]
    component = frame.format.components[0]
    high = (1 << component.bits) - 1
    return frame.format.name, frame.to_ndarray().astype(float) * 65535 / high


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_written_dpx_is_read_by_ffmpeg(bits, order):
    rgb = np.dstack([np.roll(make_ramp(bits), shift, 1) for shift in (0, 5, 9)])[:, :251]
    stored = (rgb >> 8).astype(np.uint8) if bits == 8 else rgb
    header = Block("dpx", "", make_header(0, order))
    data = encode_dpx(np.ascontiguousarray(stored), Metadata(blocks=(header,)), None, [], bits)
    name, samples = decode_dpx(data)
    assert np.abs(samples[..., :3] - rgb).max() <= (257 if bits == 8 else 1)
    endian = "le" if order == "<" else "be"
    expected = {8: "rgb24", 16: f"rgb48{endian}"}.get(bits, f"gbrp{bits}le")
    assert name == expected
    assert parse_dpx_header(data).edge_code == EDGE_CODE.decode()


@pytest.mark.parametrize(("bits", "order"), [(10, ">"), (16, "<")])
def test_dpx_frames_keep_depth_luma_timecode_and_edge_code(command, flat, tmp_path, bits, order):
    write_reel(tmp_path / "reel", bits, order)
    options = ("--frames", "--to-frames", "--format", "dpx", "-m", flat, "-o", "out")
    result = command("run", "reel", *options)
    assert result.returncode == 0, result.stderr
    results = sorted((tmp_path / "out" / "reel-frames").iterdir())
    assert [path.name for path in results] == ["0001.dpx", "0002.dpx", "0003.dpx"]
    for number, path in enumerate(results, start=1):
        header = parse_dpx_header(path.read_bytes())
        assert header.bits == bits
        assert header.timecode == f"01:02:03:0{number}"
        assert header.edge_code == EDGE_CODE.decode()
        _, rgb = decode_dpx(path.read_bytes())
        grey = np.roll(make_ramp(bits), number, 1)
        step = 65535 / (LEVELS[bits] - 1)
        assert np.abs(rgb @ WEIGHTS - grey).max() <= 0.6 * step
        assert np.ptp(rgb, axis=-1).max() > 1000  # it has colours


@pytest.mark.parametrize("bits", [10, 16])
def test_dpx_reel_keeps_its_levels_and_timecode_in_ffv1(command, flat, tmp_path, bits):
    write_reel(tmp_path / "reel", bits)
    result = command("run", "reel", "--frames", "--codec", "ffv1", "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out" / "reel.mkv")) as film:
        assert film.streams.video[0].metadata["TIMECODE"] == "01:02:03:01"
        frame = next(film.decode(video=0))
    assert frame.format.name == f"yuv420p{bits}le"
    luma = np.frombuffer(frame.planes[0], "<u2").reshape(16, -1)[:, :256].astype(int)
    expected = (np.roll(make_ramp(bits), 1, 1) / 65535 * ((1 << bits) - 1)).round()
    assert np.array_equal(luma, expected)


def test_16_bit_tiff_frames_keep_their_luma(command, flat, tmp_path):
    (tmp_path / "reel").mkdir()
    grey = make_ramp(16)
    for number in range(3):
        tifffile.imwrite(tmp_path / "reel" / f"{number}.tif", grey, photometric="minisblack")
    options = ("--frames", "--to-frames", "--format", "tiff", "-m", flat, "-o", "out")
    assert command("run", "reel", *options).returncode == 0
    for path in (tmp_path / "out" / "reel-frames").iterdir():
        rgb = tifffile.imread(path)
        assert rgb.dtype == np.uint16
        assert np.abs(rgb.astype(float) @ WEIGHTS - grey).max() <= 0.6


def test_film_of_10_bits_becomes_dpx_of_10_bits(command, flat, tmp_path):
    with av.open(str(tmp_path / "film.mkv"), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 16, "yuv422p10le"
        frame = av.VideoFrame(256, 16, "yuv422p10le")
        ramp = np.linspace(64, 940, 256).round().astype("<u2")
        for number, plane in enumerate(frame.planes):
            rows = np.frombuffer(plane, "<u2").reshape(16, -1)
            rows[:] = ramp if number == 0 else 512
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        film.mux([*stream.encode(frame), *stream.encode(None)])
    options = ("--to-frames", "--format", "dpx", "-m", flat, "-o", "out")
    assert command("run", "film.mkv", *options).returncode == 0
    (path,) = (tmp_path / "out" / "film-frames").iterdir()
    name, rgb = decode_dpx(path.read_bytes())
    assert name.startswith("gbrp10")
    expected = (ramp.astype(float) - 64) / 876 * 65535
    assert np.abs(rgb[0] @ WEIGHTS - expected).max() <= 40


def test_dpx_picture_stays_dpx_and_its_header_is_noted_elsewhere(command, flat, tmp_path):
    write_reel(tmp_path / "reel", 10)
    result = command("run", "reel/0001.dpx", "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    header = parse_dpx_header((tmp_path / "out" / "0001.dpx").read_bytes())
    assert (header.bits, header.timecode) == (10, "01:02:03:01")
    result = command("run", "reel/0001.dpx", "-m", flat, "-o", "out", "--format", "tiff", "-v")
    assert "TIFF cannot hold it: DPX timecode and film edge code" in result.stderr
