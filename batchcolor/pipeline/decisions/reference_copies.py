"""Local copies of the references of decisions that lie on remote storage."""

from __future__ import annotations

import posixpath
from pathlib import Path

from batchcolor.errors import UsageError
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.storage.journal import absolute_source
from batchcolor.storage.locations import CHAIN, Url, describe_url, is_url
from batchcolor.storage.mounts import name_of


class MissingReferenceError(Exception):
    """A reference cannot be fetched; the message says which one, and why."""


def anchor_reference(reference: str, folder: Path) -> str:
    """The absolute path of a reference, or its URL; a relative path begins at `folder`, which may
    stand for a remote one."""
    if is_url(reference) or Path(reference).is_absolute():
        return reference
    place = name_of(folder)
    if not is_url(place) or CHAIN in place:
        return absolute_source(folder / reference)
    scheme, _, path = place.partition("://")
    return f"{scheme}://{posixpath.normpath(posixpath.join(path, reference)).lstrip('/')}"


class ReferenceCopies:
    """Fetches references to the user's cache, each once. For one thread at a time."""

    def __init__(self) -> None:
        self._copies: dict[str, str] = {}

    def clear(self) -> None:
        """Asks the storage again whether a reference has changed."""
        self._copies.clear()

    def place(self, decision: Decision) -> Decision:
        """The decision with the paths of local copies instead of URLs.

        Raises MissingReferenceError.
        """
        if not (is_url(decision.reference) or any(is_url(it.reference) for it in decision.shots)):
            return decision
        shots = tuple(
            shot.model_copy(update={"reference": self._find(shot.reference)})
            for shot in decision.shots
        )
        reference = self._find(decision.reference)
        return decision.model_copy(update={"reference": reference, "shots": shots})

    def _find(self, reference: str | None) -> str | None:
        if reference is None or not is_url(reference):
            return reference
        if reference not in self._copies:
            from batchcolor.storage.remote.local_copy import make_local_copy

            try:
                self._copies[reference] = str(make_local_copy(Url(reference)))
            except UsageError as error:
                shown = describe_url(reference)
                reason = str(error).removeprefix(f"{shown}: ")
                raise MissingReferenceError(f"its reference {shown}: {reason}") from error
        return self._copies[reference]
