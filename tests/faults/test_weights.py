"""Weights that are missing, altered, of another network or with code: exit 5 and one line."""

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
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("L", (24, 16), 100).save(folder / "a.png")
    return folder


@pytest.fixture
def copies(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("beta.safetensors", "beta.json", "alpha.safetensors", "alpha.json"):
        shutil.copy(WEIGHTS / name, folder)
    return folder


def alter(folder):
    path = folder / "beta.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    return path


def truncate(folder):
    path = folder / "beta.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    return path


def truncate_without_card(folder):
    path = truncate(folder)
    path.with_suffix(".json").unlink()
    return path


def use_alpha(folder):
    (folder / "alpha.safetensors").rename(folder / "x.safetensors")
    return folder / "x.safetensors"


def change_version(folder):
    card = json.loads((folder / "beta.json").read_text())
    (folder / "beta.json").write_text(json.dumps({**card, "architecture": 77}))
    return folder / "beta.safetensors"


def pickle_object(folder):
    class Malicious:
        def __reduce__(self):
            return print, ("I ran",)

    path = folder / "malicious.pt"
    torch.save({"weight": Malicious()}, path, pickle_module=pickle)
    return path


@pytest.mark.parametrize(
    "make",
    [alter, truncate, truncate_without_card, use_alpha, change_version, pickle_object],
    ids=lambda f: f.__name__,
)
def test_invalid_weights_exit_with_5_and_one_line(command, folder, copies, tmp_path, make):
    result = command("run", folder, "-m", "beta", "-o", tmp_path / "out", "--weights", make(copies))
    assert result.returncode == 5, result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert "I ran" not in result.stdout + result.stderr
    assert not (tmp_path / "out").exists()


def test_weights_of_another_version_are_refused_where_an_export_exists(
    command, folder, copies, tmp_path
):
    arguments = ("-m", "beta", "--backend", "auto")
    cache = {"BATCHCOLOR_CACHE": str(tmp_path / "cache")}
    assert command("run", folder, *arguments, "-o", tmp_path / "out", **cache).returncode == 0
    weights = change_version(copies)
    result = command(
        "run", folder, *arguments, "-o", tmp_path / "again", "--weights", weights, **cache
    )
    assert result.returncode == 5, result.stderr


def test_missing_weights_name_the_searched_folders(plugin, command, folder, tmp_path):
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


def test_torch_weights_are_loaded_without_unpickling_objects(command, folder, copies, tmp_path):
    torch.save(load_file(copies / "beta.safetensors"), copies / "mine.pt")
    result = command(
        "run", folder, "-m", "beta", "-o", tmp_path / "out", "--weights", copies / "mine.pt"
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.safetensors")), ids=lambda it: it.stem)
def test_every_value_of_the_installed_weights_is_finite(path):
    assert all(bool(value.isfinite().all()) for value in load_file(path).values())


def test_values_beyond_half_precision_are_kept_in_single_precision():
    kept = to_half(torch.tensor([1.0, 1e5]))
    assert kept.dtype == torch.float32
    assert kept.tolist() == [1.0, 1e5]
    assert to_half(torch.tensor([1.0, 6e4])).dtype == torch.float16
    assert to_half(torch.tensor([3])).dtype == torch.int64
