"""A folder of numbered frames (`0001.png ...`), read as the film that it is."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from batchcolor.color import BT601, BT709
from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.decode import decode, estimate_memory
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.video.numbered_frames import NumberedFrames, list_numbered_frames
from batchcolor.video.planes import plane_view
from batchcolor.video.source_info import (
    FULL_RANGE,
    HD_HEIGHT,
    HD_WIDTH,
    HIGH_BIT_DEPTH,
    ColorTags,
    SourceInfo,
)

MAX_LISTED_NAMES = 5
"""Frames that a note names; beyond, it says how many there are."""


def probe_image_sequence(folder: Path, fps: Fraction, max_pixels: int) -> SourceInfo:
    """What the film of a folder is, by its first frame that can be read. Raises ProcessingError."""
    frames = list_numbered_frames(folder)
    notes = []
    if frames.unnumbered:
        notes.append(f"{_join_names(frames.unnumbered)} without a number: dropped")
    if frames.missing:
        missing = _join_names([str(number) for number in frames.missing])
        notes.append(f"frame {missing} missing: the one before is shown in that place")
    picture = _first_readable(frames, max_pixels)
    hd = picture.width >= HD_WIDTH or picture.height > HD_HEIGHT
    deep = picture.depth > 8
    if deep:
        notes.append(f"{picture.depth} bits become {HIGH_BIT_DEPTH}")
    return SourceInfo(
        path=folder,
        stream=0,
        width=picture.width,
        height=picture.height,
        pixel_format="yuv420p10le" if deep else "yuv420p",
        bits=HIGH_BIT_DEPTH if deep else 8,
        full_range=True,  # as pictures are: their luma stays what it is
        matrix=BT709 if hd else BT601,
        rate=fps,
        time_base=1 / fps,
        frames=len(frames.paths),
        end=float(frames.length / fps),
        container_end=float(frames.length / fps),
        tags=ColorTags(range=FULL_RANGE, matrix=1 if hd else 6),
        is_image_sequence=True,
        notes=tuple(notes),
    )


def _join_names(names: list[str] | tuple[str, ...]) -> str:
    more = len(names) - MAX_LISTED_NAMES
    return ", ".join(names[:MAX_LISTED_NAMES]) + (f" and {more} more" if more > 0 else "")


def _first_readable(frames: NumberedFrames, max_pixels: int) -> Picture:
    reason = ""
    for path in frames.paths.values():
        try:
            return _decode_picture(path, max_pixels)
        except ProcessingError as error:
            reason = reason or f"{path.name}: {error.reason}"
    raise ProcessingError("decode", f"not one frame can be read ({reason})")


def _decode_picture(path: Path, max_pixels: int) -> Picture:
    found = next(iter(scan(path)), None)
    if not isinstance(found, ScannedFile):
        raise ProcessingError("decode", found.reason if found else "is no picture")
    estimate_memory(
        found, max_pixels
    )  # refuses from the header what is too large, or has several pages
    return decode(found, max_pixels)


class ImageSequenceReader:
    """Iterates over the frames of a folder as `reader.Frames` does over those of a film.

    The time of a frame is that of its number, so where one is missing or cannot be read the one
    before is shown until the next. With `strict` such a frame raises ProcessingError instead.
    """

    def __init__(
        self,
        film: SourceInfo,
        *,
        strict: bool,
        skip: int = 0,
        seconds: float | None = None,
        max_pixels: int,
    ) -> None:
        self.film, self.strict, self.skip, self.seconds = film, strict, skip, seconds
        self.max_pixels = max_pixels
        self.count = 0
        self.notes: list[str] = []
        self._unreadable: list[str] = []
        self._sizes: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[VideoFrame]:
        frames = list_numbered_frames(self.film.path)
        if self.strict and frames.missing:
            raise ProcessingError(LIMITS, f"frame {frames.missing[0]} is missing (--strict)")
        for number, path in frames.paths.items():
            place = (number - frames.first) // frames.step
            if self.seconds is not None and float(place * self.film.time_base) >= self.seconds:
                break
            try:
                picture = _decode_picture(path, self.max_pixels)
            except ProcessingError as error:
                self._report_damage(path, error)
                continue
            self.count += 1
            if self.count > self.skip:
                yield self._to_frame(picture, place)
        self._finish()

    @property
    def missing(self) -> int:
        """Frames that cannot be read; 0 where a beginning was wanted."""
        return 0 if self.seconds is not None else len(self._unreadable)

    def _report_damage(self, path: Path, error: ProcessingError) -> None:
        text = f"{path.name}: {error.reason}"
        if self.strict:
            raise ProcessingError(LIMITS, f"{text} (--strict)")
        self._unreadable.append(text if self.count else f"{text} (and none comes before it)")

    def _to_frame(self, picture: Picture, place: int) -> VideoFrame:
        film = self.film
        frame = VideoFrame(film.width, film.height, film.pixel_format)
        luma = picture.luma
        if (picture.width, picture.height) != (film.width, film.height):
            self._sizes.add((picture.width, picture.height))
            luma = np.asarray(
                Image.fromarray(_scale_to_bits(luma, 8)).resize((film.width, film.height))
            )
        plane_view(frame, 0)[...] = _scale_to_bits(luma, film.bits)
        frame.pts, frame.time_base, frame.duration = place, film.time_base, 1
        return frame

    def _finish(self) -> None:
        if not self.count:
            raise ProcessingError("decode", "not one frame can be read")
        if self._sizes:
            width, height = sorted(self._sizes)[0]
            self.notes.append(
                f"frames of other sizes ({width} x {height}) are brought to that of its "
                f"beginning, {self.film.width} x {self.film.height}"
            )
        if self._unreadable:
            more = f" and {len(self._unreadable) - 1} more" if len(self._unreadable) > 1 else ""
            self.notes.append(
                f"{self._unreadable[0]}{more}; the last good frame is held in its place"
            )


def _scale_to_bits(luma: NDArray[Any], bits: int) -> NDArray[Any]:
    """Luma over the full range of 8 or 16 bits, over that of `bits`."""
    high = int(np.iinfo(luma.dtype).max)
    if high == (1 << bits) - 1:
        return luma
    top = (1 << bits) - 1
    scaled = (luma.astype(np.uint32) * top + high // 2) // high
    return scaled.astype(np.uint8 if bits <= 8 else np.uint16)
