"""batchcolor from Python: the command's own engine."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import batchcolor
from batchcolor.errors import ProcessingError, UnknownModelError, UsageError


def test_a_pillow_image_an_array_and_a_path_give_the_same_colour(tmp_path, grey_picture):
    image = grey_picture(120, 80)
    path = tmp_path / "in.png"
    image.save(path)
    from_image = batchcolor.colorize(image)
    from_array = batchcolor.colorize(np.asarray(image))
    from_path = batchcolor.colorize(path)
    assert isinstance(from_image, Image.Image)
    assert isinstance(from_array, np.ndarray)
    assert from_array.shape == (80, 120, 3)
    assert np.array_equal(np.asarray(from_image), from_array)
    assert np.array_equal(np.asarray(from_path), from_array)


def test_luma_is_kept_and_strength_is_kept_to(grey_picture):
    image = grey_picture(120, 80)
    model = batchcolor.load_colorizer("beta", device="cpu")
    result = model.colorize(image)
    difference = np.abs(np.asarray(result.convert("L"), int) - np.asarray(image, int))
    assert difference.max() <= 1
    grey = np.asarray(model.colorize(image, strength=0.0))
    assert (grey.max(axis=2) == grey.min(axis=2)).all()
    assert (np.asarray(result).max(axis=2) != np.asarray(result).min(axis=2)).mean() > 0.5


def test_deep_arrays_stay_deep_and_transparency_stays(grey_picture):
    deep = np.asarray(grey_picture(40, 30)).astype(np.uint16) * 257
    assert batchcolor.colorize(deep).dtype == np.uint16
    rgba = grey_picture(40, 30).convert("RGBA")
    rgba.putalpha(77)
    assert batchcolor.colorize(rgba).getpixel((3, 3))[3] == 77


def test_a_loaded_colorizer_is_callable_on_luma():
    model = batchcolor.load_colorizer("alpha", device="cpu")
    size = model.working_size
    chroma = model(np.random.default_rng(0).random((3, 1, size, size), np.float32))
    assert chroma.shape[:2] == (3, 2)
    assert np.abs(chroma).max() <= 0.5
    with pytest.raises(UsageError, match="shape"):
        model(np.zeros((1, 1, 3, 3), np.float32))


def test_what_cannot_be_coloured_is_an_error_with_a_sentence(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(ProcessingError, match="not a picture"):
        batchcolor.colorize(tmp_path / "bad.jpg")
    with pytest.raises(ProcessingError):
        batchcolor.colorize(tmp_path / "absent.jpg")
    with pytest.raises(UsageError, match="array of float64"):
        batchcolor.colorize(np.zeros((4, 4)))
    with pytest.raises(UsageError, match="cannot colour a int"):
        batchcolor.colorize(3)
    with pytest.raises(UnknownModelError):
        batchcolor.load_colorizer("nobody")


def test_importing_batchcolor_and_its_contract_imports_no_torch():
    code = (
        "import sys, batchcolor; batchcolor.ColorizerSpec, batchcolor.hookimpl, batchcolor.Recipe;"
        "from batchcolor.cli.app import build_app; build_app();"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_film_is_no_picture(make_clip, tmp_path, suffix):
    clip = tmp_path / f"film{suffix}"
    if suffix == ".gif":
        Image.new("L", (8, 8)).save(clip, save_all=True, append_images=[Image.new("L", (8, 8), 9)])
    else:
        make_clip(clip)
    with pytest.raises(ProcessingError, match="is a film"):
        batchcolor.colorize(clip)
