"""Decodes the pictures of a job: in the process, and in a child where a file may crash it.

What is in work is recorded, so that the next run knows it after a crash. It tries those sources
first, one by one, in a child process; one that kills its child has failed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.images.decode import decode
from batchcolor.images.formats import BMP, CRASH_PRONE_FORMATS, JPEG
from batchcolor.images.header import estimate_memory
from batchcolor.images.isolation.isolated_decoder import CRASHED, IsolatedDecoder
from batchcolor.images.jpeg.luma_coefficients import require_jpeglib
from batchcolor.images.picture import Picture, resize_luma
from batchcolor.images.scan import ScannedFile, SkippedEntry
from batchcolor.inference.hints.picture_hints import PictureHints, prepare_hints
from batchcolor.pipeline.memory_errors import memory_failure
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.warning_notes import collect_warnings
from batchcolor.storage.in_flight import (
    InFlightRecord,
    InterruptedSource,
    find_early_folder,
    forget_interrupted,
    take_interrupted,
)
from batchcolor.storage.journal import Journal, absolute_source

MAX_ATTEMPTS = 3
"""A picture that was in work in so many processes that died, one after another, has failed."""
DECODE, ENCODE, FILM = "decode", "encode", "film"
"""What is recorded of a source in work: its step, or that it is a film."""
Result = TypeVar("Result")


class PictureDecoder:
    """Decodes pictures, and records which ones are in work. Thread-safe."""

    def __init__(self, settings: RunSettings, readers: Sequence[Reader], journal: Journal) -> None:
        """Raises UsageError where `--luma exact` needs a package that is not installed."""
        if settings.luma == "exact":
            require_jpeglib()
        self.settings, self.readers, self._journal = settings, readers, journal
        self._record_folders = [journal.folder]
        self._record = InFlightRecord(journal.folder, journal.shard)
        self._interrupted: dict[str, dict[int | None, InterruptedSource]] = {}
        """What earlier processes had in work, by source and page."""
        self.notes: list[str] = []
        self._idle: list[IsolatedDecoder] = []
        self._one_at_a_time = threading.Lock()

    def open(self) -> None:
        """Reads what earlier processes left, and begins the record."""
        self._record = InFlightRecord(self._choose_record_folder(), self._journal.shard)
        found = self._take_interrupted()
        # A film that was in work at a kill or a power cut is resumed, without decoding it twice.
        found = [one for one in found if one.crash or one.step != FILM]
        for one in found:
            self._interrupted.setdefault(one.source, {})[one.page] = one
        self.notes += [
            f"an earlier run crashed ({crash}); what it had in work is tried in a child process"
            for crash in sorted({one.crash for one in found if one.crash})
        ]
        self._record.open({(one.source, one.page): one.attempts for one in found})

    def _choose_record_folder(self) -> Path:
        """The state folder; a folder of the cache where there is no output folder yet.

        Where neither is possible, the output folder is made now.
        """
        state = self._journal.folder
        early = find_early_folder(self._journal.output)
        if early is None:
            self._journal.open()
            return state
        self._record_folders.append(early)
        if state.is_dir():
            return state
        early.mkdir(exist_ok=True)
        return early

    def _take_interrupted(self) -> list[InterruptedSource]:
        found: dict[tuple[str, int | None], InterruptedSource] = {}
        for folder in self._record_folders:
            is_exclusive = self._journal.uses_lock and folder == self._journal.folder
            shard = self._journal.shard
            for one in take_interrupted(folder, shard, is_exclusive=is_exclusive):
                found.setdefault((one.source, one.page), one)
        return list(found.values())

    def close(self, *, is_complete: bool) -> None:
        """Ends the record and the children. `is_complete`: every source was processed."""
        self._record.close()
        for folder in self._record_folders:
            if is_complete:
                is_exclusive = self._journal.uses_lock and folder == self._journal.folder
                shard = self._journal.shard
                forget_interrupted(folder, shard, is_exclusive=is_exclusive)
            if folder != self._journal.folder:
                with suppress(OSError):  # records of other jobs are in it, or none was
                    folder.rmdir()
        while self._idle:
            self._idle.pop().close()

    def interrupted_first(
        self, make_tasks: Callable[[], Iterable[Task | SkippedEntry]]
    ) -> Iterator[Task | SkippedEntry]:
        """Yields every task once, those of interrupted sources first."""
        if not self._interrupted:
            return iter(make_tasks())
        first = [task for task in make_tasks() if self._was_interrupted(task)]
        return chain(first, (task for task in make_tasks() if not self._was_interrupted(task)))

    def hold(self, path: Path, step: str, page: int | None = None) -> AbstractContextManager[None]:
        """Records that a source or page is in work at a step, until the end of the block."""
        return self._record.hold(path, step, page)

    def estimate_memory(self, found: ScannedFile) -> int:
        """As `header.estimate_memory`. Raises ProcessingError."""
        max_pixels, allow_multiple = self.settings.max_pixels, self.settings.pages == "first"
        if self._is_isolated(found):
            return self._with_child(
                self._find_interrupted(found),
                lambda child: child.estimate_memory(
                    found, max_pixels, allow_multiple=allow_multiple
                ),
            )
        with self.hold(found.path, DECODE), collect_warnings():  # `decode` has the same ones
            return estimate_memory(found, max_pixels, self.readers, allow_multiple=allow_multiple)

    def decode(self, task: Task, page: int | None = None, offset: int | None = None) -> Picture:
        """As `decode.decode`, with page and offset of `DecodeOptions`. Raises ProcessingError."""
        found, max_pixels = task.source, self.settings.max_pixels
        options = replace(
            self.settings.decoding,
            page=page,
            page_offset=offset,
            embeds_profile=task.format != BMP,
            luma=self.settings.luma if task.format == JPEG else "auto",
        )
        if not self._is_isolated(found, page):
            with self.hold(found.path, DECODE, page), collect_warnings() as warned:
                picture = decode(found, max_pixels, self.readers, options)
                picture.notes += warned
                return picture
        known = self._find_interrupted(found, page)
        target = task.format if known is not None and known.step == ENCODE else None
        quality = self.settings.quality
        return self._with_child(
            known, lambda child: child.decode(found, max_pixels, options, target, quality)
        )

    def make_square(self, picture: Picture, side: int) -> NDArray[np.float32]:
        """As `picture.resize_luma`. Raises ProcessingError where there is no memory for it."""
        with memory_failure(DECODE):
            return resize_luma(picture.luma, side)

    def prepare_hints(
        self, task: Task, picture: Picture, page: int | None = None
    ) -> PictureHints | None:
        """The colour hints of a picture, or of a page from 0. Raises ProcessingError.

        Painted hints are those of the first page.
        """
        correction, number = task.correction, page or 0
        listed = correction.hints_of_page(number + 1)
        painted = correction.painted if number == 0 else None
        with memory_failure(DECODE):
            hints = prepare_hints(picture.luma, listed, painted)
        if hints is not None:
            picture.notes += hints.notes
        return hints

    def is_interrupted(self, path: Path) -> bool:
        """Whether a source was in work when an earlier process died."""
        return absolute_source(path) in self._interrupted

    def check_frames(self, found: ScannedFile) -> None:
        """Decodes a film or animation in a child process if an earlier run died at it.

        Raises ProcessingError where the child dies; other damage is for the job to report.
        """
        pages = self._interrupted.get(absolute_source(found.path), {}).values()
        if pages or self._has_crashed(found):
            known = max(pages, key=lambda one: one.attempts, default=None)
            max_pixels = self.settings.max_pixels
            self._with_child(known, lambda child: child.try_frames(found, max_pixels))

    def _with_child(
        self, known: InterruptedSource | None, work: Callable[[IsolatedDecoder], Result]
    ) -> Result:
        if known is not None and known.attempts >= MAX_ATTEMPTS:
            raise ProcessingError(
                ENCODE if known.step == ENCODE else DECODE,
                f"{CRASHED} or was killed in {known.attempts} runs one after another",
            )
        with self._one_at_a_time if known is not None else nullcontext():
            child = self._idle.pop() if self._idle else self._make_child()
            try:
                return work(child)
            finally:
                self._idle.append(child)

    def _make_child(self) -> IsolatedDecoder:
        return IsolatedDecoder(self.settings.memory, with_plugins=bool(self.readers))

    def _find_interrupted(
        self, found: ScannedFile, page: int | None = None
    ) -> InterruptedSource | None:
        """What an earlier process had in work of this file, or of this page of it."""
        pages = self._interrupted.get(absolute_source(found.path), {})
        return pages.get(page) or pages.get(None)

    def _is_isolated(self, found: ScannedFile, page: int | None = None) -> bool:
        """Whether a file may crash its decoder: by its format, or because it did before."""
        if found.format in CRASH_PRONE_FORMATS:
            return True
        return self._find_interrupted(found, page) is not None or self._has_crashed(found)

    def _has_crashed(self, found: ScannedFile) -> bool:
        """Whether a file that is tried again, or a page of it, failed by a crash."""
        if not self.settings.retry_failed:
            return False
        former = self._journal.find(found.path, found.size, found.mtime_ns)
        return former is not None and CRASHED in former.reason

    def _was_interrupted(self, task: Task | SkippedEntry) -> bool:
        return isinstance(task, Task) and self.is_interrupted(task.source.path)
