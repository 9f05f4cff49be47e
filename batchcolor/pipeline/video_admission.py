"""Before a film is coloured: what it is, what it takes, what its frames come from and end in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from batchcolor.pipeline.planner import Task
from batchcolor.pipeline.video_sink import FileSink, FolderSink, VideoSink
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.input.image_sequence_reader import ImageSequenceReader, probe_image_sequence
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.image_sequence_writer import check_replaceable, resolve_image_format
from batchcolor.video.output.muxer import dry_run_mux, resolve_output_format
from batchcolor.video.probe import probe
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.stabilizer import LOOK_AHEAD

LEAST_AHEAD = 4 + max(LOOK_AHEAD.values())
"""Minimum of frames of a film in flight: those that wait to be stabilized, and some more to
keep its two threads busy."""
ENCODER_FRAMES = 60
"""Frames that an encoder looks ahead, about, and keeps."""


@dataclass(frozen=True)
class Admission:
    """A film that may be coloured: what it is, and what it takes of the memory for pictures."""

    film: SourceInfo
    settings: VideoSettings
    """How it is written."""
    max_pixels: int
    ahead: int
    """Frames in flight."""
    share: int
    """Bytes."""


def admit(
    task: Task, settings: VideoSettings, max_pixels: int, memory: int, batch: int
) -> Admission:
    """Look at a film, and try its result's container and encoder, before any work on it.

    Raises ProcessingError: unreadable, nothing to colour, a track that the container cannot hold.
    """
    settings = settings.for_container(task.format)
    path = task.source.path
    if settings.fps is not None:
        film = probe_image_sequence(path, settings.fps, max_pixels)
    else:
        film = probe(path, max_pixels)
    if settings.to_frames:
        if task.target.exists():
            check_replaceable(task.target)
        film = resolve_image_format(film, task.format)
    else:
        film = dry_run_mux(resolve_output_format(film, settings), settings, task.format)
    if task.source.note:
        film = replace(film, notes=(task.source.note, *film.notes))
    kept = ENCODER_FRAMES * film.frame_bytes
    room = (memory - kept) // (2 * film.frame_bytes)
    ahead = int(max(LEAST_AHEAD, min(2 * batch + LEAST_AHEAD, room)))
    return Admission(
        film, settings, max_pixels, ahead, min(ahead * film.frame_bytes + kept, max(memory, 1))
    )


def open_frames(admission: Admission) -> VideoDecoder | ImageSequenceReader:
    """The frames of a film, or of the folder that is one."""
    film, settings = admission.film, admission.settings
    if film.is_image_sequence:
        return ImageSequenceReader(
            film,
            strict=settings.strict,
            seconds=settings.preview,
            max_pixels=admission.max_pixels,
        )
    return VideoDecoder(
        film, strict=settings.strict, seconds=settings.preview, repeat_last_frame=settings.to_frames
    )


def open_sink(task: Task, admission: Admission, folder: Path, quality: int | None) -> VideoSink:
    """What the film ends in."""
    film, settings = admission.film, admission.settings
    if settings.to_frames:
        return FolderSink(task, film, settings, folder, quality)
    return FileSink(task, film, settings, folder)
