"""Animated PNG and WebP are coloured whole; of other animations the first frame on request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.animation import read_animation_header
from batchcolor.images.decode import decode
from batchcolor.images.formats import PNG
from batchcolor.images.header import estimate_memory
from batchcolor.images.png.png_chunks import build_chunk
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
    assert estimate_memory(found, 10**6, allow_multiple=True) > 0
    picture = decode(found, 10**6)
    assert abs(int(np.median(picture.luma)) - LEVELS[0]) <= 2
    assert picture.notes == ["the first of 3 pages or frames; the others are dropped"]


@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif"])
def test_animation_is_coloured_whole(
    tmp_path: Path, command: Callable[..., Any], flat: str, suffix: str, has_alpha: bool
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    mode = "RGBA" if has_alpha else "RGB"
    frames = [Image.new(mode, (41, 30), (v, v, v, 255)[: len(mode)]) for v in LEVELS]
    if has_alpha:
        for number, frame in enumerate(frames):
            frame.paste((0, 0, 0, 0), (0, 0, 10 + number, 30))
    exif = Image.Exif()
    exif[0x010E] = "Aunt Ida, 1931"
    durations = [80, 120, 200]
    first, *others = frames
    more = {".webp": {"lossless": True}, ".png": {"disposal": 1}}
    options: dict[str, Any] = more.get(suffix, {"quality": 100})
    first.save(
        *(source / f"moving{suffix}",),
        save_all=True,
        append_images=others,
        duration=durations,
        loop=3,
        exif=exif,
        **options,
    )
    done = command("run", source, "-m", flat, "-o", out)
    assert done.returncode == 0, done.stderr
    with Image.open(out / f"moving{suffix}") as image:
        assert image.n_frames == len(LEVELS)
        assert image.info.get("loop", 3) == 3  # Pillow reads none of AVIF
        assert image.getexif()[0x010E] == "Aunt Ida, 1931"
        for number, level in enumerate(LEVELS):
            image.seek(number)
            image.load()
            assert image.info["duration"] == durations[number]
            luma = np.asarray(image.convert("RGB").convert("L"))[:, 20:]
            assert np.abs(luma.astype(int) - level).max() <= 2
            if has_alpha:
                alpha = np.asarray(image.convert("RGBA"))[..., 3]
                assert set(np.unique(alpha[:, : 10 + number])) == {0}
                assert set(np.unique(alpha[:, 10 + number :])) == {255}


def test_animation_in_colour_is_copied_and_another_format_is_refused(
    tmp_path: Path, command: Callable[..., Any], flat: str
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    random = np.random.default_rng(0)
    tiles = random.integers(0, 255, (3, 8, 8, 3), np.uint8)
    first, *others = (Image.fromarray(t).resize((64, 64), Image.Resampling.NEAREST) for t in tiles)
    first.save(source / "moving.webp", save_all=True, append_images=others, duration=80)
    assert command("run", source, "-m", flat, "-o", out).returncode == 0
    assert (out / "moving.webp").read_bytes() == (source / "moving.webp").read_bytes()
    refused = command("run", source, "-m", flat, "-o", tmp_path / "2", "--format", "jpeg")
    assert refused.returncode == 3
    assert "jpeg is not written animated" in refused.stderr
    options = ("--format", "jpeg", "--pages", "first", "--if-colored", "recolor")
    assert command("run", source, "-m", flat, "-o", tmp_path / "2", *options).returncode == 0


def test_truncated_animation_fails_alone(
    tmp_path: Path, command: Callable[..., Any], flat: str
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (3, 60, 60), np.uint8)
    for suffix in (".png", ".webp"):
        first, *others = map(Image.fromarray, noise)
        path = source / f"moving{suffix}"
        first.save(path, save_all=True, append_images=others, duration=80)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    Image.fromarray(noise[0]).save(source / "still.png")
    done = command("run", source, "-m", flat, "-o", out)
    assert done.returncode == 3
    assert sorted(path.name for path in out.iterdir() if path.is_file()) == ["still.png"]


@pytest.mark.parametrize("stated", [0, 4, 10**6, 2**32 - 1])
def test_animated_png_that_states_frames_it_does_not_have_fails_from_its_header(
    tmp_path: Path, command: Callable[..., Any], flat: str, scan_file: ScanFile, stated: int
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_animation(source / "moving.png")
    data = (source / "moving.png").read_bytes()
    position = data.index(b"acTL") - 4
    content = stated.to_bytes(4, "big") + data[position + 12 : position + 16]
    chunk = build_chunk("acTL", content)
    (source / "moving.png").write_bytes(data[:position] + chunk + data[position + 20 :])
    header = read_animation_header(source / "moving.png", PNG)
    assert header is None if stated == 0 else header.frames == 3
    done = command("run", source, "-m", flat, "-o", out)
    assert done.returncode == (0 if stated == 0 else 3)
    if stated:
        assert "its number of frames is not that stated" in done.stderr
    picture = decode(scan_file(source / "moving.png"), 10**6)
    assert abs(int(np.median(picture.luma)) - LEVELS[0]) <= 2


@pytest.mark.parametrize("count", [1, 3])
def test_default_image_that_is_no_frame_is_coloured_too(
    tmp_path: Path, command: Callable[..., Any], flat: str, count: int
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    default, *frames = (
        Image.new("RGB", (40, 30), (level,) * 3) for level in (230, *LEVELS)[: count + 1]
    )
    path = source / "moving.png"
    default.save(path, save_all=True, default_image=True, append_images=frames, duration=80)
    done = command("run", source, "-m", flat, "-o", out)
    assert done.returncode == 0, done.stderr
    with Image.open(out / "moving.png") as image:
        assert getattr(image, "default_image", False)
        assert getattr(image, "n_frames", 1) == count + 1
        for number, level in enumerate((230, *LEVELS)[: count + 1]):
            image.seek(number)
            assert abs(np.asarray(image.convert("L")).mean() - level) <= 1
            assert number == 0 or image.info["duration"] == 80


def test_gamma_of_an_animated_png_is_converted(
    tmp_path: Path, command: Callable[..., Any], flat: str
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    path = source / "moving.png"
    write_animation(path)
    data = path.read_bytes()
    linear = build_chunk("gAMA", (100000).to_bytes(4, "big"))
    path.write_bytes(data[:33] + linear + data[33:])
    done = command("run", source, "-m", flat, "-o", out, "-v")
    assert done.returncode == 0, done.stderr
    assert "converted from its gamma 1 (PNG) to sRGB" in done.stderr
    with Image.open(out / "moving.png") as image:
        for number, level in enumerate(LEVELS):
            image.seek(number)
            shown = 255 * (1.055 * (level / 255) ** (1 / 2.4) - 0.055)
            assert abs(np.asarray(image.convert("L")).mean() - shown) <= 1


def test_memory_of_the_encoder_counts_for_animated_avif(
    tmp_path: Path, command: Callable[..., Any], flat: str
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    frames = [Image.new("RGB", (1000, 800), (level,) * 3) for level in LEVELS]
    for suffix in (".png", ".avif"):
        path = source / f"moving{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=80)
    done = command("run", source, "-m", flat, "-o", "out", "--max-memory", "70M", "--dry-run")
    assert done.returncode == 0, done.stderr
    done = command("run", source, "-m", flat, "-o", "out", "--max-memory", "70M")
    assert done.returncode == 3
    assert "moving.avif" in done.stderr
    assert "more than --max-memory" in done.stderr
    assert (tmp_path / "out" / "moving.png").exists()
