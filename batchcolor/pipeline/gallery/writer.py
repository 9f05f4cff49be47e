"""GalleryWriter: makes the gallery in a thread of its own while the job runs."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import Timeout

from batchcolor.errors import OutputError, ProcessingError
from batchcolor.hooks.types import Outcome, Reader
from batchcolor.pipeline.gallery.entries import (
    SEPARATOR,
    GalleryEntry,
    describe_file,
    entries_path,
    list_entries_of_shards,
    natural_key,
    read_entries,
    read_entries_of,
    write_entries,
)
from batchcolor.pipeline.gallery.held_files import HeldFiles
from batchcolor.pipeline.gallery.page import render_pages
from batchcolor.pipeline.gallery.places import GalleryPlace
from batchcolor.pipeline.previews import encode_preview, find_file, read_result, read_source, shrink
from batchcolor.storage.folder_lock import make_lock
from batchcolor.storage.journal import STATE_FOLDER, absolute_source
from batchcolor.storage.mounts import find_tag
from batchcolor.storage.remote.store import RemoteObject
from batchcolor.storage.shard import Shard

SIDE, THUMB_SIDE = 1600, 480
"""Longer sides in pixels."""
PAGE_SECONDS = 5.0
"""Between two writes of the pages while the job runs."""
SHARD_PAGE_SECONDS = 60.0
"""The same for a shard, whose pages have the pictures of all shards."""
LOCK_NAME, LOCK_SECONDS = "gallery.lock", 60.0
"""Held by the shard that writes the pages, so that the last one writes the pictures of all."""

MAX_HELD = 64
"""Outcomes whose files are held for the gallery; then the job waits for it."""
MAX_AHEAD = 16
"""Outcomes whose files are fetched ahead, where they are on remote storage."""
POLL = 0.1
FetchSource = Callable[[Path, RemoteObject | None, Path], Path]
"""A local file with a source, fetched to a folder where it is on remote storage."""


@dataclass(frozen=True)
class _Waiting:
    """An outcome that waits for its entry."""

    outcome: Outcome
    state: str
    files: HeldFiles
    found: RemoteObject | None
    fetched: Future[None] | None = None
    """Ends when the files are here that have to be fetched."""


class GalleryWriter:
    """Writes pictures and pages for the outcomes of a job. `add` may be called by any thread."""

    def __init__(
        self,
        place: GalleryPlace,
        model: str,
        readers: Sequence[Reader],
        shard: Shard | None,
        fetch_source: FetchSource,
        pool: ThreadPoolExecutor | None = None,
    ) -> None:
        """`pool` has the threads that make requests to remote storage; None: there is none."""
        self.place, self.output = place, place.output
        self.model, self.readers, self.shard = model, readers, shard
        self._fetch_source, self._pool = fetch_source, pool
        self._seconds = PAGE_SECONDS if shard is None else SHARD_PAGE_SECONDS
        self.error: OutputError | None = None
        self._entries: dict[str, GalleryEntry] = {}
        """Of all shards as they were at the start, and the own ones as they are."""
        self._own: dict[str, GalleryEntry] = {}
        """Those that a shard writes."""
        self._queue: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._writes: deque[Future[None]] = deque()
        """Pictures that are being written; pages that show them are written afterwards."""
        self._slots = threading.Semaphore(MAX_HELD)
        self._is_ending, self._is_aborted = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, outcome: Outcome, found: RemoteObject | None = None) -> None:
        """Adds the outcome of a picture or film; `found` is its object on remote storage.

        Local copies of remote files may be removed when this returns.
        """
        tag = find_tag(outcome.source)
        source = describe_file(outcome.source) if tag is None else tag
        result = "" if outcome.target is None else self.place.describe_result(outcome.target)
        files = HeldFiles(self.output / STATE_FOLDER)
        if outcome.status != "failed":
            files.hold(outcome.source, outcome.target)
        if files.is_holding and not self._acquire_slot():
            files.release()
        self._queue.put(_Waiting(outcome, f"{source}{SEPARATOR}{result}", files, found))

    def _acquire_slot(self) -> bool:
        """Waits until fewer files are held; False where the gallery has ended."""
        while self._thread is not None and self._thread.is_alive():
            if self._is_aborted.is_set():
                return False
            if self._slots.acquire(timeout=POLL):
                return True
        return False

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="gallery", daemon=True)
        self._thread.start()

    def close(self, seconds: float | None = None) -> bool:
        """Ends when all outcomes are written; returns whether it has, within these seconds.

        None: waits until it has.
        """
        self._is_ending.set()
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def abort(self) -> None:
        """Drops the outcomes that wait: the next run writes them."""
        self._is_aborted.set()

    def _run(self) -> None:
        try:
            self.place.open()
            self._entries = read_entries(self.output)
            self._own = read_entries_of(entries_path(self.output, self.shard))
            self._work()
        except OutputError as error:
            self.error = error
        except OSError as error:
            self.error = OutputError(f"{self.place.name} cannot be written ({error.strerror})")
        except Exception as error:  # else the thread would end without a word
            self.error = OutputError(f"{self.place.name} is incomplete (internal error: {error!r})")
        finally:
            self._release_all()

    def _release_all(self) -> None:
        """Removes what is held for outcomes that get no entry."""
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait().files.release()

    def _work(self) -> None:
        is_changed, written = True, 0.0
        ahead: deque[_Waiting] = deque()
        try:
            while not self._is_aborted.is_set():
                if is_changed and time.monotonic() - written > self._seconds:
                    self._write_pages()
                    is_changed, written = False, time.monotonic()
                is_ending = self._is_ending.is_set()
                self._take(ahead)
                if ahead:
                    is_changed |= self._add_next(ahead)
                elif is_ending:
                    break
        finally:
            for waiting in ahead:
                self._discard(waiting)
        self._write_pages()

    def _take(self, ahead: deque[_Waiting]) -> None:
        """Takes outcomes from the queue, waits for one, and begins to fetch what they need."""
        with suppress(queue.Empty):
            while len(ahead) < MAX_AHEAD:
                waiting = self._queue.get(block=not ahead, timeout=POLL)
                if self._pool is not None and self._needs_files(waiting):
                    fetched = self._pool.submit(self._fetch, waiting)
                    waiting = replace(waiting, fetched=fetched)
                ahead.append(waiting)

    def _add_next(self, ahead: deque[_Waiting]) -> bool:
        """Makes the first entry; returns whether the pages change."""
        waiting = ahead.popleft()
        try:
            return self._add(waiting)
        finally:
            self._discard(waiting)

    def _discard(self, waiting: _Waiting) -> None:
        """Removes the local copies of an outcome."""
        if waiting.fetched is not None and not waiting.fetched.cancel():
            wait((waiting.fetched,))
        waiting.files.remove_folders()
        if waiting.files.is_holding:
            waiting.files.release()
            self._slots.release()

    def _add(self, waiting: _Waiting) -> bool:
        """Makes the entry of an outcome; returns whether the pages change."""
        entry = self._make_entry(waiting)
        if entry is None or entry == self._entries.get(entry.source):
            return False
        self._entries[entry.source] = self._own[entry.source] = entry
        return True

    def _make_entry(self, waiting: _Waiting) -> GalleryEntry | None:
        outcome, state = waiting.outcome, waiting.state
        target, source = outcome.target, absolute_source(outcome.source)
        if outcome.status == "failed":
            reason = outcome.reason.partition(" (")[0]  # without what the user of the job can do
            return GalleryEntry(source, outcome.source.name, "", "failed", reason=reason)
        if target is None:
            return None  # in colour already, and skipped as asked
        name = target.relative_to(self.output).as_posix()
        if (former := self._find_former(waiting)) is not None:
            return former
        try:
            if waiting.fetched is None:
                self._fetch(waiting)
            else:
                waiting.fetched.result()
            return self._write_pictures(name, waiting)
        except ProcessingError as error:
            return GalleryEntry(source, name, state, "failed", reason=error.reason)
        except CancelledError:
            return None  # the job was aborted: the next run makes it

    def _find_former(self, waiting: _Waiting) -> GalleryEntry | None:
        """The entry of an earlier run, if it is that of the same source and result."""
        assert waiting.outcome.target is not None
        name = waiting.outcome.target.relative_to(self.output).as_posix()
        former = self._entries.get(absolute_source(waiting.outcome.source))
        if former is None or (former.name, former.state) != (name, waiting.state):
            return None
        return former if self.place.has(former) else None

    def _needs_files(self, waiting: _Waiting) -> bool:
        """Whether an outcome gets pictures that are not made yet."""
        has_result = waiting.outcome.status != "failed" and waiting.outcome.target is not None
        return has_result and self._find_former(waiting) is None

    def _fetch(self, waiting: _Waiting) -> None:
        """Fetches the result and the source of an outcome, unless they are here.

        Raises ProcessingError.
        """
        outcome, files = waiting.outcome, waiting.files
        assert outcome.target is not None
        if files.target is None:
            files.target = self.place.fetch_result(outcome.target, files.make_folder("after"))
        if files.source is None and outcome.status != "copied":
            folder = files.make_folder("before")
            files.source = self._fetch_source(outcome.source, waiting.found, folder)

    def _write_pictures(self, name: str, waiting: _Waiting) -> GalleryEntry:
        outcome, result, original = waiting.outcome, waiting.files.target, waiting.files.source
        assert result is not None
        after = read_result(result, SIDE)
        is_film = find_file(result).is_film
        kind = "copied" if outcome.status == "copied" else "coloured"
        source = absolute_source(outcome.source)
        entry = GalleryEntry(source, name, waiting.state, kind, is_film, *after.size)
        pictures = {
            f"pictures/{entry.key}-after.jpg": encode_preview(after),
            f"thumbs/{entry.key}.jpg": encode_preview(shrink(after, THUMB_SIDE)),
        }
        if kind == "coloured":
            assert original is not None
            before = read_source(original, SIDE, self.readers)
            if before.size != after.size:  # rounding; a preview must lie exactly below the other
                before = before.resize(after.size)
            pictures[f"pictures/{entry.key}-before.jpg"] = encode_preview(before)
        for path, content in pictures.items():
            if self._pool is None:
                self.place.write(path, content)
            else:
                self._writes.append(self._pool.submit(self.place.write, path, content))
        self._wait_for_writes(MAX_AHEAD)
        return entry

    def _wait_for_writes(self, left: int = 0) -> None:
        """Waits until at most so many files are still being written. Raises OutputError."""
        while len(self._writes) > left:
            with suppress(CancelledError):  # the job was aborted
                self._writes.popleft().result()

    def _write_pages(self) -> None:
        """Writes pages and entries; removes entries without a result, and pages beyond the last."""
        self._wait_for_writes()
        if self.shard is None:
            kept = self._list_kept(self._entries)
            self._write_html(kept)
            if self.output.is_dir():
                write_entries(entries_path(self.output), kept)
                for path in list_entries_of_shards(self.output):
                    path.unlink(missing_ok=True)
            return
        lock = make_lock(self.output / STATE_FOLDER / LOCK_NAME)
        with suppress(Timeout, NotImplementedError, OSError):  # continues without the lock
            lock.acquire(timeout=LOCK_SECONDS)
        try:
            write_entries(entries_path(self.output, self.shard), self._list_kept(self._own))
            self._write_html(self._list_kept(read_entries(self.output)))
        finally:
            lock.release()

    def _list_kept(self, entries: dict[str, GalleryEntry]) -> list[GalleryEntry]:
        kept = [
            entry
            for entry in entries.values()
            if entry.kind == "failed" or self.place.has_result(entry.name)
        ]
        return sorted(kept, key=lambda entry: (natural_key(entry.name), entry.source))

    def _write_html(self, kept: list[GalleryEntry]) -> None:
        pages = render_pages(kept, self.output.absolute().name, self.model)
        for name, page in reversed(pages.items()):
            self.place.write(name, page)
        for name in self.place.list_pages():
            if name not in pages:
                self.place.remove(name)
