"""Animated PNG, WebP and AVIF, and other files with several pictures: refused, or their first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.decode import decode
from batchcolor.images.header import estimate_memory
from batchcolor.images.scan import ScannedFile

ScanFile = Callable[[Path], ScannedFile]
LEVELS = (60, 120, 180)


def write_animation(path: Path) -> None:
    """Writes three grey frames."""
    first, *others = (Image.new("RGB", (40, 30), (level,) * 3) for level in LEVELS)
    first.save(path, save_all=True, append_images=others, duration=80)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif"])
def test_animation_is_refused_by_name_and_its_first_frame_is_coloured(
    tmp_path: Path, scan_file: ScanFile, suffix: str
) -> None:
    path = tmp_path / f"in{suffix}"
    write_animation(path)
    found = scan_file(path)
    with pytest.raises(ProcessingError, match=r"animation: it has 3 pages.*--pages first"):
        estimate_memory(found, 10**6)
    assert estimate_memory(found, 10**6, is_first_enough=True) > 0
    picture = decode(found, 10**6)
    assert abs(int(np.median(picture.luma)) - LEVELS[0]) <= 2
    assert picture.notes == ["the first of 3 pages or frames; the others are dropped"]


def test_run_colours_the_first_frame_after_it_was_refused(
    tmp_path: Path, command: Callable[..., Any], flat: str
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_animation(source / "moving.png")
    refused = command("run", source, "-m", flat, "-o", out)
    assert refused.returncode == 3
    assert "--pages first" in refused.stderr
    done = command("run", source, "-m", flat, "-o", out, "--pages", "first")
    assert done.returncode == 0, done.stderr
    with Image.open(out / "moving.png") as image:
        assert getattr(image, "n_frames", 1) == 1
