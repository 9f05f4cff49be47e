"""Parts of a film that several processes colour at once, each into segments of its own.

A part begins at the first segment after a shot from which the film can be coloured by itself. Its
process starts with that shot, as one that resumes the film there would. The task of the film takes
over the segments of the parts, and resumes after them.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from batchcolor.pipeline.resume_point import ResumePoint
from batchcolor.storage.work_folder import make_work_folder, remove_work_folder
from batchcolor.video.frame_mark import FrameMark
from batchcolor.video.output import segments
from batchcolor.video.output.segment_state import (
    Arrays,
    DamagedStateError,
    SegmentStart,
    State,
    read_state,
    write_arrays,
    write_state,
)

PLAN_NAME = "parts.npz"
SEGMENTS_OF_PART = 4
"""Segments that a part has at least: what is coloured twice, up to one segment, is then a small
share of it."""


@dataclass(frozen=True)
class FilmPart:
    """A part of a film: where it begins, and the frame before which it ends."""

    start: SegmentStart
    end: int


def count_segment_frames() -> int:
    """Returns the number of frames of a segment."""
    return segments.SEGMENT_FRAMES


def has_several_parts(frames: int) -> bool:
    """Whether a film of so many frames is long enough for two parts."""
    return frames >= 2 * SEGMENTS_OF_PART * count_segment_frames()


def choose_boundaries(shots: Iterable[int], frames: int, parts: int) -> list[tuple[int, int]]:
    """Returns where parts begin: the first frame that is written, and that of the shot before it.

    `shots` are the first frames of shots with which a part can begin, in order. At most `parts`
    are chosen, of similar length; the first begins at 0. One alone means that the film stays whole.
    """
    unit = count_segment_frames()
    length = max(SEGMENTS_OF_PART * unit, -(-frames // parts))
    boundaries = [(0, 0)]
    nearest = {-(-shot // unit) * unit: shot for shot in shots}  # the last shot before each
    for first, shot in sorted(nearest.items()):
        if first - boundaries[-1][0] >= length and frames - first >= length // 2:
            boundaries.append((first, shot))
    return boundaries


def find_last_end(frames: int) -> int:
    """Returns the end of the last part: one frame at least is left to the task of the film."""
    unit = count_segment_frames()
    return (frames - 1) // unit * unit


def find_parts_folder(point: ResumePoint) -> Path:
    """Returns the folder of the parts of a film."""
    return point.folder.with_name(f"{point.folder.name}-parts")


def find_part_folder(point: ResumePoint, number: int) -> Path:
    """Returns the folder of the segments of a part."""
    return find_parts_folder(point) / f"part-{number:04d}"


def write_parts(point: ResumePoint, parts: Sequence[FilmPart]) -> None:
    """Writes where parts begin and end. Raises OSError, OutputError."""
    folder = find_parts_folder(point)
    make_work_folder(folder)
    marks = parts[-1].start.marks
    plan = [{"end": part.end, "state": asdict(part.start.state)} for part in parts]
    arrays: Arrays = {
        "plan": np.array(json.dumps({"fingerprint": point.fingerprint, "parts": plan})),
        "ticks": np.array([mark.tick for mark in marks], np.int64),
        "checksums": np.array([mark.checksum for mark in marks], np.int64),
    }
    for number, part in enumerate(parts):
        own = part.start.stabilizer_state.items()
        arrays |= {f"{number}_{name}": values for name, values in own}
    write_arrays(folder / PLAN_NAME, arrays)


def read_part(point: ResumePoint, number: int) -> FilmPart:
    """Returns a part of `write_parts`. Raises DamagedStateError where it is not readable."""
    try:
        with np.load(find_parts_folder(point) / PLAN_NAME) as arrays:
            document = json.loads(str(arrays["plan"]))["parts"][number]
            state, prefix = State(**document["state"]), f"{number}_"
            rows = zip(arrays["ticks"][: state.frames], arrays["checksums"], strict=False)
            marks = [FrameMark(int(tick), int(checksum)) for tick, checksum in rows]
            names = [name for name in arrays.files if name.startswith(prefix)]
            own = {name.removeprefix(prefix): arrays[name] for name in names}
    except (OSError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile) as error:
        raise DamagedStateError(PLAN_NAME) from error
    return FilmPart(SegmentStart(state, marks, own), int(document["end"]))


def list_unfinished(point: ResumePoint) -> list[int] | None:
    """Returns the numbers of the parts that are not finished; None where the film has no parts."""
    try:
        with np.load(find_parts_folder(point) / PLAN_NAME) as arrays:
            plan = json.loads(str(arrays["plan"]))
        if plan["fingerprint"] != point.fingerprint:
            return None
        ends = [int(part["end"]) for part in plan["parts"]]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return [number for number, end in enumerate(ends) if _count_frames(point, number) != end]


def _count_frames(point: ResumePoint, number: int) -> int:
    with contextlib.suppress(DamagedStateError):
        state = read_state(find_part_folder(point, number))
        if state is not None and state.fingerprint == point.fingerprint:
            return state.frames
    return 0


def adopt_parts(point: ResumePoint) -> int:
    """Moves the segments of parts that follow those of the film to them, and deletes the others.

    Returns the number of these parts. Raises OSError, OutputError.
    """
    folder, adopted = find_parts_folder(point), 0
    if not folder.exists():
        return 0
    with contextlib.suppress(DamagedStateError):
        own = read_state(point.folder)
        if own is None or own.fingerprint != point.fingerprint:
            own = State(point.fingerprint)
        for path in sorted(folder.glob("part-*")):
            state = read_state(path)
            if state is None or state.fingerprint != point.fingerprint:
                break
            if state.first_segment != own.segments:
                break
            own = _adopt(path, state, point.folder, own)
            adopted += 1
    remove_work_folder(folder)
    return adopted


def _adopt(part: Path, state: State, folder: Path, own: State) -> State:
    """Moves the segments of one part; returns the state of the film with them."""
    make_work_folder(folder)
    for number in range(state.first_segment, state.segments):
        for path in part.glob(f"segment-{number:06d}.*"):
            path.replace(folder / path.name)
    for path in part.glob(f"stabilizer-{state.segments:06d}.*"):
        path.replace(folder / path.name)
    manifests = [*own.manifests, *state.manifests]
    joined = State(**{**asdict(state), "manifests": manifests, "first_segment": 0})
    write_state(folder, joined)
    shutil.rmtree(part, ignore_errors=True)
    return joined
