"""Counts the damaged places of a film and describes them in one note."""

from __future__ import annotations

from batchcolor.errors import LIMITS, ProcessingError


class DamageLog:
    """Damaged places in the order in which they are reported; `is_strict`: the first one raises."""

    def __init__(self, *, is_strict: bool) -> None:
        self._is_strict = is_strict
        self.count = 0
        self._first = ""

    def add(self, second: float | None, reason: str) -> None:
        """Adds a place; `second` is its time, where it is known.

        Raises ProcessingError if the log is strict.
        """
        place = "" if second is None else f" at {second:.2f} s"
        if self._is_strict:
            raise ProcessingError(LIMITS, f"damaged{place}: {reason} (--strict)")
        if not self.count:
            self._first = f"{place}: {reason}"
        self.count += 1

    def describe_first(self) -> str:
        """Returns the first place in brackets, or nothing without one."""
        return f" (damaged{self._first})" if self.count else ""

    def describe(self) -> str:
        """Returns the note on all places. Requires that there is one."""
        many = "1 damaged place" if self.count == 1 else f"{self.count} damaged places, the first"
        return (
            f"{many}{self._first}; intact frames keep their times, and lost frames are replaced by "
            f"the last intact one"
        )
