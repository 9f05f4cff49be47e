"""What is known of a committed result: for its sidecars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from batchcolor.images.provenance_marks.provenance import Provenance
from batchcolor.storage.fixity import Fixity

Action = Literal["coloured", "copied", "kept grey"]
"""`kept grey`: as decided; a copy of the source, or the source in another format."""


@dataclass(frozen=True)
class ResultRecord:
    """A result, its source, and what was done."""

    target: Path
    target_format: str
    fixity: Fixity
    source: Path
    source_format: str
    source_size: int
    source_mtime_ns: int
    provenance: Provenance
    action: Action
    notes: tuple[str, ...] = ()
