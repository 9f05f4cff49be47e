"""Pages that are copied from damaged TIFF files: whole, with a note, or refused; never a crash."""

from __future__ import annotations

import contextlib
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from batchcolor.errors import ProcessingError
from batchcolor.images.metadata.ifd import read_directory, read_layout
from batchcolor.images.tiff.tiff_pages import TiffPageWriter

COLORS = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
PRIVATE, EXIF, GPS, STRIP_SIZES, TILE_SIZES = 34999, 34665, 34853, 279, 325
ORDER = "<"


def write_document(path: Path, pointer: int | None = None, **options: Any) -> int:
    """Writes a grey page and one in colour. Returns the offset of the second directory."""
    tags = [] if pointer is None else [(PRIVATE, 4, 1, pointer, True)]
    with tifffile.TiffWriter(path, byteorder=ORDER) as writer:
        writer.write(COLORS[..., 0], metadata=None)
        writer.write(COLORS, photometric="rgb", metadata=None, extratags=tags, **options)
    data = path.read_bytes()
    layout = read_layout(data)
    return read_directory(data, layout, layout.first).next


def change_entry(path: Path, directory: int, tag: int, new: int, value: int | None = None) -> None:
    """Changes the number of a tag of a classic TIFF, and its value of 32 bits."""
    data = bytearray(path.read_bytes())
    for index in range(struct.unpack_from("<H", data, directory)[0]):
        place = directory + 2 + 12 * index
        if struct.unpack_from("<H", data, place)[0] == tag:
            struct.pack_into("<H", data, place, new)
            if value is not None:
                struct.pack_into("<I", data, place + 8, value)
    path.write_bytes(data)


def copy_page(source: Path, offset: int, *, is_big: bool = False) -> tuple[Any, list[str]]:
    """Returns the samples of the copy, and the notes."""
    target = source.with_name("copy.tif")
    with target.open("w+b") as file:
        notes = TiffPageWriter(file, ORDER, is_big=is_big).copy(source, offset)
    with tifffile.TiffFile(target) as tiff:
        return tiff.pages[0].asarray(), notes


@pytest.mark.parametrize("tag", [EXIF, GPS])
@pytest.mark.parametrize("pointer", [10**8, None], ids=["outside", "itself"])
def test_a_directory_that_cannot_be_read_is_dropped_with_a_note(
    tmp_path: Path, tag: int, pointer: int | None
) -> None:
    source = tmp_path / "source.tif"
    offset = write_document(source, 1)
    change_entry(source, offset, PRIVATE, tag, offset if pointer is None else pointer)
    samples, notes = copy_page(source, offset)
    assert np.array_equal(samples, COLORS)
    assert [note[:24] for note in notes] == ["part of the EXIF dropped"]
    assert (tmp_path / "copy.tif").stat().st_size < 2 * COLORS.nbytes


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize(
    ("tag", "options"),
    [
        (STRIP_SIZES, {"rowsperstrip": 40}),
        (STRIP_SIZES, {"rowsperstrip": 16}),
        (STRIP_SIZES, {"rowsperstrip": 16, "compression": "zlib"}),
        (STRIP_SIZES, {"rowsperstrip": 16, "planarconfig": "separate"}),
        (TILE_SIZES, {"tile": (16, 16)}),
    ],
)
def test_missing_sizes_of_strips_and_tiles_are_computed(
    tmp_path: Path, tag: int, options: dict[str, Any], is_big: bool
) -> None:
    source = tmp_path / "source.tif"
    is_separate = "planarconfig" in options
    colors = COLORS.transpose(2, 0, 1) if is_separate else COLORS
    with tifffile.TiffWriter(source, byteorder=ORDER) as writer:
        writer.write(colors, photometric="rgb", metadata=None, **options)
    data = source.read_bytes()
    offset = read_layout(data).first
    stored = read_directory(data, read_layout(data), offset).entries[tag].integers(ORDER)
    change_entry(source, offset, tag, 65000)
    samples, notes = copy_page(source, offset, is_big=is_big)
    assert np.array_equal(samples, colors)
    assert notes == []
    with tifffile.TiffFile(tmp_path / "copy.tif") as tiff:
        written = tiff.pages[0].tags[tag].value
    sizes = written if isinstance(written, tuple) else (written,)
    if "compression" in options:  # the sizes are upper limits
        assert all(map(int.__ge__, sizes, stored))
    else:
        assert sizes == stored


def test_samples_outside_the_file_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "source.tif"
    offset = write_document(source, rowsperstrip=40)
    change_entry(source, offset, 273, 273, 10**8)
    with pytest.raises(ProcessingError, match="outside the file") as caught:
        copy_page(source, offset)
    assert caught.value.step == "encode"


@pytest.mark.parametrize("content", [None, b"", b"MM\0*\0\0\0\x08", b"II*\0\0\0\1\0"])
def test_a_source_that_changed_is_an_error_of_reading(
    tmp_path: Path, content: bytes | None
) -> None:
    source = tmp_path / "source.tif"
    offset = write_document(source)
    source.unlink()
    if content is not None:
        source.write_bytes(content)
    with (tmp_path / "out.tif").open("w+b") as file:
        writer = TiffPageWriter(file, ORDER, is_big=False)
        with pytest.raises(ProcessingError) as caught:
            writer.copy(source, offset)
    assert caught.value.step == "decode"


def test_a_disk_that_is_full_is_no_error_of_the_source(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    source = tmp_path / "source.tif"
    offset = write_document(source)
    with (tmp_path / "out.tif").open("w+b") as file, Path("/dev/full").open("wb", 0) as full:
        writer = TiffPageWriter(file, ORDER, is_big=False)
        writer._file = full
        with pytest.raises(OSError, match="No space left"):
            writer.copy(source, offset)


@pytest.mark.parametrize("is_big", [False, True])
def test_a_directory_with_random_bytes_is_copied_or_refused(tmp_path: Path, is_big: bool) -> None:
    source = tmp_path / "source.tif"
    offset = write_document(source, 1)
    change_entry(source, offset, PRIVATE, EXIF)
    whole = source.read_bytes()
    for seed in range(60):
        chance = random.Random(seed)
        data = bytearray(whole)
        for _ in range(3):
            data[chance.randrange(offset, offset + 240)] = chance.choice([0, 1, 135, 255])
        source.write_bytes(data)
        with (tmp_path / "out.tif").open("w+b") as file:
            writer = TiffPageWriter(file, ORDER, is_big=is_big)
            with contextlib.suppress(ProcessingError):
                writer.copy(source, offset)
