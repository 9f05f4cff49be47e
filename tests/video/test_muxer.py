"""The muxer closes what it opened, also where it fails."""

import errno
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from batchcolor.images.formats import MP4
from batchcolor.pipeline.films.video_sink import FileSink
from batchcolor.video.output import muxer
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.output_spec import resolve_output_spec
from batchcolor.video.output.timestamps import PacketScan
from batchcolor.video.probe import probe


def is_open(path):
    return any(Path(file.path) == path for file in psutil.Process().open_files())


@pytest.fixture
def film(make_clip, tmp_path):
    """A film's path, its source and its output."""
    path = make_clip(tmp_path / "film.mp4", frames=2, audio=("aac",))
    source = probe(path, 10**6)
    return path, source, resolve_output_spec(source, VideoSettings(), MP4)


def fail(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("function", ["open_output", "configure_encoder"])
def test_source_is_closed_where_the_result_cannot_be_opened(film, tmp_path, monkeypatch, function):
    path, source, output = film
    monkeypatch.setattr(muxer, function, fail)
    with pytest.raises(OSError, match="No space") as caught:
        muxer.Muxer(tmp_path / "out.mp4", source, output)
    assert not is_open(path)
    del caught  # its traceback holds the muxer, whose deletion would close the source


def test_source_is_closed_where_the_tags_cannot_be_written(film, tmp_path, monkeypatch):
    path, source, output = film
    task = SimpleNamespace(target=tmp_path / "out.mp4", source=SimpleNamespace(path=path))
    sink = FileSink(task, source, output, tmp_path / "segments")
    sink.mark(object())
    monkeypatch.setattr(muxer, "add_film_mark", fail)
    with pytest.raises(OSError, match="No space") as caught:
        sink.commit(tmp_path / "out.mp4", SimpleNamespace(missing=0), PacketScan(), replace=False)
    assert not is_open(path)
    del caught
