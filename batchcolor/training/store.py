"""Packs training pictures as small RGB squares into one memory-mapped file.

Decoding JPEGs takes longer than training on them, so it is done once; later epochs, and later runs
on the same folder, read the packed squares.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import TrainingDataError
from batchcolor.storage.atomic import (
    remove_stale_temporaries,
    replace_folder,
    sync_to_disk,
    temporary_folder,
    write_atomic,
)
from batchcolor.storage.mounts import name_of
from batchcolor.training.cache import cache_folder
from batchcolor.training.datasets import (
    TrainingImage,
    is_held_out,
    list_images,
    list_with_validation,
)

GREY = 2.0
"""Mean distance from grey in the CbCr plane, in 8-bit steps, below which a picture is grey."""
MAX_HASH_DISTANCE = 3
"""Differing bits, of 64, up to which two difference hashes count as the same picture."""
STORE_VERSION = 1
"""Version of the files that are written here; stores of another version are not read."""


@dataclass
class Store:
    """Packed pictures: `pictures` is uint8 RGB `(N, side, side, 3)`, memory-mapped.

    `train` and `validation` are row indices; `skipped` counts skipped pictures by reason.
    """

    pictures: NDArray[np.uint8]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    skipped: dict[str, int] = field(default_factory=dict)
    folder: Path = Path()


def open_store(
    data: str,
    root: Path,
    side: int,
    *,
    limit: int | None = None,
    validation: str | None = None,
    workers: int | None = None,
    cache: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Store:
    """Returns the packed pictures of a data set or folder, of `side` pixels; packs them if needed.

    Calls `on_progress(done, total)` after each packed picture. Pictures that are broken, grey,
    tiny (shorter side below half of `side`) or duplicate are skipped, counted, and listed in
    `skipped.log` of the store's folder.
    With `validation`, all pictures of that folder are held out and all of `data` are for training.
    Raises TrainingDataError if fewer than two pictures, or none for validation, remain.
    """
    found, state = (
        list_with_validation(data, validation, root) if validation else list_images(data, root)
    )
    found = found[:: max(1, len(found) // limit)][:limit] if limit else found
    key = hashlib.sha256(f"{STORE_VERSION} {state} {len(found)} {side}".encode()).hexdigest()[:16]
    folder = (cache or cache_folder(on_note)) / key
    if not (folder / "index.json").exists():
        _pack(found, side, folder, workers, on_progress)
    index = json.loads((folder / "index.json").read_text())
    if index["kept"] < 2 or not index["train"]:
        raise TrainingDataError(
            f"{name_of(data)}: {index['kept']} of {len(found)} pictures can be used for training "
            f"({_format_skipped(index['skipped'])}); see {folder / 'skipped.log'}"
        )
    train, held_out = np.array(index["train"]), np.array(index["validation"])
    if not len(held_out):  # the hashes of a few pictures may hold out none
        train, held_out = train[:-1], train[-1:]
    # Copy-on-write, because torch warns about read-only memory; nothing writes to it.
    pictures: NDArray[np.uint8] = np.load(folder / "pictures.npy", mmap_mode="c")
    return Store(pictures, train, held_out, index["skipped"], folder)


def _format_skipped(skipped: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in skipped.items()) or "none skipped"


@dataclass(frozen=True)
class _LoadedImage:
    square: NDArray[np.uint8]
    digest: str


@dataclass
class _Contents:
    """Hash and split of each packed picture; reason and log line of each skipped one."""

    hashes: list[int] = field(default_factory=list)
    are_held_out: list[bool] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def _pack(
    found: Sequence[TrainingImage],
    side: int,
    folder: Path,
    workers: int | None,
    on_progress: Callable[[int, int], None],
) -> None:
    """Writes the store to a temporary folder and renames it when it is complete.

    Raises OutputError (disk full).
    """
    remove_stale_temporaries(folder.parent)
    with temporary_folder(folder) as temporary:
        store = temporary / "store"
        store.mkdir()
        contents = _write_pictures(store / "pictures.npy", found, side, workers, on_progress)
        _write_index(store, contents)
        replace_folder(store, folder, temporary / "former")


def _write_pictures(
    path: Path,
    found: Sequence[TrainingImage],
    side: int,
    workers: int | None,
    on_progress: Callable[[int, int], None],
) -> _Contents:
    """Writes the usable pictures as an array `(N, side, side, 3)`, N the number of `found`.

    The last rows are a gap in the file. It is not written through a memory map, because a full disk
    then ends the process.
    """
    contents = _Contents()
    digests: set[str] = set()
    shape = (len(found), side, side, 3)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        size = file.tell() + math.prod(shape)
        for done, (entry, result) in enumerate(_load_all(found, side, workers), 1):
            if isinstance(result, _LoadedImage) and result.digest in digests:
                result = "duplicate"
            if isinstance(result, str):
                contents.skipped.append((result.partition(":")[0], f"{entry.name}: {result}"))
            else:
                digests.add(result.digest)
                file.write(result.square.tobytes())
                contents.hashes.append(_difference_hash(result.square))
                held_out = entry.is_held_out
                contents.are_held_out.append(
                    is_held_out(result.digest) if held_out is None else held_out
                )
            on_progress(done, len(found))
        file.truncate(size)
    sync_to_disk(path)
    return contents


def _write_index(store: Path, contents: _Contents) -> None:
    """Writes which pictures are for training and for validation, and the skipped ones."""
    are_held_out = np.array(contents.are_held_out, bool)
    validation, train = np.flatnonzero(are_held_out), np.flatnonzero(~are_held_out)
    leaks = _find_near_duplicates(np.array(contents.hashes, np.uint64), train, validation)
    near = [("near a held-out picture", f"packed {row}: near") for row in train[leaks]]
    skipped = [*contents.skipped, *near]
    index = {
        "kept": len(contents.hashes),
        "train": train[~leaks].tolist(),
        "validation": validation.tolist(),
        "skipped": dict(Counter(reason for reason, _ in skipped)),
    }
    log = "".join(f"{line}\n" for _, line in skipped)
    write_atomic(store / "skipped.log", log.encode(errors="backslashreplace"))
    write_atomic(store / "index.json", json.dumps(index).encode())


def _load_all(
    found: Sequence[TrainingImage], side: int, workers: int | None
) -> Iterator[tuple[TrainingImage, _LoadedImage | str]]:
    """Yields each entry in order with its square, or the reason why it is skipped."""
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for start in range(0, len(found), 256):
            part = found[start : start + 256]
            yield from zip(part, pool.map(lambda entry: _load(entry, side), part), strict=True)


def _load(entry: TrainingImage, side: int) -> _LoadedImage | str:
    try:
        loaded = entry.load(side)
    except Exception as error:  # a decoder may raise anything; one picture is not the job
        return f"broken: {type(error).__name__}: {error}"
    if min(loaded.image.size) < side // 2:
        return "tiny"
    image = loaded.image
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    square = np.asarray(image)
    chroma = np.asarray(image.convert("YCbCr"), np.float32)[..., 1:] - 128
    if float(np.hypot(chroma[..., 0], chroma[..., 1]).mean()) < GREY:
        return "grey"
    return _LoadedImage(square, loaded.digest)


def _difference_hash(square: NDArray[np.uint8]) -> int:
    """Returns 64 bits: whether each cell of a 9x8 grid of luma is brighter than its left neighbour.

    Source: N. Krawetz, "Kind of Like That" (dHash), 2013.
    """
    grid = np.asarray(Image.fromarray(square).convert("L").resize((9, 8), Image.Resampling.BOX))
    return int.from_bytes(np.packbits(grid[:, 1:] > grid[:, :-1]).tobytes(), "big")


def _find_near_duplicates(
    hashes: NDArray[np.uint64], train: NDArray[np.int64], validation: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Returns which training pictures are copies of held-out ones, at any size or quality."""
    leaks = np.zeros(len(train), bool)
    for row in validation:
        leaks |= np.bitwise_count(hashes[train] ^ hashes[row]) <= MAX_HASH_DISTANCE
    return leaks
