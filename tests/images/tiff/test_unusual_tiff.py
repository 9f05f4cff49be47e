"""Kinds of TIFF that are refused by name, or read by libtiff."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchcolor.errors import ProcessingError
from batchcolor.images.picture import Picture

ReadPicture = Callable[[Path], Picture]


def _tags(compression: int = 1, photometric: int = 1, **more: Any) -> dict[int, Any]:
    return {
        **{256: (3, [8]), 257: (3, [8]), 258: (3, [8]), 259: (3, [compression])},
        **{262: (3, [photometric]), 277: (3, [1]), 278: (3, [8])},
        **{int(tag): value for tag, value in more.items()},
    }


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (_tags(34713), "NIKON_NEF"),
        (_tags(34661), "JBIG"),
        (_tags(60123), "60123"),
        (_tags(photometric=10), "ITULAB"),
        (_tags(photometric=32803), "camera raw"),
        (_tags(photometric=9999), "9999"),
        (_tags(**{"258": (3, [8, 16, 8]), "277": (3, [3]), "262": (3, [2])}), "8, 16, 8 bits"),
        (_tags(**{"258": (3, [64]), "339": (3, [6])}), "complex samples of 64 bits"),
        (_tags(**{"262": (3, [2])}), "1 samples per pixel in RGB"),
        (_tags(**{"32997": (3, [4])}), "volume of 4"),
    ],
)
def test_what_is_not_read_is_refused_by_name(
    tmp_path: Path,
    read_picture: ReadPicture,
    build_tiff: Callable[..., None],
    tags: dict[int, Any],
    reason: str,
) -> None:
    path = tmp_path / "in.tif"
    build_tiff(path, [bytes(1024)], tags, "<")
    with pytest.raises(ProcessingError, match=reason):
        read_picture(path)


def test_without_photometric_interpretation_zero_is_black(
    tmp_path: Path, read_picture: ReadPicture, build_tiff: Callable[..., None]
) -> None:
    path = tmp_path / "in.tif"
    tags = _tags()
    del tags[262]
    build_tiff(path, [bytes(range(64))], tags, "<")
    picture = read_picture(path)
    assert picture.luma.ravel().tolist() == list(range(64))
    assert "black is taken as 0" in picture.notes[0]


def test_sgi_log_luv_is_read_by_libtiff(
    tmp_path: Path, read_picture: ReadPicture, build_tiff: Callable[..., None]
) -> None:
    """LogL16: the exponent of a pixel is 256 times log2 of its luminance (TIFF Note, LogLuv)."""
    path = tmp_path / "in.tif"
    luminance = np.linspace(0.02, 0.9, 64)
    codes = np.floor(256 * (np.log2(luminance) + 64)).astype(np.uint16)
    rows = [codes[top : top + 8] for top in range(0, 64, 8)]
    runs = [bytes([8]) + part.astype(np.uint8).tobytes() for r in rows for part in (r >> 8, r)]
    build_tiff(path, [b"".join(runs)], _tags(34676, 32844, **{"258": (3, [16])}), "<")
    picture = read_picture(path)
    expected = 255 * np.sqrt(luminance)  # the tone curve of libtiff
    assert np.abs(picture.luma.ravel() - expected).max() < 4
    build_tiff(path, [b"".join(runs[:9])], _tags(34676, 32844, **{"258": (3, [16])}), "<")
    with pytest.raises(ProcessingError, match="libtiff cannot read"):
        read_picture(path)


def test_page_that_libtiff_reads_does_not_hold_the_file(
    tmp_path: Path, read_picture: ReadPicture, build_tiff: Callable[..., None]
) -> None:
    path = tmp_path / "in.tif"
    runs = bytes([8, *range(64, 72), 8, *range(8)]) * 8
    orientation = {"274": (3, [2])}
    build_tiff(path, [runs], _tags(34676, 32844, **{"258": (3, [16])}, **orientation), "<")
    expected = read_picture(path).luma
    with path.open("ab") as file:
        file.write(bytes(8 << 20))
    stored = path.read_bytes()
    tracemalloc.start()
    try:
        luma = read_picture(path).luma
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(luma, expected)
    assert (np.diff(luma.astype(int), axis=1) <= 0).all()  # mirrored
    assert peak < 4 << 20
    assert path.read_bytes() == stored
