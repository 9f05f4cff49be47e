"""What a reader that knows nothing of batchcolor sees of a film."""

import hashlib
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type

CONTAINER_TAGS = {"encoder", "major_brand", "minor_version", "compatible_brands"}


def planes(frame):
    """All planes as integers, without padding."""
    deep = frame.format.components[0].bits > 8
    kind = np.dtype("<u2" if deep else "u1")
    return [
        np.frombuffer(p, kind).reshape(p.height, -1)[:, : p.width].astype(int) for p in frame.planes
    ]


def seen_of(path, stream=None):
    """A film as a reader that knows nothing of batchcolor sees it."""
    seen = SimpleNamespace(packets={}, times=[], luma=[], chroma=[])
    with av.open(str(path)) as film:
        seen.index = film.streams.best("video").index if stream is None else stream
        for packet in film.demux():
            if packet.size:
                digest = hashlib.sha256(bytes(packet)).hexdigest()
                place = packet.pts * packet.time_base if packet.pts is not None else None
                seen.packets.setdefault(packet.stream_index, []).append((digest, place))
        seen.tracks = [
            (s.type, s.metadata.get("language"), s.metadata.get("title"), int(s.disposition))
            for s in film.streams
        ]
        seen.chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"])
            for c in film.chapters()
        ]
        seen.metadata = {k: v for k, v in film.metadata.items() if k.lower() not in CONTAINER_TAGS}
        seen.seconds = film.duration / 1e6
        video = film.streams[seen.index]
        seen.codec, seen.tag = video.codec_context.name, video.codec_context.codec_tag
        seen.aspect, seen.rate = video.sample_aspect_ratio, video.average_rate
        seen.field_order, seen.time_base = video.codec_context.field_order, video.time_base
    with av.open(str(path)) as film:
        for frame in film.decode(film.streams[seen.index]):
            seen.times.append(frame.pts * frame.time_base)
            y, *chroma = planes(frame)
            seen.luma.append(y)
            seen.chroma.append(chroma)
            seen.size, seen.format = (frame.width, frame.height), frame.format.name
            seen.colour = (
                frame.color_range,
                frame.colorspace,
                frame.color_primaries,
                frame.color_trc,
            )
            seen.rotation, seen.interlaced = frame.rotation, frame.interlaced_frame
            matrix = frame.side_data.get(Type.DISPLAYMATRIX)
            seen.display = bytes(matrix) if matrix is not None else b""
    return seen


@pytest.fixture
def look():
    """Looks at a film: its tracks, packets, times, planes and tags."""
    return seen_of


@pytest.fixture
def coloured(flat, command, tmp_path):
    """Colours one film by the command and gives what a reader sees before and after."""

    def run(source, *options):
        result = command("run", source, "-m", flat, "-o", "out", "--crf", "1", *options)
        assert result.returncode == 0, result.stderr
        (target,) = [p for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")]
        return seen_of(source), seen_of(target), target

    return run


@pytest.fixture
def same_times():
    """Asserts that two films have as many frames, each at its time, to one tick."""

    def check(before, after):
        tick = max(before.time_base, after.time_base)
        assert len(after.times) == len(before.times)
        assert max(abs(a - b) for a, b in zip(after.times, before.times, strict=True)) <= tick

    return check
