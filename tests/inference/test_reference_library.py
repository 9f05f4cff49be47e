"""Several references: the nearest by luma, and those of a film's shots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.errors import UsageError
from batchcolor.inference.reference_library import ReferenceLibrary, parse_position


def scene(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    areas = np.random.default_rng(seed).integers(20, 235, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(areas).resize(size, Image.Resampling.BICUBIC)


def luma(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((64, 64)), np.float32) / 255


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_nearest_reference_has_like_luma_also_darker_or_mirrored(tmp_path: Path, is_mirrored):
    for seed in range(8):
        scene(seed).save(tmp_path / f"{seed}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    library = ReferenceLibrary(tmp_path)
    assert len(library.references) == 8
    for seed in range(8):
        wanted = luma(scene(seed, (320, 200)))
        wanted = 0.2 + 0.5 * (wanted[:, ::-1] if is_mirrored else wanted)
        noise = np.random.default_rng(9).normal(0, 0.02, wanted.shape)
        assert library.find_nearest((wanted + noise).astype(np.float32)).name == f"{seed}.png"


@pytest.mark.parametrize(
    ("stem", "seconds", "frame"),
    [
        ("frame-000120", None, 120),
        ("reel2 Frame 7", None, 7),
        ("f0042", None, 42),
        ("000123", None, 123),
        ("film-000120", None, 120),
        ("film_7", None, 7),
        ("portrait-000120", None, None),
        ("film2_7", None, None),
        ("IMG_1931", None, None),
        ("1931", None, None),
        ("12-30", None, None),
        ("photograph 12 of 20", None, None),
        ("t00m12s", 12, None),
        ("film 00-01-30", 90, None),
        ("at 1h02m03s", 3723, None),
        ("1m30", 90, None),
        ("00.10.05", 605, None),
        ("portrait", None, None),
        ("1950-05-12", None, None),
        ("wedding 12.5.1950", None, None),
        ("scan_19500512", None, None),
        ("1950-05-12 reel 3 00-01-30", 90, None),
        ("19500512_0042", None, None),
        ("19500512_f0042", None, 42),
    ],
)
def test_names_state_frames_or_times(stem, seconds, frame):
    assert parse_position(stem, "film") == (seconds, frame)


def test_a_shot_gets_the_first_reference_from_its_beginning_on(tmp_path: Path):
    for name in ("a-10.png", "a-00-00-04.png", "frame-5.png"):
        scene(1).save(tmp_path / name)
    library = ReferenceLibrary(tmp_path)
    found = {first: library.find_for_frame(first, 25, "a") for first in (0, 10, 11, 100, 500)}
    names = {first: path and path.name for first, path in found.items()}
    time = "a-00-00-04.png"
    assert names == {0: "a-10.png", 10: "a-10.png", 11: time, 100: time, 500: time}
    other = library.find_for_frame(0, 25, "film of another name")
    assert other is not None
    assert other.name == "frame-5.png"


def test_folder_without_pictures_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="no picture in it can be read"):
        ReferenceLibrary(tmp_path)
    with pytest.raises(UsageError, match="cannot be read"):
        ReferenceLibrary(tmp_path / "missing")


def test_references_of_another_reel_are_not_those_of_this_one(tmp_path: Path):
    for name in ("reel1-50.png", "reel10-5.png"):
        scene(1).save(tmp_path / name)
    library = ReferenceLibrary(tmp_path)
    for film, name in (("reel1", "reel1-50.png"), ("reel10", "reel10-5.png")):
        found = library.find_for_frame(0, 25, film)
        assert found is not None
        assert found.name == name
