"""Files beside a picture that say how it is coloured: they are no sources of their own.

`NAME.batchcolor.json` is a decision, `NAME.hints.png` has painted colour hints. NAME is the name of
the picture with its suffix, or without it; the former wins.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from batchcolor.storage.mounts import find_mount

DECISION_SUFFIX = ".batchcolor.json"
HINTS_SUFFIX = ".hints.png"


def is_decision_file(name: str) -> bool:
    """Whether a file of this name has a decision on a picture or film."""
    return name.lower().endswith(DECISION_SUFFIX) and len(name) > len(DECISION_SUFFIX)


def is_hints_file(name: str) -> bool:
    """Whether a file of this name has painted colour hints."""
    return name.lower().endswith(HINTS_SUFFIX) and len(name) > len(HINTS_SUFFIX)


def describe_hints_files(names: Sequence[str]) -> str:
    """Returns the reason why the hint files of one folder are skipped."""
    if len(names) == 1:
        return "colour hints of another picture"
    return f"colour hints of another picture, and {len(names) - 1} more in this folder"


def find_hinted_picture(path: Path) -> Path | None:
    """Returns the picture that a file of painted hints belongs to; None where there is none."""
    base = path.name[: -len(HINTS_SUFFIX)]
    try:
        names = sorted(entry.name for entry in os.scandir(path.parent))
    except OSError:
        return None
    for name in names:
        is_picture = base in (name, os.path.splitext(name)[0])  # noqa: PTH122  (names, not paths)
        if is_picture and not name.endswith(DECISION_SUFFIX) and not is_hints_file(name):
            return path.with_name(name)
    return None


class CompanionFinder:
    """Finds the companion files of pictures. Thread-safe.

    Keeps the names in the last folder, as pictures come folder after folder; not those of a folder
    that stands for a remote one, where files come and go.
    """

    def __init__(self) -> None:
        self._last: tuple[str, frozenset[str]] = "", frozenset()

    def find(self, picture: Path, suffix: str) -> Path | None:
        """Returns the file with that suffix beside a picture; None where there is none."""
        if find_mount(str(picture)) is not None:
            candidates = (picture.with_name(base + suffix) for base in (picture.name, picture.stem))
            return next((path for path in candidates if path.is_file()), None)
        folder, names = self._last
        own = os.path.dirname(picture)  # noqa: PTH120  (a text, which is compared for each picture)
        if own != folder or not names:
            folder, names = own, _list_companions(picture.parent) | {""}
            self._last = folder, names
        if len(names) == 1:
            return None
        for base in (picture.name, picture.stem):
            if base + suffix in names:
                return picture.with_name(base + suffix)
        return None


def _list_companions(folder: Path) -> frozenset[str]:
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError:
        return frozenset()
    return frozenset(name for name in names if name.endswith((DECISION_SUFFIX, HINTS_SUFFIX)))
