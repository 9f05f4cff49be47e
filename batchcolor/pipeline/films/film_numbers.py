"""Numbers in the whole film of the frames of a preview, and of the first frames of their shots.

Decisions and the names of references count frames from the film's beginning. A preview that starts
later counts its own frames from 0, and its first shot may begin before it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av

from batchcolor.pipeline.films.video_admission import Admission, open_part
from batchcolor.video.ffmpeg import DECODE_ERRORS, open_container
from batchcolor.video.input.shot_frames import Frames, ShotFrames
from batchcolor.video.planes import read_luma
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.motion import SIDE
from batchcolor.video.temporal.shots import ShotTracker
from batchcolor.video.time_range import TimeRange

SEARCHED = (4.0, 20.0, 100.0, 500.0)
"""Seconds before a preview in which the beginning of its first shot is searched, one after the
other."""


@dataclass(frozen=True)
class FilmNumbers:
    """Numbers of frames; the default is that of a film which is coloured from its beginning."""

    start: int = 0
    """Number in the film of the first frame of the preview."""
    shot: int = 0
    """Number of the first frame of its shot."""
    selected: ShotFrames | None = None
    """The frames of a preview of shots."""

    def find(self, first: int, last: int) -> tuple[int, int]:
        """Returns the numbers in the film of the first frame of a shot and of a frame of it.

        `first` and `last` are their numbers in the preview.
        """
        if self.selected is not None:
            position = self.selected.positions[last]
            return position.shot, position.number
        return self.shot if first == 0 else first + self.start, last + self.start


def find_film_numbers(
    admission: Admission, decided: list[int], *, needs_shot: bool, is_stopped: Callable[[], bool]
) -> FilmNumbers:
    """Finds the numbers of a preview that starts later.

    `decided` are numbers of frames from which a decision holds to the end of their shot;
    `needs_shot`: whether the first frame of the preview's first shot is needed in any case. It is
    searched as far back as it matters. Raises ProcessingError.
    """
    preview = admission.output.settings.preview
    assert preview is not None
    source = admission.source
    origin, ticks = _list_times(source)
    start_tick = round((origin + Fraction(preview.start)) / source.time_base)
    if ticks is None:
        return _count_from_beginning(admission, start_tick, is_stopped)
    number = bisect_left(ticks, start_tick)
    before = [frame for frame in decided if frame < number]
    if number == len(ticks) or number == 0 or not (before or needs_shot):
        return FilmNumbers(number, number)
    oldest = 0 if needs_shot else max(before)
    for seconds in (*SEARCHED, preview.start):
        start = max(0.0, preview.start - seconds)
        length = preview.start - start + 1
        part = open_part(admission, TimeRange(start, length), strict=False)
        first, shot = _find_last_cut(part, ticks, number, is_stopped)
        if shot > first or first <= oldest or is_stopped():
            return FilmNumbers(number, shot)
    return FilmNumbers(number, 0)


def _list_times(source: SourceInfo) -> tuple[Fraction, list[int] | None]:
    """Returns the second that players show as zero, and the ticks of all frames in order.

    No ticks where they do not identify frames, or without packets. Raises ProcessingError.
    """
    if not source.has_packets:
        return Fraction(0), None
    with open_container(source.path) as container:
        origin = Fraction(container.start_time or 0, av.time_base)
        try:
            packets = [
                packet.pts
                for packet in container.demux(container.streams[source.stream])
                if packet.size and not packet.is_discard
            ]
        except DECODE_ERRORS:
            return origin, None
    ticks = [tick for tick in packets if tick is not None]
    is_exact = len(packets) == len(ticks) == len(set(ticks)) and not source.has_estimated_pts
    return origin, sorted(ticks) if is_exact else None


def _find_last_cut(
    part: Frames, ticks: list[int], number: int, is_stopped: Callable[[], bool]
) -> tuple[int, int]:
    """Returns the number of the first frame of a part, and of the first frame of the shot that the
    frame `number` belongs to, as far as the part shows it."""
    first = shot = number
    tracker: ShotTracker | None = None
    for frame in part:
        found = number if frame.pts is None else bisect_left(ticks, frame.pts)
        if tracker is None:
            first = found
            tracker = ShotTracker()
        position = tracker.track(read_luma(frame, part.frame_format, SIDE))
        if position.is_shot_start:
            shot = found
        if found >= number or is_stopped():
            break
    return first, shot


def _count_from_beginning(
    admission: Admission, start_tick: int, is_stopped: Callable[[], bool]
) -> FilmNumbers:
    """Finds the numbers by decoding all frames before the preview."""
    frames = open_part(admission, None, strict=False)
    tracker, number, shot = ShotTracker(), 0, 0
    for frame in frames:
        position = tracker.track(read_luma(frame, frames.frame_format, SIDE))
        number, shot = position.number, position.shot
        tick = number if frame.pts is None else frame.pts
        if tick >= start_tick or is_stopped():
            break
    return FilmNumbers(number, shot)
