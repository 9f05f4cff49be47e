"""Before a film is coloured: what it is, what it takes, what its frames come from and end in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from batchcolor.films.codecs import FilmSettings
from batchcolor.films.film import Film
from batchcolor.films.inspection import inspect
from batchcolor.films.numbered import NumberedFrames, inspect_numbered
from batchcolor.films.reader import Frames
from batchcolor.films.stabilize import LOOK_AHEAD
from batchcolor.films.stills import as_pictures, check_replaceable
from batchcolor.films.writer import as_written, tried_out
from batchcolor.job.film_end import FileEnd, FilmEnd, FolderEnd
from batchcolor.job.plan import Task

LEAST_AHEAD = 4 + max(LOOK_AHEAD.values())
"""Frames that a film needs on its way at least: those that wait to be steadied, and some more to
keep its two threads busy."""
ENCODER_FRAMES = 60
"""Frames that an encoder looks ahead, about, and keeps."""


@dataclass(frozen=True)
class Admission:
    """A film that may be coloured: what it is, and what it takes of the memory for pictures."""

    film: Film
    settings: FilmSettings
    """How it is written."""
    max_pixels: int
    ahead: int
    """Frames on their way at once."""
    share: int
    """Bytes."""


def admit(
    task: Task, settings: FilmSettings, max_pixels: int, memory: int, batch: int
) -> Admission:
    """Look at a film, and try its result's container and encoder, before any work on it.

    Raises PictureError: unreadable, nothing to colour, a track that the container cannot hold.
    """
    settings = settings.within(task.format)
    path = task.found.path
    if settings.fps is not None:
        film = inspect_numbered(path, settings.fps, max_pixels)
    else:
        film = inspect(path, max_pixels)
    if settings.to_frames:
        if task.target.exists():
            check_replaceable(task.target)
        film = as_pictures(film, task.format)
    else:
        film = tried_out(as_written(film, settings), settings, task.format)
    if task.found.note:
        film = replace(film, notes=(task.found.note, *film.notes))
    kept = ENCODER_FRAMES * film.frame_bytes
    room = (memory - kept) // (2 * film.frame_bytes)
    ahead = int(max(LEAST_AHEAD, min(2 * batch + LEAST_AHEAD, room)))
    return Admission(
        film, settings, max_pixels, ahead, min(ahead * film.frame_bytes + kept, max(memory, 1))
    )


def frames_of(admission: Admission) -> Frames | NumberedFrames:
    """The frames of a film, or of the folder that is one."""
    film, settings = admission.film, admission.settings
    if film.numbered:
        return NumberedFrames(
            film,
            strict=settings.strict,
            seconds=settings.preview,
            max_pixels=admission.max_pixels,
        )
    return Frames(film, strict=settings.strict, seconds=settings.preview, hold=settings.to_frames)


def end_of(task: Task, admission: Admission, folder: Path, quality: int | None) -> FilmEnd:
    """What the film ends in."""
    film, settings = admission.film, admission.settings
    if settings.to_frames:
        return FolderEnd(task, film, settings, folder, quality)
    return FileEnd(task, film, settings, folder)
