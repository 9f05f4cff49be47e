"""Builds a folder of training photographs from local clones of public repositories.

    python -m benchmarks.training_photographs docs/training-sources.tsv CLONES PHOTOGRAPHS \\
        EVALUATION_SET

Each row of the list names a repository, the prefix of its photographs' paths, a group, the
largest number to read, and, where it is not the newest one, the commit. Photographs are read from
the clone `CLONES/OWNER+NAME` (bare or not; no checkout is needed) and written as JPEG files with a
shorter side of at most `--side` pixels to `PHOTOGRAPHS/GROUP/OWNER+NAME/`, without black bars.
Grey, toned, tiny, narrow, broken, transparent and flat pictures, duplicates, and pictures near one
of the evaluation sets are skipped and counted.

`batchcolor train delta --data PHOTOGRAPHS` then packs the folder. A source whose folder exists
is not read again, so that the list can grow. With `--known FOLDER`, photographs that another such
folder contains are not written either.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from benchmarks.photograph_checks import SkippedPictureError, check_content, decode
from benchmarks.picture_hashes import HashIndex, hash_crops, hash_whole

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
JPEG_QUALITY = 92
HASHES = "hashes.npy"
"""File of the hashes of a source's photographs; of all, in folders of earlier versions."""


@dataclass(frozen=True)
class Source:
    """One row of the list of sources."""

    repository: str
    prefix: str
    group: str
    limit: int
    """Largest number of photographs; 0 for all."""
    commit: str = "HEAD"
    """Commit whose files are read: some repositories have removed their photographs since."""

    def folder_name(self) -> str:
        """Returns the name of the clone and of the folder of photographs."""
        return self.repository.replace("/", "+")


def read_sources(path: Path) -> list[Source]:
    """Returns the rows of a list: tab-separated, with a header line.

    Raises ValueError for two rows that would be written to one folder.
    """
    with path.open(newline="") as file:
        sources = [
            Source(
                row["repository"],
                row["prefix"],
                row["group"],
                int(row["limit"] or 0),
                row.get("commit") or "HEAD",
            )
            for row in csv.DictReader(file, delimiter="\t")
        ]
    folders = Counter((source.group, source.folder_name()) for source in sources)
    for folder, count in folders.items():
        if count > 1:
            raise ValueError(f"{path}: {count} rows for {'/'.join(folder)}; use different groups")
    return sources


def list_blobs(clone: Path, prefix: str, commit: str = "HEAD") -> list[tuple[bytes, str]]:
    """Returns object id and path of each distinct picture below a prefix, in random order."""
    command = ["git", "-C", str(clone), "ls-tree", "-r", "-z", commit]
    tree = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    found: dict[bytes, str] = {}
    for entry in tree.split(b"\0"):
        description, _, name = entry.partition(b"\t")
        path = os.fsdecode(name)
        if path.startswith(prefix) and path.lower().endswith(SUFFIXES):
            found.setdefault(description.split()[2], path)
    blobs = list(found.items())
    random.Random(0).shuffle(blobs)
    return blobs


def read_blobs(clone: Path, blobs: list[tuple[bytes, str]]) -> Iterator[bytes | None]:
    """Yields the content of each object, None where the clone lacks it."""
    command = ["git", "-C", str(clone), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for identifier, _ in blobs:
            process.stdin.write(identifier + b"\n")
            process.stdin.flush()
            yield _read_object(process.stdout)
        process.stdin.close()


def _read_object(output: IO[bytes]) -> bytes | None:
    header = output.readline().split()
    if len(header) != 3:  # "<id> missing"
        return None
    content = output.read(int(header[2]))
    output.read(1)
    return content


def build(
    source: Source, clones: Path, output: Path, side: int, seen: HashIndex, excluded: HashIndex
) -> Counter[str]:
    """Writes the photographs of one source. Returns counts by reason; `written` is one.

    The folder has its name only when it is complete. Raises CalledProcessError if git cannot list
    the commit.
    """
    clone = clones / source.folder_name()
    blobs = list_blobs(clone, source.prefix, source.commit)
    counts: Counter[str] = Counter(listed=len(blobs))
    where = output / source.group / source.folder_name()
    partial = where.with_name(f"{where.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an interrupted run
    partial.mkdir(parents=True)
    written = HashIndex(seen.distance)
    for (identifier, _), content in zip(blobs, read_blobs(clone, blobs), strict=True):
        if source.limit and counts["written"] >= source.limit:
            break
        if content is None:
            counts["absent"] += 1
            continue
        try:
            image = decode(content, side)
            check_content(image)
            hashes = hash_whole(image)
            if excluded.is_near(hashes):
                raise SkippedPictureError("near the evaluation set")
            if seen.is_near(hashes[:1]):
                raise SkippedPictureError("duplicate")
        except SkippedPictureError as error:
            counts[str(error)] += 1
            continue
        except Exception:  # a decoder may raise anything; one picture is not the source
            counts["broken"] += 1
            continue
        seen.add(hashes[:1])
        written.add(hashes[:1])
        image.save(partial / f"{identifier[:16].decode()}.jpg", quality=JPEG_QUALITY, subsampling=0)
        counts["written"] += 1
    np.save(partial / HASHES, written.rows())
    partial.rename(where)
    return counts


def load_hashes(folder: Path, index: HashIndex) -> None:
    """Adds the hashes that are stored in a folder of photographs to an index."""
    for path in (folder / HASHES, *sorted(folder.glob(f"*/*/{HASHES}"))):
        if path.exists() and not path.parent.name.endswith(".partial"):
            index.add(np.load(path, allow_pickle=False))


def index_folder(folder: Path, index: HashIndex) -> None:
    """Adds the hashes of all pictures below a folder, each of several crops, to an index."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            with Image.open(path) as image:
                index.add(hash_crops(image.convert("RGB")))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, help="tab-separated list of sources")
    parser.add_argument("clones", type=Path, help="folder of clones")
    parser.add_argument("output", type=Path, help="folder of photographs")
    parser.add_argument(
        "exclude", type=Path, nargs="*", help="evaluation sets: nothing near them is written"
    )
    parser.add_argument("--side", type=int, default=256, help="largest shorter side, pixels")
    parser.add_argument(
        "--known", type=Path, action="append", default=[], help="photographs that were built before"
    )
    options = parser.parse_args()
    try:
        sources = read_sources(options.sources)
    except ValueError as error:
        parser.error(str(error))
    seen, excluded = HashIndex(distance=3), HashIndex(distance=5)
    for folder in (options.output, *options.known):
        load_hashes(folder, seen)
    for folder in options.exclude:
        index_folder(folder, excluded)
    for source in sources:
        where = options.output / source.group / source.folder_name()
        if where.is_dir():
            continue
        if not (options.clones / source.folder_name()).is_dir():
            print(source.repository, source.prefix, "no clone", flush=True)
            continue
        try:
            counts = build(source, options.clones, options.output, options.side, seen, excluded)
        except subprocess.CalledProcessError:
            print(source.repository, f"cannot read commit {source.commit}", flush=True)
            continue
        line = " | ".join(f"{reason}={count}" for reason, count in counts.items())
        print(source.repository, source.prefix, line, flush=True)


if __name__ == "__main__":
    main()
