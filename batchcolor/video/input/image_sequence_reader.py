"""Reads a folder of numbered pictures (`0001.png ...`) as a film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.decode import decode
from batchcolor.images.formats import BMP, DPX, PNG, TIFF
from batchcolor.images.header import estimate_memory, read_pages
from batchcolor.images.picture import Picture
from batchcolor.images.readers.dpx import is_dpx, read_dpx_header
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.video.frame_format import (
    BIT_DEPTHS,
    FULL_RANGE,
    MATRICES,
    ColorTags,
    FrameFormat,
    choose_default_matrix,
    name_pixel_format,
)
from batchcolor.video.frame_mark import FrameMark
from batchcolor.video.hdr import HDR_NAMES
from batchcolor.video.numbered_frames import NumberedFrames, list_numbered_frames
from batchcolor.video.picture_colors import read_colors
from batchcolor.video.planes import view_plane
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.time_range import TimeRange, make_start_error

LOSSLESS_FORMATS = (PNG, TIFF, BMP, DPX)
MAX_LISTED_NAMES = 5
"""Names listed in a note; the rest are counted."""


def probe_image_sequence(folder: Path, fps: Fraction, max_pixels: int) -> SourceInfo:
    """Reads the properties of a folder of frames from its first readable picture.

    Raises ProcessingError.
    """
    frames = list_numbered_frames(folder)
    notes = []
    if frames.unnumbered:
        notes.append(f"no number in {_join_names(frames.unnumbered)}: skipped")
    if frames.missing:
        missing = _join_names([str(number) for number in frames.missing])
        notes.append(f"frame {missing} missing; replaced by the previous frame")
    picture = _decode_first_readable(frames, max_pixels)
    matrix, matrix_tag = choose_default_matrix(picture.width, picture.height)
    standard = ColorTags(range=FULL_RANGE, matrix=matrix_tag)  # the range of pictures
    tags, hdr = read_colors(picture.metadata, standard)
    if tags.transfer in HDR_NAMES:
        name = HDR_NAMES[tags.transfer]
        notes.append(f"HDR ({name}): tone-mapped for the model, written as HDR")
    return SourceInfo(
        path=folder,
        stream=0,
        frame_format=FrameFormat(
            width=picture.width,
            height=picture.height,
            pixel_format=name_pixel_format("420", _find_depth(picture)),
            matrix=MATRICES.get(tags.matrix, matrix),
            tags=tags,
        ),
        hdr=hdr,
        rate=fps,
        time_base=1 / fps,
        frames=len(frames.paths),
        end=float(frames.length / fps),
        container_end=float(frames.length / fps),
        is_image_sequence=True,
        lossless_codec=picture.format.name if _is_lossless(picture) else "",
        timecode=_read_timecode(next(iter(frames.paths.values()))),
        notes=tuple(notes),
    )


def _is_lossless(picture: Picture) -> bool:
    return picture.is_lossless or picture.format in LOSSLESS_FORMATS


def _find_depth(picture: Picture) -> int:
    """Returns the bits of the frames of a film: those of the file, if it states them."""
    return picture.bits if picture.bits in BIT_DEPTHS else picture.depth


def _join_names(names: list[str] | tuple[str, ...]) -> str:
    more = len(names) - MAX_LISTED_NAMES
    return ", ".join(names[:MAX_LISTED_NAMES]) + (f" and {more} more" if more > 0 else "")


def _read_timecode(path: Path) -> str:
    """Returns the timecode of a frame in DPX; empty for others."""
    try:
        return read_dpx_header(path).timecode if is_dpx(path) else ""
    except (OSError, ValueError):
        return ""


def _decode_first_readable(frames: NumberedFrames, max_pixels: int) -> Picture:
    reason = ""
    for path in frames.paths.values():
        try:
            return _decode_picture(path, max_pixels)
        except ProcessingError as error:
            reason = reason or f"{path.name}: {error.reason}"
    raise ProcessingError("decode", f"no frame can be decoded ({reason})")


def _decode_picture(path: Path, max_pixels: int) -> Picture:
    found = next(iter(scan(path)), None)
    if not isinstance(found, ScannedFile):
        raise ProcessingError("decode", found.reason if found else "not a picture")
    estimate_memory(found, max_pixels)  # raises if it is too large or has several frames
    pages = len(read_pages(found, max_pixels))
    if pages > 1:
        raise ProcessingError("decode", f"has {pages} pages; a frame has one")
    return decode(found, max_pixels)


class ImageSequenceReader:
    """Iterates over the frames of a folder, with the interface of `VideoDecoder`.

    The timestamp of a frame is derived from its number, so a frame before a missing or unreadable
    one is shown longer. With `strict` such a frame raises ProcessingError instead.
    """

    def __init__(
        self,
        source: SourceInfo,
        frame_format: FrameFormat,
        *,
        strict: bool,
        skip: int = 0,
        preview: TimeRange | None = None,
        max_pixels: int,
    ) -> None:
        self.source, self.frame_format = source, frame_format
        self.strict, self.skip, self.preview = strict, skip, preview
        self.max_pixels = max_pixels
        self.count = 0
        self.notes: list[str] = []
        self._resumed_at = 0
        """Position of the first picture that is decoded."""
        self._unreadable: list[str] = []
        self._sizes: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[VideoFrame]:
        frames = list_numbered_frames(self.source.path)
        if self.strict and frames.missing:
            raise ProcessingError(LIMITS, f"frame {frames.missing[0]} is missing (--strict)")
        start: int | None = None
        for number, path in frames.paths.items():
            position = (number - frames.first) // frames.step
            if self.preview is not None:
                if float(position * self.source.time_base) < self.preview.start:
                    continue
                start = position if start is None else start
                if float((position - start) * self.source.time_base) >= self.preview.length:
                    break
            if position < self._resumed_at:
                self.count += 1
                continue
            try:
                picture = _decode_picture(path, self.max_pixels)
            except ProcessingError as error:
                self._report_damage(path, error)
                continue
            self.count += 1
            if self.count > self.skip:
                yield self._to_frame(picture, position)
        self._finish()

    @property
    def missing(self) -> int:
        """Number of unreadable frames; 0 for a preview."""
        return 0 if self.preview is not None else len(self._unreadable)

    @property
    def is_flawless(self) -> bool:
        """As `VideoDecoder.is_flawless`."""
        return not self._unreadable and not self._sizes

    def resume(self, skip: int, marks: Sequence[FrameMark], discarded: int) -> None:
        """As `VideoDecoder.resume`: pictures before the frame `skip` are not decoded."""
        self.skip = skip
        last = min(skip, len(marks) - 1)
        self._resumed_at = marks[last].tick or 0 if marks else 0

    def _report_damage(self, path: Path, error: ProcessingError) -> None:
        text = f"{path.name}: {error.reason}"
        if self.strict:
            raise ProcessingError(LIMITS, f"{text} (--strict)")
        self._unreadable.append(text if self.count else f"{text} (no frame before it)")

    def _to_frame(self, picture: Picture, position: int) -> VideoFrame:
        """Returns a frame with the luma of a picture, scaled to the size of the first picture."""
        size = (self.frame_format.width, self.frame_format.height)
        frame = VideoFrame(*size, self.frame_format.pixel_format)
        luma = picture.luma
        if (picture.width, picture.height) != size:
            self._sizes.add((picture.width, picture.height))
            luma = np.asarray(Image.fromarray(_scale_to_bits(luma, 8)).resize(size))
        samples = _scale_to_bits(luma, self.frame_format.bits)
        if not self.frame_format.is_full_range:
            samples = limit_range(samples, self.frame_format.bits)
        view_plane(frame, 0)[...] = samples
        frame.pts, frame.time_base, frame.duration = position, self.source.time_base, 1
        return frame

    def _finish(self) -> None:
        if not self.count and self.preview is not None and self.preview.start >= self.source.end:
            raise make_start_error(self.preview, self.source.end)
        if not self.count:
            raise ProcessingError("decode", "no frame can be decoded")
        if self._sizes:
            width, height = sorted(self._sizes)[0]
            self.notes.append(
                f"frames of {width} x {height} are scaled to the size of the first, "
                f"{self.frame_format.width} x {self.frame_format.height}"
            )
        if self._unreadable:
            more = f" and {len(self._unreadable) - 1} more" if len(self._unreadable) > 1 else ""
            self.notes.append(f"{self._unreadable[0]}{more}; replaced by the last intact frame")


def limit_range(luma: NDArray[Any], bits: int) -> NDArray[Any]:
    """Scales full-range luma to limited range, 16 to 235 at 8 bits."""
    black, span, high = 16 << (bits - 8), 219 << (bits - 8), (1 << bits) - 1
    limited = (luma.astype(np.uint32) * span + high // 2) // high + black
    return limited.astype(luma.dtype)


def _scale_to_bits(luma: NDArray[Any], bits: int) -> NDArray[Any]:
    """Scales full-range luma of 8 or 16 bits to `bits`."""
    high = int(np.iinfo(luma.dtype).max)
    if high == (1 << bits) - 1:
        return luma
    top = (1 << bits) - 1
    scaled = (luma.astype(np.uint32) * top + high // 2) // high
    return scaled.astype(np.uint8 if bits <= 8 else np.uint16)
