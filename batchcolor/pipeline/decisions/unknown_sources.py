"""Decisions whose source no job on the output folder has read: perhaps a misspelled path."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from batchcolor.errors import make_printable
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.storage.journal import Journal

LISTED = 3
"""Sources of which the path is stated; the rest are counted."""


def describe_unknown_sources(journal: Journal, decided: Iterable[Decision]) -> str:
    """Returns a sentence that names the sources of decisions that the journal lacks, or "".

    Decisions with a digest do not count: the source may have another name by now.
    """
    known: set[str] = set()
    for entry in journal.latest():
        parts = Path(entry.source).parts
        known.update("/".join(parts[start:]) for start in range(1, len(parts)))
    unknown = [
        one.source
        for one in decided
        if not one.digest and not one.is_empty and one.source not in known
    ]
    if not unknown:
        return ""
    names = ", ".join(make_printable(name) for name in unknown[:LISTED])
    more = f" and {len(unknown) - LISTED} more" if unknown[LISTED:] else ""
    return f"No picture of a job has the path {names}{more}, for which there is a decision"
