"""Finished parts of a film, stored as segments on disk, from which a killed job resumes.

Every job splits a film into segments of `SEGMENT_FRAMES` frames, so a resumed film has the same
frames as an uninterrupted one. Subclasses define what a segment contains: `packet_segments.py`
(packets) and `image_sequence_writer.py` (numbered pictures). After each segment,
`segment_state.py` stores the number of segments and the state that the next one needs.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from copy import deepcopy
from pathlib import Path

from av.video.frame import VideoFrame

from batchcolor.storage.work_folder import make_work_folder, remove_work_folder
from batchcolor.video.frame_mark import FrameMark
from batchcolor.video.output.output_spec import OutputSpec
from batchcolor.video.output.segment_state import (
    Arrays,
    DamagedStateError,
    SegmentStart,
    State,
    read_arrays,
    read_state,
    verify_files,
    write_arrays,
    write_manifest,
    write_state,
)
from batchcolor.video.output.timestamps import Timeline

SEGMENT_FRAMES = 250
"""x264's default keyframe interval, and about ten seconds of film."""

DAMAGED_NOTE = (
    "the frames that an earlier run had finished are damaged or incomplete; all were coloured again"
)


class Segments(ABC):
    """The segments of one film in their own folder. Raises OSError when a write fails.

    Call `write` for each frame in order, starting at number `state.frames`; `close_segment` when
    `write` returns True and after the last frame; `remove` after the film is committed.
    """

    def __init__(self, folder: Path, output: OutputSpec, timeline: Timeline) -> None:
        self.folder, self.output, self.timeline = folder, output, timeline
        self.state = State("")
        self.stabilizer_state: Arrays = {}
        """Arrays of `Stabilizer.state` that the next segment's frames need."""
        self.marks: list[FrameMark] = []
        """Those of the frames of an earlier job."""
        self._new_marks: list[FrameMark] = []
        """Those of the current segment."""
        self._in_segment = 0

    @property
    def usable_marks(self) -> list[FrameMark]:
        """Marks of the frames of an earlier job; none if it had to report something, which is only
        reported again if all frames are decoded again."""
        return self.marks if self.state.is_flawless else []

    @abstractmethod
    def _encode_frame(self, frame: VideoFrame) -> None:
        """Encodes the frame into the current segment; its pts is the encoder's."""

    @abstractmethod
    def _flush(self) -> dict[str, int]:
        """Finishes the segment and writes it to disk.

        Returns the CRC-32 of each of its files, by their paths in the folder with `/`.
        """

    @abstractmethod
    def _discard_unfinished(self, finished: set[str]) -> None:
        """Deletes files of an unfinished segment that would be taken for `finished` ones."""

    def resume(self, fingerprint: str, start: SegmentStart | None = None) -> list[str]:
        """Resumes from the segments of an earlier job; deletes those of another fingerprint.

        Damaged ones are deleted too, with the note that is returned. Without segments, a part of
        a film begins at its `start`.
        """
        marks = [] if start is None else start.marks
        try:
            state = read_state(self.folder)
            if state is not None and state.fingerprint == fingerprint:
                finished, own_marks = verify_files(self.folder, state)
                self.marks = [*marks, *own_marks]
                path = self._make_stabilizer_path(state.segments)
                self.stabilizer_state = read_arrays(path, state.arrays)
                self._discard_unfinished(finished)
                self.state = state
                self.timeline.restore(state.timeline)
                return []
            notes = []
        except DamagedStateError:
            notes = [DAMAGED_NOTE]
        self.remove()
        make_work_folder(self.folder)
        self.state = State(fingerprint)
        if start is not None:
            self.state, self.marks = deepcopy(start.state), list(marks)
            self.stabilizer_state = start.stabilizer_state
            self.timeline.restore(self.state.timeline)
        return notes

    def write(self, frame: VideoFrame, mark: FrameMark) -> bool:
        """Encodes the next frame; returns whether the segment is full: call `close_segment`.

        `mark` is that of the frame as it was decoded.
        """
        self._new_marks.append(mark)
        self.timeline.assign_encoder_pts(frame)
        frame.time_base = self.output.time_base
        self._encode_frame(frame)
        self._in_segment += 1
        return self._in_segment == SEGMENT_FRAMES

    def close_segment(
        self, stabilizer_state: Arrays, shot: int, replay: int, *, is_flawless: bool = False
    ) -> None:
        """Writes the segment to disk, then the state.

        `stabilizer_state` is that of `Stabilizer.state`, `replay` the number of the first frame
        that it needs again; `shot` is the number of the first frame of the last frame's shot.
        `is_flawless`: nothing in the source had to be reported up to here.
        """
        if not self._in_segment:
            return
        files, state = self._flush(), self.state
        previous = self._make_stabilizer_path(state.segments)
        manifest = write_manifest(self.folder, state.segments, files, self._new_marks)
        state.manifests.append(manifest)
        self._new_marks = []
        path = self._make_stabilizer_path(state.segments)
        state.arrays = write_arrays(path, stabilizer_state)
        state.frames += self._in_segment
        state.timeline, state.shot, state.replay = self.timeline.state(), shot, replay
        state.is_flawless = is_flawless
        self._in_segment = 0
        write_state(self.folder, state)
        with contextlib.suppress(OSError):
            previous.unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes all segments."""
        remove_work_folder(self.folder)

    def _make_stabilizer_path(self, number: int) -> Path:
        return self.folder / f"stabilizer-{number:06d}.npz"
