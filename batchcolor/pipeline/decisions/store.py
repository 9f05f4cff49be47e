"""DecisionStore: the decisions of an output folder, in `OUT/.batchcolor/decisions.jsonl`.

One decision a line; the last line of a source is the one that counts. Lines are only appended: a
damaged file keeps every byte, its good lines count, and the others are reported.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import Timeout

from batchcolor.errors import OutputError
from batchcolor.pipeline.decisions.decision import Decision, InvalidDecisionError
from batchcolor.storage.folder_lock import is_lockable, make_lock
from batchcolor.storage.journal import DECISIONS_NAME, STATE_FOLDER

LOCK_NAME = "decisions.lock"
LOCK_SECONDS = 10.0
"""How long a writer waits for another one, which holds the lock for one line."""


@dataclass(frozen=True)
class BadLine:
    """A line that is not a decision. `number` is from 1."""

    number: int
    reason: str


class DecisionStore:
    """The decisions of one output folder. Thread-safe, and safe beside other processes."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output / STATE_FOLDER
        self.path = self.folder / DECISIONS_NAME
        self.bad_lines: tuple[BadLine, ...] = ()
        self._by_source: dict[str, Decision] = {}
        self._by_digest: dict[str, str] = {}
        """The last source that was decided with this digest."""
        self._identity: tuple[int, int, int] | None = None
        self._lock = threading.RLock()
        self.refresh()

    def __len__(self) -> int:
        return len(self._by_source)

    def __iter__(self) -> Iterator[Decision]:
        """The decision of each source, in the order in which sources were first decided."""
        with self._lock:
            return iter(list(self._by_source.values()))

    def refresh(self) -> bool:
        """Reads the file again if it has changed; returns whether it has.

        A missing file has no decisions. Raises OutputError where it cannot be read.
        """
        with self._lock:
            identity = self._identify()
            if identity == self._identity:
                return False
            try:
                content = self.path.read_bytes() if identity is not None else b""
            except OSError as error:
                raise OutputError(f"{self.path} cannot be read ({error.strerror})") from error
            self._identity = identity
            self._by_source, self._by_digest = {}, {}
            self.bad_lines = tuple(self._read(content))
            return True

    def find(self, source: str, digest: str = "") -> Decision | None:
        """The decision of a source; None where there is none.

        `source` is a path as in `Decision`. A source without a decision gets that of another name
        with the same `digest`: it was renamed or moved. A decision that resets is found as well.
        """
        with self._lock:
            named = self._by_source.get(source)
            if named is not None and (not digest or named.digest in ("", digest)):
                return named
            moved = self._by_source.get(self._by_digest.get(digest, "")) if digest else None
            # What is decided by now may be about another picture, which has taken the old name.
            is_same = moved is not None and moved.digest in ("", digest)
            return moved if is_same else named

    def append(self, *decisions: Decision) -> None:
        """Writes decisions; they are on the disk when this returns.

        A decision without a time gets the present one. Raises OutputError.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        stamped = [one if one.time else one.model_copy(update={"time": now}) for one in decisions]
        with self._lock:
            try:
                with hold_decisions(self.output):
                    self._write(b"".join(one.as_line() for one in stamped))
            except OSError as error:
                raise OutputError(
                    f"{self.path} cannot be written ({error.strerror}); the decision is not saved"
                ) from error
            self.refresh()

    def _read(self, content: bytes) -> Iterator[BadLine]:
        """Remembers the decisions of a file; yields the lines that are none."""
        for number, line in enumerate(content.split(b"\n"), start=1):
            if not line.strip():
                continue
            try:
                decision = Decision.parse(line)
                if not decision.source:
                    raise InvalidDecisionError("it names no source")
            except InvalidDecisionError as error:
                yield BadLine(number, str(error))
            else:
                self._by_source[decision.source] = decision
                if decision.digest:
                    self._by_digest[decision.digest] = decision.source

    def _identify(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _write(self, lines: bytes) -> None:
        """Appends lines in one call; an incomplete last line of the file is ended first."""
        with self.path.open("a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def hold_decisions(output: Path) -> Iterator[None]:
    """Holds the lock of the decisions of an output folder, whose state folder is made; goes on
    without one where the file system has no locks. Raises OutputError, OSError."""
    folder = output / STATE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    lock = make_lock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except (Timeout, NotImplementedError, OSError) as error:
        if is_lockable(folder):
            raise OutputError(
                f"another program holds {folder / LOCK_NAME}; the decision is not saved"
            ) from error
    try:
        yield
    finally:
        lock.release()


def describe_bad_lines(store: DecisionStore) -> Iterable[str]:
    """Yields a sentence for each line that is not a decision."""
    for bad in store.bad_lines:
        yield f"{store.path}: line {bad.number} is not applied: {bad.reason}"
