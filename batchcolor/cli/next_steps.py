"""What helps after failures: one sentence for each kind of failure that a user can do something
about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from batchcolor.errors import LIMITS
from batchcolor.hooks.types import Outcome
from batchcolor.images.formats import BMP, JPEG, NETPBM, PCX, PNG, SGI, TGA, TIFF
from batchcolor.storage.journal import DECISIONS_NAME

MAX_STEPS = 2
SALVAGEABLE = frozenset((*JPEG.suffixes, *PNG.suffixes, *TIFF.suffixes))
PADDED = frozenset(suffix for kind in (BMP, NETPBM, PCX, SGI, TGA) for suffix in kind.suffixes)
"""Suffixes of the formats of which --salvage reads truncated files only."""
SALVAGE = "--salvage colours what is left of damaged files"
PAGES = "--pages first colours the first page of each file, --format tiff all pages"
STRICT = "without --strict, damaged films are coloured as far as they can be read"
MEMORY = "raise --max-memory, then use --retry-failed"
RETRY = "correct the cause, then run the same command with --retry-failed"
INSTALL = "install what is named above, then run the same command with --retry-failed"
DECISION = "correct the decision or its hints, then run the same command again"
DECISION_STEPS = frozenset(("decision", "hints"))
"""Steps that fail because of what was decided: another decision is tried without an option."""
TEMPORARY = ("permission denied", "vanished", "while the job ran", "input/output error", "plugin ")
"""Parts of the reasons of failures to read that may be gone in the next run."""
MEMORY_REASONS = ("not enough memory", "--max-memory")


def suggest_next_steps(failures: Iterable[Outcome], *, salvages: bool) -> list[str]:
    """Returns what to do next, that for most failures first; nothing where nothing helps.

    `salvages` tells that the job has `--salvage` already.
    """
    steps = Counter(_suggest(failure, salvages=salvages) for failure in failures)
    del steps[""]
    return [step for step, _ in steps.most_common(MAX_STEPS)]


def _suggest(failure: Outcome, *, salvages: bool) -> str:
    reason = failure.reason.lower()
    if failure.step == LIMITS:
        return _suggest_options(reason)
    if failure.step in DECISION_STEPS or failure.source.name == DECISIONS_NAME:
        return DECISION
    if failure.step == "plan":
        return ""  # the reason has it
    if any(part in reason for part in MEMORY_REASONS):
        return MEMORY
    if "pip install" in reason:
        return INSTALL
    if failure.step != "decode" or any(part in reason for part in TEMPORARY):
        return RETRY
    suffix, is_truncated = failure.source.suffix.lower(), "truncated" in reason
    is_damaged = is_truncated or "damaged:" in reason
    can_salvage = (is_damaged and suffix in SALVAGEABLE) or (is_truncated and suffix in PADDED)
    return SALVAGE if can_salvage and not salvages else ""


def _suggest_options(reason: str) -> str:
    """The options for a failure that others cause; the next run tries it again by itself."""
    for option in ("--max-pixels", "--max-memory"):
        if option in reason:
            return f"raise {option} and run the same command again"
    if "--strict" in reason:
        return STRICT
    if "--format tiff" in reason:
        return PAGES
    return "--pages first colours the first page or frame" if "--pages first" in reason else ""
