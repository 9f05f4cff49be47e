"""Camera raw is developed by LibRaw; its previews are never taken for the picture."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from imageio.config import known_extensions
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.encode import encode
from batchcolor.images.formats import (
    CAMERA_RAW,
    FORMATS_BY_SUFFIX,
    JPEG,
    TIFF,
    UNREAD_SUFFIXES,
)
from batchcolor.images.header import estimate_memory
from batchcolor.images.join import join
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile, scan

ScanFile = Callable[[Path], ScannedFile]
ReadPicture = Callable[[Path], Picture]
EXIF_POINTER = 0x8769
EXIF_PLACEHOLDER = EXIF_POINTER + 1
"""tifffile writes no pointer to an Exif directory; `append_exif_directory` renames this tag."""
RAMP = np.tile(np.linspace(2000, 60000, 96).astype(np.uint16), (64, 1))
"""Samples that increase from left to right."""


def write_dng(path: Path, orientation: int = 1) -> None:
    """Writes a linear ramp as a camera raw file: a colour filter array in a DNG 1.4."""
    identity = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags: list[tuple[int, Any, int, Any, bool]] = [
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Synthetic", True),  # UniqueCameraModel
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50714, "H", 1, 0, True),  # BlackLevel
        (50717, "H", 1, 65535, True),  # WhiteLevel
        (50721, "2i", 9, identity, True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1
        (274, "H", 1, orientation, True),
        (271, "s", 0, "Leica", True),
        (EXIF_PLACEHOLDER, "I", 1, 0, True),
    ]
    tifffile.imwrite(path, RAMP, photometric=32803, extratags=tags, metadata=None, software=False)


def test_camera_raw_is_developed_upright_with_16_bits_and_exif(
    tmp_path: Path, scan_file: ScanFile, read_picture: ReadPicture
) -> None:
    pytest.importorskip("rawpy", reason="needs the extra raw")
    path = tmp_path / "in.DNG"
    write_dng(path, orientation=6)
    picture = read_picture(path)
    assert picture.format == CAMERA_RAW
    assert picture.format.result_format == TIFF
    assert picture.luma.dtype == np.uint16
    assert picture.luma.shape == (96, 64)
    rows = picture.luma.mean(axis=1)
    assert (np.diff(rows)[2:-2] > 0).all()
    assert len(np.unique(picture.luma)) > 90
    exif = Image.Exif()
    exif.load(picture.metadata.exif)
    assert exif[0x010F] == "Leica"
    assert exif[0x0112] == 1
    with pytest.raises(ProcessingError, match="max-pixels"):
        estimate_memory(scan_file(path), 96 * 64 - 1)


def append_exif_directory(path: Path) -> None:
    """Appends an Exif directory with a time, an exposure and a maker note to a DNG."""
    tags = [
        (0x829A, 5, 1, struct.pack("<II", 1, 60)),  # ExposureTime
        (0x9003, 2, 20, b"1986:05:04 12:00:00\0"),  # DateTimeOriginal
        (0x927C, 7, 8, b"unknown\0"),  # MakerNote
    ]
    with tifffile.TiffFile(path) as file:
        placeholder = file.pages.first.tags[EXIF_PLACEHOLDER]
    data = bytearray(path.read_bytes())
    start = len(data)
    struct.pack_into("<H", data, placeholder.offset, EXIF_POINTER)
    struct.pack_into("<I", data, placeholder.valueoffset, start)
    directory, values = struct.pack("<H", len(tags)), b""
    values_start = start + 2 + 12 * len(tags) + 4
    for tag, kind, count, value in tags:
        directory += struct.pack("<HHII", tag, kind, count, values_start + len(values))
        values += value
    end = bytes(1000)  # LibRaw reads beyond a maker note
    path.write_bytes(bytes(data) + directory + bytes(4) + values + end)


def test_exif_directory_of_a_raw_file_is_kept_with_the_maker_note(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    pytest.importorskip("rawpy", reason="needs the extra raw")
    path = tmp_path / "in.dng"
    write_dng(path)
    append_exif_directory(path)
    picture = read_picture(path)
    data = encode(join(picture, np.zeros((2, 1, 1), np.float32), 1.0, JPEG), picture.metadata, None)
    tags = Image.open(io.BytesIO(data)).getexif().get_ifd(EXIF_POINTER)
    assert tags[0x9003] == "1986:05:04 12:00:00"
    assert float(tags[0x829A]) == pytest.approx(1 / 60)
    assert tags[0x927C] == b"unknown\0"


@pytest.mark.parametrize("suffix", [".dng", ".nef", ".dcr"])
def test_thumbnail_of_a_raw_file_is_never_the_picture(
    tmp_path: Path, read_picture: ReadPicture, suffix: str
) -> None:
    pytest.importorskip("rawpy", reason="needs the extra raw")
    path = tmp_path / f"in{suffix}"
    Image.new("L", (80, 60), 90).save(path, "TIFF")
    with pytest.raises(ProcessingError, match="camera raw"):
        read_picture(path)


def test_raw_file_with_the_suffix_of_tiff_is_refused(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    raw, nef, dng = (tmp_path / f"{name}.tif" for name in ("raw", "nef", "dng"))
    write_dng(raw)
    tifffile.imwrite(nef, RAMP, subfiletype=1)
    tifffile.imwrite(dng, RAMP, extratags=[(50706, "B", 4, (1, 4, 0, 0), True)])
    for path in (raw, nef, dng):
        with pytest.raises(ProcessingError, match="camera raw"):
            read_picture(path)


def test_canon_raw_is_identified_by_content(tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    path.write_bytes(b"II*\0\x10\0\0\0CR\x02\0" + bytes(100))
    (found,) = scan(tmp_path)
    if isinstance(found, ScannedFile):
        assert found.format == CAMERA_RAW
    else:
        assert "batchcolor[raw]" in found.reason


def test_every_camera_raw_suffix_of_imageio_is_known() -> None:
    """Except suffixes that other programs use for files that are no pictures."""
    camera_raw = {
        suffix
        for suffix, known in known_extensions.items()
        if any({"RAW-FI", "rawpy"} & set(entry.priority) for entry in known)
    }
    assert camera_raw - {*FORMATS_BY_SUFFIX, *UNREAD_SUFFIXES} == {
        *(".bmq", ".cap", ".cine", ".cs1", ".dc2", ".drf", ".dsc", ".ia", ".kc2", ".mdc"),
        *(".ptx", ".pxn", ".qtk", ".rdc", ".rwz", ".sti"),
    }


@pytest.mark.parametrize("share", [0.9, 0.6, 0.3])
def test_truncated_raw_file_fails_with_a_reason(
    tmp_path: Path, read_picture: ReadPicture, share: float
) -> None:
    pytest.importorskip("rawpy", reason="needs the extra raw")
    path = tmp_path / "in.dng"
    write_dng(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ProcessingError, match="damaged: Input/output error"):
        read_picture(path)
