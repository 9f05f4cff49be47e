"""Packs training pictures as small RGB squares into one memory-mapped file.

Decoding JPEGs takes longer than training on them, so it is done once; later epochs, and later runs
on the same folder, read the packed squares.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import TrainingDataError
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
            f"{data}: {index['kept']} of {len(found)} pictures can be used for training "
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
class _Packed:
    square: NDArray[np.uint8]
    digest: str


def _pack(
    found: Sequence[TrainingImage],
    side: int,
    folder: Path,
    workers: int | None,
    on_progress: Callable[[int, int], None],
) -> None:
    """Writes the store to a temporary folder and renames it when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        shape = (len(found), side, side, 3)
        pictures = np.lib.format.open_memmap(
            building / "pictures.npy", mode="w+", dtype=np.uint8, shape=shape
        )
        kept, held_out_flags, hashes = 0, [], []
        digests: set[str] = set()
        skipped: list[tuple[str, str]] = []
        for done, (entry, result) in enumerate(_load_all(found, side, workers), 1):
            if isinstance(result, _Packed) and result.digest in digests:
                result = "duplicate"
            if isinstance(result, str):
                skipped.append((result.partition(":")[0], f"{entry.name}: {result}"))
            else:
                digests.add(result.digest)
                pictures[kept] = result.square
                hashes.append(_difference_hash(result.square))
                is_for_validation = entry.is_held_out
                if is_for_validation is None:
                    is_for_validation = is_held_out(result.digest)
                held_out_flags.append(is_for_validation)
                kept += 1
            on_progress(done, len(found))
        pictures.flush()
        validation = np.flatnonzero(np.array(held_out_flags, bool))
        train = np.flatnonzero(~np.array(held_out_flags, bool))
        leaks = _find_near_duplicates(np.array(hashes, np.uint64), train, validation)
        skipped += [("near a held-out picture", f"packed {row}: near") for row in train[leaks]]
        index = {
            "kept": kept,
            "train": train[~leaks].tolist(),
            "validation": validation.tolist(),
            "skipped": dict(Counter(reason for reason, _ in skipped)),
        }
        (building / "skipped.log").write_text("".join(f"{line}\n" for _, line in skipped))
        (building / "index.json").write_text(json.dumps(index))
        shutil.rmtree(folder, ignore_errors=True)  # an incomplete store
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _load_all(
    found: Sequence[TrainingImage], side: int, workers: int | None
) -> Iterator[tuple[TrainingImage, _Packed | str]]:
    """Each entry with its square or the reason why not, in order, a bounded number ahead."""
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for start in range(0, len(found), 256):
            part = found[start : start + 256]
            yield from zip(part, pool.map(lambda entry: _load(entry, side), part), strict=True)


def _load(entry: TrainingImage, side: int) -> _Packed | str:
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
    return _Packed(square, loaded.digest)


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
