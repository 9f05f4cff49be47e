"""Lists and reads training pictures: a folder tree, CIFAR-10, Oxford Flowers 102.

A folder is split by content: a picture is held out for validation if the sha256 of its file starts
with hex digit 0 or 1 (one in eight). So the split does not depend on file names, is the same on
every machine, and two copies of a file are never on both sides.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from batchcolor.errors import TrainingDataError
from batchcolor.hooks.thread_warnings import silence_warnings
from batchcolor.storage.mounts import name_of

DATA_SETS = ("cifar10", "flowers102")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm"})


@dataclass(frozen=True)
class LoadedImage:
    """One picture, upright RGB, with the sha256 of the data that it was decoded from."""

    image: Image.Image
    digest: str


@dataclass(frozen=True)
class TrainingImage:
    """One candidate picture. `is_held_out` is None where the hash of its content decides."""

    name: str
    load: Callable[[int], LoadedImage]
    """Takes the side in pixels that is needed; returns a picture of at least that size."""
    is_held_out: bool | None = None


def is_held_out(digest: str) -> bool:
    """Returns whether a picture with this sha256 (hex) is for validation: one in eight."""
    return digest[0] in "01"


def check_source(data: str) -> None:
    """Raises TrainingDataError if `data` is neither a data set nor a folder with photographs."""
    if data in DATA_SETS:
        return
    folder = _resolve_folder(data)
    if next(_find_files(folder), None) is None:
        raise TrainingDataError(
            f"{name_of(folder)} has no photographs ({' '.join(sorted(SUFFIXES))})"
        )


def list_with_validation(data: str, validation: str, root: Path) -> tuple[list[TrainingImage], str]:
    """As `list_images`: all of `data` for training, all of `validation` held out."""
    training, state = list_images(data, root)
    held_out, validation_state = list_images(validation, root)
    images = [replace(image, is_held_out=False) for image in training]
    images += [
        replace(image, name=f"validation: {image.name}", is_held_out=True) for image in held_out
    ]
    return images, f"{state} {validation_state}"


def list_images(data: str, root: Path) -> tuple[list[TrainingImage], str]:
    """Returns the pictures of a data set or folder in a fixed order, and a key of their state.

    The key changes if a file is added, removed or modified (by name, size and time).
    Raises TrainingDataError if there is no picture.
    """
    if data == "cifar10":
        return _list_cifar10(root)
    folder = _find_flowers102(root) if data == "flowers102" else _resolve_folder(data)
    paths = sorted(_find_files(folder))
    if not paths:
        raise TrainingDataError(
            f"{name_of(folder)} has no photographs ({' '.join(sorted(SUFFIXES))})"
        )
    state = hashlib.sha256()
    for path in paths:
        stat = path.stat() if path.exists() else None
        size_and_time = (stat.st_size, stat.st_mtime_ns) if stat else (0, 0)
        state.update(f"{os.fsencode(path)!r} {size_and_time}\n".encode())
    return [
        TrainingImage(os.path.relpath(path, folder), partial(_read_image, path)) for path in paths
    ], state.hexdigest()


def _resolve_folder(data: str) -> Path:
    try:
        folder = Path(data).expanduser()
    except RuntimeError as error:  # `~` without a home folder
        raise TrainingDataError(f"--data {data}: there is no home folder ({error})") from error
    if not folder.is_dir():
        raise TrainingDataError(
            f"--data {data}: no such folder; use {', '.join(DATA_SETS)} or a folder of photographs"
        )
    return folder


def _find_files(folder: Path) -> Iterator[Path]:
    """Yields all files below with the suffix of a picture; visits a linked folder only once."""
    seen: set[tuple[int, int]] = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        stat = Path(where).stat()
        identity = (stat.st_dev, stat.st_ino)
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        yield from (Path(where, name) for name in names if Path(name).suffix.lower() in SUFFIXES)


def _read_image(path: Path, side: int) -> LoadedImage:
    if path.exists() and not path.is_file():
        raise OSError("not a regular file")  # reading a pipe would block
    content = path.read_bytes()
    with silence_warnings():  # a damaged EXIF block does not matter here
        image = Image.open(io.BytesIO(content))
        if image.format == "JPEG":
            image.draft("RGB", (2 * side, 2 * side))  # decodes at 1/2, 1/4 or 1/8, which is faster
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return LoadedImage(upright, hashlib.sha256(content).hexdigest())


def _list_cifar10(root: Path) -> tuple[list[TrainingImage], str]:
    """Lists CIFAR-10, read by torchvision: 50,000 for training, the 10,000 of the test held out."""
    from torchvision.datasets import CIFAR10

    found: list[TrainingImage] = []
    for train in (True, False):
        pictures: NDArray[np.uint8] = _open_torchvision(CIFAR10, root, train=train).data
        part = "train" if train else "test"
        for index in range(len(pictures)):
            found.append(
                TrainingImage(
                    f"{part}/{index:05d}",
                    partial(_load_array, pictures[index]),
                    is_held_out=not train,
                )
            )
    return found, f"cifar10 {len(found)}"


def _find_flowers102(root: Path) -> Path:
    """Returns the folder of Oxford Flowers 102's pictures, in torchvision's layout."""
    from torchvision.datasets import Flowers102

    folder = root / "flowers-102" / "jpg"
    if not folder.is_dir():
        try:
            _open_torchvision(Flowers102, root, split="train")
        except ImportError:  # the labels need scipy, the pictures do not
            if not folder.is_dir():
                raise
    return folder


def _open_torchvision(kind: Callable[..., Any], root: Path, **which: object) -> Any:
    try:
        return kind(root, download=False, **which)
    except RuntimeError:
        pass  # torchvision raises it if the data set is not there
    try:
        print(f"downloading into {root}", file=sys.stderr)
        return kind(root, download=True, **which)
    except ImportError:
        raise
    except Exception as error:
        raise TrainingDataError(
            f"the data set is not in {root} and cannot be downloaded ({error}); "
            f"copy it there in torchvision's layout, or use a folder of photographs with --data"
        ) from error


def _load_array(picture: NDArray[np.uint8], side: int) -> LoadedImage:
    return LoadedImage(Image.fromarray(picture), hashlib.sha256(picture.tobytes()).hexdigest())
