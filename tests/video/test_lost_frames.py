"""Frames that are missing in damaged H.265 without an error of the decoder are reported."""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from batchcolor.errors import ProcessingError
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.input.lost_frames import LeapDetector
from batchcolor.video.probe import probe

CONTAINERS = ["mp4", "mkv", "ts"]
PARAMETERS = "log-level=0:keyint=50:min-keyint=50:scenecut=0:bframes=3:frame-threads=1:pools=1"


@pytest.fixture(scope="module")
def packets(tmp_path_factory):
    """Path of an H.265 film of 100 frames, and its packets in the order of their decoding."""
    path = tmp_path_factory.mktemp("lost") / "film.mp4"
    base = np.random.default_rng(0).integers(60, 180, (12, 16)).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx265", rate=25, options={"x265-params": PARAMETERS})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(100):
            planes = np.vstack([np.roll(base, number, 1), np.full((48, 128), 128)])
            frame = av.VideoFrame.from_ndarray(planes.astype(np.uint8), "yuv420p")
            frame.pts = number
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    with av.open(str(path)) as film:
        found = [packet for packet in film.demux(video=0) if packet.size]
        times = [(packet.pts, packet.dts, packet.time_base, packet.size) for packet in found]
    return path, times


def write_damaged(source, target, number, *, remove):
    """Copies a film; its packet `number` is removed, or has damaged bytes."""
    with av.open(str(source)) as film, av.open(str(target), "w") as copy:
        stream = copy.add_stream_from_template(film.streams.video[0], opaque=True)
        for place, packet in enumerate(p for p in film.demux(video=0) if p.size):
            written = packet
            if place == number:
                if remove:
                    continue
                data = bytes(packet)
                written = av.Packet(data[:8] + bytes(byte ^ 0x5A for byte in data[8:]))
                written.pts, written.dts = packet.pts, packet.dts
                written.time_base, written.duration = packet.time_base, packet.duration
            written.stream = stream
            copy.mux(written)


def decode(path, *, strict=False):
    source = probe(path, 2**26, 2**30)
    decoder = VideoDecoder(source, strict=strict)
    times = [frame.pts * source.time_base for frame in decoder]
    return [float(time - times[0]) for time in times], float(times[0]), decoder.notes


def find_packet(packets, *, largest):
    """Number of a packet in the middle of the first group, that others refer to or that none do."""
    return (max if largest else min)(range(20, 45), key=lambda number: packets[number][3])


@pytest.mark.parametrize("container", CONTAINERS)
def test_damaged_frame_is_reported_with_its_time(packets, tmp_path, container):
    path, content = packets
    number = find_packet(content, largest=False)
    target = tmp_path / f"film.{container}"
    write_damaged(path, target, number, remove=False)
    times, start, notes = decode(target)
    assert len(times) < 100
    missing = float(content[number][0] * content[number][2]) + start
    assert any(f" at {missing:.2f} s: a frame cannot be decoded" in note for note in notes), notes
    with pytest.raises(ProcessingError, match="--strict"):
        decode(target, strict=True)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("largest", [True, False])
def test_removed_frame_is_reported_with_a_time(packets, tmp_path, container, largest):
    path, content = packets
    number = find_packet(content, largest=largest)
    target = tmp_path / f"film.{container}"
    write_damaged(path, target, number, remove=True)
    times, start, notes = decode(target)
    step = 0.04
    leap = next(a + step for a, b in itertools.pairwise(times) if b - a > 1.5 * step)
    assert len(times) < 100
    near = {f"{leap + shift + start:.2f} " for shift in (0, step)}
    assert any(f" {time}" in note for note in notes for time in near), (notes, near)


@pytest.mark.parametrize("container", CONTAINERS)
def test_intact_film_has_no_note(packets, tmp_path, container):
    path, _ = packets
    write_damaged(path, tmp_path / f"film.{container}", -1, remove=True)
    times, _, notes = decode(tmp_path / f"film.{container}")
    assert (len(times), notes) == (100, [])


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ([*range(0, 60 * 40, 40), *range(61 * 40, 100 * 40, 40)], "from 2.40 to 2.44 s,"),
        ([0, *range(80, 110 * 40, 40), 111 * 40], "from 0.04 to 0.08 s and at 1 later time,"),
        (list(range(0, 4000, 40)), ""),
        ([*range(0, 800, 40), *range(840, 1600, 40)], ""),  # too short to state a constant rate
        ([n * 40 + 15 * (n % 2) for n in range(98)] + [4000], ""),  # variable frame rate
        ([n // 2 * 80 + n % 2 * 40 + n // 4 * 40 for n in range(100)], ""),  # leaps are usual
    ],
)
def test_leap_in_a_constant_frame_rate_is_described(ticks, expected):
    detector = LeapDetector(Fraction(40))
    for tick in ticks:
        detector.add_frame(tick)
    note = detector.describe(Fraction(1, 1000))
    assert (expected in note) if expected else not note
