"""Films and GIFs become animated PNG and WebP, and GIFs hold what has changed alone."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageDraw

FORMATS = [("apng", ".png"), ("awebp", ".webp")]


def write_gif(path, *, has_alpha=False, frames=6, **options):
    """Writes a ball that moves over a grey or a transparent ground."""
    pictures = []
    for number in range(frames):
        back = (0, 0, 0, 0) if has_alpha else (60, 60, 60, 255)
        picture = Image.new("RGBA", (96, 64), back)
        draw = ImageDraw.Draw(picture)
        draw.ellipse((6 + 8 * number, 20, 30 + 8 * number, 44), fill=(180, 180, 180, 255))
        pictures.append(picture)
    first, *rest = pictures
    options = {"disposal": 2} | options
    first.save(path, save_all=True, append_images=rest, duration=70, **options)
    return pictures


def read_animation(path):
    """Reads frames as RGBA, durations in milliseconds and how often it is shown, with Pillow."""
    with Image.open(path) as image:
        frames, durations = [], []
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            durations.append(image.info["duration"])
            frames.append(np.asarray(image.convert("RGBA")).astype(int))
        return frames, durations, image.info.get("loop")


@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize(("name", "suffix"), FORMATS)
def test_gif_becomes_an_animated_picture(command, flat, tmp_path, name, suffix, has_alpha):
    grey = write_gif(tmp_path / "a.gif", has_alpha=has_alpha, loop=2)
    result = command("run", "a.gif", "-m", flat, "-o", "out", "--format", name)
    assert result.returncode == 0, result.stderr
    frames, durations, plays = read_animation(tmp_path / "out" / f"a{suffix}")
    assert (durations, plays) == ([70] * 6, 3)
    for before, after in zip(grey, frames, strict=True):
        pixels = np.asarray(before).astype(int)
        assert (after[..., 3] == pixels[..., 3]).all()
        seen = pixels[..., 3] > 0
        luma = after[seen][:, :3] @ np.array([0.299, 0.587, 0.114])
        assert np.abs(luma - pixels[seen][:, 0]).mean() < 2
    assert frames[0][30, 18, 2] > frames[0][30, 18, 0] + 20
    report = command("info", str(tmp_path / "out" / f"a{suffix}"))
    assert "batchcolor run" in report.stdout


def test_film_becomes_an_animated_png_with_exact_durations(command, flat, make_clip, tmp_path):
    make_clip(tmp_path / "a.mp4", frames=5, rate=Fraction(24000, 1001))
    result = command("run", "a.mp4", "-m", flat, "-o", "out", "--codec", "apng")
    assert result.returncode == 0, result.stderr
    frames, durations, plays = read_animation(tmp_path / "out" / "a.png")
    assert plays == 0
    assert sum(durations) == pytest.approx(5 * 1001 / 24, abs=0.1)
    assert {frame.shape for frame in frames} == {(48, 64, 4)}


@pytest.mark.parametrize(("name", "suffix"), FORMATS)
def test_film_with_audio_is_refused_with_the_format_that_holds_it(
    command, flat, make_clip, tmp_path, name, suffix
):
    make_clip(tmp_path / "a.mkv", frames=5, audio=("aac",))
    result = command("run", "a.mkv", "-m", flat, "-o", "out", "--format", name)
    assert result.returncode == 3
    assert f"{name} cannot hold audio stream 1 (aac); --format mkv can" in " ".join(
        result.stderr.split()
    )
    assert not (tmp_path / "out" / f"a{suffix}").exists()


@pytest.mark.parametrize(("source", "format_"), [("a.webp", "apng"), ("a.png", "webp")])
def test_animated_pictures_change_their_format_and_keep_metadata(
    command, flat, tmp_path, source, format_
):
    exif = Image.Exif()
    exif[0x010E] = "Aunt Ida"
    write_gif(tmp_path / source, exif=exif, **({"lossless": True} if "webp" in source else {}))
    result = command("run", source, "-m", flat, "-o", "out", "--format", format_)
    assert result.returncode == 0, result.stderr
    (target,) = (tmp_path / "out").glob("a.*")
    frames, durations, _ = read_animation(target)
    assert (len(frames), durations) == (6, [70] * 6)
    with Image.open(target) as image:
        assert image.format == {"apng": "PNG", "webp": "WEBP"}[format_]
        assert image.getexif()[0x010E] == "Aunt Ida"


@pytest.mark.parametrize(("loop", "note"), [(1, "is shown once"), (3, "is shown 3 times"), (0, "")])
def test_loop_count_that_avif_drops_is_noted(command, flat, tmp_path, loop, note):
    write_gif(tmp_path / "a.png", loop=loop)
    result = command("run", "a.png", "-m", flat, "-o", "out", "--format", "avif", "-v")
    assert result.returncode == 0, result.stderr
    assert (f"{note}: avif always repeats it" in result.stderr) == bool(note)


@pytest.mark.parametrize("has_alpha", [False, True])
def test_frames_of_a_gif_are_no_larger_than_what_changes(command, flat, tmp_path, has_alpha):
    grey = write_gif(tmp_path / "a.gif", has_alpha=has_alpha)
    assert command("run", "a.gif", "-m", flat, "-o", "out").returncode == 0
    target = tmp_path / "out" / "a.gif"
    frames, durations, _ = read_animation(target)
    assert durations == [70] * 6
    for before, after in zip(grey, frames, strict=True):
        pixels = np.asarray(before).astype(int)
        assert (after[..., 3] == pixels[..., 3]).all()
        seen = pixels[..., 3] > 0
        luma = after[seen][:, :3] @ np.array([0.299, 0.587, 0.114])
        assert np.abs(luma - pixels[seen][:, 0]).mean() < 5
    with Image.open(target) as image:
        for number in range(1, 5):
            image.seek(number)
            left, top, right, bottom = image.tile[0].extents if image.tile else (0, 0, 96, 64)
            assert (right - left, bottom - top) <= (60, 40)
