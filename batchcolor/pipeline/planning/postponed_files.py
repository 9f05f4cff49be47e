"""Files of other shards: their names count where a name of this shard depends on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchcolor.images.scan import UnopenedFile


@dataclass(frozen=True, slots=True)
class PostponedFile:
    """A file that is not opened before a name depends on it.

    `below` is the folder of its source in the output folder, `order` its position in the scan.
    """

    below: Path
    file: UnopenedFile
    order: int


class PostponedFiles:
    """Files by the beginning of the names that their results can have.

    A result has the stem of its source, or that stem, a dash and more. So what a result may be
    called depends only on files whose stem is its own up to its end or to one of its dashes.
    """

    def __init__(self) -> None:
        self._by_folder: dict[str, dict[str, list[PostponedFile]]] = {}
        """By the folder of the result and the stem of the source, in lower case."""

    def add(self, postponed: PostponedFile) -> None:
        """Adds a file."""
        file = postponed.file
        folder = str(postponed.below / file.below).casefold()
        stem = file.name.removesuffix(Path(file.name).suffix).casefold()
        self._by_folder.setdefault(folder, {}).setdefault(stem, []).append(postponed)

    def take(self, result: str, order: int) -> list[PostponedFile]:
        """Removes and returns the files before `order` that may have a result of this name.

        `result` is a path relative to the output folder in lower case.
        """
        folder, _, name = result.rpartition(os.sep)
        by_stem = self._by_folder.get(folder or ".", {})
        taken: list[PostponedFile] = []
        for stem in _list_stems(name) if by_stem else ():
            waiting = by_stem.get(stem, [])
            earlier = [one for one in waiting if one.order < order]
            taken += earlier
            if earlier and len(earlier) == len(waiting):
                del by_stem[stem]
            elif earlier:
                by_stem[stem] = waiting[len(earlier) :]
        return sorted(taken, key=lambda one: one.order)


def _list_stems(result: str) -> Iterator[str]:
    """The stems that a source may have whose result has this name."""
    yield result
    stem, suffix = os.path.splitext(result)  # noqa: PTH122  (a text, not a path)
    if suffix:
        yield stem
    dash = result.find("-", 1)
    while dash > 0:
        yield result[:dash]
        dash = result.find("-", dash + 1)
