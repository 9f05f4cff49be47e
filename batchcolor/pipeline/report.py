"""What became of a job: counts while it runs, failures by name, one JSON document."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchcolor.errors import ExitCode
from batchcolor.hooks.types import Outcome

MAX_NOTES = 100
"""Notes of each kind that a report names; beyond, they are no news (the journal has them all)."""


@dataclass
class Report:
    """Counts, failures and notes of one job; small however many pictures there are."""

    model: str
    output: str
    done: int = 0
    skipped: int = 0
    existed: int = 0
    """Of those skipped: what this job, as it is set, did not make."""
    failed: int = 0
    found: int = 0
    scanning: bool = True
    counted: int | None = None
    """Files with the suffix of a picture or film, counted ahead of the work; None until then."""
    current: str = ""
    frames: int = 0
    """Frames of films that are coloured; a film counts as one picture when it is whole."""
    frames_expected: int = 0
    """Frames of the films that were looked at, as far as their files say."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Films that cannot be coloured as asked, known before work begins, each with its reason;
    they are failures as well when their turn comes."""
    failures: list[Outcome] = field(default_factory=list)
    passed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    picture_notes: list[tuple[str, str]] = field(default_factory=list)
    noted: int = 0
    too_large: int = 0
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    exit_code: ExitCode = ExitCode.DONE
    message: str = ""

    def add(self, outcome: Outcome) -> None:
        """Count one picture that has left the line."""
        if outcome.status == "done":
            self.done += 1
        elif outcome.status == "skipped":
            self.skipped += 1
        else:
            self.failed += 1
            self.failures.append(outcome)
        for note in outcome.notes:
            self.noted += outcome.status != "skipped"
            if len(self.picture_notes) < MAX_NOTES:
                self.picture_notes.append((str(outcome.source), note))

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes and len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    @property
    def rate(self) -> float:
        """Pictures a second since the start."""
        return self.done / max(1e-6, self.seconds or time.monotonic() - self.started)

    @property
    def total(self) -> int | None:
        """Pictures and films of the job: an estimate from file names while folders are still
        being scanned, exact afterwards; None in the first moments, before names are counted."""
        if not self.scanning:
            return self.found
        return None if self.counted is None else max(self.counted, self.found)

    @property
    def seconds_left(self) -> float | None:
        """Time that the rest of the pictures takes at the present rate; None while unknown."""
        if self.total is None or not self.done:
            return None
        return (self.total - self.done - self.skipped - self.failed) / self.rate

    def expect(self, frames: int) -> None:
        """A film with so many frames is going to be coloured."""
        self.frames_expected += frames

    @property
    def frame_rate(self) -> float:
        """Frames a second since the start."""
        return self.frames / max(1e-6, self.seconds or time.monotonic() - self.started)

    @property
    def left(self) -> int:
        """Pictures found and not yet finished."""
        return self.found - self.done - self.skipped - self.failed

    def finish(self) -> None:
        """Take the time, and the exit code where nothing else has set one.

        A budget that holds not one of the pictures is a mistake of the command, not of theirs.
        """
        self.seconds = time.monotonic() - self.started
        if self.existed:
            were = "result was there" if self.existed == 1 else "results were there"
            self.note(
                f"{self.existed} {were} already, not made by this job as it is set, and left alone "
                f"(-v names them; --if-exists overwrite makes them anew)"
            )
        if self.exit_code == ExitCode.DONE and self.failed:
            self.exit_code = ExitCode.SOME_FAILED
            if self.too_large == self.found:
                self.exit_code = ExitCode.USAGE
                self.message = "--max-memory is not enough for one picture; give more"

    def as_json(self) -> dict[str, Any]:
        """The document of `--report` and `--json`."""
        return {
            "model": self.model,
            "output": self.output,
            "done": self.done,
            "skipped": self.skipped,
            "existed": self.existed,
            "failed": self.failed,
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.rate, 3),
            "frames_per_second": round(self.frame_rate, 3),
            "exit_code": int(self.exit_code),
            "message": self.message,
            "failures": [
                {"source": str(o.source), "step": o.step, "reason": o.reason} for o in self.failures
            ],
            "passed_over": [{"source": path, "reason": reason} for path, reason in self.passed],
            "notes": self.notes,
            "picture_notes": [{"source": path, "note": n} for path, n in self.picture_notes],
        }


def is_report(path: Path) -> bool:
    """Whether a file is a former report, or empty, so that nothing is lost when it is replaced."""
    try:
        document = json.loads(path.read_bytes() or b"{}")
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and (
        not document or {"failures", "exit_code"} <= set(document)
    )
