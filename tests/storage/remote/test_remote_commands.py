"""Commands that read results: each takes a URL, or says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

import batchcolor


@pytest.fixture
def storage(album: Callable[[int], Path], flat: str, tmp_path: Path, monkeypatch: Any) -> Any:
    """The storage in memory of fsspec, with two pictures in `in` and their results in `out`."""
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.put(f"{album(2)}/", "/in/", recursive=True)
    assert batchcolor.run("memory://in", output="memory://out", model=flat).done == 2
    yield system
    system.store.clear()


def test_a_result_is_restored_and_described_and_its_source_compared(
    storage: Any, command: Any, flat: str, tmp_path: Path
) -> None:
    assert command("restore", "memory://out/001.jpg", "-o", "grey.jpg").returncode == 0
    assert (tmp_path / "grey.jpg").read_bytes() == storage.cat_file("/in/001.jpg")
    shown = command("info", "memory://out/001.jpg", "--json")
    assert json.loads(shown.stdout)["model"] == flat, shown.stderr
    compared = command("compare", "memory://in", "-m", flat, "-o", "sheet.png", "--limit", "1")
    assert "1 picture; 1 of 2 skipped" in compared.stderr
    assert (tmp_path / "sheet.png").is_file()


def test_decisions_are_exported_and_imported_with_the_lines_of_others(
    storage: Any, command: Any
) -> None:
    path = "/out/.batchcolor/decisions.jsonl"
    storage.pipe_file(path, b'{"version": 1, "source": "001.jpg", "state": "approved"}\n')
    assert command("decisions", "export", "memory://out", "memory://out.csv").returncode == 0
    table = storage.cat_file("/out.csv").decode()
    assert "001.jpg" in table
    storage.pipe_file("/out.csv", table.replace("001.jpg", "1931 summer/000.jpg").encode())
    imported = command("decisions", "import", "memory://out", "memory://out.csv")
    assert "1 decision imported" in imported.stderr
    lines = [json.loads(line)["source"] for line in storage.cat_file(path).splitlines()]
    assert lines == ["001.jpg", "1931 summer/000.jpg"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("restore memory://out -o grey.jpg", "memory://out is a folder: name a file in it"),
        ("restore memory://out/001.jpg -o memory://grey.jpg", "write a file here and copy that"),
        ("info memory://out/lost.jpg", "memory://out/lost.jpg: it does not exist"),
        ("compare memory://lost -m flat", "memory://lost: it does not exist"),
        ("decisions import memory://in memory://t.csv", "not an output folder of batchcolor"),
        ("decisions export memory://lost", "not an output folder of batchcolor"),
        ("verify memory://lost", "memory://lost: it does not exist"),
        ("report memory://lost", "memory://lost: cannot be read: it does not exist"),
        ("review memory://out.tar", "is an archive, and this takes a folder of results"),
    ],
)
def test_what_cannot_be_read_or_written_is_refused_with_what_to_do(
    storage: Any, command: Any, arguments: str, reason: str
) -> None:
    failed = command(*arguments.split())
    assert failed.returncode == 2
    assert reason in " ".join(failed.stderr.split())
