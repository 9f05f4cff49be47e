"""Colours one film between two pipes, frame by frame, with a bounded number of frames in memory.

read (a thread) -> small luma -> batch (device; a thread) -> chroma -> stabilize -> write (a thread)

Nothing is stored, so such a film cannot be resumed, and its frames exist only once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError, UsageError
from batchcolor.hooks.manager import Plugins
from batchcolor.inference.runner import Runner
from batchcolor.pipeline.memory_errors import NO_MEMORY
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.report import Report
from batchcolor.pipeline.stages import ByteBudget, Cancellation, Channel, start_thread
from batchcolor.video.planes import join_side_by_side, read_luma, write_chroma
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.motion import SIDE
from batchcolor.video.temporal.shots import ShotPosition, ShotTracker
from batchcolor.video.temporal.stabilizer import HORIZONS, Stabilizer

FRAMES_BESIDE = 8
"""Frames in flight beside those of a batch and of the stabilizer."""
PATIENCE = 1.0
"""Seconds to wait for a pipe that is not needed any more."""
MIB = 2**20


class FrameSource(Protocol):
    """A film on a pipe, or a film file."""

    source: SourceInfo
    notes: list[str]

    def __iter__(self) -> Iterable[VideoFrame]:
        """Decodes the frames in order."""
        ...


@dataclass
class PipedFrame:
    """A frame in flight."""

    frame: VideoFrame
    square: NDArray[np.float32]
    guide: NDArray[np.float32]
    position: ShotPosition
    chroma: NDArray[np.float32] | None = None


class PipedFilm:
    """One film. `start` returns at once; `wait` until the end or a time limit.

    Raises UsageError where memory does not suffice for the frames that are in flight.
    """

    def __init__(
        self,
        frames: Iterable[VideoFrame],
        source: SourceInfo,
        runner: Runner,
        plugins: Plugins,
        settings: RunSettings,
        report: Report,
    ) -> None:
        self.frames, self.source, self.runner = frames, source, runner
        self.plugins, self.settings, self.report = plugins, settings, report
        self.stop = Cancellation()
        self._shots = ShotTracker()
        batch = settings.every * runner.squares_at_once
        limit = HORIZONS[settings.stabilize].frames + 2 * batch + FRAMES_BESIDE
        self._check_memory(limit)
        self._in_flight = ByteBudget(limit, limit, self.stop)
        self._decoded: Channel[PipedFrame] = Channel(self.stop, 1)
        self._coloured: Channel[PipedFrame] = Channel(self.stop, 1)
        self._threads: list[threading.Thread] = []

    def _check_memory(self, frames: int) -> None:
        needed = frames * self.source.frame_format.frame_bytes
        if needed > self.settings.memory:
            raise UsageError(
                f"--stabilize {self.settings.stabilize}: {frames} frames of this film are in "
                f"memory at once, {needed // MIB + 1} MiB, more than --max-memory allows "
                f"({self.settings.memory // MIB} MiB); raise it, or choose --stabilize fast or off"
            )

    def start(self, write: Callable[[VideoFrame], None]) -> None:
        """Starts to colour; `write` gets the frames in order, in another thread."""

        def write_all() -> None:
            self._write_all(write)

        for name, work in (("read", self._read), ("chroma", self._color), ("write", write_all)):
            self._threads.append(start_thread(name, work, self.stop))

    def wait(self, seconds: float) -> bool:
        """Whether all frames are written, after at most so many seconds.

        Raises what ended a thread.
        """
        if self.stop.draining.is_set():
            self._decoded.end()  # the thread that reads may wait for a pipe
            self.stop.wake()
        self._threads[-1].join(seconds)
        if self.stop.error is not None:
            raise self.stop.error
        return not self._threads[-1].is_alive()

    def close(self) -> None:
        """Waits for the threads, which end by themselves; only a pipe may hold up the one that
        reads."""
        reader, *others = self._threads
        for thread in others:
            thread.join()
        reader.join(PATIENCE)

    def _read(self) -> None:
        try:
            for frame in self.frames:
                if self.stop.draining.is_set() or not self._in_flight.acquire(1):
                    return
                frame_format = self.source.frame_format
                square = read_luma(frame, frame_format, self.runner.working_size)
                guide = read_luma(frame, frame_format, SIDE)
                self._decoded.put(PipedFrame(frame, square, guide, self._shots.track(guide)))
        except MemoryError as error:
            raise ProcessingError("decode", NO_MEMORY) from error
        finally:
            self._decoded.end()

    def _color(self) -> None:
        every = self.settings.every
        for batch in self._decoded.batches(lambda: every * self.runner.squares_at_once):
            chosen = [it for it in batch if not (it.position.number - it.position.shot) % every]
            found = self.runner.predict_frames(
                [it.square for it in chosen], [it.position.is_shot_start for it in chosen]
            )
            for item, result in zip(chosen, found, strict=True):
                if isinstance(result, ProcessingError):
                    raise result
                item.chroma = result.chroma
                if self.plugins.filters_chroma:
                    item.chroma = self.plugins.filter_chroma(item.chroma, item.square, self.source)
            for item in batch:
                self._coloured.put(item)
            del batch, chosen
        self._coloured.end()

    def _write_all(self, write: Callable[[VideoFrame], None]) -> None:
        settings = self.settings
        stabilizer: Stabilizer[PipedFrame] = Stabilizer(settings.stabilize, settings.every)
        for item in self._coloured:
            motion = item.position.match
            for done, chroma in stabilizer.add(item.guide, item.chroma, item, motion):
                self._write_one(done, chroma, write)
        for done, chroma in stabilizer.flush():
            self._write_one(done, chroma, write)

    def _write_one(
        self, item: PipedFrame, chroma: NDArray[np.float32], write: Callable[[VideoFrame], None]
    ) -> None:
        frame_format = self.source.frame_format
        coloured = write_chroma(item.frame, chroma, frame_format, self.settings.strength)
        if self.settings.compare:
            coloured = join_side_by_side(coloured, frame_format)
        write(coloured)
        self._in_flight.release(1)
        self.report.count_frame()
        self.report.current = f"frame {self.report.frames}"
