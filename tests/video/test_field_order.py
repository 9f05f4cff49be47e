"""Interlaced films keep their field order: in each frame, in the bitstream, in the container."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.codec.context import Flags

from batchcolor.video.fields import read_field_order, set_field_order
from batchcolor.video.frame_format import FieldOrder

TOP, BOTTOM, PROGRESSIVE = FieldOrder.TOP_FIRST, FieldOrder.BOTTOM_FIRST, FieldOrder.PROGRESSIVE
PULLDOWN = (BOTTOM, BOTTOM, TOP, TOP, BOTTOM)
STREAM_ORDERS = {TOP: 2, BOTTOM: 3}
PICTURE_STRUCTURES = {PROGRESSIVE: 0, TOP: 3, BOTTOM: 4}
"""ITU-T H.264, table D-1."""


def write_interlaced(path, orders, codec="mpeg2video", stated=None):
    """Writes a film whose frames have these field orders; `stated` is the container's code."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=25)
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if stated is None:
            context.flags |= Flags.interlaced_dct
        context.field_order = stated or STREAM_ORDERS[orders[0]]
        for number, order in enumerate(orders):
            grey = np.full((48, 64), 60 + number % 100, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            film.mux(stream.encode(set_field_order(frame, order)))
        film.mux(stream.encode(None))
    return path


def read_orders(path):
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        return [read_field_order(frame) for frame in film.decode(stream)], (
            stream.codec_context.field_order
        )


def read_picture_structures(path):
    """Returns `pic_struct` of each packet's picture timing message, in display order."""
    found = []
    with av.open(str(path)) as film:
        for packet in film.demux(film.streams.video[0]):
            data = bytes(packet)
            place = data.find(b"\x06\x01\x01")  # NAL of messages, picture timing, one byte
            if place >= 0:
                found.append((packet.pts, data[place + 3] >> 4))
    return [structure for _, structure in sorted(found)]


def colour(command, flat, path, *options):
    result = command("run", path, "-m", flat, "-o", "out", *options)
    assert result.returncode == 0, result.stderr
    (target,) = [p for p in (path.parent / "out").iterdir() if not p.name.startswith(".")]
    return target, result.stderr


@pytest.mark.parametrize("order", [TOP, BOTTOM])
@pytest.mark.parametrize(
    "options",
    [
        ("--codec", "h264"),
        ("--codec", "h264", "--format", "mov"),
        ("--codec", "ffv1"),
        ("--codec", "prores", "--format", "mov"),
        ("--codec", "prores", "--format", "mkv"),
        ("--compare",),
    ],
)
def test_field_order_of_frames_and_container(command, flat, tmp_path, order, options):
    source = write_interlaced(tmp_path / "film.mkv", (order,) * 6)
    target, _ = colour(command, flat, source, *options)
    orders, stated = read_orders(target)
    assert orders == [order] * 6
    assert stated == STREAM_ORDERS[order]


@pytest.mark.parametrize("order", [TOP, BOTTOM])
def test_h264_states_the_field_order_in_every_segment(command, flat, tmp_path, order):
    source = write_interlaced(tmp_path / "film.mkv", (order,) * 300)
    target, _ = colour(command, flat, source)
    assert read_picture_structures(target) == [PICTURE_STRUCTURES[order]] * 300


@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_pulldown_keeps_the_order_of_each_frame(command, flat, tmp_path, codec):
    orders = PULLDOWN * 4
    source = write_interlaced(tmp_path / "film.mpg", orders)
    before, _ = read_orders(source)
    assert before == list(orders)
    target, _ = colour(command, flat, source, "--codec", codec)
    assert read_orders(target)[0] == before
    if codec == "h264":
        assert read_picture_structures(target) == [PICTURE_STRUCTURES[order] for order in before]


def test_progressive_frames_between_interlaced_ones(command, flat, tmp_path):
    orders = (TOP, PROGRESSIVE, PROGRESSIVE, TOP, TOP, PROGRESSIVE) * 2
    source = write_interlaced(tmp_path / "film.mkv", orders, codec="ffv1")
    before, _ = read_orders(source)
    assert before == list(orders)
    target, _ = colour(command, flat, source)
    assert read_orders(target)[0] == before


@pytest.mark.parametrize(("code", "order"), [(2, TOP), (3, BOTTOM), (4, TOP), (5, BOTTOM)])
def test_order_that_only_the_container_states(command, flat, tmp_path, code, order):
    """Its frames count as progressive, as in files of some capture programs.

    4 and 5 are the codes 9 and 14 of Matroska and QuickTime, for fields stored line by line.
    """
    source = write_interlaced(tmp_path / "film.mkv", (PROGRESSIVE,) * 6, codec="ffv1", stated=code)
    assert read_orders(source)[0] == [PROGRESSIVE] * 6
    target, _ = colour(command, flat, source)
    orders, stated = read_orders(target)
    assert orders == [order] * 6
    assert stated == code


def test_codec_without_field_order_is_noted(command, flat, tmp_path):
    source = write_interlaced(tmp_path / "film.mkv", (BOTTOM,) * 4)
    target, errors = colour(command, flat, source, "--codec", "h265")
    assert "the frames of h265 state no field order, only the container does" in errors
    assert read_orders(target)[1] == STREAM_ORDERS[BOTTOM]
