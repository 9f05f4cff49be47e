"""The end of a film's way: its segments become a film, or a folder of pictures, with its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from batchcolor.errors import LIMITS, PictureError
from batchcolor.films.codecs import FilmSettings
from batchcolor.films.coded import CodedSegments
from batchcolor.films.film import Film
from batchcolor.films.numbered import NumberedFrames, found_in
from batchcolor.films.reader import Frames
from batchcolor.films.segments import Segments
from batchcolor.films.stills import StillSegments
from batchcolor.films.timing import Survey, Timeline
from batchcolor.films.writer import FilmWriter, as_shown, flush_to_disk, verify
from batchcolor.job.plan import Task
from batchcolor.pictures.commit import publish


@dataclass(frozen=True)
class SegmentPlace:
    """Where a film's segments are kept, and what they must have been made of to be of use."""

    folder: Path
    fingerprint: str


class FilmEnd(ABC):
    """Writes and commits one film. `segments` takes its frames; `commit` comes after the last."""

    segments: Segments

    def __init__(self, task: Task, film: Film, settings: FilmSettings) -> None:
        self.task, self.film, self.settings = task, film, settings
        self.timeline = Timeline(film)

    @abstractmethod
    def commit(
        self, temporary: Path, source: Frames | NumberedFrames, survey: Survey, *, replace: bool
    ) -> list[str]:
        """Give the whole film its name; what is to be said of it.

        Raises PictureError, OSError, FFmpegError.
        """

    def check_source(self) -> None:
        """Raises PictureError where the source is another than at the beginning: sound and picture
        would be of two films."""
        found = self.task.found
        try:
            if self.film.numbered:
                now = found_in(found.path, found.relative)
                same = now is not None and (now.size, now.mtime_ns) == (found.size, found.mtime_ns)
            else:
                status = found.path.stat()
                same = (status.st_size, status.st_mtime_ns) == (found.size, found.mtime_ns)
        except OSError as error:
            raise PictureError("commit", f"its source is gone: {error.strerror}") from error
        if not same:
            self.segments.remove()
            raise PictureError("commit", "its source changed while it was coloured")

    def _check_count(self, frames: int, wanted: int) -> None:
        if frames != wanted:
            self.segments.remove()
            raise PictureError("commit", f"has {frames} of its source's {wanted} frames")


class FileEnd(FilmEnd):
    """Ends in a film with every other track of its source."""

    segments: CodedSegments

    def __init__(self, task: Task, film: Film, settings: FilmSettings, folder: Path) -> None:
        super().__init__(task, as_shown(film, settings), settings)
        self.segments = CodedSegments(folder, self.film, settings, self.timeline)

    def commit(
        self, temporary: Path, source: Frames | NumberedFrames, survey: Survey, *, replace: bool
    ) -> list[str]:
        """As `FilmEnd.commit`."""
        writer = FilmWriter(temporary, self.film, self.settings, self.task.format)
        try:
            writer.write(self.segments, survey, source.missing)
            if writer.notes and self.settings.strict:
                missing = writer.notes[0].partition(";")[0]  # without what is done about it
                raise PictureError(LIMITS, f"{missing} (--strict)")
        finally:
            writer.abandon()
        self._check_count(writer.frames, source.count)
        self.check_source()
        flush_to_disk(temporary)
        verify(temporary, writer)
        publish(temporary, self.task.target, replace=replace, mtime_ns=self.task.found.mtime_ns)
        return [*writer.notes, *writer.tracks.notes]


class FolderEnd(FilmEnd):
    """Ends in a folder of numbered pictures."""

    segments: StillSegments

    def __init__(
        self, task: Task, film: Film, settings: FilmSettings, folder: Path, quality: int | None
    ) -> None:
        super().__init__(task, as_shown(film, settings), settings)
        self.segments = StillSegments(
            *(folder, task.target, self.film, settings, self.timeline), task.format, quality
        )

    def commit(
        self, temporary: Path, source: Frames | NumberedFrames, survey: Survey, *, replace: bool
    ) -> list[str]:
        """As `FilmEnd.commit`; nothing is written to `temporary`, as all pictures are there."""
        self.segments.finish(source.count)
        self._check_count(self.segments.state.frames, source.count)
        self.check_source()
        mtime_ns = self.task.found.mtime_ns
        self.segments.publish(replace=replace, mtime_ns=mtime_ns)
        return []
