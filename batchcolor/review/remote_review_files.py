"""RemoteReviewFiles: results on remote storage, as a review reads them.

The journal, the decisions and the record of jobs are copied to a local folder in the user's cache;
it is not that of the jobs of this computer, which has another writer. Results are fetched when they
are looked at. Decisions are written to the local folder at once, and a thread copies them to the
storage with the lines that others wrote there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from batchcolor.errors import OutputError, ProcessingError, UsageError, make_printable
from batchcolor.pipeline.decisions.store import hold_decisions
from batchcolor.review.remote_access import RemoteAccess
from batchcolor.review.review_files import ReviewFiles, is_folder_locked
from batchcolor.review.review_item import ReviewItem
from batchcolor.storage.journal import (
    DECISIONS_NAME,
    STATE_FOLDER,
    JournalEntry,
    has_journal,
)
from batchcolor.storage.locations import Url, url_name
from batchcolor.storage.mounts import Mount, add_mount
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.journal_copy import JournalCopies
from batchcolor.storage.remote.object_index import ObjectIndex
from batchcolor.storage.remote.remote_lock import RemoteLock
from batchcolor.storage.remote.remote_output import find_output_folder
from batchcolor.storage.remote.store import RemoteObject, Store
from batchcolor.storage.remote.url_folder import find_url_folder
from batchcolor.storage.user_cache import NoCacheFolderError

REFRESH_SECONDS = 10.0
"""Between two listings of the state folder, by which changes of other computers are seen."""
RETRY_SECONDS = 10.0
"""Before decisions that could not be sent are sent again."""


class RemoteReviewFiles(ReviewFiles):
    """Results on remote storage. Thread-safe after `open`."""

    def __init__(self, url: Url, access: RemoteAccess) -> None:
        """Raises UsageError for a URL that cannot be opened or written to."""
        super().__init__(find_review_folder(url), access)
        self.url = url
        opened = access.session.open(url)
        if not opened.store.is_writable:
            raise UsageError(
                f"{url.shown}: results are reviewed where decisions can be written; copy them to a "
                f"folder first"
            )
        self._store, self._base = opened.store, opened.path.rstrip("/")
        self._retry = access.session.retry
        self._state = self.output / STATE_FOLDER
        self._copies = JournalCopies(
            self._store, self._base, self._state, self._retry, lambda: hold_decisions(self.output)
        )
        self._lock = RemoteLock(self._store, self._base, url.shown, self._retry)
        self._index = ObjectIndex()
        self._results = access.session.mount(url).folder
        self._is_locked = False
        self._known: dict[str, JournalEntry] = {}
        self._next = 0.0
        self._copying = threading.Lock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._sender = threading.Thread(target=self._send, name="decisions", daemon=True)
        self._send_fault = self._read_fault = ""

    @property
    def location(self) -> Path | Url:
        """As `ReviewFiles.location`."""
        return self.url

    @property
    def name(self) -> str:
        """As `ReviewFiles.name`."""
        return make_printable(self.url.shown)

    @property
    def title(self) -> str:
        """As `ReviewFiles.title`."""
        return make_printable(url_name(self.url) or self.url.shown)

    @property
    def faults(self) -> Sequence[str]:
        """As `ReviewFiles.faults`."""
        own = (fault for fault in (self._send_fault, self._read_fault) if fault)
        return (*own, *super().faults)

    # ---- the state folder ----------------------------------------------------------------

    def open(self) -> None:
        """Lists the results, and reads the state folder. Raises UsageError."""
        add_mount(Mount(self.output, self.url.shown))
        self._remove_copies()
        try:
            self._read_state(list(self._index.add_results(self._store.list(self._base))))
        except StorageError as error:
            raise UsageError(f"{self.url.shown}: {error}") from error
        except OSError as error:
            raise UsageError(f"{self.output} cannot be written ({error.strerror})") from error
        if not has_journal(self.output):
            raise UsageError(
                f"{self.url.shown} holds no results of batchcolor: it has no journal; name the "
                f"output of batchcolor run"
            )
        self._sender.start()
        self.send_decisions()  # those that an earlier review could not send

    def _remove_copies(self) -> None:
        """Removes what an earlier review copied, but for decisions: it may be sent only now."""
        for path in self._state.glob("*.json*"):
            if path.name != DECISIONS_NAME:
                with suppress(OSError):
                    path.unlink()

    def _read_state(self, state: list[RemoteObject]) -> None:
        """Copies what has changed in the state folder, and looks for a running job."""
        with self._copying:
            self._copies.fetch(state)
        self._is_locked = self._store.has_conditions and self._lock.has_holder(state)

    def refresh(self) -> None:
        """As `ReviewFiles.refresh`: lists the state folder when it is time."""
        if time.monotonic() >= self._next:
            self.refresh_now()

    def refresh_now(self) -> None:
        """As `ReviewFiles.refresh_now`."""
        try:
            self._read_state(list(self._store.list(f"{self._base}/{STATE_FOLDER}")))
            self._read_fault = ""
        except (StorageError, OSError) as error:
            self._read_fault = f"{self.name} cannot be read at the moment: {error}"
        self._next = time.monotonic() + REFRESH_SECONDS

    def update(self, entries: Sequence[JournalEntry]) -> None:
        """Takes the objects of new lines for what is there; others were listed at the start."""
        for entry in entries:
            known = self._known.get(entry.target)
            if self._known and known != entry and entry.result_tag:
                key = Path(entry.target).as_posix()
                self._index.add(RemoteObject("", key, entry.result_size, tag=entry.result_tag))
        self._known = {entry.target: entry for entry in entries}

    def is_locked(self) -> bool:
        """As `ReviewFiles.is_locked`: by the last listing, and by the jobs of this computer."""
        return self._is_locked or is_folder_locked(find_output_folder(self.url))

    # ---- decisions -----------------------------------------------------------------------

    def send_decisions(self) -> None:
        """As `ReviewFiles.send_decisions`."""
        self._wake.set()

    def flush_decisions(self) -> None:
        """As `ReviewFiles.flush_decisions`."""
        with self._copying:
            try:
                self._copies.exchange(self._state / DECISIONS_NAME)
            except OSError as error:
                raise OutputError(f"{self.output} cannot be written ({error.strerror})") from error
        self._send_fault = ""

    def _send(self) -> None:
        """Sends decisions whenever some were written. Runs in a thread."""
        pause: float | None = None
        while True:
            self._wake.wait(pause)
            if self._stop.is_set():
                return
            self._wake.clear()
            pause = None
            try:
                self.flush_decisions()
            except OutputError as error:
                self._send_fault = (
                    f"Decisions are not at {self.name} yet, only on this computer: "
                    f"{error.args[0].partition(';')[0]}. They are sent again every few seconds, "
                    f"and by the next review."
                )
                pause = RETRY_SECONDS

    def close(self) -> None:
        """As `ReviewFiles.close`. Raises OutputError where decisions cannot be sent."""
        self._stop.set()
        self._wake.set()
        try:
            if self._sender.is_alive():
                self._sender.join()
                self.flush_decisions()
        except OutputError as error:
            raise OutputError(
                f"{error.args[0].partition(';')[0]}; the decisions are kept on this computer, and "
                f"sent by the next review of {self.name}"
            ) from error
        finally:
            super().close()

    # ---- results -------------------------------------------------------------------------

    @contextmanager
    def open_result(self, item: ReviewItem) -> Iterator[Path]:
        """As `ReviewFiles.open_result`."""
        if item.target is None or not self.describe_result(item):
            raise ProcessingError("scan", "there is no result")
        key = self._key(item.target)
        entry = item.entry

        def find(is_fresh: bool) -> tuple[Store, RemoteObject]:
            path, size, tag = f"{self._base}/{key}", entry.result_size, entry.result_tag
            if not is_fresh and self._index.has(key, size, tag):
                return self._store, RemoteObject(path, key, size, tag=tag)
            found = self._retry.call(lambda: self._store.stat(path))
            if found is None:
                raise ProcessingError("scan", "it is a folder, and not a result")
            self._index.add(replace(found, key=key))
            return self._store, found

        version = self.describe_result(item)
        with self.access.files.open(self._results / key, version, find) as path:
            yield path

    def _key(self, target: Path) -> str:
        return target.relative_to(self.output).as_posix()

    def describe_result(self, item: ReviewItem) -> str:
        """As `ReviewFiles.describe_result`."""
        return "" if item.target is None else self._index.describe(self._key(item.target))

    def find_state(self, item: ReviewItem) -> str:
        """As `ReviewFiles.find_state`."""
        if item.target is None:
            return "failed"
        key, entry = self._key(item.target), item.entry
        if key not in self._index:
            return "missing"
        is_known = bool(entry.result_size and entry.result_tag)
        is_changed = is_known and not self._index.has(key, entry.result_size, entry.result_tag)
        return "changed" if is_changed else "done"


def find_review_folder(url: Url) -> Path:
    """The local folder of the review of a remote output, in the user's cache. Raises UsageError."""
    try:
        return find_url_folder("reviews", url, url_name(url) or "output")
    except NoCacheFolderError as error:
        raise UsageError(f"{url.shown}: a review needs a local cache folder: {error}") from error
