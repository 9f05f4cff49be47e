"""What happens to a source: it is coloured, was finished or failed before, is kept or refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.errors import LIMITS
from batchcolor.images.scan import ScannedFile
from batchcolor.pipeline.decisions.correction import Correction
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.source_checks import OverwriteGuard
from batchcolor.pipeline.planning.task import Action
from batchcolor.storage.journal import RESULTS, Journal, JournalEntry, absolute_source

if TYPE_CHECKING:
    from batchcolor.storage.remote.any_output import AnyOutput


@dataclass(frozen=True)
class TaskActions:
    """Chooses what happens to the sources of one job."""

    settings: RunSettings
    output: Path
    remote_output: AnyOutput | None
    guard: OverwriteGuard

    def choose(
        self,
        file: ScannedFile,
        target: Path,
        correction: Correction,
        journal: Journal,
        wanted: tuple[str, str],
    ) -> tuple[tuple[Action, str, str], bool]:
        """The action, for a refusal or an earlier failure its step and reason, and whether an
        existing result is replaced.

        `wanted` are the fingerprint and the weights of the result.
        """
        replaces = self.settings.if_exists == "overwrite"
        try:
            is_here = target.exists()
        except OSError as error:  # a name or path that is too long for the file system
            reason = f"its result {target.name} cannot be written: {error.strerror}"
            return ("refused", "plan", reason), replaces
        if refusal := self._refuse(file, target, is_here=is_here):
            return ("refused", "plan", refusal), replaces
        if correction.fault:
            return ("refused", "decision", correction.fault), replaces
        previous = journal.find(file.path, file.size, file.mtime_ns)
        made = self._find_result(journal, target, previous)
        exists = is_here if self.remote_output is None else self.exists(target, made)
        is_changed = exists and made is not None and self._is_changed(target, made)
        is_done = made is not None and made.outcome == "done" and exists and not is_changed
        if made and is_done and (made.settings, made.weights) == wanted:
            return ("done before", "", ""), replaces
        is_same_decision = made is None or made.decision == correction.digest
        if previous is not None and is_same_decision and self._is_kept_in_colour(previous):
            return ("done before", "", ""), replaces
        is_same = previous is not None and (previous.settings, previous.weights) == wanted
        if previous is not None and self._fails_again(previous, is_same=is_same):
            reason = f"{previous.reason} (as before; --retry-failed tries again)"
            return ("failed before", previous.step, reason), replaces
        if exists and not replaces:
            if made is not None and not is_changed and not is_same_decision:
                return ("colour", "", ""), True
            return ("exists", "", self._why_kept(journal, file, target, made)), replaces
        # A file of this name in the local folder of a remote output was never put.
        return ("colour", "", ""), replaces or self.remote_output is not None

    def exists(self, target: Path, made: JournalEntry | None) -> bool:
        """Whether a result exists, on remote storage or here; `made` is its entry, if any."""
        if self.remote_output is not None:
            return self.remote_output.exists(target, made)
        return target.exists()

    def _is_changed(self, target: Path, made: JournalEntry) -> bool:
        if self.remote_output is not None:
            return self.remote_output.is_changed(target, made)
        return _is_resized(target, made)

    def _refuse(self, file: ScannedFile, target: Path, *, is_here: bool) -> str:
        """Why a source cannot be coloured as asked; empty where it can be. `is_here`: whether
        there is a file of this name."""
        if is_here and _is_same_file(target, file.path):
            return "its result would replace it; choose another --output"
        return self.guard.find_conflict(target)

    def _find_result(
        self, journal: Journal, target: Path, previous: JournalEntry | None
    ) -> JournalEntry | None:
        """The entry of the result of a source; `previous` is the last one of the source as it is
        now: perhaps that of a failure or skip afterwards, which left the result as it was."""
        if previous is None or previous.outcome in RESULTS:
            return previous
        made = journal.find_result(target.relative_to(self.output))
        is_of_source = made is not None and _source_key(made) == _source_key(previous)
        return made if is_of_source else None

    def _why_kept(
        self, journal: Journal, file: ScannedFile, target: Path, made: JournalEntry | None
    ) -> str:
        """Why an existing result is not replaced; `made` is its entry if it is of this source as
        it is now."""
        if made is not None:
            is_changed = self._is_changed(target, made)
            return "changed after it was made" if is_changed else "made with other settings"
        earlier = journal.find_result(target.relative_to(self.output))
        if earlier is not None and earlier.source == absolute_source(file.path):
            return "made before its source changed"
        return "not made by this job"

    def _is_kept_in_colour(self, previous: JournalEntry) -> bool:
        """Whether the source is known to be in colour, and was copied or skipped as asked now."""
        if self.settings.if_colored == "copy":
            copy = self.output / previous.target
            return previous.outcome == "copied" and self.exists(copy, previous)
        return previous.outcome == "skipped" and self.settings.if_colored == "skip"

    def _fails_again(self, previous: JournalEntry, *, is_same: bool) -> bool:
        """Whether a source that failed in an earlier job is not tried again."""
        if previous.outcome != "failed" or self.settings.retry_failed or previous.step == LIMITS:
            return False  # limits are options, which may have changed
        if previous.step == "decode":
            return not self.settings.salvage  # no other option makes a damaged file readable
        return is_same


def _source_key(entry: JournalEntry) -> tuple[str, int, int, str]:
    """Identifies a source and its content."""
    return entry.source, entry.size, entry.mtime_ns, entry.edges


def _is_resized(target: Path, made: JournalEntry) -> bool:
    """Whether a result has another size than was written. `verify` compares the content as well."""
    return target.is_file() and made.result_size not in (0, target.stat().st_size)


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.stat(), other.stat())
    except OSError:  # one of them vanished in between
        return False
