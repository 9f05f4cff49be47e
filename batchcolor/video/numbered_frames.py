"""Lists the numbered frames of a folder, and which numbers are missing."""

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
"""The last number in a name is the frame number."""


@dataclass(frozen=True)
class NumberedFrames:
    """Picture files of a folder by frame number, in increasing order, at multiples of `step`."""

    paths: dict[int, Path]
    step: int
    unnumbered: tuple[str, ...] = ()
    """Names of pictures without a number."""

    @property
    def first(self) -> int:
        """Number of the first frame."""
        return next(iter(self.paths))

    @property
    def digits(self) -> int:
        """Digits of the first frame's number, with leading zeros."""
        match = NUMBER.search(self.paths[self.first].stem)
        assert match is not None
        return len(match[0])

    @property
    def length(self) -> int:
        """Number of frames from the first to the last, missing ones included."""
        return (max(self.paths) - self.first) // self.step + 1

    @property
    def missing(self) -> list[int]:
        """Numbers between the first and the last frame for which there is no file."""
        numbers = range(self.first, max(self.paths) + 1, self.step)
        return [number for number in numbers if number not in self.paths]


def list_numbered_frames(folder: Path) -> NumberedFrames:
    """Lists the pictures of a folder in numerical order.

    Raises ProcessingError: no numbered picture, two with one number, an unreadable folder.
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
    """Returns a folder as one source: total size and latest modification time of its frames.

    None if it holds no numbered pictures. A folder that cannot be read as a film has size 0;
    `probe_image_sequence` reports the reason.
    """
    try:
        status = [path.stat() for path in list_numbered_frames(folder).paths.values()]
    except ProcessingError as error:
        if error.step == "plan" and "both" not in error.reason:
            return None
        return ScannedFile(folder, relative, 0, 0, IMAGE_SEQUENCE)
    except OSError:
        return ScannedFile(folder, relative, 0, 0, IMAGE_SEQUENCE)
    size, latest = sum(s.st_size for s in status), max(s.st_mtime_ns for s in status)
    return ScannedFile(folder, relative, size, latest, IMAGE_SEQUENCE)
