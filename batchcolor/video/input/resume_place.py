"""Finds the place from which an interrupted film is decoded, so that its frames keep their numbers.

Nothing is trusted: the frames from that place up to the last known one are decoded, and must have
the timestamps and luma that they had in the interrupted run. Formats without an index, open groups
of pictures, edit lists and frames that refer across a key frame are so found to be usable or not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from batchcolor.errors import ProcessingError
from batchcolor.video.ffmpeg import DECODE_ERRORS, open_container
from batchcolor.video.frame_mark import FrameMark, mark_frame
from batchcolor.video.input.seeking import skip_to_key_frame
from batchcolor.video.source_info import SourceInfo

MARGINS = (0, 1, 4, 20)
"""Seconds before the wanted frame: where a format has no index, FFmpeg's seek may end after it."""
VERIFIED = 48
"""Frames that must be as they were: more than the 16 that a frame can refer back to, and their
reordering."""
MAX_FRAMES = 3000
"""Frames that are decoded at most to verify one place."""


@dataclass(frozen=True)
class ResumePlace:
    """A place in a film."""

    seek_tick: int
    """Tick that is passed to FFmpeg's seek."""
    first_tick: int
    """Tick of the first frame from there that is intact; frames before it do not count."""
    number: int
    """Number of that frame in the film, from 0."""


def find_resume_place(
    source: SourceInfo,
    number: int,
    marks: Sequence[FrameMark],
    prepare: Callable[[VideoStream], None],
    fit: Callable[[VideoFrame], VideoFrame],
) -> ResumePlace | None:
    """Returns a place from which the frame `number` and all after it are decoded exactly.

    `marks` are those of the frames 0, 1, ... that an earlier run encoded, `prepare` sets the
    options of the decoder, and `fit` converts a frame as it was when it was marked. None where the
    film must be decoded from its beginning.
    """
    wanted = min(number, len(marks) - VERIFIED)
    if wanted <= 0:
        return None
    ticks = [mark.tick for mark in marks]
    known = [tick for tick in ticks if tick is not None]
    if len(known) < len(ticks) or any(b <= a for a, b in itertools.pairwise(known)):
        return None  # times do not identify frames
    for margin in MARGINS:
        seek_tick = known[wanted] - round(margin / source.time_base)
        if seek_tick <= known[0]:
            return None
        try:
            decoded = _decode_marks(source, seek_tick, known[-1], prepare, fit)
        except (ProcessingError, *DECODE_ERRORS):
            continue
        start = _find_start(decoded, marks, wanted)
        if start is not None:
            return ResumePlace(seek_tick, known[start], start)
    return None


def _decode_marks(
    source: SourceInfo,
    seek_tick: int,
    last_tick: int,
    prepare: Callable[[VideoStream], None],
    fit: Callable[[VideoFrame], VideoFrame],
) -> list[FrameMark]:
    """Returns the marks of the frames from a place up to the one at `last_tick`."""
    marks: list[FrameMark] = []
    with open_container(source.path) as container:
        stream = container.streams[source.stream]
        assert isinstance(stream, VideoStream)
        prepare(stream)
        container.seek(seek_tick, stream=stream)
        for packet in skip_to_key_frame(container.demux(stream)):
            for frame in packet.decode():
                marks.append(mark_frame(fit(frame)))
                if frame.pts is None or frame.pts >= last_tick or len(marks) > MAX_FRAMES:
                    return marks
    return marks


def _find_start(decoded: list[FrameMark], marks: Sequence[FrameMark], wanted: int) -> int | None:
    """Returns the number of the first frame from which all decoded frames are those of `marks`.

    None if it is after the frame `wanted`, or if the last frames differ.
    """
    equal = 0
    while equal < min(len(decoded), len(marks)) and decoded[-1 - equal] == marks[-1 - equal]:
        equal += 1
    start = len(marks) - equal
    if not equal or start > wanted:
        return None
    first = marks[start].tick
    assert first is not None
    before = decoded[: len(decoded) - equal]
    is_clean = all(mark.tick is not None and mark.tick < first for mark in before)
    return start if is_clean else None
