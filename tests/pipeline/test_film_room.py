"""What the films of a job need is stated before the work starts."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from batchcolor.images.formats import MKV, MP4
from batchcolor.pipeline.films import room
from batchcolor.pipeline.films.room import RoomEstimate, count_frames, estimate_bytes
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.output_spec import resolve_output_spec
from batchcolor.video.probe import probe
from batchcolor.video.time_range import TimeRange


@pytest.fixture
def admit(make_clip, tmp_path):
    """Returns the parts of an admission that matter for its room, of a film of 100,000 frames."""
    source = probe(make_clip(tmp_path / "film.mp4"), 10**6)

    def make(container=MP4, **settings):
        output = resolve_output_spec(source, VideoSettings(**settings), container)
        output = replace(output, width=1920, height=1080)
        return SimpleNamespace(source=replace(source, frames=100_000), output=output)

    return make


def test_room_depends_on_codec_quality_and_length(admit):
    usual = estimate_bytes(admit(), 100_000)
    assert 1e9 < usual < 10e9
    assert estimate_bytes(admit(crf=12), 100_000) == 2 * usual
    assert estimate_bytes(admit(crf=30), 100_000) == usual / 4
    assert estimate_bytes(admit(MKV, codec="ffv1"), 100_000) > 10 * usual
    assert estimate_bytes(admit(), 0) == 0


@pytest.mark.parametrize(
    ("preview", "frames"),
    [
        (None, 100_000),
        (TimeRange(0, 10), 250),
        (TimeRange(3990, 60), 250),
        (TimeRange(5000, 60), 0),
    ],
)
def test_only_the_frames_of_a_preview_count(admit, preview, frames):
    assert count_frames(admit(preview=preview)) == frames


@pytest.mark.parametrize(("free", "count"), [(10**13, 1), (10**9, 2)])
def test_disk_that_is_plainly_too_small_is_reported(admit, tmp_path, monkeypatch, free, count):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    estimate = RoomEstimate()
    assert estimate.describe() == []
    for _ in range(2):
        estimate.add(admit(), tmp_path / "not" / "there" / "film.mp4")
    lines = estimate.describe()
    assert len(lines) == count
    assert lines[0].startswith("2 films, 200,000 frames: about 11.7 GB")
    assert "resumed by the same command" in lines[-1] or count == 1


def test_room_and_frames_are_stated_before_the_summary(make_clip, command, flat, tmp_path):
    clip = make_clip(tmp_path / "film.mp4", frames=30)
    result = command("run", clip, "-m", flat, "-o", "out")
    lines = result.stderr.splitlines()
    (stated,) = [n for n, line in enumerate(lines) if "1 film, 30 frames: about" in line]
    (closing,) = [n for n, line in enumerate(lines) if "1 coloured" in line]
    assert stated < closing
    assert "frames: about" not in command("run", clip, "-m", flat, "-o", "two", "-q").stderr
