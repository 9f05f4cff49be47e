"""Finished parts of a film, stored as segments on disk, from which a killed job resumes.

Every job splits a film into segments of `SEGMENT_FRAMES` frames, so a resumed film has the same
frames as an uninterrupted one. Subclasses define what a segment contains: `packet_segments.py`
(packets) and `image_sequence_writer.py` (numbered pictures). After each segment, `state.json`
stores the number of segments and the state that the next one needs.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.storage.atomic import write_atomic
from batchcolor.video.output.output_spec import OutputSpec
from batchcolor.video.output.timestamps import Timeline

SEGMENT_FRAMES = 250
"""x264's default keyframe interval, and about ten seconds of film."""

MKDIR_ATTEMPTS = 100
"""Attempts to create a folder that another thread may remove at the same moment."""


@dataclass
class State:
    """Progress of one film. `fingerprint` is a hash of everything that its frames depend on."""

    fingerprint: str
    segments: int = 0
    frames: int = 0
    timeline: dict[str, int | None] = field(default_factory=dict)
    """State of `Timeline`."""
    shot: int = 0
    """Number of the first frame of the last frame's shot."""


class Segments(ABC):
    """The segments of one film in their own folder. Raises OSError when a write fails.

    Call `write` for each frame in order, starting at number `state.frames`; `close_segment` when
    `write` returns True and after the last frame; `remove` after the film is committed.
    """

    def __init__(self, folder: Path, output: OutputSpec, timeline: Timeline) -> None:
        self.folder, self.output, self.timeline = folder, output, timeline
        self.state = State("")
        self.stabilizer_state: dict[str, NDArray[Any]] = {}
        """Arrays of `Stabilizer.state` that the next segment's frames need."""
        self._in_segment = 0

    @abstractmethod
    def _encode_frame(self, frame: VideoFrame) -> None:
        """Encodes the frame into the current segment; its pts is the encoder's."""

    @abstractmethod
    def _flush(self) -> None:
        """Finishes the segment and writes it to disk."""

    @abstractmethod
    def _is_complete(self, state: State) -> bool:
        """Whether all files of a state exist."""

    def resume(self, fingerprint: str) -> None:
        """Resumes from the segments of an earlier job; deletes those of another fingerprint."""
        state = self._read_state()
        if state is None or state.fingerprint != fingerprint:
            self.remove()
            self._make_folder()
            self.state = State(fingerprint)
            return
        self.state = state
        self.timeline.restore(state.timeline)
        with np.load(self._make_stabilizer_path(state.segments)) as arrays:
            self.stabilizer_state = dict(arrays)

    def _make_folder(self) -> None:
        """Creates the folder; retries, as another thread may remove the parent folder meanwhile."""
        for _ in range(MKDIR_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                self.folder.mkdir(parents=True, exist_ok=True)
                return
        self.folder.mkdir(parents=True, exist_ok=True)  # raises the persistent error

    def _read_state(self) -> State | None:
        try:
            state = State(**json.loads((self.folder / "state.json").read_text()))
            has_arrays = self._make_stabilizer_path(state.segments).exists()
            return state if has_arrays and self._is_complete(state) else None
        except (OSError, ValueError, TypeError):
            return None

    def write(self, frame: VideoFrame) -> bool:
        """Encodes the next frame; returns whether the segment is full: call `close_segment`."""
        self.timeline.assign_encoder_pts(frame)
        frame.time_base = self.output.time_base
        self._encode_frame(frame)
        self._in_segment += 1
        return self._in_segment == SEGMENT_FRAMES

    def close_segment(self, stabilizer_state: dict[str, NDArray[Any]], shot: int) -> None:
        """Writes the segment to disk, then the state.

        `stabilizer_state` is that of `Stabilizer.state`; `shot` is the number of the first frame
        of the last frame's shot.
        """
        if not self._in_segment:
            return
        self._flush()
        arrays = io.BytesIO()
        np.savez(arrays, allow_pickle=False, **stabilizer_state)
        previous = self._make_stabilizer_path(self.state.segments)
        self.state.segments += 1
        write_atomic(self._make_stabilizer_path(self.state.segments), arrays.getvalue())
        self.state.frames += self._in_segment
        self.state.timeline, self.state.shot = self.timeline.state(), shot
        self._in_segment = 0
        write_atomic(self.folder / "state.json", json.dumps(asdict(self.state)).encode())
        with contextlib.suppress(OSError):
            previous.unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes all segments."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # the parent folder is removed with its last film
            self.folder.parent.rmdir()

    def _make_stabilizer_path(self, number: int) -> Path:
        return self.folder / f"stabilizer-{number:06d}.npz"
