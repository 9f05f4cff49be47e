"""Builds a folder of training photographs from local clones of public repositories.

    python -m benchmarks.training_photographs docs/training-sources.tsv CLONES PHOTOGRAPHS \\
        EVALUATION_SET

Each row of the list names a repository, the prefix of its photographs' paths, a group, and the
largest number to read. Photographs are read from the clone `CLONES/OWNER+NAME` (bare or not; no
checkout is needed) and written as JPEG files with a shorter side of at most `--side` pixels to
`PHOTOGRAPHS/GROUP/OWNER+NAME/`. Grey, tiny, narrow, broken, transparent and flat pictures,
duplicates, and pictures near one of the evaluation set are skipped and counted.

`batchcolor train delta --data PHOTOGRAPHS` then packs the folder. A source whose folder exists
is not read again, so that the list can grow.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks.picture_hashes import HashIndex, hash_crops, hash_whole

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")
MIN_CHROMA = 4.0
"""Mean distance from grey in the CbCr plane, in 8-bit steps, below which a picture is grey."""
MAX_ASPECT = 3.0
FLAT_SHARE = 0.35
"""Share of pixels of one colour from which a picture is a drawing or an object on white."""
JPEG_QUALITY = 92
MIN_SIDE, ENLARGED_SIDE = 64, 96
"""Shorter side in pixels below which a picture is tiny, and below which it is enlarged twice, as
`train` does not use pictures that are much smaller than its squares."""


class SkippedPictureError(Exception):
    """A picture is not used; the message is the reason, in a word or two."""


@dataclass(frozen=True)
class Source:
    """One row of the list of sources."""

    repository: str
    prefix: str
    group: str
    limit: int
    """Largest number of photographs; 0 for all."""

    def folder_name(self) -> str:
        """Returns the name of the clone and of the folder of photographs."""
        return self.repository.replace("/", "+")


def read_sources(path: Path) -> list[Source]:
    """Returns the rows of a list: tab-separated, with a header line."""
    with path.open(newline="") as file:
        return [
            Source(row["repository"], row["prefix"], row["group"], int(row["limit"] or 0))
            for row in csv.DictReader(file, delimiter="\t")
        ]


def list_blobs(clone: Path, prefix: str) -> list[tuple[bytes, str]]:
    """Returns object id and path of each distinct picture below a prefix, in random order."""
    command = ["git", "-C", str(clone), "ls-tree", "-r", "-z", "HEAD"]
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


def decode(content: bytes, side: int) -> Image.Image:
    """Returns an upright RGB picture whose shorter side is at most `side` pixels.

    Raises SkippedPictureError, or whatever a decoder raises for a broken picture.
    """
    opened = Image.open(io.BytesIO(content))
    shorter, longer = sorted(opened.size)
    if shorter < MIN_SIDE:
        raise SkippedPictureError("tiny")
    if longer > MAX_ASPECT * shorter:
        raise SkippedPictureError("narrow")
    if opened.mode in ("1", "L", "I", "I;16", "F"):
        raise SkippedPictureError("grey")
    if opened.format == "JPEG":
        opened.draft("RGB", (side, side))  # decodes at 1/2, 1/4 or 1/8, not below `side`
    image: Image.Image = ImageOps.exif_transpose(opened)
    if image.mode in ("RGBA", "LA", "PA", "P"):
        image = image.convert("RGBA")
        if int(np.asarray(image.getchannel("A")).min()) < 255:
            raise SkippedPictureError("transparent")
    image = image.convert("RGB")
    if shorter < ENLARGED_SIDE:
        image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.LANCZOS)
    if min(image.size) > side:
        size = [max(side, round(edge * side / min(image.size))) for edge in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    return image


def check_content(image: Image.Image) -> None:
    """Raises SkippedPictureError for a grey picture or a flat graphic."""
    small = image.resize((64, 64), Image.Resampling.BOX)
    planes: NDArray[np.uint8] = np.asarray(small.convert("YCbCr"))
    chroma = planes[..., 1:].astype(np.float32) - 128
    if float(np.hypot(chroma[..., 0], chroma[..., 1]).mean()) < MIN_CHROMA:
        raise SkippedPictureError("grey")
    if np.bincount(planes[..., 0].ravel() // 4).max() > FLAT_SHARE * planes[..., 0].size:
        colours = Counter(map(bytes, (np.asarray(small) // 4).reshape(-1, 3)))
        if colours.most_common(1)[0][1] > FLAT_SHARE * planes[..., 0].size:
            raise SkippedPictureError("flat")


def build(
    source: Source, clones: Path, output: Path, side: int, seen: HashIndex, excluded: HashIndex
) -> Counter[str]:
    """Writes the photographs of one source. Returns counts by reason; `written` is one."""
    clone = clones / source.folder_name()
    blobs = list_blobs(clone, source.prefix)
    counts: Counter[str] = Counter(listed=len(blobs))
    where = output / source.group / source.folder_name()
    where.mkdir(parents=True, exist_ok=True)
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
        image.save(where / f"{identifier[:16].decode()}.jpg", quality=JPEG_QUALITY, subsampling=0)
        counts["written"] += 1
    return counts


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
        "exclude", type=Path, nargs="?", help="evaluation set: nothing near it is written"
    )
    parser.add_argument("--side", type=int, default=256, help="largest shorter side, pixels")
    options = parser.parse_args()
    seen, excluded = HashIndex(distance=3), HashIndex(distance=5)
    options.output.mkdir(parents=True, exist_ok=True)
    stored = options.output / "hashes.npy"
    if stored.exists():
        seen.add(np.load(stored, allow_pickle=False))
    if options.exclude:
        index_folder(options.exclude, excluded)
    for source in read_sources(options.sources):
        where = options.output / source.group / source.folder_name()
        if where.is_dir():
            continue
        if not (options.clones / source.folder_name()).is_dir():
            print(source.repository, source.prefix, "no clone", flush=True)
            continue
        counts = build(source, options.clones, options.output, options.side, seen, excluded)
        np.save(stored, seen.rows())
        line = " | ".join(f"{reason}={count}" for reason, count in counts.items())
        print(source.repository, source.prefix, line, flush=True)


if __name__ == "__main__":
    main()
