"""The numbered frames of a folder: which there are, and which are missing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import IMAGE_SEQUENCE, is_picture_suffix
from batchcolor.images.scan import ScannedFile

NUMBER = re.compile(r"\d+(?=\D*$)")
"""The last number of a name is that of its frame."""


@dataclass(frozen=True)
class NumberedFrames:
    """The frames of a folder by their numbers, which go up in steps of `step`."""

    paths: dict[int, Path]
    step: int
    unnumbered: tuple[str, ...] = ()
    """Pictures without a number."""

    @property
    def first(self) -> int:
        """The number of the first frame."""
        return next(iter(self.paths))

    @property
    def digits(self) -> int:
        """Digits of the first frame's number, with its zeros."""
        match = NUMBER.search(self.paths[self.first].stem)
        assert match is not None
        return len(match[0])

    @property
    def length(self) -> int:
        """How many frames there are from the first to the last, with those that are missing."""
        return (max(self.paths) - self.first) // self.step + 1

    @property
    def missing(self) -> list[int]:
        """Numbers between the first and the last that no frame has."""
        numbers = range(self.first, max(self.paths) + 1, self.step)
        return [number for number in numbers if number not in self.paths]


def list_numbered_frames(folder: Path) -> NumberedFrames:
    """The frames of a folder in the order of their numbers, whatever the length of those.

    Raises ProcessingError: none there, two of one number, a folder that cannot be read.
    """
    paths: dict[int, Path] = {}
    unnumbered = []
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ProcessingError("scan", f"cannot be read: {error.strerror}") from error
    for path in entries:
        if path.name.startswith(".") or not is_picture_suffix(path.suffix) or path.is_dir():
            continue
        match = NUMBER.search(path.stem)
        if match is None:
            unnumbered.append(path.name)
            continue
        previous = paths.setdefault(int(match[0]), path)
        if previous != path:
            raise ProcessingError(
                "plan", f"{previous.name} and {path.name} are both frame {int(match[0])}"
            )
    if not paths:
        raise ProcessingError("plan", "holds no numbered pictures")
    ordered = dict(sorted(paths.items()))
    numbers = list(ordered)
    step = math.gcd(*(b - a for a, b in pairwise(numbers))) or 1
    return NumberedFrames(ordered, step, tuple(unnumbered))


def scan_image_sequence(folder: Path, relative: Path) -> ScannedFile | None:
    """The folder as a source: the size of all frames, the latest of their times of change.

    None where it holds no numbered pictures.
    """
    try:
        status = [path.stat() for path in list_numbered_frames(folder).paths.values()]
    except ProcessingError as error:
        if error.step == "plan" and "both" not in error.reason:
            return None
        return ScannedFile(folder, relative, 0, 0, IMAGE_SEQUENCE)  # its look says what is wrong
    except OSError:
        return ScannedFile(folder, relative, 0, 0, IMAGE_SEQUENCE)
    size, latest = sum(s.st_size for s in status), max(s.st_mtime_ns for s in status)
    return ScannedFile(folder, relative, size, latest, IMAGE_SEQUENCE)
