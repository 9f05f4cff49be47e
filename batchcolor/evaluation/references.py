"""Finds the colour photographs of a folder to measure against; lists the skipped files."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageStat, UnidentifiedImageError

from batchcolor.color import rgb_to_ycbcr
from batchcolor.errors import EvaluationDataError
from batchcolor.evaluation.inference import RGB
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.pipeline.settings import MAX_PIXELS
from batchcolor.training.store import GREY

TINY = 8
"""Short side in pixels below which there is nothing to measure."""
SQUARE = 64
"""Side at which a picture is judged grey or not, as training judges it."""
AHEAD = 256
"""Pictures handed to the threads at once, so that Ctrl-C has not to wait for all of them."""
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B"})


@dataclass(frozen=True)
class Reference:
    """A colour photograph: its name in the data folder, and its size as it is measured."""

    name: str
    path: Path
    height: int
    width: int


@dataclass
class ReferenceSet:
    """The truths of a folder in a fixed order.

    `mean_chroma` is Cb, Cr (-0.5..0.5): the mean over pictures of each picture's mean.
    `skipped` is name, reason (one word or two, to be counted), and what more there is to say.
    """

    truths: list[Reference] = field(default_factory=list)
    mean_chroma: tuple[float, float] = (0.0, 0.0)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Skipped pictures by reason."""
        return dict(Counter(reason for _, reason, _ in self.skipped))


@dataclass(frozen=True)
class _Look:
    """Result of inspecting a file."""

    truth: Reference
    digest: str
    chroma: tuple[float, float]


def scan_references(
    data: Path,
    pool: Executor,
    *,
    limit: int | None = None,
    size: int | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> ReferenceSet:
    """Look at every picture once. Only numbers are kept.

    With `limit`, so many of them, evenly spread over the sorted list, before any is looked at.
    Raises EvaluationDataError where there is no folder, no picture, or none in colour.
    """
    if not data.is_dir():
        raise EvaluationDataError(f"--data {data}: no such folder")
    made = ReferenceSet()
    found: list[ScannedFile] = []
    for it in scan(data):
        if isinstance(it, ScannedFile) and not it.is_film:
            found.append(it)
        else:
            reason = "a film" if isinstance(it, ScannedFile) else it.reason
            made.skipped.append((os.path.relpath(it.path, data), "no picture", reason))
    if not found:
        raise EvaluationDataError(f"--data {data}: no pictures in it")
    if limit is not None and limit < len(found):
        found = [found[index * len(found) // limit] for index in range(limit)]
    chroma, digests = np.zeros(2), set[str]()
    for start in range(0, len(found), AHEAD):
        part = found[start : start + AHEAD]
        for offset, look in enumerate(pool.map(lambda it: _look(it, size), part)):
            if isinstance(look, _Look) and look.digest in digests:
                look = (look.truth.name, "duplicate", "")
            if isinstance(look, _Look):
                digests.add(look.digest)
                made.truths.append(look.truth)
                chroma += look.chroma
            else:
                made.skipped.append(look)
            advance(start + offset + 1, len(found))
    if not made.truths:
        why = ", ".join(f"{count} {reason}" for reason, count in made.counts().items())
        raise EvaluationDataError(f"--data {data}: no colour photograph to measure against ({why})")
    cb, cr = chroma / len(made.truths)
    made.mean_chroma = float(cb), float(cr)
    return made


def read(path: Path, size: int | None = None) -> RGB:
    """A picture upright as 8-bit RGB, `(H, W, 3)`; with `size`, its short side at most that.

    Deep samples lose their low bits, transparency is laid on white. Raises whatever a decoder
    raises.
    """
    return np.asarray(_upright(path.read_bytes(), size))


def chunks(truths: list[Reference], pictures: int, pixels: int) -> Iterator[list[Reference]]:
    """Neighbours in order, at most so many pictures and, but for a single one, pixels."""
    held: list[Reference] = []
    area = 0
    for truth in truths:
        more = truth.height * truth.width
        if held and (len(held) == pictures or area + more > pixels):
            yield held
            held, area = [], 0
        held.append(truth)
        area += more
    if held:
        yield held


def _look(found: ScannedFile, size: int | None) -> _Look | tuple[str, str, str]:
    """A truth, or its name with the reason why it is none."""
    name = found.relative.as_posix()
    try:
        content = found.path.read_bytes()
        image = _upright(content, size)
    except _GreyError:
        return name, "grey", ""
    except UnidentifiedImageError:  # its own words name an object in memory
        empty = not found.path.stat().st_size
        return name, "broken", "the file is empty" if empty else "not a picture in a known format"
    except Exception as error:  # a decoder may raise anything; one picture is not the set
        return name, "broken", " ".join(f"{type(error).__name__}: {error}".split())
    if min(image.size) < TINY:
        return name, "tiny", f"{image.width} x {image.height} px"
    if _grey(image):
        return name, "grey", ""
    red, green, blue = ImageStat.Stat(image).mean
    _, cb, cr = rgb_to_ycbcr(red / 255, green / 255, blue / 255)
    truth = Reference(name, found.path, image.height, image.width)
    return _Look(truth, hashlib.sha256(content).hexdigest(), (cb, cr))


class _GreyError(Exception):
    """The file has no colour channels."""


def _upright(content: bytes, size: int | None) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bad EXIF block does not hurt the pixels
        image: Image.Image = Image.open(io.BytesIO(content))
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} are more than {MAX_PIXELS:,} pixels")
        image.load()
        if image.mode in GREY_MODES:
            raise _GreyError
        upright = _on_white(ImageOps.exif_transpose(image))
    short = min(upright.size)
    if size is not None and size < short:
        width, height = (max(1, round(side * size / short)) for side in upright.size)
        upright = upright.resize((width, height), Image.Resampling.LANCZOS)
    return upright


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGBA", "RGBa", "PA") and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _grey(image: Image.Image) -> bool:
    """Whether training would leave the picture out as grey."""
    width, height = (min(SQUARE, side) for side in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    chroma = np.asarray(small.convert("YCbCr"), np.float32)[..., 1:] - 128
    return float(np.hypot(chroma[..., 0], chroma[..., 1]).mean()) < GREY
