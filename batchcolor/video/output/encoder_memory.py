"""Memory of video encoders: how many frames they buffer, and how to make them buffer fewer.

An encoder keeps the frames of its look-ahead, reference frames, and frames in each of its threads.
The constants were measured: peak memory at 1280 x 720 in units of one stored frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from batchcolor.video.output.codecs import VideoSettings

FEWEST_USEFUL_THREADS = 4
SHORT_LOOKAHEADS = (20, 10, 5)
"""Frames of look-ahead that cost little quality; 5 is the least that x265 accepts with B-frames."""


@dataclass(frozen=True)
class EncoderLimits:
    """Limits of an encoder; None for its own default."""

    threads: int | None = None
    lookahead: int | None = None
    """Frames."""
    has_b_frames: bool = True
    """Whether there are B-frames, and more than one reference frame."""


@dataclass(frozen=True)
class _Cost:
    """Frames that an encoder buffers: a number, more for each thread and frame of look-ahead."""

    fixed: float
    per_thread: float = 0.0
    per_lookahead: float = 0.0

    def count(self, threads: int, lookahead: int) -> float:
        return self.fixed + self.per_thread * threads + self.per_lookahead * lookahead


COSTS = {
    "libx264": _Cost(22, 8.5, 2.3),
    "libx265": _Cost(77, 10, 3.7),
    "libsvtav1": _Cost(76, 56, 1.7),
}
OTHER_COST = _Cost(20)
COSTS_WITHOUT_B_FRAMES = {"libx265": _Cost(29, 10)}
"""Of encoders that buffer far fewer frames without B-frames and look-ahead: the last resort."""
SLOW_PRESETS = {"slow": 12, "slower": 60, "veryslow": 190, "placebo": 250}
"""Frames that presets of x264 and x265 with more reference frames need in addition."""
X264_LOOKAHEADS = {
    **{"ultrafast": 0, "superfast": 0, "veryfast": 10, "faster": 20, "fast": 30, "medium": 40},
    **{"slow": 50, "slower": 60, "veryslow": 60, "placebo": 60},
}
X265_LOOKAHEADS = {
    **{"ultrafast": 5, "superfast": 10, "veryfast": 15, "faster": 15, "fast": 15, "medium": 20},
    **{"slow": 25, "slower": 40, "veryslow": 40, "placebo": 60},
}
AV1_LOOKAHEAD = 33
X265_FRAME_THREADS = ((32, 6), (16, 5), (8, 3), (4, 2), (0, 1))
"""Processor cores, and the frames that x265 encodes at the same time by default."""


def fit_encoder(
    settings: VideoSettings, frame_bytes: int, memory: int
) -> tuple[EncoderLimits, int]:
    """Returns the limits with which an encoder needs at most `memory` bytes, and what it needs.

    Threads cost time, look-ahead costs quality: the first are reduced before the second. Where no
    limits suffice, they are the narrowest.
    """
    encoder = settings.video_codec.encoder
    cost = COSTS.get(encoder, OTHER_COST)
    preset = settings.preset or settings.video_codec.preset or ""
    own_threads, own_lookahead = _find_defaults(encoder, preset)
    extra = SLOW_PRESETS.get(preset, 0)
    threads, lookahead, needed = own_threads, own_lookahead, 0
    for threads, lookahead in _list_choices(own_threads, own_lookahead):
        needed = int((cost.count(threads, lookahead) + extra) * frame_bytes)
        if needed <= memory:
            break
    if needed > memory and (cost_without := COSTS_WITHOUT_B_FRAMES.get(encoder)):
        needed = int((cost_without.count(1, 0) + extra) * frame_bytes)
        return EncoderLimits(1, 0, has_b_frames=False), needed
    limits = EncoderLimits(
        threads if threads < own_threads else None,
        lookahead if lookahead < own_lookahead else None,
    )
    return limits, needed


def _find_defaults(encoder: str, preset: str) -> tuple[int, int]:
    """Returns threads and frames of look-ahead that an encoder uses without limits."""
    cores = os.cpu_count() or 1
    if encoder == "libx264":
        return max(1, cores * 3 // 2), X264_LOOKAHEADS.get(preset, 0)
    if encoder == "libx265":
        frames = next(count for least, count in X265_FRAME_THREADS if cores >= least)
        return frames, X265_LOOKAHEADS.get(preset, 0)
    if encoder == "libsvtav1":
        return min(cores, 6), AV1_LOOKAHEAD
    return 1, 0


def _list_choices(threads: int, lookahead: int) -> Iterator[tuple[int, int]]:
    """Yields threads and look-ahead, from the default to the least memory."""
    useful = min(FEWEST_USEFUL_THREADS, threads)
    shorter = [frames for frames in SHORT_LOOKAHEADS if frames < lookahead]
    for frames in (lookahead, *shorter[:-1]):
        yield from ((count, frames) for count in range(threads, useful - 1, -1))
    for frames in (lookahead, *shorter)[-2:]:
        yield from ((count, frames) for count in range(useful - 1, 0, -1))
    yield 1, (lookahead, *shorter)[-1]


def make_limit_options(encoder: str, limits: EncoderLimits) -> dict[str, list[str]]:
    """Returns the parameters of an encoder for its limits, by the option that takes them."""
    values: dict[str, int | None] = {}
    if encoder == "libx264":
        option = "x264-params"
        values = {"threads": limits.threads, "rc-lookahead": limits.lookahead}
        values["sync-lookahead"] = None if limits.lookahead is None else 0
    elif encoder == "libx265":
        option = "x265-params"
        values = {"frame-threads": limits.threads, "rc-lookahead": limits.lookahead}
        if not limits.has_b_frames:
            values |= {"bframes": 0, "ref": 1}
    elif encoder == "libsvtav1":
        option = "svtav1-params"
        values = {"lp": limits.threads, "lookahead": limits.lookahead}
    else:
        return {}
    parameters = [f"{name}={value}" for name, value in values.items() if value is not None]
    return {option: parameters} if parameters else {}
