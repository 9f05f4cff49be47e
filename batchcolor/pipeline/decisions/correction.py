"""Correction: how one source is coloured, after what is decided about it is applied to the job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchcolor.inference.hints.hint import Hint
from batchcolor.pipeline.decisions.decision import Decision, ShotDecision
from batchcolor.pipeline.options.settings import RunSettings


@dataclass(frozen=True)
class ChosenModel:
    """A model other than that of the job, or with other options."""

    name: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Correction:
    """The options that hold for one source, and what is decided beside them."""

    settings: RunSettings
    """Those of the job with the model, strength, options and reference of the decision."""
    model_options: Mapping[str, Any] = field(default_factory=dict)
    """Those of `fingerprint.canonical_options`."""
    model: ChosenModel | None = None
    """None: the model of the job."""
    weights_hash: str | None = None
    """None: that of the job."""
    decision: Decision = field(default_factory=Decision)
    painted: Path | None = None
    """A picture with painted colour hints."""
    digest: str = ""
    """Of all that is decided and changes the result; empty where nothing does."""
    marks_digest: str = ""
    """Of what is not among `settings`: hints, shots, that it stays grey."""
    fault: str = ""
    """Why the decision cannot be applied; the source fails then."""
    notes: tuple[str, ...] = ()

    @property
    def is_rejected(self) -> bool:
        """Whether the result is the source in grey."""
        return self.decision.state == "rejected"

    @property
    def has_hints(self) -> bool:
        """Whether there are colour hints."""
        return bool(self.decision.hints) or self.painted is not None

    @property
    def changes_colors(self) -> bool:
        """Whether other colours are asked for than those of the job: also for a picture that is
        in colour already."""
        return self.decision.changes_colors or self.painted is not None

    def hints_of_page(self, page: int) -> tuple[Hint, ...]:
        """The listed hints of a page, from 1."""
        return tuple(hint for hint in self.decision.hints if hint.page == page)

    def find_shot(self, first: int, last: int) -> ShotDecision | None:
        """The decision that holds at frame `last` of a shot that begins at frame `first`; both
        count from the film's beginning."""
        return self.decision.find_shot(first, last)


def compute_digest(values: Mapping[str, Any]) -> str:
    """Returns a digest of JSON values; empty where none of them is set. Zero is a value."""
    counted = {name: value for name, value in values.items() if value or value == 0}
    if not counted:
        return ""
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:16]
