"""The report of a job: counts while it runs, failures, notes, and its JSON document."""

from __future__ import annotations

import heapq
import json
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from batchcolor.errors import ExitCode
from batchcolor.hooks.types import Outcome
from batchcolor.storage.mounts import name_of

KEPT_GREY = "kept grey, as decided"
"""The reason of an outcome without computed colours."""
MAX_DOUBTS = 100
"""Most doubtful results that a report lists; the journal has the doubt of all."""
MAX_NOTES = 100
"""Notes of each kind that a report lists; the journal has all of them."""

_COUNTS = (
    *("done", "skipped", "existed", "copied", "kept_grey", "colored_skipped", "scanned"),
    *("frames", "frames_expected", "source_bytes", "result_bytes"),
    *("note_count", "shown_note_count", "too_large"),
)
"""Numbers that are the sum of those of all rounds."""
_lock = threading.Lock()
"""Held while any report changes; not part of a report, which can be copied and pickled."""


@dataclass
class NodeStatus:
    """What one node of a cluster did for a job."""

    name: str
    state: Literal["starting", "working", "not used", "lost"] = "starting"
    reason: str = ""
    """Why it is not used."""
    workers: int = 0
    finished: int = 0
    """Pictures and films, the failed ones included."""
    failed: int = 0
    in_work: int = 0
    """Those that are finished and not counted yet."""

    def as_json(self) -> dict[str, Any]:
        """Its object in the report."""
        return {
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "finished": self.finished,
            "failed": self.failed,
        }


@dataclass
class Report:
    """Counts, failures and notes of one job; successes are counted only.

    Methods that several threads call hold a lock.
    """

    model: str
    output: str
    shard: str = ""
    """The part of the job, as 1/4; empty without shards."""
    gallery: str = ""
    """The first page of the gallery, where one is written."""
    done: int = 0
    skipped: int = 0
    existed: int = 0
    """Of those skipped: results that were made with other settings, or not by batchcolor."""
    copied: int = 0
    """Pictures in colour that were copied as they are; counted in none of the others."""
    kept_grey: int = 0
    """Pictures and films that stay grey, as decided; counted in none of the others."""
    colored_skipped: int = 0
    """Of those skipped: pictures in colour, with `--if-colored skip`."""
    failed: int = 0
    scanned: int = 0
    """Pictures and films that the scan has found so far."""
    is_scanning: bool = True
    """False once the scan is complete; a job that is stopped before leaves it True."""
    counted: int | None = None
    """Files with the suffix of a picture or film, counted ahead of the work; None until then."""
    counted_of_all: int | None = None
    """Those of all shards."""
    current: str = ""
    source_bytes: int = 0
    """Of the sources of new results."""
    result_bytes: int = 0
    metrics_url: str = ""
    """Where metrics are served."""
    frames: int = 0
    """Coloured frames of films. A complete film counts as one in `done`."""
    frames_expected: int = 0
    """Frames of the films that were begun, as far as their headers state them."""
    frames_waiting: int = 0
    """Frames of the films that are not begun, as far as their headers state them."""
    announcements: list[str] = field(default_factory=list)
    """What the films need, known before work begins."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Films that cannot be coloured as asked, with the reason, known before work begins. Each is
    recorded as a failure when the scan reaches it."""
    failures: list[Outcome] = field(default_factory=list)
    skipped_entries: list[tuple[str, str]] = field(default_factory=list)
    skipped_entry_count: int = 0
    """Skipped entries, also those that are not listed."""
    notes: list[str] = field(default_factory=list)
    picture_notes: list[tuple[str, str]] = field(default_factory=list)
    note_count: int = 0
    """Notes on single files, also those that are not listed."""
    shown_note_count: int = 0
    """Of those: notes on films, which are among `notes` too."""
    too_large: int = 0
    doubts: list[tuple[float, str]] = field(default_factory=list)
    """A heap of doubt and source: of the `MAX_DOUBTS` results of which the model is least sure."""
    nodes: list[NodeStatus] = field(default_factory=list)
    """Of a job on a cluster."""
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    exit_code: ExitCode = ExitCode.DONE
    message: str = ""

    def add(self, outcome: Outcome) -> None:
        """Counts the outcome of one picture or film."""
        with _lock:
            if outcome.status == "done" and outcome.reason == KEPT_GREY:
                self.kept_grey += 1
            elif outcome.status == "done":
                self.done += 1
            elif outcome.status == "copied":
                self.copied += 1
            elif outcome.status == "skipped":
                self.skipped += 1
            else:
                self.failed += 1
                self.failures.append(outcome)
            for note in outcome.notes:
                self.note_count += outcome.status != "skipped"
                if len(self.picture_notes) < MAX_NOTES:
                    self.picture_notes.append((name_of(outcome.source), note))

    def add_round(self, other: Report, files: Collection[Path]) -> None:
        """Adds a round of the same job on some files: what failed before counts once."""
        with _lock:
            kept = [outcome for outcome in self.failures if outcome.source not in files]
            self.scanned -= len(self.failures) - len(kept)
            self.failures = kept + other.failures
            self.failed = len(self.failures)
            for name in _COUNTS:
                setattr(self, name, getattr(self, name) + getattr(other, name))
            self.skipped_entries = other.skipped_entries
            self.skipped_entry_count = other.skipped_entry_count
            self.doubts = heapq.nlargest(MAX_DOUBTS, self.doubts + other.doubts)
            heapq.heapify(self.doubts)
            free = MAX_NOTES - len(self.picture_notes)
            self.picture_notes += other.picture_notes[:free]
            self.is_scanning = False
        for text in other.notes:
            self.note(text)

    def add_doubt(self, source: str, doubt: float) -> None:
        """Keeps the results of which the model was least sure."""
        with _lock:
            heapq.heappush(self.doubts, (doubt, source))
            if len(self.doubts) > MAX_DOUBTS:
                heapq.heappop(self.doubts)

    def note(self, text: str) -> None:
        """Adds a note, unless it is there already."""
        with _lock:
            if text not in self.notes and len(self.notes) < MAX_NOTES:
                self.notes.append(text)

    def note_film(self, name: str, text: str) -> None:
        """Adds a note on a single film to those on the job: films are few, so each is shown."""
        with _lock:
            if len(self.notes) < MAX_NOTES:
                self.notes.append(f"{name}: {text}")
                self.shown_note_count += 1

    def count_bytes(self, source: int, result: int) -> None:
        """Counts the sizes of a source and its new result."""
        with _lock:
            self.source_bytes += source
            self.result_bytes += result

    def count_frame(self) -> None:
        """Counts a coloured frame of a film."""
        with _lock:
            self.frames += 1

    def count_colored_skipped(self) -> None:
        """Counts a picture in colour that is skipped, beside `add`."""
        with _lock:
            self.colored_skipped += 1

    @property
    def rate(self) -> float:
        """Pictures per second since the start."""
        return self.done / max(1e-6, self.seconds or time.monotonic() - self.started)

    @property
    def total(self) -> int | None:
        """Pictures and films of the job: an estimate from file names while folders are still
        being scanned, exact afterwards; None in the first moments, before names are counted."""
        if not self.is_scanning:
            return self.scanned
        return None if self.counted is None else max(self.counted, self.scanned)

    @property
    def seconds_left(self) -> float | None:
        """Time for the remaining pictures at the present rate; None while unknown."""
        if self.total is None or not self.done:
            return None
        return self.remaining / self.rate

    def begin_film(self, frames: int) -> None:
        """Removes the frames of a film from those that wait."""
        with _lock:
            self.frames_waiting = max(0, self.frames_waiting - frames)

    def expect(self, frames: int) -> None:
        """Adds the frames of a film that is begun."""
        with _lock:
            self.frames_expected += frames

    @property
    def frame_rate(self) -> float:
        """Frames per second since the start."""
        return self.frames / max(1e-6, self.seconds or time.monotonic() - self.started)

    @property
    def left(self) -> int:
        """Pictures and films that are scanned and not finished."""
        finished = self.done + self.skipped + self.copied + self.kept_grey + self.failed
        return self.scanned - finished

    @property
    def remaining(self) -> int:
        """Pictures and films of the job that are not finished, as far as they are known."""
        return self.left if self.total is None else self.left + self.total - self.scanned

    def finish(self) -> None:
        """Sets the time, and the exit code where nothing else has set one.

        A --max-memory that is too small for every picture is a usage error.
        """
        self.seconds = time.monotonic() - self.started
        if self.existed:
            results = "1 result" if self.existed == 1 else f"{self.existed} results"
            self.note(
                f"{results} kept: made with other settings, before the source changed, or by "
                f"another program "
                f"(-v lists them; --if-exists overwrite replaces them)"
            )
        if self.exit_code == ExitCode.DONE and self.failed:
            self.exit_code = ExitCode.SOME_FAILED
            if self.too_large == self.scanned:
                self.exit_code = ExitCode.USAGE
                self.message = "--max-memory is not enough for one picture; give more"

    def as_json(self) -> dict[str, Any]:
        """The document of `--report` and `--json`."""
        nodes = {"nodes": [node.as_json() for node in self.nodes]} if self.nodes else {}
        return {
            "model": self.model,
            "output": self.output,
            "shard": self.shard,
            "gallery": self.gallery,
            "done": self.done,
            "skipped": self.skipped,
            "existed": self.existed,
            "copied": self.copied,
            "kept_grey": self.kept_grey,
            "colored_skipped": self.colored_skipped,
            "failed": self.failed,
            "remaining": self.remaining,
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.rate, 3),
            "frames_per_second": round(self.frame_rate, 3),
            "exit_code": int(self.exit_code),
            "message": self.message,
            "failures": [
                {"source": name_of(o.source), "step": o.step, "reason": o.reason}
                for o in self.failures
            ],
            "passed_over_count": self.skipped_entry_count,
            "passed_over": [
                {"source": path, "reason": reason} for path, reason in self.skipped_entries
            ],
            "doubtful": [
                {"source": source, "doubt": doubt}
                for doubt, source in sorted(self.doubts, reverse=True)
            ],
            "notes": self.notes,
            "picture_notes": [{"source": path, "note": n} for path, n in self.picture_notes],
            **nodes,
        }


def is_report(path: Path) -> bool:
    """Whether a file is a report or empty, so that it may be replaced."""
    try:
        document = json.loads(path.read_bytes() or b"{}")
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and (
        not document or {"failures", "exit_code"} <= set(document)
    )
