"""The folder of training photographs is rebuilt from clones, without what would spoil it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

ROOT = Path(__file__).parents[2]
HEADER = "repository\tprefix\tgroup\tlimit\tcommit\n"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks are no part of the installed package."""
    monkeypatch.syspath_prepend(str(ROOT))


def photograph(seed: int) -> Image.Image:
    """Makes a colour picture of broad patches."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((360, 270), Image.Resampling.BICUBIC)


def commit(clone: Path) -> None:
    """Commits all files of a folder to a new repository in it."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "photos"]):
        subprocess.run(["git", "-C", str(clone), *command], check=True, timeout=300)


@pytest.fixture(name="clones")
def clones_fixture(tmp_path: Path) -> Path:
    """Makes a clone with two photographs, and one of each kind that is skipped."""
    where = tmp_path / "clones" / "someone+photos"
    (where / "pictures").mkdir(parents=True)
    first, second = photograph(1), photograph(2)
    first.save(where / "pictures" / "first.jpg")
    second.save(where / "pictures" / "second.png")
    first.resize((300, 200)).save(where / "pictures" / "smaller.jpg", quality=60)
    second.convert("L").convert("RGB").save(where / "pictures" / "grey.jpg")
    ImageOps.colorize(second.convert("L"), (40, 25, 10), (250, 225, 180)).save(
        where / "pictures" / "sepia.jpg"
    )
    second.resize((40, 40)).save(where / "pictures" / "tiny.jpg")
    second.resize((800, 100)).save(where / "pictures" / "narrow.jpg")
    Image.new("RGB", (200, 200), (200, 30, 30)).save(where / "pictures" / "flat.png")
    (where / "pictures" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with_alpha = second.convert("RGBA")
    with_alpha.putalpha(100)
    with_alpha.save(where / "pictures" / "alpha.png")
    crop = photograph(3).crop((0, 0, 288, 216))
    ImageOps.mirror(crop).save(where / "pictures" / "part-of-the-evaluation-set.jpg", quality=70)
    second.save(where / "elsewhere.png")
    commit(where)
    return where.parent


def build(tmp_path: Path, clones: Path, rows: str, *arguments: str) -> str:
    """Runs the command on a list of sources. Returns what it prints."""
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir(exist_ok=True)
    photograph(3).save(evaluation / "third.png")
    (tmp_path / "sources.tsv").write_text(HEADER + rows)
    command = [sys.executable, "-m", "benchmarks.training_photographs", tmp_path / "sources.tsv"]
    command += [clones, tmp_path / "out", evaluation, *arguments]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_distinct_colour_photographs_are_written(tmp_path: Path, clones: Path) -> None:
    printed = build(tmp_path, clones, "someone/photos\tpictures/\tthings\t\n")
    counts = dict(
        field.split("=") for field in printed.strip().partition(" pictures/ ")[2].split(" | ")
    )
    assert counts == {
        "listed": "11",
        "written": "2",
        "duplicate": "1",
        "grey": "1",
        "toned": "1",
        "tiny": "1",
        "narrow": "1",
        "flat": "1",
        "broken": "1",
        "transparent": "1",
        "near the evaluation set": "1",
    }
    written = list((tmp_path / "out" / "things" / "someone+photos").glob("*.jpg"))
    assert len(written) == 2
    for path in written:
        with Image.open(path) as image:
            assert min(image.size) <= 256


def test_a_longer_list_adds_to_the_folder(tmp_path: Path, clones: Path) -> None:
    first = "someone/photos\tpictures/\tthings\t1\n"
    assert "written=1" in build(tmp_path, clones, first)
    second = build(tmp_path, clones, f"{first}someone/photos\t\tall\t\nno/clone\t\tall\t\n")
    # The photograph that is written already is a duplicate now, at every size.
    assert second.count("\n") == 2
    assert "written=1" in second
    assert "no/clone  no clone" in second


def test_a_deleted_source_is_written_again_and_an_interrupted_one_completed(
    tmp_path: Path, clones: Path
) -> None:
    rows = "someone/photos\tpictures/\tthings\t\n"
    assert "written=2" in build(tmp_path, clones, rows)
    folder = tmp_path / "out" / "things" / "someone+photos"
    # As if the run had been stopped: one photograph is written, the folder is not complete.
    next(folder.glob("*.jpg")).unlink()
    folder.rename(folder.with_name("someone+photos.partial"))
    assert "written=2" in build(tmp_path, clones, rows)
    assert [path.name for path in folder.parent.iterdir()] == ["someone+photos"]
    assert len(list(folder.glob("*.jpg"))) == 2


def test_photographs_of_a_known_folder_are_duplicates(tmp_path: Path, clones: Path) -> None:
    rows = "someone/photos\tpictures/\tthings\t\n"
    build(tmp_path, clones, rows)
    (tmp_path / "out").rename(tmp_path / "earlier")
    printed = build(tmp_path, clones, rows, "--known", str(tmp_path / "earlier"))
    assert "duplicate=3" in printed
    assert "written" not in printed


def test_photographs_are_read_from_a_commit_that_had_them(tmp_path: Path, clones: Path) -> None:
    where = clones / "someone+photos"
    git = ["git", "-C", str(where)]
    first = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    subprocess.run([*git, "rm", "-rq", "pictures"], check=True)
    commit(where)
    printed = build(
        tmp_path,
        clones,
        "someone/photos\tpictures/\tnow\t\t\n"
        f"someone/photos\tpictures/\tbefore\t\t{first.stdout.strip()}\n"
        "someone/photos\tpictures/\tnever\t\tffffffff\n",
    )
    lines = printed.splitlines()
    assert lines[0].endswith("listed=0")
    assert "written=2" in lines[1]
    assert "cannot read commit ffffffff" in lines[2]


def test_two_rows_for_one_folder_are_an_error(tmp_path: Path) -> None:
    from benchmarks.training_photographs import read_sources

    row = "someone/photos\tpictures/\tthings\t\n"
    (tmp_path / "sources.tsv").write_text(HEADER + row + row.replace("pictures/", "more/"))
    with pytest.raises(ValueError, match="2 rows for things/someone\\+photos"):
        read_sources(tmp_path / "sources.tsv")


def test_black_bars_are_removed_but_not_a_dark_edge() -> None:
    from benchmarks.photograph_checks import trim_bars

    picture = photograph(1)
    letterboxed = Image.new("RGB", (360, 360))
    letterboxed.paste(picture, (0, 40))
    trimmed = trim_bars(letterboxed)
    assert trimmed.size == picture.size
    assert np.array_equal(np.asarray(trimmed), np.asarray(picture))
    night = Image.new("RGB", (360, 360))
    night.paste(picture, (0, 90))  # dark above only
    assert trim_bars(night).size == night.size
    black = Image.new("RGB", (50, 50))
    assert trim_bars(black).size == black.size


def test_both_hashes_recognize_a_picture_at_another_size_and_quality(tmp_path: Path) -> None:
    from benchmarks.picture_hashes import HashIndex, hash_whole

    first = photograph(1)
    first.resize((180, 120)).save(tmp_path / "copy.jpg", quality=50)
    with Image.open(tmp_path / "copy.jpg") as image:
        copy = hash_whole(image.convert("RGB"))
    other = hash_whole(photograph(2))
    for which in range(2):
        index = HashIndex(distance=3)
        alone = hash_whole(first)[:1].copy()
        alone[:, 1 - which] = np.uint64(0x5555555555555555)  # the other hash cannot decide
        index.add(alone)
        assert index.is_near(copy[:1])
        assert not index.is_near(other[:1])
