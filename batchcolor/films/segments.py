"""A film's coded picture in segments on the disk, so that a job that is killed goes on from there.

Every segment is a run of an encoder of its own over `SEGMENT` frames, in every job, cut or not: so
a film that was resumed decodes to the very frames of one that was not. A segment gets its name when
it is whole; `state.json` then says how many there are, and what the next one has to know.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.films.codecs import FilmSettings
from batchcolor.films.encoder import encoder_for
from batchcolor.films.film import Film
from batchcolor.films.palette import Palette
from batchcolor.films.timing import Timeline

SEGMENT = 250
"""Frames: the distance of H.264's key frames anyway, and ten seconds of most films."""
HEAD = struct.Struct("<qqqq?I")
"""Before each packet's bytes: time told, true time, decoding time, duration, key frame, size."""


@dataclass
class State:
    """What is done of one film. `fingerprint` is of everything that its frames depend on."""

    fingerprint: str
    segments: int = 0
    frames: int = 0
    times: dict[str, int | None] = field(default_factory=dict)
    """Of `Timeline`."""


@dataclass(frozen=True)
class Coded:
    """One packet as a segment has it; times in ticks of the film."""

    told: int
    pts: int
    dts: int
    duration: int
    key: bool
    data: bytes


class Segments:
    """The segments of one film in a folder of their own. Raises OSError where the disk does.

    `write` frames in order, beginning with number `state.frames`; `finish` after the last;
    `packets` gives all of them; `remove` when the film has its name.
    """

    def __init__(
        self, folder: Path, film: Film, settings: FilmSettings, timeline: Timeline
    ) -> None:
        self.folder, self.film, self.settings, self.timeline = folder, film, settings, timeline
        self.state = State("")
        self.steady: dict[str, NDArray[Any]] = {}
        """Arrays that the next segment's frames need to be steadied as if nothing had happened."""
        self._encoder: VideoCodecContext | None = None
        self._palette: Palette | None = None
        self._packets: list[Coded] = []
        self._in_segment = 0

    def resume(self, fingerprint: str) -> None:
        """Take up what a former job left of the same film; anything else in the folder goes."""
        state = self._read_state()
        if state is None or state.fingerprint != fingerprint:
            self.remove()
            self.folder.mkdir(parents=True, exist_ok=True)
            self.state = State(fingerprint)
            return
        self.state = state
        self.timeline.set_back(state.times)
        with np.load(self._steady(state.segments)) as arrays:
            self.steady = dict(arrays)

    def _read_state(self) -> State | None:
        try:
            state = State(**json.loads((self.folder / "state.json").read_text()))
            whole = all(self._segment(n).exists() for n in range(state.segments))
            return state if whole and self._steady(state.segments).exists() else None
        except (OSError, ValueError, TypeError):
            return None

    def write(self, frame: VideoFrame) -> bool:
        """Encode the next frame; whether a segment has become full, and wants `close_segment`."""
        if self._encoder is None:
            self._encoder = encoder_for(self.film, self.settings)
            palette = self.settings.film_codec.palette
            self._palette = Palette(self.film) if palette else None
        self.timeline.tell(frame)
        frame.time_base = self.film.time_base
        frame.pict_type = 0  # the encoder decides anew which frames stand for themselves
        if self._palette is not None:
            frame = self._palette.applied(frame)
        self._keep(self._encoder.encode(frame))
        self._in_segment += 1
        return self._in_segment == SEGMENT

    def close_segment(self, steady: dict[str, NDArray[Any]]) -> None:
        """Put the segment on the disk, then the state; `steady` is what the next one needs."""
        if self._encoder is None:
            return
        self._keep(self._encoder.encode(None))
        self._encoder = None
        self._safely(self._segment(self.state.segments), self._segment_bytes())
        self._packets.clear()
        arrays = io.BytesIO()
        np.savez(arrays, **steady)  # type: ignore[arg-type]
        former = self._steady(self.state.segments)
        self.state.segments += 1
        self._safely(self._steady(self.state.segments), arrays.getvalue())
        self.state.frames += self._in_segment
        self.state.times = self.timeline.times()
        self._in_segment = 0
        self._safely(self.folder / "state.json", json.dumps(asdict(self.state)).encode())
        with contextlib.suppress(OSError):
            former.unlink(missing_ok=True)

    def _keep(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            assert packet.pts is not None
            pts, duration = self.timeline.true(packet.pts)
            dts = packet.dts if packet.dts is not None else pts
            data = bytes(packet)
            self._packets.append(Coded(packet.pts, pts, dts, duration, packet.is_keyframe, data))

    def _segment_bytes(self) -> bytes:
        parts = []
        for p in self._packets:
            parts += [HEAD.pack(p.told, p.pts, p.dts, p.duration, p.key, len(p.data)), p.data]
        return b"".join(parts)

    def packets(self) -> Iterator[Coded]:
        """Every packet of the film, in the order of decoding."""
        for number in range(self.state.segments):
            with self._segment(number).open("rb") as file:
                while head := file.read(HEAD.size):
                    told, pts, dts, duration, key, size = HEAD.unpack(head)
                    yield Coded(told, pts, dts, duration, key, file.read(size))

    def times(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """When each packet is shown, and the decoding time that its encoder gave."""
        rows = []
        for number in range(self.state.segments):
            with self._segment(number).open("rb") as file:
                while head := file.read(HEAD.size):
                    _, pts, dts, _, _, size = HEAD.unpack(head)
                    file.seek(size, os.SEEK_CUR)
                    rows.append((pts, dts))
        shown, given = np.array(rows, np.int64).reshape(-1, 2).T
        return shown, given

    def remove(self) -> None:
        """Let all of it go."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # the folder of all films, where this was the last
            self.folder.parent.rmdir()

    def _segment(self, number: int) -> Path:
        return self.folder / f"segment-{number:06d}.packets"

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
