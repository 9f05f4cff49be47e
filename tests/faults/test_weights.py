"""Weights that are missing, altered, foreign or worse: exit 5, one line, nothing run."""

import json
import pickle
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from batchcolor.inference.weights import PACKAGE
from batchcolor.training.results import to_half

WEIGHTS = next(
    folder for folder in (PACKAGE / "_weights", PACKAGE.parent / "weights") if folder.is_dir()
)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    Image.new("L", (24, 16), 100).save(place / "a.png")
    return place


@pytest.fixture
def copies(tmp_path):
    place = tmp_path / "weights"
    place.mkdir()
    for name in ("beta.safetensors", "beta.json", "alpha.safetensors", "alpha.json"):
        shutil.copy(WEIGHTS / name, place)
    return place


def altered(place):
    path = place / "beta.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    return path


def truncated(place):
    path = place / "beta.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    return path


def without_card(place):
    path = truncated(place)
    path.with_suffix(".json").unlink()
    return path


def of_alpha(place):
    (place / "alpha.safetensors").rename(place / "x.safetensors")
    return place / "x.safetensors"


def other_version(place):
    card = json.loads((place / "beta.json").read_text())
    (place / "beta.json").write_text(json.dumps({**card, "architecture": 77}))
    return place / "beta.safetensors"


def pickled(place):
    class Evil:
        def __reduce__(self):
            return print, ("I ran",)

    path = place / "evil.pt"
    torch.save({"weight": Evil()}, path, pickle_module=pickle)
    return path


@pytest.mark.parametrize(
    "make",
    [altered, truncated, without_card, of_alpha, other_version, pickled],
    ids=lambda f: f.__name__,
)
def test_weights_that_are_not_right_are_one_line_and_exit_5(
    command, folder, copies, tmp_path, make
):
    result = command("run", folder, "-m", "beta", "-o", tmp_path / "out", "--weights", make(copies))
    assert result.returncode == 5, result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert "I ran" not in result.stdout + result.stderr
    assert not (tmp_path / "out").exists()


def test_missing_weights_name_the_places_that_were_looked_at(plugin, command, folder, tmp_path):
    plugin(
        "lost",
        """
        import batchcolor

        @batchcolor.hookimpl
        def batchcolor_colorizers():
            return [batchcolor.ColorizerSpec("lost", "-", 16, lambda o: None, "lost.safetensors")]
        """,
    )
    result = command("run", folder, "-m", "lost", BATCHCOLOR_WEIGHTS=str(tmp_path / "elsewhere"))
    assert result.returncode == 5
    assert "elsewhere" in result.stderr
    assert "missing" in command("models", "--json").stdout


def test_a_folder_in_the_environment_comes_before_the_package(command, folder, copies, tmp_path):
    state = {name: value * 0 for name, value in load_file(copies / "beta.safetensors").items()}
    save_file(state, copies / "beta.safetensors")
    (copies / "beta.json").unlink()
    result = command(
        "run", folder, "-m", "beta", "-o", tmp_path / "out", BATCHCOLOR_WEIGHTS=str(copies)
    )
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert len(set(image.getpixel((5, 5)))) == 1  # zero weights give no colour


def test_plain_torch_weights_are_taken_without_unpickling_more(command, folder, copies, tmp_path):
    torch.save(load_file(copies / "beta.safetensors"), copies / "mine.pt")
    result = command(
        "run", folder, "-m", "beta", "-o", tmp_path / "out", "--weights", copies / "mine.pt"
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.safetensors")), ids=lambda it: it.stem)
def test_every_number_of_the_weights_that_come_along_is_finite(path):
    assert all(bool(value.isfinite().all()) for value in load_file(path).values())


def test_what_does_not_fit_half_precision_is_kept_in_single():
    kept = to_half(torch.tensor([1.0, 1e5]))
    assert kept.dtype == torch.float32
    assert kept.tolist() == [1.0, 1e5]
    assert to_half(torch.tensor([1.0, 6e4])).dtype == torch.float16
    assert to_half(torch.tensor([3])).dtype == torch.int64
