"""The samples have the properties that samples/README.md lists, and batchcolor colours them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

SAMPLES = Path(__file__).parent.parent / "samples"
PHOTOS = sorted((SAMPLES / "photos").iterdir())
LICENCES = ("CC0", "public domain", "CC BY 2.0", "BSD-2-Clause")

Command = Callable[..., subprocess.CompletedProcess[str]]


def rgb(path: Path) -> NDArray[np.int16]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(np.int16)


def luma(path: Path) -> NDArray[np.float64]:
    """Returns luma in 0..255 as a viewer shows it, upright, with fractions for 16-bit PNG."""
    if path.suffix == ".png":
        pixels = imagecodecs.png_decode(path.read_bytes())
        if pixels.dtype == np.uint16:
            grey = pixels @ [0.299, 0.587, 0.114] if pixels.ndim == 3 else pixels
            return np.asarray(grey, float) / 257
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("L")).astype(float)


def test_samples_are_at_least_nine_in_all_formats_below_3_megabytes() -> None:
    formats = set()
    for path in PHOTOS:
        with Image.open(path) as image:
            formats.add(image.format)
    assert len(PHOTOS) >= 9
    assert formats == {"JPEG", "PNG", "TIFF", "WEBP", "BMP"}
    assert sum(path.stat().st_size for path in PHOTOS) < 3_000_000


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_each_sample_has_a_source_and_a_free_licence(path: Path) -> None:
    rows = (SAMPLES / "README.md").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith(f"| `photos/{path.name}` |")]
    assert any(licence in row for licence in LICENCES)


def test_one_sample_has_an_exif_orientation() -> None:
    with Image.open(SAMPLES / "photos" / "dog.jpg") as image:
        assert image.getexif()[0x0112] == 6


def test_one_sample_has_more_than_8_bits_of_content() -> None:
    levels = np.unique(imagecodecs.png_decode((SAMPLES / "photos" / "river.png").read_bytes()))
    assert levels.dtype == np.uint16
    assert len(levels) > 10_000


def test_one_sample_is_sepia_and_the_others_are_grey() -> None:
    toned = {path.name for path in PHOTOS if np.ptp(rgb(path), axis=2).mean() > 8}
    grey = {path.name for path in PHOTOS if np.ptp(rgb(path), axis=2).max() <= 2}
    assert toned == {"pagoda.jpg"}
    assert grey == {path.name for path in PHOTOS} - toned


@pytest.mark.parametrize("model", ["alpha", "beta"])
def test_published_models_colour_the_samples_and_keep_their_luma(
    model: str, command: Command, tmp_path: Path
) -> None:
    done = command("run", SAMPLES / "photos", "-m", model, "-o", "out", "--format", "png", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == len(PHOTOS)
    coloured = 0
    for path in PHOTOS:
        result = tmp_path / "out" / f"{path.stem}.png"
        difference = np.abs(luma(result) - luma(path))
        assert difference.mean() <= 0.5, path.name
        assert (difference <= 1).mean() >= 0.99, path.name
        coloured += np.ptp(rgb(result), axis=2).mean() > 4
    assert coloured >= 8


def test_sample_film_has_four_grey_shots_and_a_complete_result_in_colour(
    command: Command, tmp_path: Path
) -> None:
    film = SAMPLES / "film.mp4"
    assert film.stat().st_size < 500_000
    shots = film_frames(film)[::36]
    assert len(shots) == 4
    assert all(np.ptp(frame, axis=2).max() <= 2 for frame in shots)
    done = command("run", film, "-m", "beta", "-o", "out", "--strip", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == 144
    coloured = film_frames(tmp_path / "out" / "film.mp4")
    assert len(coloured) == 144
    assert sum(np.ptp(frame, axis=2).mean() > 4 for frame in coloured[::36]) >= 3
    assert (tmp_path / "out" / "film-strip.jpg").exists()


def film_frames(path: Path) -> list[NDArray[np.int16]]:
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24").astype(np.int16) for frame in film.decode(video=0)]
