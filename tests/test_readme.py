"""Every command of the README runs, on a copy of the samples and without the network."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PUBLISHED = (ROOT / "docs" / "published-models.md").read_text()
OFFLINE = ["--no-deps", "--no-index", "--no-build-isolation"]

Command = Callable[..., subprocess.CompletedProcess[str]]


def fenced(language: str) -> list[str]:
    """Return the fenced blocks of the README in this language; "" selects those without one."""
    every = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [code for info, code in every if info == language]


def shell_lines() -> list[str]:
    return [line for block in fenced("") for line in block.splitlines() if line.strip()]


COMMANDS = [part.strip() for line in shell_lines() for part in line.split("&&")]


@pytest.fixture
def attic(tmp_path: Path) -> Path:
    """Make a folder that contains the sources that the README names."""
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    return tmp_path


def test_installation_takes_one_line_and_the_tests_another() -> None:
    assert shell_lines()[0] == "pip install ."
    assert shell_lines()[-1].startswith("pip install '.[test]'")
    assert shell_lines()[-1].endswith("&& pytest -n 2 --dist loadfile --max-worker-restart 0")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=[pytest.mark.slow] if "film" in line else [])
        for line in COMMANDS
        if line.startswith("batchcolor ")
    ],
)
def test_a_batchcolor_command_of_the_readme_works(line: str, attic: Path, command: Command) -> None:
    done = command(*shlex.split(line)[1:])
    assert done.returncode == 0, done.stderr
    folders = ("samples/photos-colorized", "coloured", "samples/film-colorized")
    results = [p for folder in folders for p in (attic / folder).rglob("*.*")]
    expected = 1 if "film" in line else 10
    assert len([p for p in results if ".batchcolor" not in p.parts and p.is_file()]) >= expected


@pytest.mark.parametrize("line", [c for c in COMMANDS if c.startswith("pip ")])
def test_what_the_pip_commands_install_can_be_built(line: str) -> None:
    message = [sys.executable, "-m", *shlex.split(line), "--dry-run", *OFFLINE]
    done = subprocess.run(message, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Would install batchcolor-" in done.stdout


@pytest.mark.slow
def test_the_tests_that_the_readme_runs_are_found() -> None:
    (line,) = [command for command in COMMANDS if command.startswith("pytest")]
    few = ["--collect-only", "-q", f"--ignore-glob={ROOT}/tests/*/*"]  # the others take longer
    message = [sys.executable, "-m", *shlex.split(line), *few]
    done = subprocess.run(message, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    for place in ("tests/test_readme.py", "batchcolor-sepia/tests", "batchcolor-foreign/tests"):
        assert place in done.stdout


def test_every_command_of_the_readme_is_tested() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"pip", "batchcolor", "pytest"}


def test_an_installed_package_brings_its_weights_and_colours_the_samples(
    attic: Path, environment: dict[str, str]
) -> None:
    """The README's first command, away from the checkout and without its dependencies' download."""
    target = attic / "installed"
    install = [sys.executable, "-m", "pip", "install", "-q", *OFFLINE, "--target", str(target), "."]
    subprocess.run(install, cwd=ROOT, check=True, timeout=300)
    path = os.pathsep.join([str(target), environment["PYTHONPATH"]])

    def run(*message: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "batchcolor", *message],
            cwd=attic,
            env={**environment, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=300,
        )

    models = {row["name"]: row["weights"] for row in json.loads(run("models", "--json").stdout)}
    assert models["beta"] == str(target / "batchcolor" / "_weights" / "beta.safetensors")
    assert models["alpha"] == str(target / "batchcolor" / "_weights" / "alpha.safetensors")
    done = run("run", "samples/photos", "--model", "beta", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == 10


def test_the_python_example_of_the_readme_runs(attic: Path, environment: dict[str, str]) -> None:
    (code,) = fenced("python")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=attic,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    with Image.open(attic / "photographer-in-colour.png") as image:
        assert image.size == (512, 512)
        assert image.mode == "RGB"


def test_the_figures_of_the_published_models_are_those_of_the_cards() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PUBLISHED, re.MULTILINE)
    table = [tuple(cell.strip("* ") for cell in row) for row in rows]
    names = [name for name, _, _ in table]
    cards = [
        json.loads((ROOT / "weights" / f"{name}.json").read_text())["measured"]
        for name in ("alpha", "beta")
    ]
    for head, metric in (("here, RGB MSE", "rgb_mse"), ("here, ab/128 MSE", "ab_mse")):
        first = names.index(head)
        for place, figure in enumerate(("ours", "grey", "mean_colour", "oracle")):
            for shown, card in zip(table[first + place][1:], cards, strict=True):
                digits = len(shown.partition(".")[2])
                assert shown == f"{card[metric][figure]:.{digits}f}", (head, figure)
    published = table[names.index("published validation loss")][1:]
    assert published == tuple(str(card["rgb_mse"]["published"]) for card in cards)


def test_the_figures_of_delta_are_those_of_its_card() -> None:
    card = json.loads((ROOT / "weights" / "delta.json").read_text())["photographs"]
    for name, row in card["rows"].items():
        label = {"grey": "left grey", "delta": "**`delta`**"}.get(
            name, "`" + name.replace(":vividness=", "`, vividness ") + ("" if ":" in name else "`")
        )
        cells = (
            f"{row['psnr_db']:.2f}",
            f"{row['delta_e_2000']:.2f}",
            f"{row['colorfulness']:.1f}",
        )
        assert f"| {label} | {' | '.join(cells)} |" in README
    assert f"| their own colours | | 0 | {card['truth_colorfulness']:.1f} |" in README
    assert card["rows"]["delta"]["delta_e_2000"] < card["rows"]["grey"]["delta_e_2000"]
