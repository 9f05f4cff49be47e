"""What a film is: streams, size, colour, time; and how its file is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from batchcolor.color import Matrix
from batchcolor.errors import ProcessingError

av.logging.set_level(None)  # what FFmpeg says goes through exceptions and notes, not the screen

DECODE_ERRORS = (av.FFmpegError, OSError, ValueError, AttributeError, EOFError)
"""Errors that PyAV raises on damaged files, built-in ones included. Catch them around the PyAV call
alone, so that an error in batchcolor's own code is not reported as a damaged file."""
MEDIA_ERRORS = (av.FFmpegError, OSError)
"""Errors that only FFmpeg and the operating system raise: safe to catch around own code."""
LIMITED_RANGE, FULL_RANGE = 1, 2
"""AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG."""
PROGRESSIVE = (0, 1)
"""AVFieldOrder: unknown, progressive."""
HD_WIDTH, HD_HEIGHT = 1280, 576
"""A film that names no matrix is taken for BT.709 from here on, as players do."""
HIGH_BIT_DEPTH = 10
DEMUXER_OPTIONS = {"min_delay": "0", "default_delay": "0"}
"""Options with which FFmpeg opens a file: a GIF's short durations are not changed."""
LOOP_FOREVER, PLAY_ONCE = 0, -1


@dataclass(frozen=True)
class ColorTags:
    """What the stream says of its colour, as numbers of ITU-T H.273 (`range` as FFmpeg's)."""

    range: int = 0
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True)
class SourceInfo:
    """One film. `stream` is the index of the one that is coloured, of `time_base` ticks a unit.

    `pixel_format` has the chroma size of the source, planar, at 8 or 10 bits. `frames` is how
    many the file promises, `ends` the second at which it says that this stream does, `all_ends`
    at which the last of its tracks does; 0 where it does not say.
    `display` holds the nine numbers of the display matrix, empty where there is none.
    """

    path: Path
    stream: int
    width: int
    height: int
    pixel_format: str
    bits: int
    full_range: bool
    matrix: Matrix
    rate: Fraction
    time_base: Fraction
    frames: int = 0
    end: float = 0.0
    container_end: float = 0.0
    rotation: int = 0
    display_matrix: tuple[int, ...] = ()
    sample_aspect_ratio: Fraction | None = None
    """Width of a sample over its height; None where the file does not say."""
    tags: ColorTags = ColorTags()
    is_rgb: bool = False
    """Whether its frames are RGB, and have to be converted."""
    has_alpha: bool = False
    """Whether its frames have transparency; `pixel_format` then has a fourth plane."""
    loop: int = LOOP_FOREVER
    """How often a GIF is played again; `PLAY_ONCE` where it is not."""
    is_image_sequence: bool = False
    """Whether it is a folder of numbered pictures; then there are no streams, and no packets."""
    field_order: int = 0
    has_estimated_pts: bool = False
    """Whether the times of its frames are FFmpeg's guess, and go back: an AVI with B-frames."""
    notes: tuple[str, ...] = ()
    skipped_streams: tuple[int, ...] = ()
    """Tracks that the result's container cannot hold, and that carry no picture, sound or text."""

    @property
    def is_interlaced(self) -> bool:
        """Whether its frames hold two fields of different moments."""
        return self.field_order not in PROGRESSIVE

    @property
    def frame_bytes(self) -> int:
        """What a decoded frame takes."""
        samples = {"420": 1.5, "422": 2.0, "444": 3.0}[
            chroma_of(self.pixel_format)
        ] + self.has_alpha
        return int(self.width * self.height * samples * (2 if self.bits > 8 else 1))


def chroma_of(pixel_format: str) -> str:
    """420, 422 or 444."""
    return pixel_format.removeprefix("yuv").removeprefix("a")[:3]


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """A film's container, open for reading. Raises ProcessingError."""
    try:
        container = av.open(
            ffmpeg_url(path), "r", options=DEMUXER_OPTIONS, metadata_errors="replace"
        )
    except DECODE_ERRORS as error:
        raise ProcessingError(
            "decode", f"cannot be read as a film: {format_av_error(error)}"
        ) from error
    with container:
        yield container


def ffmpeg_url(path: Path) -> str:
    """The path as FFmpeg takes it: a name with a colon is no protocol."""
    return f"file:{path.absolute()}"


def format_av_error(error: BaseException) -> str:
    """An error of FFmpeg or Python on one line, without the path that the report has anyway."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
