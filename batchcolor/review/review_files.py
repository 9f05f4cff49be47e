"""ReviewFiles: the files of a review, wherever they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from batchcolor.errors import ProcessingError, make_printable
from batchcolor.hooks.types import Reader
from batchcolor.images.formats import guess_format
from batchcolor.images.scan import ScannedFile
from batchcolor.pipeline.previews import find_file
from batchcolor.review.remote_access import RemoteAccess
from batchcolor.review.remote_sources import RemoteSources
from batchcolor.review.review_item import ReviewItem
from batchcolor.review.source_listing import SourceListing
from batchcolor.storage.journal import STATE_FOLDER, JournalEntry
from batchcolor.storage.locations import Url
from batchcolor.storage.output_lock import OutputLock


class ReviewFiles:
    """Results in a folder on this computer, and sources that are files or objects.

    Thread-safe.
    """

    def __init__(self, output: Path, access: RemoteAccess) -> None:
        self.output = output
        """The local folder that has the state folder."""
        self.access = access
        self.sources = RemoteSources(access)
        self.listing = SourceListing(self.sources, access)

    # ---- the output ----------------------------------------------------------------------

    @property
    def location(self) -> Path | Url:
        """Where a job writes the results."""
        return self.output

    @property
    def name(self) -> str:
        """The output as it is shown."""
        return make_printable(self.output.absolute())

    @property
    def title(self) -> str:
        """The last part of its name."""
        return make_printable(self.output.absolute().name)

    @property
    def faults(self) -> Sequence[str]:
        """What the pages should show: what of the storage cannot be read or written."""
        return self.listing.faults

    def open(self) -> None:
        """Reads what is there. Raises UsageError."""

    def refresh(self) -> None:
        """Reads what other programs have written; called every second."""

    def refresh_now(self) -> None:
        """Reads what a job that has ended wrote."""

    def update(self, entries: Sequence[JournalEntry]) -> None:
        """Notes the entries of the journal when it has changed."""

    def is_locked(self) -> bool:
        """Whether a job is running on the output."""
        return is_folder_locked(self.output)

    def send_decisions(self) -> None:
        """Begins to send decisions that were written to the local state folder."""

    def flush_decisions(self) -> None:
        """Returns when all decisions are where a job reads them. Raises OutputError."""

    def close(self) -> None:
        """Sends what waits, ends requests, and removes local copies."""
        self.listing.close()
        self.access.close()

    # ---- sources -------------------------------------------------------------------------

    @contextmanager
    def open_source(self, item: ReviewItem) -> Iterator[Path]:
        """Holds a local file with the source of an item. Raises ProcessingError."""
        if not item.is_remote:
            if not os.path.lexists(item.source):
                where = make_printable(item.source)
                raise ProcessingError("scan", f"there is no {where} on this computer")
            yield item.source
            return
        with self.sources.open(item) as path:
            yield path

    def find_source(self, item: ReviewItem, readers: Sequence[Reader]) -> ScannedFile:
        """The source of an item; one on remote storage by its name. Raises ProcessingError."""
        if not item.is_remote:
            return find_file(item.source, readers)
        if self.listing.is_gone(item.source):
            raise ProcessingError("scan", "the source is gone")
        entry = item.entry
        kind = guess_format(item.source.suffix.lower())
        return ScannedFile(item.source, Path(item.key), entry.size, entry.mtime_ns, kind)

    def describe_source(self, item: ReviewItem) -> str:
        """Changes with the source of an item; empty where it is gone."""
        if item.is_remote:
            return "" if self.listing.is_gone(item.source) else item.entry.edges
        return _describe_file(item.source)

    # ---- results -------------------------------------------------------------------------

    @contextmanager
    def open_result(self, item: ReviewItem) -> Iterator[Path]:
        """Holds a local file with the result of an item. Raises ProcessingError."""
        if item.target is None or not item.target.exists():
            raise ProcessingError("scan", "there is no result")
        yield item.target

    def describe_result(self, item: ReviewItem) -> str:
        """Changes with the result of an item; empty where there is none."""
        return "" if item.target is None else _describe_file(item.target)

    def find_state(self, item: ReviewItem) -> str:
        """failed, missing, changed or done: what there is of the result."""
        if item.target is None:
            return "failed"
        try:
            status = item.target.stat()
        except OSError:
            return "missing"
        size = item.entry.result_size
        is_changed = size and item.target.is_file() and status.st_size != size
        return "changed" if is_changed else "done"

    def find_version(self, item: ReviewItem) -> str:
        """Changes with the files of an item: part of the addresses of its pictures."""
        parts = (self.describe_result(item) or "0", self.describe_source(item) or "0")
        return hashlib.sha256(os.fsencode(".".join(parts))).hexdigest()[:10]


def _describe_file(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


def is_folder_locked(output: Path) -> bool:
    """Whether a job or shard of this computer holds a lock of an output folder."""
    folder = output / STATE_FOLDER
    if not folder.is_dir():
        return False  # removed or unmounted; a lock would make it anew
    try:
        return OutputLock(folder, None).find_holder() is not None
    except (Timeout, OSError, NotImplementedError):
        return False  # a file system without locks, or one that is read-only
