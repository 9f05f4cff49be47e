"""Finds the colour photographs of a folder, and reads them as references of a measurement."""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageStat, UnidentifiedImageError

from batchcolor.color import rgb_to_ycbcr
from batchcolor.errors import EvaluationDataError
from batchcolor.hooks.thread_warnings import silence_warnings
from batchcolor.images.picture import RgbArray
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.pipeline.options.settings import MAX_PIXELS
from batchcolor.storage.mounts import name_of
from batchcolor.training.store import GREY

MIN_SIDE = 8
"""Short side in pixels below which a picture is skipped."""
GREY_CHECK_SIDE = 64
"""Side in pixels at which a picture is classified as grey or in colour, as in training."""
PREFETCH = 256
"""Pictures submitted to the threads at once; Ctrl-C waits for them and no more."""
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B"})


@dataclass(frozen=True)
class Reference:
    """A colour photograph: its name in the data folder, and its size when it is measured."""

    name: str
    path: Path
    height: int
    width: int


@dataclass
class ReferenceSet:
    """The references of a folder in a fixed order.

    `mean_chroma` is Cb, Cr (-0.5..0.5): the mean over pictures of each picture's mean.
    `skipped` is name, reason (one word or two, which are counted) and detail of each skipped file.
    """

    references: list[Reference] = field(default_factory=list)
    mean_chroma: tuple[float, float] = (0.0, 0.0)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)

    def count_skipped(self) -> dict[str, int]:
        """Returns the number of skipped files by reason."""
        return dict(Counter(reason for _, reason, _ in self.skipped))


@dataclass(frozen=True)
class _InspectedPicture:
    """A reference with the SHA-256 digest of its file and its mean Cb, Cr."""

    reference: Reference
    digest: str
    chroma: tuple[float, float]


def scan_references(
    data: Path,
    pool: Executor,
    *,
    limit: int | None = None,
    size: int | None = None,
    report_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ReferenceSet:
    """Inspects every picture once; no pixels are kept.

    `limit` pictures, evenly spread over the sorted list, are selected before any is inspected.
    Raises EvaluationDataError for a missing folder, one without pictures, or none in colour.
    """
    if not data.is_dir():
        raise EvaluationDataError(f"--data {data}: no such folder")
    reference_set = ReferenceSet()
    files = _find_pictures(data, limit, reference_set.skipped)
    chroma, digests = np.zeros(2), set[str]()
    for start in range(0, len(files), PREFETCH):
        part = files[start : start + PREFETCH]
        for offset, inspected in enumerate(pool.map(lambda file: _inspect(file, size), part)):
            if not isinstance(inspected, _InspectedPicture):
                reference_set.skipped.append(inspected)
            elif inspected.digest in digests:
                reference_set.skipped.append((inspected.reference.name, "duplicate", ""))
            else:
                digests.add(inspected.digest)
                reference_set.references.append(inspected.reference)
                chroma += inspected.chroma
            report_progress(start + offset + 1, len(files))
    if not reference_set.references:
        counts = ", ".join(f"{n} {reason}" for reason, n in reference_set.count_skipped().items())
        raise EvaluationDataError(
            f"--data {name_of(data)}: no colour photograph to measure against ({counts})"
        )
    cb, cr = chroma / len(reference_set.references)
    reference_set.mean_chroma = float(cb), float(cr)
    return reference_set


def _find_pictures(
    data: Path, limit: int | None, skipped: list[tuple[str, str, str]]
) -> list[ScannedFile]:
    """Returns the pictures of a folder, and adds other files to `skipped`."""
    files: list[ScannedFile] = []
    for entry in scan(data):
        if isinstance(entry, ScannedFile) and not entry.is_film:
            files.append(entry)
        elif isinstance(entry, ScannedFile) or not entry.is_foreign:
            detail = "a film" if isinstance(entry, ScannedFile) else entry.reason
            skipped.append((os.path.relpath(entry.path, data), "no picture", detail))
    if not files:
        raise EvaluationDataError(f"--data {name_of(data)}: no pictures in it")
    if limit is not None and limit < len(files):
        files = [files[index * len(files) // limit] for index in range(limit)]
    return files


def read_reference(path: Path, size: int | None = None) -> RgbArray:
    """Reads a picture upright as 8-bit RGB, `(H, W, 3)`; `size` limits its short side in pixels.

    Samples of more than 8 bits are truncated; transparency is composited over white. Raises any
    error that the decoder raises.
    """
    return np.asarray(_open_upright(path.read_bytes(), size))


def group_references(
    references: list[Reference], max_pictures: int, max_pixels: int
) -> Iterator[list[Reference]]:
    """Yields groups in order, within both limits; a single picture may exceed the pixels."""
    group: list[Reference] = []
    area = 0
    for reference in references:
        pixels = reference.height * reference.width
        if group and (len(group) == max_pictures or area + pixels > max_pixels):
            yield group
            group, area = [], 0
        group.append(reference)
        area += pixels
    if group:
        yield group


def _inspect(file: ScannedFile, size: int | None) -> _InspectedPicture | tuple[str, str, str]:
    """Returns a reference, or name, reason and detail of a skipped file."""
    name = file.relative.as_posix()
    try:
        content = file.path.read_bytes()
        image = _open_upright(content, size)
    except _GreyError:
        return name, "grey", ""
    except UnidentifiedImageError:  # its message names an object in memory
        detail = "not a picture in a known format" if content else "the file is empty"
        return name, "broken", detail
    except Exception as error:  # a decoder may raise any error; only this picture is skipped
        return name, "broken", " ".join(f"{type(error).__name__}: {error}".split())
    if min(image.size) < MIN_SIDE:
        return name, "tiny", f"{image.width} x {image.height} px"
    if _is_grey(image):
        return name, "grey", ""
    red, green, blue = ImageStat.Stat(image).mean
    _, cb, cr = rgb_to_ycbcr(red / 255, green / 255, blue / 255)
    reference = Reference(name, file.path, image.height, image.width)
    return _InspectedPicture(reference, hashlib.sha256(content).hexdigest(), (cb, cr))


class _GreyError(Exception):
    """The file has no colour channels."""


def _open_upright(content: bytes, size: int | None) -> Image.Image:
    with silence_warnings():  # about EXIF blocks that cannot be parsed
        image: Image.Image = Image.open(io.BytesIO(content))
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} are more than {MAX_PIXELS:,} pixels")
        image.load()
        if image.mode in GREY_MODES:
            raise _GreyError
        upright = _composite_over_white(ImageOps.exif_transpose(image))
    short = min(upright.size)
    if size is not None and size < short:
        width, height = (max(1, round(side * size / short)) for side in upright.size)
        upright = upright.resize((width, height), Image.Resampling.LANCZOS)
    return upright


def _composite_over_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("RGBA", "RGBa", "PA") and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _is_grey(image: Image.Image) -> bool:
    """Returns whether training would skip the picture as grey."""
    width, height = (min(GREY_CHECK_SIDE, side) for side in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    chroma = np.asarray(small.convert("YCbCr"), np.float32)[..., 1:] - 128
    return float(np.hypot(chroma[..., 0], chroma[..., 1]).mean()) < GREY
