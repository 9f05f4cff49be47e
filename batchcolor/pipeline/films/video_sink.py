"""Commits a coloured film: its segments become a film file or a folder of numbered pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.formats import Format
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.provenance_marks.provenance import Provenance, mark_metadata
from batchcolor.pipeline.planning.task import Task
from batchcolor.storage.atomic import publish, sync_to_disk
from batchcolor.video.input.shot_frames import Frames, ShotFrames
from batchcolor.video.numbered_frames import scan_image_sequence
from batchcolor.video.output.animation_muxer import verify_animation, write_animation
from batchcolor.video.output.image_sequence_writer import ImageSegments
from batchcolor.video.output.muxer import Muxer, verify
from batchcolor.video.output.output_spec import OutputSpec
from batchcolor.video.output.packet_segments import PacketSegments
from batchcolor.video.output.segments import Segments
from batchcolor.video.output.timestamps import PacketScan, Timeline
from batchcolor.video.picture_colors import describe_colors
from batchcolor.video.source_info import SourceInfo


class VideoSink(ABC):
    """Writes and commits one film. `segments` takes its frames; `commit` comes after the last."""

    segments: Segments

    def __init__(self, task: Task, source: SourceInfo, output: OutputSpec) -> None:
        self.task, self.source, self.output = task, source, output
        self.timeline = Timeline(source)
        self.sign: Callable[[Path], None] | None = None
        """Signs the complete temporary file in place. Raises ProcessingError, OSError."""

    @abstractmethod
    def mark(self, provenance: Provenance) -> None:
        """States in the result what coloured it; called before the first frame."""

    @abstractmethod
    def commit(
        self,
        temporary: Path,
        decoder: Frames | ShotFrames,
        scan: PacketScan,
        *,
        replace: bool,
    ) -> list[str]:
        """Commits the film after its last frame; returns notes.

        Raises ProcessingError, OSError, FFmpegError.
        """

    def check_source(self) -> None:
        """Raises ProcessingError if the source changed during the job: audio and video of the
        result would be of different versions."""
        found = self.task.source
        try:
            if self.source.is_image_sequence:
                current = scan_image_sequence(found.path, found.relative)
                is_same = current is not None and (current.size, current.mtime_ns) == (
                    found.size,
                    found.mtime_ns,
                )
            else:
                status = found.path.stat()
                is_same = (status.st_size, status.st_mtime_ns) == (found.size, found.mtime_ns)
        except OSError as error:
            raise ProcessingError(
                "commit", f"the source cannot be read any more: {error.strerror}"
            ) from error
        if not is_same:
            self.segments.remove()
            raise ProcessingError("commit", "the source changed while it was coloured")

    def _describe_colors(self, kind: Format | None) -> Metadata:
        """Returns the metadata that states the colour space of pictures of a format."""
        if kind is None:
            return Metadata()
        return describe_colors(self.output.frame_format, self.output.hdr, kind)

    def _check_count(self, frames: int, wanted: int) -> None:
        if frames != wanted:
            self.segments.remove()
            raise ProcessingError(
                "commit", f"{frames} of the source's {wanted} frames were written"
            )

    def _publish(self, temporary: Path, check: Callable[[], None], *, replace: bool) -> None:
        """Signs, checks and publishes a complete temporary file. Raises as `commit`."""
        self.check_source()
        if self.sign is not None:
            self.sign(temporary)
        sync_to_disk(temporary)
        check()
        publish(temporary, self.task.target, replace=replace, mtime_ns=self.task.source.mtime_ns)


class FileSink(VideoSink):
    """Writes a film with all other streams of its source."""

    segments: PacketSegments

    def __init__(self, task: Task, source: SourceInfo, output: OutputSpec, folder: Path) -> None:
        super().__init__(task, source, output)
        self.segments = PacketSegments(folder, output, self.timeline)
        self.provenance: Provenance | None = None

    def mark(self, provenance: Provenance) -> None:
        """As `VideoSink.mark`: a comment of the container."""
        self.provenance = provenance

    def commit(
        self,
        temporary: Path,
        decoder: Frames | ShotFrames,
        scan: PacketScan,
        *,
        replace: bool,
    ) -> list[str]:
        """As `VideoSink.commit`."""
        muxer = Muxer(temporary, self.source, self.output)
        try:
            if self.provenance is not None:
                muxer.mark(self.provenance)
            muxer.write(self.segments, scan, decoder.missing)
            if muxer.notes and self.output.settings.strict:
                missing = muxer.notes[0].partition(";")[0]  # without the action
                raise ProcessingError(LIMITS, f"{missing} (--strict)")
        finally:
            muxer.abort()
        self._check_count(muxer.frames, decoder.count)
        self._publish(temporary, partial(verify, temporary, muxer), replace=replace)
        return [*muxer.notes, *muxer.streams.notes]


class AnimationSink(VideoSink):
    """Writes an animated PNG or WebP."""

    segments: PacketSegments

    def __init__(
        self,
        task: Task,
        source: SourceInfo,
        output: OutputSpec,
        folder: Path,
        quality: int | None,
    ) -> None:
        super().__init__(task, source, output)
        self.segments = PacketSegments(folder, output, self.timeline, quality)
        self.segments.metadata = self._describe_colors(output.container.still)

    def mark(self, provenance: Provenance) -> None:
        """As `VideoSink.mark`: metadata of the first picture."""
        still = self.output.container.still
        assert still is not None
        self.segments.metadata = mark_metadata(self.segments.metadata, provenance, still, [])

    def commit(
        self,
        temporary: Path,
        decoder: Frames | ShotFrames,
        scan: PacketScan,
        *,
        replace: bool,
    ) -> list[str]:
        """As `VideoSink.commit`."""
        frames = write_animation(temporary, self.segments, self.output)
        self._check_count(frames, decoder.count)
        check = partial(verify_animation, temporary, self.output, frames)
        self._publish(temporary, check, replace=replace)
        return []


class FolderSink(VideoSink):
    """Writes a folder of numbered pictures."""

    segments: ImageSegments

    def __init__(
        self,
        task: Task,
        source: SourceInfo,
        output: OutputSpec,
        folder: Path,
        quality: int | None,
    ) -> None:
        super().__init__(task, source, output)
        self.segments = ImageSegments(folder, task.target, source, output, self.timeline, quality)
        self.segments.metadata = self._describe_colors(output.container)

    def mark(self, provenance: Provenance) -> None:
        """As `VideoSink.mark`: metadata of each picture."""
        container = self.output.container
        self.segments.metadata = mark_metadata(self.segments.metadata, provenance, container, [])

    def commit(
        self,
        temporary: Path,
        decoder: Frames | ShotFrames,
        scan: PacketScan,
        *,
        replace: bool,
    ) -> list[str]:
        """As `VideoSink.commit`; `temporary` is not used, as the pictures are written already."""
        self.segments.finish(decoder.count)
        self._check_count(self.segments.state.frames, decoder.count)
        self.check_source()
        mtime_ns = self.task.source.mtime_ns
        self.segments.publish(replace=replace, mtime_ns=mtime_ns)
        return []
