"""What is done of a film, in segments on the disk, so that a job that is killed goes on from there.

A segment is `SEGMENT` frames, in every job, cut or not: so a film that was resumed has the very
frames of one that was not. What a segment is made of is said by those that write them: `coded.py`
(packets) and `stills.py` (numbered pictures). When it is whole, `state.json` says how many there
are, and what the next one has to know.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.video.output.timestamps import Timeline
from batchcolor.video.source_info import SourceInfo

SEGMENT = 250
"""Frames: the distance of H.264's key frames anyway, and ten seconds of most films."""

TRIES = 100
"""For a folder that others take away at the same moment."""


@dataclass
class State:
    """What is done of one film. `fingerprint` is of everything that its frames depend on."""

    fingerprint: str
    segments: int = 0
    frames: int = 0
    times: dict[str, int | None] = field(default_factory=dict)
    """Of `Timeline`."""
    shot: int = 0
    """The number of the first frame of the last one's shot."""


class Segments(ABC):
    """The segments of one film in a folder of their own. Raises OSError where the disk does.

    `write` frames in order, beginning with number `state.frames`; `close_segment` when it says
    so, and after the last; `remove` when the film has its name.
    """

    def __init__(self, folder: Path, film: SourceInfo, timeline: Timeline) -> None:
        self.folder, self.film, self.timeline = folder, film, timeline
        self.state = State("")
        self.steady: dict[str, NDArray[Any]] = {}
        """Arrays that the next segment's frames need to be steadied as if nothing had happened."""
        self._in_segment = 0

    @abstractmethod
    def _take(self, frame: VideoFrame) -> None:
        """Put the frame into the segment. Its time is the one that its encoder is told."""

    @abstractmethod
    def _seal(self) -> None:
        """Put the segment on the disk, whole."""

    @abstractmethod
    def _holds(self, state: State) -> bool:
        """Whether all is there that a state tells of."""

    def resume(self, fingerprint: str) -> None:
        """Take up what a former job left of the same film; anything else in the folder goes."""
        state = self._read_state()
        if state is None or state.fingerprint != fingerprint:
            self.remove()
            self._make_folder()
            self.state = State(fingerprint)
            return
        self.state = state
        self.timeline.set_back(state.times)
        with np.load(self._steady(state.segments)) as arrays:
            self.steady = dict(arrays)

    def _make_folder(self) -> None:
        """The folder that holds all films may go at any moment, when the last film in it ends."""
        for _ in range(TRIES):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                self.folder.mkdir(parents=True, exist_ok=True)
                return
        self.folder.mkdir(parents=True, exist_ok=True)  # raises what is truly wrong

    def _read_state(self) -> State | None:
        try:
            state = State(**json.loads((self.folder / "state.json").read_text()))
            whole = self._steady(state.segments).exists() and self._holds(state)
            return state if whole else None
        except (OSError, ValueError, TypeError):
            return None

    def write(self, frame: VideoFrame) -> bool:
        """Take the next frame; whether a segment has become full, and wants `close_segment`."""
        self.timeline.tell(frame)
        frame.time_base = self.film.time_base
        self._take(frame)
        self._in_segment += 1
        return self._in_segment == SEGMENT

    def close_segment(self, steady: dict[str, NDArray[Any]], shot: int) -> None:
        """Put the segment on the disk, then the state; `steady` is what the next one needs, `shot`
        where the shot of its last frame begins."""
        if not self._in_segment:
            return
        self._seal()
        arrays = io.BytesIO()
        np.savez(arrays, allow_pickle=False, **steady)
        former = self._steady(self.state.segments)
        self.state.segments += 1
        self._safely(self._steady(self.state.segments), arrays.getvalue())
        self.state.frames += self._in_segment
        self.state.times, self.state.shot = self.timeline.times(), shot
        self._in_segment = 0
        self._safely(self.folder / "state.json", json.dumps(asdict(self.state)).encode())
        with contextlib.suppress(OSError):
            former.unlink(missing_ok=True)

    def remove(self) -> None:
        """Let all of it go."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # the folder of all films, where this was the last
            self.folder.parent.rmdir()

    def _steady(self, number: int) -> Path:
        return self.folder / f"steady-{number:06d}.npz"

    def _safely(self, place: Path, data: bytes) -> None:
        """Write a file that is whole or not there."""
        temporary = place.with_suffix(".part")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
