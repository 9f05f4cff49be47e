"""Segments on disk of unfinished films."""

import shutil
import threading
from fractions import Fraction

import av
import numpy as np
import pytest

from batchcolor.images.formats import MP4
from batchcolor.video.frame_mark import mark_frame
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.output_spec import resolve_output_spec
from batchcolor.video.output.packet_segments import PacketSegments
from batchcolor.video.output.timestamps import Timeline
from batchcolor.video.probe import probe


def test_films_that_end_do_not_remove_folders_of_films_that_start(make_clip, tmp_path):
    source = probe(make_clip(tmp_path / "film.mp4", frames=2), 10**6)
    output = resolve_output_spec(source, VideoSettings(), MP4)
    errors = []

    def work(number):
        segments = PacketSegments(tmp_path / "films" / str(number), output, Timeline(source))
        try:
            for _ in range(300):
                segments.resume("fingerprint")
                (segments.folder / "proof").write_bytes(b"")
                segments.remove()
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert not (tmp_path / "films").exists()


@pytest.fixture
def make_segments(make_clip, tmp_path):
    """Returns segments of one film in a folder, which is copied from `original` if given."""
    source = probe(make_clip(tmp_path / "film.mp4", frames=2), 10**6)
    output = resolve_output_spec(source, VideoSettings(), MP4)

    def make(folder, original=None):
        if original is not None:
            shutil.copytree(original, folder)
        return PacketSegments(folder, output, Timeline(source))

    return make


@pytest.fixture
def stored(make_segments, tmp_path):
    """The folder of two segments of three frames each."""
    segments = make_segments(tmp_path / "stored")
    assert segments.resume("fingerprint") == []
    for number in range(6):
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 40 * number, np.uint8), "yuv420p")
        frame.pts, frame.time_base = number * 512, Fraction(1, 12800)
        segments.write(frame, mark_frame(frame))
        if number % 3 == 2:
            segments.close_segment({"guide": np.full((4, 4), number, np.float32)}, 0, number)
    return segments.folder


def test_intact_segments_are_resumed(make_segments, stored):
    segments = make_segments(stored)
    assert segments.resume("fingerprint") == []
    assert (segments.state.segments, segments.state.frames) == (2, 6)
    assert segments.stabilizer_state["guide"][0, 0] == 5
    assert len(list(segments.read_packets())) == 6
    assert make_segments(stored).resume("another fingerprint") == []


def damage(path):
    """Yields the content of a damaged file; None deletes it."""
    data = path.read_bytes()
    yield None
    yield from (b"", b"\0" * len(data), b"PK\x03\x04", b"[]", b"{}", b"null", b"\xff" * 9)
    yield from (data[:size] for size in (1, 21, len(data) // 2, len(data) - 1))
    yield data + b"\0" * 50
    for place in (0, len(data) // 3, len(data) // 2, len(data) - 1):
        yield data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_damaged_segments_of_any_kind_are_discarded_with_a_note(make_segments, stored, tmp_path):
    paths = sorted(path for path in stored.iterdir() if path.is_file())
    assert len(paths) == 6  # state, stabilizer, two manifests, two files of packets
    for path in paths:
        for number, content in enumerate(damage(path)):
            segments = make_segments(tmp_path / f"{path.name}-{number}", stored)
            if content is None:
                (segments.folder / path.name).unlink()
            else:
                (segments.folder / path.name).write_bytes(content)
            notes = segments.resume("fingerprint")
            is_new = path.name == "state.json" and content is None
            assert len(notes) == (not is_new), (path.name, content)
            assert segments.state.frames == 0
            assert not segments.stabilizer_state
            assert not list(segments.folder.iterdir())
