"""GalleryWriter: makes the gallery in a thread of its own while the job runs."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from filelock import Timeout

from batchcolor.errors import OutputError, ProcessingError, UsageError
from batchcolor.hooks.types import Outcome, Reader
from batchcolor.pipeline.gallery.entries import (
    GalleryEntry,
    describe_state,
    entries_path,
    list_entries_of_shards,
    natural_key,
    read_entries,
    read_entries_of,
    write_entries,
)
from batchcolor.pipeline.gallery.page import FIRST_PAGE, GENERATOR, render_pages
from batchcolor.pipeline.previews import encode_preview, find_file, read_result, read_source, shrink
from batchcolor.storage.atomic import write_atomic
from batchcolor.storage.folder_lock import make_lock
from batchcolor.storage.journal import STATE_FOLDER, absolute_source
from batchcolor.storage.shard import Shard

SIDE, THUMB_SIDE = 1600, 480
"""Longer sides in pixels."""
PAGE_SECONDS = 5.0
"""Between two writes of the pages while the job runs."""
SHARD_PAGE_SECONDS = 60.0
"""The same for a shard, whose pages have the pictures of all shards."""
LOCK_NAME, LOCK_SECONDS = "gallery.lock", 60.0
"""Held by the shard that writes the pages, so that the last one writes the pictures of all."""


def find_gallery_folder(output: Path) -> Path:
    """The folder of the gallery: beside the output folder, so that it can be sent alone.

    Raises UsageError where it belongs to something else.
    """
    absolute = output.absolute()
    folder = absolute.with_name(f"{absolute.name}-gallery")
    first = folder / FIRST_PAGE
    is_gallery = first.is_file() and GENERATOR in first.read_bytes()[:2000]
    if folder.exists() and not is_gallery and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"--gallery writes to {folder}, which exists and is not a gallery; rename it"
        )
    return folder


class GalleryWriter:
    """Writes pictures and pages for the outcomes of a job. `add` may be called by any thread."""

    def __init__(
        self, output: Path, model: str, readers: Sequence[Reader], shard: Shard | None = None
    ) -> None:
        """Raises UsageError."""
        self.output, self.model, self.readers, self.shard = output, model, readers, shard
        self._seconds = PAGE_SECONDS if shard is None else SHARD_PAGE_SECONDS
        self.folder = find_gallery_folder(output)
        self.error: OutputError | None = None
        self._entries: dict[str, GalleryEntry] = {}
        """Of all shards as they were at the start, and the own ones as they are."""
        self._own: dict[str, GalleryEntry] = {}
        """Those that a shard writes."""
        self._queue: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._is_ending, self._is_aborted = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, outcome: Outcome) -> None:
        """Adds the outcome of a picture or film."""
        self._queue.put(outcome)

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
            self._entries = read_entries(self.output)
            self._own = read_entries_of(entries_path(self.output, self.shard))
            self._work()
        except OutputError as error:
            self.error = error
        except OSError as error:
            self.error = OutputError(f"{self.folder} cannot be written ({error.strerror})")
        except Exception as error:  # else the thread would end without a word
            self.error = OutputError(f"{self.folder} is incomplete (internal error: {error!r})")

    def _work(self) -> None:
        is_changed, written = True, 0.0
        while not self._is_aborted.is_set():
            if is_changed and time.monotonic() - written > self._seconds:
                self._write_pages()
                is_changed, written = False, time.monotonic()
            try:
                outcome = self._queue.get(timeout=0.1)
            except queue.Empty:
                if self._is_ending.is_set():
                    break
                continue
            is_changed |= self._add(outcome)
        self._write_pages()

    def _add(self, outcome: Outcome) -> bool:
        """Makes the entry of an outcome; returns whether the pages change."""
        entry = self._make_entry(outcome)
        if entry is None or entry == self._entries.get(entry.source):
            return False
        self._entries[entry.source] = self._own[entry.source] = entry
        return True

    def _make_entry(self, outcome: Outcome) -> GalleryEntry | None:
        target, source = outcome.target, absolute_source(outcome.source)
        if outcome.status == "failed":
            reason = outcome.reason.partition(" (")[0]  # without what the user of the job can do
            return GalleryEntry(source, outcome.source.name, "", "failed", reason=reason)
        if target is None:
            return None  # in colour already, and skipped as asked
        name = target.relative_to(self.output).as_posix()
        state = describe_state(outcome.source, target)
        former = self._entries.get(source)
        if former and (former.name, former.state) == (name, state) and self._has_files(former):
            return former
        try:
            return self._write_pictures(name, state, outcome.source, target, outcome.status)
        except ProcessingError as error:
            return GalleryEntry(source, name, state, "failed", reason=error.reason)

    def _has_files(self, entry: GalleryEntry) -> bool:
        return all((self.folder / name).is_file() for name in entry.files)

    def _write_pictures(
        self, name: str, state: str, source: Path, target: Path, status: str
    ) -> GalleryEntry:
        after = read_result(target, SIDE)
        is_film = find_file(target).is_film
        kind = "copied" if status == "copied" else "coloured"
        entry = GalleryEntry(absolute_source(source), name, state, kind, is_film, *after.size)
        if kind == "coloured":
            before = read_source(source, SIDE, self.readers)
            if before.size != after.size:  # rounding; a preview must lie exactly below the other
                before = before.resize(after.size)
            self._write(f"pictures/{entry.key}-before.jpg", encode_preview(before))
        self._write(f"pictures/{entry.key}-after.jpg", encode_preview(after))
        self._write(f"thumbs/{entry.key}.jpg", encode_preview(shrink(after, THUMB_SIDE)))
        return entry

    def _write_pages(self) -> None:
        """Writes pages and entries; removes entries without a result, and pages beyond the last."""
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
        kept = [e for e in entries.values() if e.kind == "failed" or self._is_there(e)]
        return sorted(kept, key=lambda entry: (natural_key(entry.name), entry.source))

    def _write_html(self, kept: list[GalleryEntry]) -> None:
        pages = render_pages(kept, self.output.absolute().name, self.model)
        for name, page in reversed(pages.items()):
            self._write(name, page)
        for path in self.folder.glob("page-*.html"):
            if path.name not in pages:
                path.unlink(missing_ok=True)

    def _is_there(self, entry: GalleryEntry) -> bool:
        return (self.output / entry.name).exists()

    def _write(self, name: str, data: bytes) -> None:
        write_atomic(self.folder / name, data)
