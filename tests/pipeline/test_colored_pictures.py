"""`--if-colored`: pictures that are in colour already are copied, skipped or recoloured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

IN_COLOUR = "in colour already"


@pytest.fixture
def mixed(album, tmp_path: Path) -> Path:
    """An album of two grey pictures and one in colour."""
    folder = album(2)
    chance = np.random.default_rng(2)
    areas = Image.fromarray(chance.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    areas.resize((160, 120)).save(folder / "holiday.jpg", quality=90)
    return folder


def run(command, source, out, *options):
    done = command("run", source, "-o", out, "-m", "flat", "--json", *options)
    return done, json.loads(done.stdout)


def test_a_picture_in_colour_is_copied_byte_for_byte(command, flat, mixed, tmp_path):
    out = tmp_path / "out"

    done, report = run(command, mixed, out)

    assert done.returncode == 0
    assert (report["done"], report["copied"], report["failed"]) == (2, 1, 0)
    assert (out / "holiday.jpg").read_bytes() == (mixed / "holiday.jpg").read_bytes()
    assert (out / "holiday.jpg").stat().st_mtime_ns == (mixed / "holiday.jpg").stat().st_mtime_ns
    assert f"1 {IN_COLOUR} and copied" in done.stderr


def test_a_second_run_leaves_the_copy(command, flat, mixed, tmp_path):
    run(command, mixed, tmp_path / "out")

    done, report = run(command, mixed, tmp_path / "out", "--strength", "1")

    assert (done.returncode, report["done"], report["skipped"], report["existed"]) == (0, 0, 3, 0)


def test_a_copy_has_the_suffix_of_its_source(command, flat, mixed, tmp_path):
    out = tmp_path / "out"

    _, first = run(command, mixed, out, "--format", "png")
    _, second = run(command, mixed, out, "--format", "png")

    assert (out / "holiday.jpg").read_bytes() == (mixed / "holiday.jpg").read_bytes()
    assert not (out / "holiday.png").exists()
    assert (first["copied"], second["skipped"]) == (1, 3)


def test_a_copy_never_replaces_another_file(command, flat, mixed, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "holiday.jpg").write_bytes(b"another program's")

    done, report = run(command, mixed, out, "--format", "png")

    assert done.returncode == 3
    assert report["failures"][0]["reason"].startswith("is in colour and was not copied")
    assert (out / "holiday.jpg").read_bytes() == b"another program's"


def test_skip_writes_no_result_and_remembers_it(command, flat, mixed, tmp_path):
    out = tmp_path / "out"

    done, report = run(command, mixed, out, "--if-colored", "skip")
    _, second = run(command, mixed, out, "--if-colored", "skip")

    assert (report["done"], report["skipped"], report["colored_skipped"]) == (2, 1, 1)
    assert not (out / "holiday.jpg").exists()
    assert f"1 {IN_COLOUR} and skipped" in done.stderr
    assert (second["skipped"], second["colored_skipped"]) == (3, 0)


def test_skipped_pictures_are_copied_when_that_is_asked_later(command, flat, mixed, tmp_path):
    run(command, mixed, tmp_path / "out", "--if-colored", "skip")

    _, report = run(command, mixed, tmp_path / "out")

    assert (report["copied"], report["skipped"]) == (1, 2)


def test_recolor_colours_it_from_its_luma(command, flat, mixed, tmp_path):
    out = tmp_path / "out"

    _, report = run(command, mixed, out, "--if-colored", "recolor")

    assert (report["done"], report["copied"]) == (3, 0)
    assert (out / "holiday.jpg").read_bytes() != (mixed / "holiday.jpg").read_bytes()


def test_a_folder_of_colour_pictures_alone_is_copied(command, flat, mixed, tmp_path):
    _, report = run(command, mixed / "holiday.jpg", tmp_path / "out")

    assert (report["done"], report["copied"]) == (0, 1)
    assert (tmp_path / "out" / ".batchcolor" / "journal.jsonl").exists()
