"""Reads an animated PNG, WebP or AVIF as a film."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from batchcolor.color import BT601
from batchcolor.errors import ProcessingError
from batchcolor.images.animation import AnimationReader, read_animation_header
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.picture import Picture, check_size
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.video.frame_format import (
    FULL_RANGE,
    MATRIX_BT601,
    ColorTags,
    FrameFormat,
    name_pixel_format,
)
from batchcolor.video.frame_mark import FrameMark
from batchcolor.video.input.image_sequence_reader import limit_range
from batchcolor.video.planes import view_plane
from batchcolor.video.source_info import LOOP_FOREVER, PLAY_ONCE, SourceInfo
from batchcolor.video.time_range import TimeRange, make_start_error

TICK = Fraction(1, 1000)
"""Time base: durations are in milliseconds."""
OPTIONS = DecodeOptions(profile="srgb")
"""Films have no ICC profile."""
DEFAULT_DURATION = 100
"""Milliseconds of a frame that states none, as browsers show it."""


def probe_animation(path: Path, max_pixels: int) -> SourceInfo:
    """Reads the properties of an animation. Decodes every frame, for their durations.

    Raises ProcessingError.
    """
    reader, first = _open(path, max_pixels)
    durations = [shown for _, shown in _iterate(reader, first)]
    reader.close()
    kept_out = ", ".join(reader.metadata_names)
    width, height, has_alpha = reader.size[0], reader.size[1], reader.has_alpha
    usual = Counter(durations).most_common(1)[0][0]
    end = float(sum(durations) * TICK)
    loop = LOOP_FOREVER if reader.loop == 0 else PLAY_ONCE if reader.loop == 1 else reader.loop - 1
    return SourceInfo(
        path=path,
        stream=0,
        frame_format=FrameFormat(
            width=width,
            height=height,
            pixel_format=name_pixel_format("444", 8, has_alpha=has_alpha),
            matrix=BT601,
            tags=ColorTags(range=FULL_RANGE, matrix=MATRIX_BT601),
        ),
        rate=Fraction(1000, usual),
        time_base=TICK,
        frames=len(durations),
        end=end,
        container_end=end,
        loop=loop,
        is_animation=True,
        notes=(f"{kept_out} of the animation dropped",) if kept_out else (),
    )


def _open(path: Path, max_pixels: int) -> tuple[AnimationReader, int]:
    """Opens an animation; returns the number of its first frame that is shown as well."""
    found = next(iter(scan(path)), None)
    kind = found.format if isinstance(found, ScannedFile) else None
    header = read_animation_header(path, kind)
    if header is None or not isinstance(found, ScannedFile):
        raise ProcessingError("decode", "damaged, or no animation")
    check_size(header.width, header.height, max_pixels)
    try:
        return AnimationReader(found, OPTIONS), int(header.has_default_image)
    except Exception as error:  # Pillow raises any type of error
        raise ProcessingError("decode", describe_error(error)) from error


def _iterate(reader: AnimationReader, first: int) -> Iterator[tuple[Picture, int]]:
    """Yields frames with their durations in milliseconds. Raises ProcessingError."""
    for number in range(first, reader.frames):
        try:
            picture, duration = reader.read(number)
        except Exception as error:  # Pillow raises any type of error
            raise ProcessingError("decode", describe_error(error)) from error
        yield picture, round(duration) or DEFAULT_DURATION


class AnimationFrames:
    """Iterates over the frames of an animation, with the interface of `VideoDecoder`.

    Areas that are transparent become black where `frame_format` has no alpha. An animation whose
    frames cannot all be decoded raises ProcessingError.
    """

    def __init__(
        self,
        source: SourceInfo,
        frame_format: FrameFormat,
        *,
        skip: int = 0,
        preview: TimeRange | None = None,
        max_pixels: int,
    ) -> None:
        self.source, self.frame_format = source, frame_format
        self.skip, self.preview, self.max_pixels = skip, preview, max_pixels
        self.count = self.missing = 0
        self.is_flawless = True
        self.notes: list[str] = []

    def resume(self, skip: int, marks: Sequence[FrameMark], discarded: int) -> None:
        """As `VideoDecoder.resume`; all frames are decoded, as each depends on those before it."""
        self.skip = skip

    def __iter__(self) -> Iterator[VideoFrame]:
        reader, first = _open(self.source.path, self.max_pixels)
        start_of_part: int | None = None
        end = 0
        try:
            for picture, shown in _iterate(reader, first):
                tick, end = end, end + shown
                if self.preview is not None:
                    if tick * TICK < Fraction(self.preview.start):
                        continue
                    start_of_part = tick if start_of_part is None else start_of_part
                    if (tick - start_of_part) * TICK >= Fraction(self.preview.length):
                        break
                self.count += 1
                if self.count > self.skip:
                    yield self._to_frame(picture, tick, shown)
        finally:
            reader.close()
        if not self.count and self.preview is not None:
            raise make_start_error(self.preview, self.source.end)

    def _to_frame(self, picture: Picture, tick: int, shown: int) -> VideoFrame:
        frame_format = self.frame_format
        frame = VideoFrame(frame_format.width, frame_format.height, frame_format.pixel_format)
        luma = picture.luma
        if frame_format.has_alpha:
            view_plane(frame, 3)[...] = 255 if picture.alpha is None else picture.alpha
        elif picture.alpha is not None:
            luma = (luma.astype(np.uint16) * picture.alpha // 255).astype(np.uint8)
        view_plane(frame, 0)[...] = luma if frame_format.is_full_range else limit_range(luma, 8)
        frame.pts, frame.time_base, frame.duration = tick, TICK, shown
        return frame
