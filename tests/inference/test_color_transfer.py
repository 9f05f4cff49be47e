"""Color transfer from a reference photograph (`--like`)."""

import numpy as np
import pytest
from PIL import Image

from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.color_transfer import ColorTransfer
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner

RNG = np.random.default_rng(5)


def tinted(path, shadows=(5, 10, 60), lights=(250, 220, 160), side=64):
    """Saves a horizontal gradient between two colours, with grain."""
    ramp = np.linspace(0, 1, side)[None, :, None]
    rgb = np.array(shadows) * (1 - ramp) + np.array(lights) * ramp
    rgb = rgb + RNG.normal(0, 4, (side, side, 3))
    Image.fromarray(rgb.clip(0, 255).astype(np.uint8)).save(path)
    return path


def ramp(side=32):
    return np.tile(np.linspace(0, 1, side, dtype=np.float32), (side, 1))


def test_shadows_and_highlights_get_the_reference_s_colours(tmp_path):
    transfer = ColorTransfer.from_picture(tinted(tmp_path / "album.png"))
    flat = RNG.normal(0, 0.02, (2, 32, 32)).astype(np.float32)
    cb, cr = transfer.apply(flat, ramp())
    assert cb[:, :8].mean() > 0.03 > -0.03 > cb[:, -8:].mean()  # blue shadows, yellow lights
    assert cr[:, -8:].mean() > 0.01


def test_transfer_to_the_reference_itself_changes_nothing(tmp_path):
    path = tinted(tmp_path / "album.png", side=64)
    rgb = np.asarray(Image.open(path), np.float32) / 255
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    chroma = np.stack([(rgb[..., 2] - luma) / 1.772, (rgb[..., 0] - luma) / 1.402])
    assert np.abs(ColorTransfer.from_picture(path).apply(chroma, luma) - chroma).max() < 0.002


@pytest.mark.parametrize("luma", [0.0, 0.5, 1.0])
def test_a_uniform_picture_gets_one_finite_colour(tmp_path, luma):
    transfer = ColorTransfer.from_picture(tinted(tmp_path / "album.png"))
    blank = np.full((32, 32), luma, np.float32)
    moved = transfer.apply(np.zeros((2, 8, 8), np.float32), blank)
    assert np.isfinite(moved).all()
    assert np.abs(moved).max() < 0.5
    assert np.ptp(moved, axis=(1, 2)).max() < 1e-6


def test_faint_chroma_is_not_amplified(tmp_path):
    strong = tinted(tmp_path / "strong.png", shadows=(255, 0, 0), lights=(0, 0, 255))
    faint = RNG.normal(0, 1e-4, (2, 32, 32)).astype(np.float32)
    moved = ColorTransfer.from_picture(strong).apply(faint, np.full((32, 32), 0.5, np.float32))
    assert moved.std(axis=(1, 2)).max() < 3e-4


def test_runner_applies_the_transfer_to_the_model_s_chroma(tmp_path):
    reference = tinted(tmp_path / "album.png")
    beta = load_plugins(False).find("beta")
    squares = [ramp(), ramp().T.copy()]
    plain = load_runner(beta, LoadOptions(device="cpu", batch_size=2)).run(squares)
    like = load_runner(beta, LoadOptions(device="cpu", batch_size=2, like=reference)).run(squares)
    expected = [
        ColorTransfer.from_picture(reference).apply(*pair)
        for pair in zip(plain, squares, strict=True)
    ]
    np.testing.assert_array_equal(like, expected)
    assert np.abs(like[0] - plain[0]).max() > 0.02


def test_a_reference_in_grey_is_not_used_and_reported(tmp_path):
    grey = tmp_path / "grey.png"
    Image.fromarray(RNG.integers(0, 255, (20, 20), np.uint8)).save(grey)
    transfer = ColorTransfer.from_picture(grey)
    assert "grey.png: has no colour, so it is not used" in transfer.note
    chroma = RNG.uniform(-0.2, 0.2, (2, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(transfer.apply(chroma, ramp()), chroma)


def test_a_job_with_a_reference_in_grey_has_the_colours_of_the_model(
    tmp_path, command, flat, grey_picture
):
    (tmp_path / "album").mkdir()
    for number in range(2):
        grey_picture(40, 30, number).save(tmp_path / "album" / f"{number}.png")
    reference = tmp_path / "reference.png"
    grey_picture(30, 30, 7).save(reference)
    plain = command("run", tmp_path / "album", "-m", flat, "-o", tmp_path / "plain")
    done = command("run", tmp_path / "album", "-m", flat, "--like", reference)
    assert (plain.returncode, done.returncode) == (0, 0), done.stderr
    assert done.stderr.count("reference.png: has no colour") == 1
    results = [tmp_path / name / "0.png" for name in ("plain", "album-colorized")]
    first, second = (np.asarray(Image.open(path)) for path in results)
    np.testing.assert_array_equal(first, second)
    assert np.ptp(first, axis=2).max() > 10


@pytest.mark.parametrize("content", [None, b"", b"no picture at all"])
def test_an_unreadable_reference_exits_with_2_and_writes_nothing(tmp_path, command, content):
    reference, photo = tmp_path / "album.jpg", tmp_path / "photo.png"
    if content is not None:
        reference.write_bytes(content)
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(photo)
    done = command("run", photo, "--model", "beta", "--like", reference)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    assert sorted(it.name for it in tmp_path.iterdir() if it.suffix) == sorted(
        path.name for path in (reference, photo) if path.exists()
    )


@pytest.mark.parametrize("is_toned", [True, False])
def test_a_reference_without_colours_of_its_own_is_reported(tmp_path, flat, is_toned):
    path = tmp_path / "album.png"
    if is_toned:
        tinted(path, (30, 18, 10), (255, 240, 205))
    else:
        areas = RNG.integers(30, 220, (6, 6, 3)).astype(np.uint8)
        Image.fromarray(areas).resize((96, 96), Image.Resampling.BICUBIC).save(path)
    runner = load_runner(load_plugins().find(flat), LoadOptions(like=path))
    assert any("toned or nearly grey" in note for note in runner.notes) is is_toned


def test_a_job_reports_a_toned_reference_once(tmp_path, command, flat, grey_picture):
    (tmp_path / "album").mkdir()
    for number in range(3):
        grey_picture(40, 30, number).save(tmp_path / "album" / f"{number}.png")
    reference = tinted(tmp_path / "sepia.png", (30, 18, 10), (255, 240, 205))
    done = command("run", tmp_path / "album", "-m", flat, "--like", reference)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("sepia.png: is toned or nearly grey") == 1
