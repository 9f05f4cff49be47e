"""The part of a film that `--preview` selects, and its text form.

No PyAV here: the command line parses times before it needs any film.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from batchcolor.errors import ProcessingError, UsageError

MAX_SECONDS = 24 * 3600.0
CLOCK_TIME = re.compile(r"(?:(\d+):([0-5]?\d)|(\d+)):([0-5]?\d(?:\.\d+)?)", re.ASCII)
"""H:MM:SS, or M:SS with any number of minutes; seconds may have decimals."""
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
PREVIEW_ENDING = "-preview"
SHOTS = "shots"
EXPECTED = (
    "must be a time, as 10s or 2m, a start and a length, as 0:12:30+10s, or shots, for one frame "
    "of each shot"
)


@dataclass(frozen=True)
class TimeRange:
    """A part of a film, in seconds from the time that players show as zero.

    `str` returns the text that `parse_time_range` reads. Raises UsageError for a negative start or
    an empty range.
    """

    start: float
    length: float
    is_shots: bool = False
    """Whether it is one frame of each shot of the whole film, see `ONE_FRAME_PER_SHOT`."""

    def __post_init__(self) -> None:
        if not (0 <= self.start < MAX_SECONDS and 0 < self.length < MAX_SECONDS):
            raise UsageError(f"--preview {self}: {EXPECTED}")

    def __str__(self) -> str:
        if self.is_shots:
            return SHOTS
        length = f"{_format_number(self.length)}s"
        return f"{format_time(self.start)}+{length}" if self.start else length

    @property
    def starts_later(self) -> bool:
        """Whether times and frame numbers are not those of the film."""
        return self.start > 0 or self.is_shots

    @property
    def name_suffix(self) -> str:
        """Ending of the name of a result, which states where it starts: `-preview-0h12m30s`."""
        if self.is_shots:
            return f"{PREVIEW_ENDING}-{SHOTS}"
        if not self.start:
            return PREVIEW_ENDING
        hours, minutes, seconds = format_time(self.start).split(":")
        return f"{PREVIEW_ENDING}-{hours}h{minutes}m{seconds.replace('.', '_')}s"


ONE_FRAME_PER_SHOT = TimeRange(0.0, MAX_SECONDS / 2, is_shots=True)
"""One frame of each shot; start and length have no meaning."""


def parse_time_range(text: str) -> TimeRange:
    """Parses `10s`, the beginning of a film, `0:12:30+10s`, start and length, or `shots`.

    Raises UsageError.
    """
    if text.strip().lower() == SHOTS:
        return ONE_FRAME_PER_SHOT
    start, plus, length = text.strip().lower().rpartition("+")
    try:
        return TimeRange(_parse_time(start) if plus else 0.0, _parse_time(length))
    except ValueError as error:
        raise UsageError(f"--preview {text}: {EXPECTED}") from error


def format_time(seconds: float) -> str:
    """Formats a time as H:MM:SS, with decimals only where there are any."""
    minutes, rest = divmod(seconds, 60)
    digits = _format_number(round(rest, 6))
    whole, point, decimals = digits.partition(".")
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{whole:0>2}{point}{decimals}"


def make_start_error(preview: TimeRange, end: float) -> ProcessingError:
    """Returns the error of a preview that starts after the end of its film, at second `end`."""
    return ProcessingError(
        "decode",
        f"--preview starts at {format_time(preview.start)}, but the film ends at "
        f"{format_time(round(end, 3))}",
    )


def _parse_time(text: str) -> float:
    """Seconds of `0:12:30`, `12:30`, `90s`, `2m`, `1h` or a number. Raises ValueError."""
    clock = CLOCK_TIME.fullmatch(text)
    if clock is not None:
        hours, minutes, only_minutes, seconds = clock.groups(default="0")
        return 3600.0 * int(hours) + 60.0 * (int(minutes) + int(only_minutes)) + float(seconds)
    if text.startswith("+"):  # a second plus sign
        raise ValueError(text)
    factor = UNITS.get(text[-1:])
    return float(text[:-1]) * factor if factor else float(text)


def _format_number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")
