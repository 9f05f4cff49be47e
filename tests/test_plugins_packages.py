"""The packages in plugins/, installed by pip and used by the command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir())
MODULES = tuple(package.name.replace("-", "_") for package in PACKAGES)
TONERS = ("sepia", "cyanotype", "selenium", "hand-tint")

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages, installed by pip into a folder of their own; no network is needed."""
    target = tmp_path_factory.mktemp("installed")
    options = "install -q --no-deps --no-index --no-build-isolation --target"
    subprocess.run(
        [sys.executable, "-m", "pip", *options.split(), target, *PACKAGES],
        check=True,
        timeout=300,
    )
    return target


@pytest.fixture
def run(
    command: Command, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """`batchcolor ...` with both packages installed, beside a folder with three photographs."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("photographer.png", "dog.jpg", "river.png"):
        shutil.copy(ROOT / "samples" / "photos" / name, photos)
    monkeypatch.syspath_prepend(str(installed))
    for name in [name for name in sys.modules if name.startswith(MODULES)]:
        monkeypatch.delitem(sys.modules, name)  # a copy that another test has imported
    return command


def mean_colour(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        colour: np.ndarray = np.asarray(image.convert("RGB")).astype(float).mean(axis=(0, 1))
    return colour


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_is_complete(package: Path, installed: Path) -> None:
    assert {"pyproject.toml", "README.md", "LICENSE", "tests"} <= {
        p.name for p in package.iterdir()
    }
    module = package.name.replace("-", "_")
    assert (installed / module / "py.typed").is_file()
    (metadata,) = installed.glob(f"{module}-*.dist-info/METADATA")
    assert "License-Expression: Apache-2.0" in metadata.read_text()
    assert list(installed.glob(f"{module}-*.dist-info/licenses/LICENSE"))


def test_both_packages_are_listed_with_their_models(run: Command) -> None:
    plugins = {row["name"]: row for row in json.loads(run("plugins", "--json").stdout)}
    assert plugins["sepia"]["package"] == "batchcolor-sepia"
    assert plugins["foreign"]["state"] == plugins["sepia"]["state"] == "works"
    models = {row["name"] for row in json.loads(run("models", "--json").stdout)}
    assert models >= {"alpha", "beta", "foreign", *TONERS}


@pytest.mark.parametrize("toner", TONERS)
def test_a_toner_colours_photographs_and_keeps_their_luma(
    toner: str, run: Command, tmp_path: Path
) -> None:
    done = run("run", "photos", "--model", toner, "-o", "toned")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "photos" / "photographer.png") as image:
        before = np.asarray(image).astype(int)
    with Image.open(tmp_path / "toned" / "photographer.png") as image:
        after, colour = np.asarray(image.convert("L")).astype(int), np.asarray(image).astype(int)
    assert np.abs(after - before).mean() <= 0.5
    assert np.ptp(colour, axis=2).mean() > 2


def test_sepia_is_brown_and_cyanotype_is_blue(run: Command, tmp_path: Path) -> None:
    for toner in ("sepia", "cyanotype"):
        assert run("run", "photos", "--model", toner, "-o", toner).returncode == 0
    red, _, blue = mean_colour(tmp_path / "sepia" / "dog.jpg")
    assert red > blue + 20
    red, _, blue = mean_colour(tmp_path / "cyanotype" / "dog.jpg")
    assert blue > red + 20


def test_an_option_of_a_toner_reaches_the_picture(run: Command, tmp_path: Path) -> None:
    for depth in ("0.1", "1"):
        done = run("run", "photos", "-m", "sepia", "--set", f"depth={depth}", "-o", f"at-{depth}")
        assert done.returncode == 0, done.stderr
    shallow, deep = (mean_colour(tmp_path / f"at-{d}" / "dog.jpg") for d in ("0.1", "1"))
    assert np.ptp(deep) > np.ptp(shallow) + 10


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dept=1", "depth"),
        ("depth=7", "must be a number from 0 to 1"),
        ("depth=deep", "must be a number"),
    ],
)
def test_a_wrong_option_is_refused(setting: str, message: str, run: Command) -> None:
    done = run("run", "photos", "-m", "sepia", "--set", setting)
    assert done.returncode == 2
    assert message in done.stderr


def save_torchscript(path: Path) -> None:
    import torch

    paint = torch.nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        paint.weight.zero_()
        torch.nn.init.constant_(paint.bias, 0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(paint, torch.zeros(1, 1, 64, 64)), str(path))


def save_onnx(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Conv", ["l", "w", "b"], ["ab"])],
        "paint",
        [helper.make_tensor_value_info("l", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("ab", TensorProto.FLOAT, ["n", 2, "h", "w"])],
        [
            numpy_helper.from_array(np.zeros((2, 1, 1, 1), np.float32), "w"),
            numpy_helper.from_array(np.full(2, 0.25, np.float32), "b"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))


@pytest.mark.parametrize(("name", "save"), [("n.pt", save_torchscript), ("n.onnx", save_onnx)])
def test_a_foreign_network_file_colours_photographs(
    name: str, save: Callable[[Path], None], run: Command, tmp_path: Path
) -> None:
    save(tmp_path / name)
    settings = [f"path={name}", "space=lab", "scale=110", "input=l50", "size=128"]
    sets = [word for setting in settings for word in ("--set", setting)]
    done = run("run", "photos", "--model", "foreign", *sets, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == 3
    red, green, blue = mean_colour(tmp_path / "photos-colorized" / "dog.jpg")
    assert red > green > blue + 10  # a* and b* of 27 are a warm orange


def test_a_foreign_network_without_its_file_ends_with_exit_5(run: Command, tmp_path: Path) -> None:
    without = run("run", "photos", "--model", "foreign")
    missing = run("run", "photos", "--model", "foreign", "--set", "path=nowhere.onnx")
    assert (without.returncode, missing.returncode) == (5, 5)
    assert "--set path=" in without.stderr
    assert "nowhere.onnx: no such network file" in missing.stderr
    assert not (tmp_path / "photos-colorized").exists()
