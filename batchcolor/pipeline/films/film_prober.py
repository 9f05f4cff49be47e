"""Probes the films of a job before any of them is begun, so that refusals come first."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.images.scan import SkippedEntry
from batchcolor.pipeline.films.room import RoomEstimate
from batchcolor.pipeline.films.video_admission import Admission, probe_film
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.pictures.kept_grey import is_byte_copy
from batchcolor.pipeline.pictures.picture_decoder import FILM, PictureDecoder
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.report import Report
from batchcolor.pipeline.stages import Cancellation
from batchcolor.storage.mounts import name_of


class FilmProber:
    """Probes films. `probe_all` runs in one thread; `probe` waits for it in another."""

    def __init__(
        self,
        settings: RunSettings,
        memory: int,
        batch_size: int,
        cancellation: Cancellation,
        decoder: PictureDecoder,
    ) -> None:
        self.settings, self.memory, self.batch_size = settings, memory, batch_size
        self.cancellation, self.decoder = cancellation, decoder
        self._are_probed = threading.Event()
        self._refused: dict[Path, ProcessingError] = {}

    def probe_all(self, tasks: Iterable[Task | SkippedEntry], report: Report) -> None:
        """Reports the films that cannot be coloured as asked, and what the others need."""
        room = RoomEstimate()
        for task in tasks:
            if self.cancellation.draining.is_set():
                break
            if isinstance(task, SkippedEntry) or task.action != "colour" or not task.source.is_film:
                continue
            if is_byte_copy(task):
                continue
            if self.decoder.is_interrupted(task.source.path):
                continue  # it is tried in a child process first
            try:
                room.add(self._probe(task), task.target)
            except ProcessingError as error:
                self._refused[task.source.path] = error
                report.refused.append((name_of(task.source.path), error.reason))
        report.frames_waiting, report.announcements = room.frames, room.describe()
        self._are_probed.set()
        self.cancellation.wake()

    def probe(self, task: Task) -> Admission:
        """What a film needs, after all films are probed.

        Raises ProcessingError where it cannot be coloured as asked, CancelledError.
        """
        with self.cancellation.changed:
            self.cancellation.wait_for(self._are_probed.is_set)
        if task.source.path in self._refused:
            raise self._refused[task.source.path]
        return self._probe(task)

    def _probe(self, task: Task) -> Admission:
        with self.decoder.hold(task.source.path, FILM):
            return probe_film(task, self.settings, self.memory, self.batch_size)
