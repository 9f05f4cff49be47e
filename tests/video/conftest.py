"""Fixtures that read films with PyAV alone, independently of batchcolor."""

import hashlib
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type

CONTAINER_TAGS = {"encoder", "major_brand", "minor_version", "compatible_brands"}


def planes(frame):
    """Returns all planes as integers, without padding."""
    deep = frame.format.components[0].bits > 8
    kind = np.dtype("<u2" if deep else "u1")
    return [
        np.frombuffer(p, kind).reshape(p.height, -1)[:, : p.width].astype(int) for p in frame.planes
    ]


def read_film(path, stream=None):
    """Reads streams, packets, timestamps, planes and tags of a film."""
    content = SimpleNamespace(packets={}, times=[], luma=[], chroma=[])
    with av.open(str(path)) as film:
        content.index = film.streams.best("video").index if stream is None else stream
        for packet in film.demux():
            if packet.size:
                digest = hashlib.sha256(bytes(packet)).hexdigest()
                place = packet.pts * packet.time_base if packet.pts is not None else None
                content.packets.setdefault(packet.stream_index, []).append((digest, place))
        content.streams = [
            (s.type, s.metadata.get("language"), s.metadata.get("title"), int(s.disposition))
            for s in film.streams
        ]
        content.chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"])
            for c in film.chapters()
        ]
        content.metadata = {
            k: v for k, v in film.metadata.items() if k.lower() not in CONTAINER_TAGS
        }
        content.seconds = film.duration / 1e6
        video = film.streams[content.index]
        content.codec, content.tag = video.codec_context.name, video.codec_context.codec_tag
        content.aspect, content.rate = video.sample_aspect_ratio, video.average_rate
        content.field_order, content.time_base = video.codec_context.field_order, video.time_base
    with av.open(str(path)) as film:
        for frame in film.decode(film.streams[content.index]):
            content.times.append(frame.pts * frame.time_base)
            y, *chroma = planes(frame)
            content.luma.append(y)
            content.chroma.append(chroma)
            content.size, content.format = (frame.width, frame.height), frame.format.name
            content.colour = (
                frame.color_range,
                frame.colorspace,
                frame.color_primaries,
                frame.color_trc,
            )
            content.rotation, content.interlaced = frame.rotation, frame.interlaced_frame
            matrix = frame.side_data.get(Type.DISPLAYMATRIX)
            content.display = bytes(matrix) if matrix is not None else b""
    return content


@pytest.fixture(name="read_film")
def read_film_fixture():
    """Reads streams, packets, timestamps, planes and tags of a film."""
    return read_film


@pytest.fixture
def colour_film(flat, command, tmp_path):
    """Colours a film; returns the contents of source and result, and the path of the result."""

    def run(source, *options):
        result = command("run", source, "-m", flat, "-o", "out", "--crf", "1", *options)
        assert result.returncode == 0, result.stderr
        (target,) = [p for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")]
        return read_film(source), read_film(target), target

    return run


@pytest.fixture
def assert_same_times():
    """Asserts that two films have the same number of frames, with equal times to one tick."""

    def check(before, after):
        tick = max(before.time_base, after.time_base)
        assert len(after.times) == len(before.times)
        assert max(abs(a - b) for a, b in zip(after.times, before.times, strict=True)) <= tick

    return check
