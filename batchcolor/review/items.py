"""The pictures and films of an output folder, as the review shows them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchcolor.errors import UsageError, make_printable
from batchcolor.images.formats import VIDEO_SUFFIXES
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.store import DecisionStore
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.sources import Root, list_roots, parse_source
from batchcolor.pipeline.records.job_record import read_jobs
from batchcolor.storage.journal import (
    Journal,
    JournalEntry,
    has_journal,
    identify_journals,
)


@dataclass(frozen=True)
class ReviewItem:
    """One source with the last entry of its journal. `key` is its name in decisions."""

    id: str
    key: str
    source: Path
    target: Path | None
    entry: JournalEntry
    number: int
    """Position in the journal: the order in time."""
    job: RunSettings | None
    """The job that the source belongs to."""

    @property
    def is_film(self) -> bool:
        """Whether it is a film, by its name."""
        return self.source.suffix.lower() in VIDEO_SUFFIXES or self.source.is_dir()


class ReviewItems:
    """Items by id; read again when the journal changes. Thread-safe."""

    def __init__(self, output: Path) -> None:
        """Raises UsageError where the folder holds no results of batchcolor."""
        self.output = output
        self.store = DecisionStore(output)
        if not has_journal(output):
            raise UsageError(
                f"{output} is not a folder of results: it has no journal; "
                f"name the output folder of batchcolor run"
            )
        self.jobs: list[RunSettings] = []
        self._items: dict[str, ReviewItem] = {}
        self._by_target: dict[str, ReviewItem] = {}
        self._identity: object = None
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> bool:
        """Reads the journal again if it has changed; returns whether it has."""
        with self._lock:
            identity = identify_journals(self.output)
            if not identity or identity == self._identity:
                return False  # deleted: the items stay, and their results are shown as they are
            self._read()
            self._identity = identity
            return True

    def all(self) -> list[ReviewItem]:
        """Every item, in the order in which results were first recorded."""
        return list(self._items.values())

    def get(self, id_: str) -> ReviewItem | None:
        """The item of an id."""
        return self._items.get(id_)

    def decision(self, item: ReviewItem) -> Decision:
        """What is decided about an item; an empty decision where nothing is."""
        return self.store.find(item.key) or Decision(source=item.key)

    def item_of_target(self, name: str) -> ReviewItem | None:
        """The item whose result has this path below the output folder."""
        return self._by_target.get(name)

    def _read(self) -> None:
        journal = Journal(self.output, lock=False)
        self.jobs = read_jobs(self.output)
        names = SourceNames(self.jobs)
        items = {}
        for number, entry in enumerate(journal.latest()):
            id_ = hashlib.sha256(os.fsencode(entry.source)).hexdigest()[:16]
            key, job = names.find(Path(entry.source))
            made = journal.find_result(Path(entry.target)) if entry.target else None
            is_own = made is not None and made.source == entry.source
            target = self.output / made.target if made is not None and is_own else None
            items[id_] = ReviewItem(id_, key, Path(entry.source), target, entry, number, job)
        self._items = items
        self._by_target = {
            item.target.relative_to(self.output).as_posix(): item
            for item in items.values()
            if item.target is not None
        }


class SourceNames:
    """The names of sources in decisions: their paths below the source folders of their job."""

    def __init__(self, jobs: Sequence[RunSettings]) -> None:
        self._folders: list[tuple[Path, Path, RunSettings]] = []
        self._files: dict[Path, tuple[str, RunSettings]] = {}
        for job in reversed(jobs):  # the last one counts
            for root in _list_roots(job):
                if root.path.is_dir():
                    self._folders.append((root.path, root.below, job))
                else:
                    name = (root.below / root.path.name).as_posix()
                    self._files.setdefault(root.path, (name, job))

    def find(self, source: Path) -> tuple[str, RunSettings | None]:
        """The name of a source, and its job; its file name where no job has it."""
        if source in self._files:
            return self._files[source]
        for folder, below, job in self._folders:
            if folder in source.parents or folder == source:
                return (below / source.relative_to(folder)).as_posix(), job
        return source.name, None


def _list_roots(job: RunSettings) -> list[Root]:
    sources = []
    for text in job.sources:
        try:
            sources.append(parse_source(text))
        except UsageError:  # the folder is gone: its results are shown nevertheless
            continue
    return list(list_roots(sources, several=len(job.sources) > 1))


def describe_item(item: ReviewItem, decision: Decision) -> dict[str, Any]:
    """The item as the page gets it."""
    entry = item.entry
    values: dict[str, Any] = {
        "id": item.id,
        "name": make_printable(item.key),
        "number": item.number,
        "outcome": entry.outcome,
        "state": find_state(item),
        "version": find_version(item),
    }
    more: Mapping[str, Any] = {
        "doubt": entry.doubt,
        "reason": make_printable(entry.reason),
        "notes": [make_printable(note) for note in entry.notes],
        "film": item.is_film,
        "decision": describe_decision(decision),
    }
    return values | {name: value for name, value in more.items() if value}


def describe_decision(decision: Decision) -> dict[str, Any]:
    """The decision as the page gets it, and sends it back."""
    values = decision.model_dump(
        mode="python", exclude_defaults=True, exclude={"version", "source", "digest", "time"}
    )
    for named in (values, *values.get("shots", ())):
        if named.get("reference") is not None:
            named["reference"] = make_printable(named["reference"])
    return values


def find_state(item: ReviewItem) -> str:
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


def find_version(item: ReviewItem) -> str:
    """Changes with the files of an item: part of the addresses of its pictures."""
    parts = []
    for path in (item.target, item.source):
        try:
            status = path.stat() if path else None
        except OSError:
            status = None
        parts.append(f"{status.st_size:x}-{status.st_mtime_ns:x}" if status else "0")
    return hashlib.sha256(".".join(parts).encode()).hexdigest()[:10]
