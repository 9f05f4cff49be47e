"""Progress of an unfinished film on disk, with checksums of everything that it depends on.

`state.json` is written last and has the CRC-32 of each segment's manifest, which has those of the
segment's files. What a kill, a full disk or a fault of the disk leaves incomplete is recognized
when a later job reads it.
"""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.storage.atomic import write_atomic
from batchcolor.video.frame_mark import FrameMark

Arrays = dict[str, NDArray[Any]]
STATE_NAME = "state.json"
CHUNK = 1 << 20
"""Bytes that are read at once."""


class DamagedStateError(Exception):
    """Stored frames of an earlier job are missing or damaged."""


@dataclass
class State:
    """Progress of one film. `fingerprint` is a hash of everything that its frames depend on."""

    fingerprint: str
    frames: int = 0
    timeline: dict[str, int | None] = field(default_factory=dict)
    """State of `Timeline`."""
    shot: int = 0
    """Number of the first frame of the last frame's shot."""
    replay: int = 0
    """Number of the first frame that the stabilizer needs again."""
    arrays: int = 0
    """CRC-32 of the file of `Stabilizer.state`."""
    is_flawless: bool = False
    """Whether nothing in these frames of the source had to be reported."""
    manifests: list[int] = field(default_factory=list)
    """CRC-32 of each segment's manifest."""
    first_segment: int = 0
    """Number of the first of these segments; more than 0 in a part of a film."""

    @property
    def segments(self) -> int:
        """Number of the next segment."""
        return self.first_segment + len(self.manifests)


@dataclass(frozen=True)
class SegmentStart:
    """Where a part of a film begins: what an earlier job would have left there.

    `marks` are those of all frames before it.
    """

    state: State
    marks: list[FrameMark]
    stabilizer_state: Arrays


def write_state(folder: Path, state: State) -> None:
    """Writes the state; everything that it refers to must be written before. Raises OSError."""
    document = asdict(state)
    checksum = zlib.crc32(_serialize(document))
    write_atomic(folder / STATE_NAME, _serialize({"checksum": checksum, "state": document}))


def read_state(folder: Path) -> State | None:
    """Returns the state, or None where there is none. Raises DamagedStateError."""
    try:
        document = json.loads((folder / STATE_NAME).read_bytes())
        if zlib.crc32(_serialize(document["state"])) == document["checksum"]:
            return State(**document["state"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DamagedStateError(STATE_NAME) from error
    raise DamagedStateError(STATE_NAME)


def write_manifest(folder: Path, number: int, files: dict[str, int], marks: list[FrameMark]) -> int:
    """Writes the manifest of a segment: names and CRC-32 of its files, and marks of its frames.

    Returns the CRC-32 of the manifest.
    """
    rows = [(mark.tick, mark.checksum) for mark in marks]
    data = _serialize({"files": files, "frames": rows})
    write_atomic(folder / _make_manifest_name(number), data)
    return zlib.crc32(data)


def verify_files(folder: Path, state: State) -> tuple[set[str], list[FrameMark]]:
    """Returns the names of all files of the segments, and the marks of all their frames.

    Raises DamagedStateError if a file differs.
    """
    names: set[str] = set()
    marks: list[FrameMark] = []
    for number, checksum in enumerate(state.manifests, state.first_segment):
        manifest: dict[str, Any] = json.loads(
            _read_verified(folder / _make_manifest_name(number), checksum)
        )
        if "frames" not in manifest:  # of an earlier version
            raise DamagedStateError(_make_manifest_name(number))
        for name, expected in manifest["files"].items():
            if _compute_checksum(folder / name) != expected:
                raise DamagedStateError(name)
        names.update(manifest["files"])
        marks += [FrameMark(tick, checksum) for tick, checksum in manifest["frames"]]
    return names, marks


def write_arrays(path: Path, arrays: Arrays) -> int:
    """Writes the stabilizer's arrays; returns the CRC-32 of the file."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    write_atomic(path, file.getvalue())
    return zlib.crc32(file.getvalue())


def read_arrays(path: Path, checksum: int) -> Arrays:
    """Returns the stabilizer's arrays. Raises DamagedStateError."""
    with np.load(io.BytesIO(_read_verified(path, checksum))) as arrays:
        return dict(arrays)


def _read_verified(path: Path, checksum: int) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedStateError(path.name) from error
    if zlib.crc32(data) != checksum:
        raise DamagedStateError(path.name)
    return data


def _compute_checksum(path: Path) -> int:
    checksum = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                checksum = zlib.crc32(chunk, checksum)
    except OSError as error:
        raise DamagedStateError(path.name) from error
    return checksum


def _serialize(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _make_manifest_name(number: int) -> str:
    return f"segment-{number:06d}.json"
