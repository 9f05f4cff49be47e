"""Where a film or document of an earlier job is resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ResumePoint:
    """Folder of a film's segments, and the fingerprint that reusable segments must have."""

    folder: Path
    fingerprint: str
