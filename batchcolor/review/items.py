"""The pictures and films of an output folder, as the review shows them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchcolor.errors import UsageError, make_printable
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.store import DecisionStore
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.records.job_record import read_jobs
from batchcolor.review.review_files import ReviewFiles
from batchcolor.review.review_item import ReviewItem
from batchcolor.review.source_names import SourceNames
from batchcolor.storage.journal import Journal, has_journal, identify_journals
from batchcolor.storage.mounts import set_tag


class ReviewItems:
    """Items by id; read again when the journal changes. Thread-safe."""

    def __init__(self, files: ReviewFiles) -> None:
        """Raises UsageError where the folder holds no results of batchcolor."""
        self.files, self.output = files, files.output
        output = files.output
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
        self.jobs = read_jobs(self.output, self.files.location)
        entries = journal.latest()
        recorded = {entry.source for entry in entries}
        names = SourceNames(self.jobs, self.files.sources, recorded)
        items = {}
        for number, entry in enumerate(entries):
            id_ = hashlib.sha256(os.fsencode(entry.source)).hexdigest()[:16]
            named = names.find(entry.source)
            set_tag(named.path, entry.edges)
            made = journal.find_result(Path(entry.target)) if entry.target else None
            is_own = made is not None and made.source == entry.source
            target = self.output / made.target if made is not None and is_own else None
            items[id_] = ReviewItem(id_, named.key, named.path, target, entry, number, named.job)
        self._items = items
        self._by_target = {
            item.target.relative_to(self.output).as_posix(): item
            for item in items.values()
            if item.target is not None
        }
        self.files.update(journal.results())


def describe_item(item: ReviewItem, decision: Decision, files: ReviewFiles) -> dict[str, Any]:
    """The item as the page gets it."""
    entry = item.entry
    values: dict[str, Any] = {
        "id": item.id,
        "name": make_printable(item.key),
        "number": item.number,
        "outcome": entry.outcome,
        "state": files.find_state(item),
        "version": files.find_version(item),
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
