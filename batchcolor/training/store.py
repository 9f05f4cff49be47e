"""Photographs packed once: every picture a small RGB square in one memory-mapped file.

Decoding JPEGs costs more than learning from them, so it happens once; later epochs and later
runs on the same folder read the packed squares.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import TrainingDataError
from batchcolor.training.datasets import TrainingImage, divided, entries, held_out

GREY = 2.0
"""Mean distance from grey in the Cb/Cr plane, in 8-bit steps, below which nothing is learnt."""
NEAR = 3
"""Bits of 64 in which two pictures' difference hashes may differ and still be one picture."""
LAYOUT = 1
"""Raised when what is written here changes, so that older stores are packed anew."""


@dataclass
class Store:
    """Packed pictures: `pictures` is uint8 RGB `(N, side, side, 3)`, memory-mapped.

    `train` and `validation` are indices into it; `skipped` counts what was left out, by reason.
    """

    pictures: NDArray[np.uint8]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    skipped: dict[str, int] = field(default_factory=dict)
    folder: Path = Path()


def default_cache() -> Path:
    """Where stores are kept: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "batchcolor" / "stores"


def open_store(
    data: str,
    root: Path,
    side: int,
    *,
    limit: int | None = None,
    validation: str | None = None,
    workers: int | None = None,
    cache: Path | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """The packed pictures of a data set or folder at `side` pixels; packed now if need be.

    `advance(done, total)` is told of each picture while packing. Pictures that are broken,
    grey, tiny (short side below half of `side`) or double are skipped, counted, and named in
    `skipped.log` of the store's folder.
    With `validation`, a second folder, that one is held out whole and `data` learnt from whole.
    Raises TrainingDataError where fewer than two pictures, or none to validate on, are left.
    """
    found, state = divided(data, validation, root) if validation else entries(data, root)
    found = found[:: max(1, len(found) // limit)][:limit] if limit else found
    key = hashlib.sha256(f"{LAYOUT} {state} {len(found)} {side}".encode()).hexdigest()[:16]
    folder = (cache or default_cache()) / key
    if not (folder / "index.json").exists():
        _pack(found, side, folder, workers, advance)
    index = json.loads((folder / "index.json").read_text())
    if index["kept"] < 2 or not index["train"]:
        raise TrainingDataError(
            f"{data}: {index['kept']} of {len(found)} pictures can be learnt from "
            f"({_sentence(index['skipped'])}); see {folder / 'skipped.log'}"
        )
    train, outside = np.array(index["train"]), np.array(index["validation"])
    if not len(outside):  # a handful of pictures may have none that content holds out
        train, outside = train[:-1], train[-1:]
    # Copy-on-write, as torch warns of memory that it may not write; nothing writes to it.
    pictures: NDArray[np.uint8] = np.load(folder / "pictures.npy", mmap_mode="c")
    return Store(pictures, train, outside, index["skipped"], folder)


def _sentence(skipped: dict[str, int]) -> str:
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
    advance: Callable[[int, int], None],
) -> None:
    """Write the store beside its place and move it there whole."""
    building = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    building.mkdir(parents=True)
    try:
        shape = (len(found), side, side, 3)
        pictures = np.lib.format.open_memmap(
            building / "pictures.npy", mode="w+", dtype=np.uint8, shape=shape
        )
        kept, outside, hashes = 0, [], []
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
                held = held_out(result.digest) if entry.held_out is None else entry.held_out
                outside.append(held)
                kept += 1
            advance(done, len(found))
        pictures.flush()
        validation = np.flatnonzero(np.array(outside, bool))
        train = np.flatnonzero(~np.array(outside, bool))
        leaks = _near(np.array(hashes, np.uint64), train, validation)
        skipped += [("near a held-out picture", f"packed {row}: near") for row in train[leaks]]
        index = {
            "kept": kept,
            "train": train[~leaks].tolist(),
            "validation": validation.tolist(),
            "skipped": dict(Counter(reason for reason, _ in skipped)),
        }
        (building / "skipped.log").write_text("".join(f"{line}\n" for _, line in skipped))
        (building / "index.json").write_text(json.dumps(index))
        shutil.rmtree(folder, ignore_errors=True)  # what a killed packing may have left
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
    """64 bits: is each cell of a 9 x 8 grid of luma brighter than its left neighbour?

    Source: N. Krawetz, "Kind of Like That" (dHash), 2013.
    """
    grid = np.asarray(Image.fromarray(square).convert("L").resize((9, 8), Image.Resampling.BOX))
    return int.from_bytes(np.packbits(grid[:, 1:] > grid[:, :-1]).tobytes(), "big")


def _near(
    hashes: NDArray[np.uint64], train: NDArray[np.int64], validation: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which training pictures are a copy of a held-out one at another size or quality."""
    leaks = np.zeros(len(train), bool)
    for row in validation:
        leaks |= np.bitwise_count(hashes[train] ^ hashes[row]) <= NEAR
    return leaks
