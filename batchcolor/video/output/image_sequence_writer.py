"""A coloured film as a folder of numbered pictures, one a frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from batchcolor.color import BT601
from batchcolor.errors import ProcessingError
from batchcolor.images.encode import encode
from batchcolor.images.formats import JPEG, Format, is_picture_suffix
from batchcolor.images.join import ColorizedImage
from batchcolor.images.metadata import Metadata
from batchcolor.storage.atomic import (
    replace_folder,
    restore_folder,
    set_modification_time,
    sync_to_disk,
)
from batchcolor.video.color_conversion import to_jpeg_planes, to_rgb
from batchcolor.video.numbered_frames import list_numbered_frames
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.segments import Segments, State
from batchcolor.video.output.timestamps import Timeline
from batchcolor.video.planes import plane_view
from batchcolor.video.source_info import SourceInfo, open_container

DIGITS = 6


def resolve_image_format(film: SourceInfo, kind: Format) -> SourceInfo:
    """The film with the pixel format of which pictures of that format are made, changes noted."""
    bits = 10 if film.bits > 8 and kind.deep else 8
    notes = list(film.notes)
    if bits < film.bits:
        notes.append(f"{film.bits} bits become 8: {kind.name} holds no more")
    if not film.is_image_sequence:
        notes += _dropped_stream_notes(film)
    chroma = "420" if kind == JPEG else "444"
    alpha = film.has_alpha and kind.alpha
    if film.has_alpha and not alpha:
        notes.append(f"transparency dropped: {kind.name} holds none")
    return replace(
        film,
        pixel_format=f"yuv{'a' * alpha}{chroma}p{'10le' if bits > 8 else ''}",
        bits=bits,
        has_alpha=alpha,
        matrix=BT601
        if film.is_image_sequence
        else film.matrix,  # that of pictures, so their luma stays
        notes=tuple(notes),
    )


def _dropped_stream_notes(film: SourceInfo) -> list[str]:
    """What of a film pictures cannot hold."""
    with open_container(film.path) as container:
        others = sorted({s.type for s in container.streams if s.index != film.stream})
    notes = [f"its other tracks ({', '.join(others)}) are dropped"] if others else []
    if film.sample_aspect_ratio not in (None, 1):
        notes.append(
            f"its samples are {film.sample_aspect_ratio} as wide as high, and so they stay"
        )
    return notes


def check_replaceable(folder: Path) -> None:
    """Raises ProcessingError where a folder to be replaced holds more than numbered pictures:
    those of another program."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else [folder]:
        if not (path.stem.isdecimal() and is_picture_suffix(path.suffix)) or path.is_dir():
            raise ProcessingError(
                "plan",
                f"{folder.name} holds {path.name}, which would be lost; move it, or choose another "
                f"--output",
            )


class ImageSegments(Segments):
    """A film's pictures in a folder, `pictures`, that gets the result's name when it is whole.

    A film's frames are counted from 1. Those of a numbered folder keep their numbers; where one
    is missing the one before is written once more, so that there is no gap.
    """

    def __init__(
        self,
        folder: Path,
        target: Path,
        film: SourceInfo,
        settings: VideoSettings,
        timeline: Timeline,
        kind: Format,
        quality: int | None,
    ) -> None:
        super().__init__(folder, film, timeline)
        self.settings, self.kind, self.quality = settings, kind, quality
        self.target = target
        self.pictures, self.former = folder / "pictures", folder / "former"
        frames = list_numbered_frames(film.path) if film.is_image_sequence else None
        self._first, self._step = (frames.first, frames.step) if frames else (1, 1)
        self._digits = frames.digits if frames else DIGITS
        self._length = frames.length if frames and settings.preview is None else 0
        self._unsynced: list[Path] = []

    def _encode_frame(self, frame: VideoFrame) -> None:
        place = self.state.frames + self._in_segment
        if self.film.is_image_sequence:
            assert frame.pts is not None
            place = frame.pts
            self._repeat_until(place)
        self._write_picture(place, self._encode_picture(frame))

    def _repeat_until(self, place: int) -> None:
        """Write the picture before `place` once more for each that is missing before it."""
        last = place - 1
        while last >= 0 and not self._path(last).exists():
            last -= 1
        if last >= 0:
            data = self._path(last).read_bytes()
            for missing in range(last + 1, place):
                self._write_picture(missing, data)

    def _path(self, place: int) -> Path:
        number = self._first + place * self._step
        return self.pictures / f"{number:0{self._digits}d}{self.kind.suffixes[0]}"

    def _write_picture(self, place: int, data: bytes) -> None:
        self.pictures.mkdir(exist_ok=True)
        path = self._path(place)
        path.write_bytes(data)
        self._unsynced.append(path)

    def _encode_picture(self, frame: VideoFrame) -> bytes:
        """The file of one frame, upright."""
        turns = self.film.rotation // 90
        if self.kind == JPEG:
            frame = to_jpeg_planes(frame, self.film)
            y, cb, cr = (
                np.ascontiguousarray(np.rot90(plane_view(frame, n), turns)) for n in range(3)
            )
            return encode(ColorizedImage(JPEG, luma=y, cb=cb, cr=cr), Metadata(), self.quality)
        deep, rgb = self.film.bits > 8, "rgba" if self.film.has_alpha else "rgb24"
        pixels: Any = to_rgb(frame, self.film, "rgb48le" if deep else rgb).to_ndarray()
        upright = np.ascontiguousarray(np.rot90(pixels, turns))
        return encode(ColorizedImage(self.kind, rgb=upright), Metadata(), self.quality)

    def _flush(self) -> None:
        for path in self._unsynced:
            sync_to_disk(path)
        self._unsynced.clear()

    def _is_complete(self, state: State) -> bool:
        return state.frames == 0 or len(list(self.pictures.iterdir())) >= state.frames

    def finish(self, frames: int) -> None:
        """Hold the last picture to the end. Raises ProcessingError where pictures are missing."""
        self._repeat_until(self._length)
        self._flush()
        there = len(list(self.pictures.iterdir()))
        if there < frames:
            raise ProcessingError("commit", f"has {there} of {frames} pictures")

    def remove(self) -> None:
        """As `Segments.remove`; a former result that lost its name to one that never got it, as a
        job was killed between the two, has it back."""
        restore_folder(self.target, self.former)
        super().remove()

    def publish(self, *, replace: bool, mtime_ns: int) -> None:
        """Give the folder its name. Raises FileExistsError where it is taken, and OSError."""
        target = self.target
        set_modification_time(self.pictures, mtime_ns)
        if target.exists() and not replace:
            raise FileExistsError(target)
        if target.exists():
            check_replaceable(target)
        replace_folder(self.pictures, target, self.former)
