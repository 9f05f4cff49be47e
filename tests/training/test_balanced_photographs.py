"""A folder of training photographs is balanced by what they show."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks are no part of the installed package."""
    monkeypatch.syspath_prepend(str(ROOT))


def draw(kind: str, seed: int) -> Image.Image:
    """Draws stripes, one disc, or noise, each a little different."""
    random = np.random.default_rng(seed)
    if kind == "noise":
        pixels = random.integers(0, 256, (120, 120, 3), dtype=np.uint8)
        return Image.fromarray(pixels)
    image = Image.new("RGB", (120, 120), (40, 60, 90))
    pen = ImageDraw.Draw(image)
    if kind == "stripes":
        for left in range(int(random.integers(0, 8)), 120, 16):
            pen.rectangle((left, 0, left + 7, 119), fill=(220, 210, 180))
    else:
        left, top = (int(edge) for edge in random.integers(10, 30, 2))
        pen.ellipse((left, top, left + 70, top + 70), fill=(230, 180, 60))
    return image


def test_at_most_so_many_of_a_cluster_are_kept_and_its_folders_take_turns() -> None:
    from benchmarks.balanced_photographs import keep_balanced

    labels = np.array([0] * 50 + [1] * 3)
    folders = ["large"] * 46 + ["small"] * 4 + ["large"] * 3
    kept = keep_balanced(labels, folders, 10)
    assert kept == sorted(set(kept))
    assert sum(index < 46 for index in kept) == 6
    assert sum(46 <= index < 50 for index in kept) == 4
    assert [index for index in kept if index >= 50] == [50, 51, 52]
    assert kept == keep_balanced(labels, folders, 10)


def test_effective_number_of_clusters_is_highest_where_they_are_equally_large() -> None:
    from benchmarks.balanced_photographs import count_effective

    assert count_effective(np.repeat(np.arange(4), 5)) == pytest.approx(4)
    assert count_effective(np.array([0] * 97 + [1, 2, 3])) < 1.3


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Runs the command line."""
    from benchmarks.balanced_photographs import main

    monkeypatch.setattr(sys, "argv", ["balanced_photographs", *arguments])
    main()


def test_frequent_subject_is_reduced_and_rare_ones_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs, output = tmp_path / "photographs", tmp_path / "balanced"
    for kind, count in (("stripes", 40), ("disc", 4), ("noise", 4)):
        (photographs / kind).mkdir(parents=True)
        for seed in range(count):
            draw(kind, seed).save(photographs / kind / f"{seed}.png")
    run(monkeypatch, str(photographs), str(output), "--clusters", "4", "--per-cluster", "8")
    assert "all:  48 photographs" in capsys.readouterr().out
    counts = {kind: len(list((output / kind).iterdir())) for kind in ("stripes", "disc", "noise")}
    assert counts["disc"] == counts["noise"] == 4
    assert 8 <= counts["stripes"] <= 24  # at most three of the four clusters are stripes
    kept = next((output / "disc").iterdir())
    assert kept.samefile(photographs / "disc" / kept.name)


def test_folder_without_photographs_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, str(tmp_path))
    assert stopped.value.code == 2
    assert "no photographs" in capsys.readouterr().err


def test_output_within_the_photographs_or_with_files_is_an_error_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs, filled = tmp_path / "photographs", tmp_path / "filled"
    for folder in (photographs, filled):
        folder.mkdir()
        draw("disc", 0).save(folder / "0.png")
    for output, reason in (
        (photographs, "is part of"),
        (photographs / "balanced", "is part of"),
        (filled, "is not an empty folder"),
    ):
        with pytest.raises(SystemExit) as stopped:
            run(monkeypatch, str(photographs), str(output), "--clusters", "1")
        assert stopped.value.code == 2
        assert reason in capsys.readouterr().err
    assert [path.name for path in photographs.iterdir()] == ["0.png"]
    assert [path.name for path in filled.iterdir()] == ["0.png"]
