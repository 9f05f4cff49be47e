"""The end of a film's way: its segments become a film, or a folder of pictures, with its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.pipeline.planner import Task
from batchcolor.storage.atomic import publish, sync_to_disk
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.input.image_sequence_reader import ImageSequenceReader
from batchcolor.video.numbered_frames import scan_image_sequence
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.image_sequence_writer import ImageSegments
from batchcolor.video.output.muxer import Muxer, as_shown, verify
from batchcolor.video.output.packet_segments import PacketSegments
from batchcolor.video.output.segments import Segments
from batchcolor.video.output.timestamps import PacketScan, Timeline
from batchcolor.video.source_info import SourceInfo


@dataclass(frozen=True)
class ResumePoint:
    """Where a film's segments are kept, and what they must have been made of to be of use."""

    folder: Path
    fingerprint: str


class VideoSink(ABC):
    """Writes and commits one film. `segments` takes its frames; `commit` comes after the last."""

    segments: Segments

    def __init__(self, task: Task, film: SourceInfo, settings: VideoSettings) -> None:
        self.task, self.film, self.settings = task, film, settings
        self.timeline = Timeline(film)

    @abstractmethod
    def commit(
        self,
        temporary: Path,
        source: VideoDecoder | ImageSequenceReader,
        survey: PacketScan,
        *,
        replace: bool,
    ) -> list[str]:
        """Give the whole film its name; what is to be said of it.

        Raises ProcessingError, OSError, FFmpegError.
        """

    def check_source(self) -> None:
        """Raises ProcessingError where the source changed since the start: sound and picture
        would be of two films."""
        found = self.task.source
        try:
            if self.film.is_image_sequence:
                now = scan_image_sequence(found.path, found.relative)
                same = now is not None and (now.size, now.mtime_ns) == (found.size, found.mtime_ns)
            else:
                status = found.path.stat()
                same = (status.st_size, status.st_mtime_ns) == (found.size, found.mtime_ns)
        except OSError as error:
            raise ProcessingError("commit", f"its source is gone: {error.strerror}") from error
        if not same:
            self.segments.remove()
            raise ProcessingError("commit", "its source changed while it was coloured")

    def _check_count(self, frames: int, wanted: int) -> None:
        if frames != wanted:
            self.segments.remove()
            raise ProcessingError("commit", f"has {frames} of its source's {wanted} frames")


class FileSink(VideoSink):
    """Ends in a film with every other track of its source."""

    segments: PacketSegments

    def __init__(self, task: Task, film: SourceInfo, settings: VideoSettings, folder: Path) -> None:
        super().__init__(task, as_shown(film, settings), settings)
        self.segments = PacketSegments(folder, self.film, settings, self.timeline)

    def commit(
        self,
        temporary: Path,
        source: VideoDecoder | ImageSequenceReader,
        survey: PacketScan,
        *,
        replace: bool,
    ) -> list[str]:
        """As `VideoSink.commit`."""
        writer = Muxer(temporary, self.film, self.settings, self.task.format)
        try:
            writer.write(self.segments, survey, source.missing)
            if writer.notes and self.settings.strict:
                missing = writer.notes[0].partition(";")[0]  # without what is done about it
                raise ProcessingError(LIMITS, f"{missing} (--strict)")
        finally:
            writer.abort()
        self._check_count(writer.frames, source.count)
        self.check_source()
        sync_to_disk(temporary)
        verify(temporary, writer)
        publish(temporary, self.task.target, replace=replace, mtime_ns=self.task.source.mtime_ns)
        return [*writer.notes, *writer.streams.notes]


class FolderSink(VideoSink):
    """Ends in a folder of numbered pictures."""

    segments: ImageSegments

    def __init__(
        self,
        task: Task,
        film: SourceInfo,
        settings: VideoSettings,
        folder: Path,
        quality: int | None,
    ) -> None:
        super().__init__(task, as_shown(film, settings), settings)
        self.segments = ImageSegments(
            *(folder, task.target, self.film, settings, self.timeline), task.format, quality
        )

    def commit(
        self,
        temporary: Path,
        source: VideoDecoder | ImageSequenceReader,
        survey: PacketScan,
        *,
        replace: bool,
    ) -> list[str]:
        """As `VideoSink.commit`; nothing is written to `temporary`, as all pictures are there."""
        self.segments.finish(source.count)
        self._check_count(self.segments.state.frames, source.count)
        self.check_source()
        mtime_ns = self.task.source.mtime_ns
        self.segments.publish(replace=replace, mtime_ns=mtime_ns)
        return []
