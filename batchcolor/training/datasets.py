"""Where training pictures come from: a folder tree, CIFAR-10, Oxford Flowers 102.

A folder is divided by content, not by chance or name: a picture whose file's sha256 begins
with hex digit 0 or 1 (one in eight) is held out for validation. So the division survives
renaming, is the same for everybody, and the same file twice is never on both sides.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from batchcolor.errors import TrainingDataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm"})


@dataclass(frozen=True)
class Loaded:
    """One picture, upright RGB, with the sha256 of what it was read from."""

    image: Image.Image
    digest: str


@dataclass(frozen=True)
class TrainingImage:
    """One picture that may be learnt from. `held_out` is None where its content decides."""

    name: str
    load: Callable[[int], Loaded]
    """Given the side in pixels that is wanted; may return anything not smaller."""
    held_out: bool | None = None


def held_out(digest: str) -> bool:
    """Whether a picture with this sha256 (hex) is for validation: one in eight."""
    return digest[0] in "01"


def divided(data: str, validation: str, root: Path) -> tuple[list[TrainingImage], str]:
    """All of `data` to learn from and all of `validation` held out; as `entries`."""
    learnt, state = entries(data, root)
    kept_out, other = entries(validation, root)
    together = [replace(entry, held_out=False) for entry in learnt]
    together += [
        replace(entry, name=f"validation: {entry.name}", held_out=True) for entry in kept_out
    ]
    return together, f"{state} {other}"


def entries(data: str, root: Path) -> tuple[list[TrainingImage], str]:
    """The pictures of a data set or folder, in a fixed order, and a key of their state.

    The key changes when a file is added, removed or altered (by name, size and time).
    Raises TrainingDataError where there is nothing.
    """
    if data == "cifar10":
        return _cifar10(root)
    folder = _flowers102(root) if data == "flowers102" else Path(data).expanduser()
    if not folder.is_dir():
        raise TrainingDataError(
            f"no folder {folder}: --data takes cifar10, flowers102 or a folder of photographs"
        )
    paths = sorted(_files(folder))
    if not paths:
        raise TrainingDataError(f"{folder} has no photographs ({' '.join(sorted(SUFFIXES))})")
    state = hashlib.sha256()
    for path in paths:
        stat = path.stat() if path.exists() else None
        size_and_time = (stat.st_size, stat.st_mtime_ns) if stat else (0, 0)
        state.update(f"{os.fsencode(path)!r} {size_and_time}\n".encode())
    return [
        TrainingImage(os.path.relpath(path, folder), lambda side, path=path: _read(path, side))  # type: ignore[misc]
        for path in paths
    ], state.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """Everything below with a picture's suffix; a folder that links lead to again is left out."""
    seen: set[tuple[int, int]] = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        stat = Path(where).stat()
        place = (stat.st_dev, stat.st_ino)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        yield from (Path(where, name) for name in names if Path(name).suffix.lower() in SUFFIXES)


def _read(path: Path, side: int) -> Loaded:
    if path.exists() and not path.is_file():
        raise OSError("not a regular file")  # a pipe would be waited for without end
    content = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a bad EXIF block does not hurt a training picture
        image = Image.open(io.BytesIO(content))
        if image.format == "JPEG":
            image.draft("RGB", (2 * side, 2 * side))  # decoded at 1/2, 1/4 or 1/8: much faster
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return Loaded(upright, hashlib.sha256(content).hexdigest())


def _cifar10(root: Path) -> tuple[list[TrainingImage], str]:
    """CIFAR-10 as torchvision reads it: 50,000 to learn from, the 10,000 of the test held out."""
    from torchvision.datasets import CIFAR10

    found: list[TrainingImage] = []
    for train in (True, False):
        pictures: NDArray[np.uint8] = _torchvision(CIFAR10, root, train=train).data
        part = "train" if train else "test"
        for index in range(len(pictures)):
            found.append(
                TrainingImage(
                    f"{part}/{index:05d}",
                    lambda side, picture=pictures[index]: _array(picture),  # type: ignore[misc]
                    held_out=not train,
                )
            )
    return found, f"cifar10 {len(found)}"


def _flowers102(root: Path) -> Path:
    """The folder of Oxford Flowers 102's pictures as torchvision lays it."""
    from torchvision.datasets import Flowers102

    folder = root / "flowers-102" / "jpg"
    if not folder.is_dir():
        try:
            _torchvision(Flowers102, root, split="train")
        except ImportError:  # its labels need scipy, its pictures do not
            if not folder.is_dir():
                raise
    return folder


def _torchvision(kind: Callable[..., Any], root: Path, **which: object) -> Any:
    try:
        return kind(root, download=False, **which)
    except RuntimeError:
        pass  # not there yet: torchvision says so with a RuntimeError
    try:
        print(f"downloading into {root}", file=sys.stderr)
        return kind(root, download=True, **which)
    except ImportError:
        raise
    except Exception as error:
        raise TrainingDataError(
            f"the data set is not in {root} and cannot be downloaded ({error}); "
            f"put it there as torchvision lays it, or name a folder of photographs with --data"
        ) from error


def _array(picture: NDArray[np.uint8]) -> Loaded:
    return Loaded(Image.fromarray(picture), hashlib.sha256(picture.tobytes()).hexdigest())
