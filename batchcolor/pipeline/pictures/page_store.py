"""The finished pages of a document or animation on disk, from which a stopped job resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from batchcolor.pipeline.resume_point import ResumePoint
from batchcolor.storage.record_log import RecordLog
from batchcolor.storage.work_folder import make_work_folder, remove_work_folder

LOG_NAME = "pages.log"


@dataclass(frozen=True)
class StoredPage:
    """One page of the result."""

    content: bytes | None
    """The encoded page; None for a page in colour, which is copied from the source."""
    notes: tuple[str, ...] = ()
    duration: float = 0.0
    """Milliseconds, of a frame of an animation."""


class PageStore:
    """Pages of one result, in order, in a folder of their own.

    Call `open` first and `close` last; `remove` deletes the pages once they are not needed. Raises
    OSError where a page cannot be written.
    """

    def __init__(self, point: ResumePoint) -> None:
        self._folder = point.folder
        self._fingerprint = point.fingerprint.encode()
        self._log = RecordLog(point.folder / LOG_NAME)

    def __len__(self) -> int:
        return max(0, len(self._log) - 1)

    def open(self) -> None:
        """Finds the pages of an earlier job; removes those of another source or other settings."""
        make_work_folder(self._folder)
        self._log.open()
        if not len(self._log) or self._log.read(0) != self._fingerprint:
            self._log.clear()
            self._log.append(self._fingerprint)

    def append(self, page: StoredPage) -> None:
        """Appends a page."""
        facts = {
            "is_copied": page.content is None,
            "notes": page.notes,
            "duration": page.duration,
        }
        self._log.append(json.dumps(facts).encode() + b"\n" + (page.content or b""))

    def __iter__(self) -> Iterator[StoredPage]:
        for number in range(len(self)):
            head, _, content = self._log.read(number + 1).partition(b"\n")
            facts = json.loads(head)
            yield StoredPage(
                None if facts["is_copied"] else content,
                tuple(facts["notes"]),
                facts["duration"],
            )

    def close(self) -> None:
        """Closes the file; the pages stay."""
        self._log.close()

    def remove(self) -> None:
        """Deletes all pages."""
        self._log.close()
        remove_work_folder(self._folder)
