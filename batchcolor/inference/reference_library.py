"""ReferenceLibrary: several reference photographs, of which the nearest to a picture is chosen.

Pictures of like structure of luma show like scenes: the same sky above, the same figure in the
middle. So the nearest one is that with the highest correlation of small luma and of its gradients,
mirrored or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from batchcolor.errors import UsageError
from batchcolor.hooks.thread_warnings import silence_warnings

Luma = NDArray[np.float32]
SIDE = 24
"""Side of the squares of luma that are compared, in pixels."""
MAX_REFERENCES = 10_000
TIME = re.compile(
    r"(?<!\d)(?:"
    r"(?:(?P<h>\d{1,2})h)?(?P<m>\d{1,2})m(?P<s>\d{1,2}(?:\.\d+)?)(?!\d)s?"
    r"|(?P<hours>\d{1,2})([-_.:])(?P<minutes>\d{2})\5(?P<seconds>\d{2}(?!\d)(?:\.\d+)?)"
    r")"
)
"""A time in a file name: 1h02m03s, 1m30s, t00m12s, 00-01-30. Two numbers alone state none."""
DATE = re.compile(
    r"(?<!\d)(?:"
    r"[12]\d{3}([-_. ])\d{1,2}\1\d{1,2}"
    r"|\d{1,2}([-_. ])\d{1,2}\2[12]\d{3}"
    r"|(?:1[89]|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
    r")(?!\d)"
)
"""A date in a file name: 1950-05-12, 12.5.1950, 19500512. It states neither time nor frame."""
FRAME = re.compile(r"(?<![a-z])(?:frame|f)[-_. #]*(\d+)", re.IGNORECASE)
"""A frame number in a file name: frame-000123, Frame 12, f0042."""
NUMBERED = re.compile(r"\d{5,}")
"""The name of a numbered frame. Shorter numbers may be years or those of photographs."""
FILM_AND_NUMBER = re.compile(r"[-_. ]*(\d+)")
"""What follows the name of a film in the name of one of its frames: reel1-000123."""


@dataclass(frozen=True)
class Reference:
    """A picture of a library."""

    path: Path
    descriptor: NDArray[np.float32]

    def find_frame(self, rate: float, film: str) -> int | None:
        """The number of the frame that its name states, at `rate` frames a second."""
        seconds, frame = parse_position(self.path.stem, film)
        return frame if seconds is None else round(seconds * rate)


class ReferenceLibrary:
    """The pictures in a folder. Raises UsageError for a folder without any."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            names = sorted(path for path in folder.iterdir() if path.is_file())
        except OSError as error:
            raise UsageError(
                f"--references {folder}: cannot be read ({error.strerror}); "
                f"name a folder of colour pictures"
            ) from error
        self.references = list(_read_references(names[:MAX_REFERENCES]))
        if not self.references:
            raise UsageError(f"--references {folder}: no picture in it can be read")

    def find_nearest(self, luma: Luma) -> Path:
        """The picture whose luma is most like `luma`, `(S, S)` in 0..1."""
        return self.find_nearest_to_shot([luma])[0]

    def find_nearest_to_shot(self, lumas: Sequence[Luma]) -> tuple[Path, float]:
        """The picture whose luma is most like any of `lumas`, and its correlation, -1..1."""
        images = [Image.fromarray(luma.astype(np.float32)) for luma in lumas]
        own = [describe_luma(it) for image in images for it in (image, ImageOps.mirror(image))]
        scores = np.stack(own) @ np.stack([it.descriptor for it in self.references]).T
        nearest = int(scores.max(axis=0).argmax())
        return self.references[nearest].path, float(scores[:, nearest].max())

    def find_for_frame(self, first: int, rate: float, film: str) -> Path | None:
        """The picture for the shot that begins at frame `first`: the first one with that number or
        a later one, else the last; None where no name states a frame or time.

        If names begin with that of the `film`, these alone count.
        """
        own = [it for it in self.references if is_named_after(it.path.name, film)]
        numbered = []
        for reference in own or self.references:
            number = reference.find_frame(rate, film)
            if number is not None:
                numbered.append((number, reference.path))
        if not numbered:
            return None
        numbered.sort()
        return next((path for number, path in numbered if number >= first), numbered[-1][1])


def is_named_after(name: str, film: str) -> bool:
    """Whether a name begins with that of a film: `reel1-5.png` with `reel1`, not `reel10-5.png`."""
    is_longer_number = film[-1:].isdigit() and name[len(film) : len(film) + 1].isdigit()
    return name.startswith(film) and not is_longer_number


def describe_luma(image: Image.Image) -> NDArray[np.float32]:
    """Returns a unit vector of small luma and of its gradients, each normalized."""
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    down, right = np.gradient(small)
    parts = [_normalize(small), _normalize(np.hypot(down, right))]
    return np.concatenate(parts) / np.float32(len(parts) ** 0.5)


def _normalize(values: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = values.ravel() - values.mean()
    unit: NDArray[np.float32] = flat / np.float32(max(float(np.linalg.norm(flat)), 1e-6))
    return unit


def _read_references(paths: list[Path]) -> Iterator[Reference]:
    """Yields the files that are pictures."""
    for path in paths:
        try:
            with silence_warnings(), Image.open(path) as opened:
                opened.draft("L", (4 * SIDE, 4 * SIDE))
                image = ImageOps.exif_transpose(opened).convert("L").convert("F")
        except Exception:  # not a picture: a decoder may raise anything
            continue
        yield Reference(path, describe_luma(image))


def parse_position(stem: str, film: str = "") -> tuple[float | None, int | None]:
    """Returns the time in seconds or the frame number that a file name states.

    A number is that of a frame after the word frame or f, after the name of the `film`, or as the
    whole name with five digits or more. Dates and other numbers state nothing.
    """
    stem = DATE.sub(" ", stem)
    times = list(TIME.finditer(stem))
    if times:
        found = times[-1]
        hours, minutes = found["h"] or found["hours"] or 0, found["m"] or found["minutes"]
        return 3600 * int(hours) + 60 * int(minutes) + float(found["s"] or found["seconds"]), None
    rest = stem[len(film) :] if film and is_named_after(stem, film) else ""
    numbered = FILM_AND_NUMBER.fullmatch(rest)
    if numbered is not None:
        return None, int(numbered[1])
    if NUMBERED.fullmatch(stem):
        return None, int(stem)
    frames = FRAME.findall(stem)
    return None, int(frames[-1]) if frames else None
