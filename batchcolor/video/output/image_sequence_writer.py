"""Writes a coloured film as a folder of numbered pictures, one per frame."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from batchcolor.errors import ProcessingError
from batchcolor.images.dpx_header import BLOCK_FORMAT
from batchcolor.images.encode import encode
from batchcolor.images.formats import DPX, JPEG, is_writable_suffix
from batchcolor.images.join import JoinedImage
from batchcolor.images.metadata.model import Block, Metadata
from batchcolor.images.readers.dpx import is_dpx, read_dpx_header
from batchcolor.storage.atomic import (
    replace_folder,
    restore_folder,
    set_modification_time,
    sync_to_disk,
)
from batchcolor.video.color_conversion import to_jpeg_planes
from batchcolor.video.numbered_frames import list_numbered_frames
from batchcolor.video.output.frame_pixels import render_pixels
from batchcolor.video.output.output_spec import OutputSpec
from batchcolor.video.output.segments import Segments
from batchcolor.video.output.timestamps import Timeline
from batchcolor.video.planes import view_plane
from batchcolor.video.source_info import SourceInfo

DIGITS = 6
"""Digits in the names of a film's frames."""


def check_replaceable(folder: Path) -> None:
    """Raises ProcessingError if a folder to be replaced holds anything but numbered pictures."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else [folder]:
        if not (path.stem.isdecimal() and is_writable_suffix(path.suffix)) or path.is_dir():
            raise ProcessingError(
                "plan",
                f"{folder.name} holds {path.name}, which would be lost; move it, or choose another "
                f"--output",
            )


class ImageSegments(Segments):
    """Numbered pictures in the subfolder `pictures`, which gets the result's name when complete.

    Frames of a film are numbered from 1. Frames of a numbered folder keep their numbers. A missing
    frame is replaced by a copy of the previous picture, so that the numbers have no gap.
    """

    def __init__(
        self,
        folder: Path,
        target: Path,
        source: SourceInfo,
        output: OutputSpec,
        timeline: Timeline,
        quality: int | None,
    ) -> None:
        super().__init__(folder, output, timeline)
        self.metadata = Metadata()
        """Written to each picture."""
        self.target, self.quality = target, quality
        # "former" is fixed: jobs of earlier versions may have left a result there.
        self.pictures, self.previous_result = folder / "pictures", folder / "former"
        self._is_image_sequence = source.is_image_sequence
        frames = list_numbered_frames(source.path) if source.is_image_sequence else None
        self._first, self._step = (frames.first, frames.step) if frames else (1, 1)
        self._sources = frames.paths if frames else {}
        self._digits = frames.digits if frames else DIGITS
        is_preview = output.settings.preview is not None
        self._length = frames.length if frames and not is_preview else 0
        self._unsynced: dict[Path, int] = {}
        """CRC-32 of the pictures that are not yet on the disk."""

    def _encode_frame(self, frame: VideoFrame) -> None:
        position = self.state.frames + self._in_segment
        if self._is_image_sequence:
            assert frame.pts is not None
            position = frame.pts
            if not self.output.settings.has_only_shots:
                self._repeat_until(position)
        self._write_image(position, self._encode_image(frame, self._find_metadata(position)))

    def _repeat_until(self, position: int) -> None:
        """Fills the gap before `position`, from 0, with copies of the last picture before it."""
        last = position - 1
        while last >= 0 and not self._make_path(last).exists():
            last -= 1
        if last >= 0:
            data = self._make_path(last).read_bytes()
            for missing in range(last + 1, position):
                self._write_image(missing, data)

    def _make_path(self, position: int) -> Path:
        number = self._first + position * self._step
        return self.pictures / f"{number:0{self._digits}d}{self.output.container.suffixes[0]}"

    def _write_image(self, position: int, data: bytes) -> None:
        self.pictures.mkdir(exist_ok=True)
        path = self._make_path(position)
        path.write_bytes(data)
        self._unsynced[path] = zlib.crc32(data)

    def _find_metadata(self, position: int) -> Metadata:
        """Returns the metadata of a picture: with the header of its source, if both are DPX."""
        number = self._first + position * self._step
        source = self._sources.get(number) if self.output.container == DPX else None
        if source is None or not is_dpx(source):
            return self.metadata
        block = Block(BLOCK_FORMAT, "", read_dpx_header(source).raw)
        return replace(self.metadata, blocks=(block,))

    def _encode_image(self, frame: VideoFrame, metadata: Metadata) -> bytes:
        """Returns the picture file of a frame, upright."""
        kind, frame_format = self.output.container, self.output.frame_format
        turns = frame_format.rotation // 90
        if kind == JPEG:
            frame = to_jpeg_planes(frame, frame_format)
            y, cb, cr = (
                np.ascontiguousarray(np.rot90(view_plane(frame, n), turns)) for n in range(3)
            )
            return encode(JoinedImage(JPEG, luma=y, cb=cb, cr=cr), metadata, self.quality)
        joined = JoinedImage(kind, rgb=render_pixels(frame, frame_format), bits=frame_format.bits)
        return encode(joined, metadata, self.quality)

    def _flush(self) -> dict[str, int]:
        for path in self._unsynced:
            sync_to_disk(path)
        files = {f"{self.pictures.name}/{path.name}": n for path, n in self._unsynced.items()}
        self._unsynced.clear()
        return files

    def _discard_unfinished(self, finished: set[str]) -> None:
        """Deletes pictures of an unfinished segment: `_repeat_until` would copy them."""
        for path in self.pictures.iterdir():
            if f"{self.pictures.name}/{path.name}" not in finished:
                path.unlink()

    def finish(self, frames: int) -> None:
        """Repeats the last picture to the end. Raises ProcessingError if pictures are missing."""
        self._repeat_until(self._length)
        self._flush()
        count = len(list(self.pictures.iterdir()))
        if count < frames:
            raise ProcessingError("commit", f"{count} of {frames} pictures were written")

    def remove(self) -> None:
        """Deletes all segments. If a job was killed while it replaced a result, restores that."""
        restore_folder(self.target, self.previous_result)
        super().remove()

    def publish(self, *, replace: bool, mtime_ns: int) -> None:
        """Renames the folder of pictures to the result's name.

        Raises FileExistsError if the name is taken and `replace` is False; OSError.
        """
        target = self.target
        set_modification_time(self.pictures, mtime_ns)
        if target.exists() and not replace:
            raise FileExistsError(target)
        if target.exists():
            check_replaceable(target)
        replace_folder(self.pictures, target, self.previous_result)
