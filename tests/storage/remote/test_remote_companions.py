"""Decisions and painted hints that lie beside pictures on remote storage and in archives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

import batchcolor
from batchcolor.images.scan import SkippedEntry
from batchcolor.pipeline.planning.remote_companions import attach_companions
from batchcolor.storage import mounts
from batchcolor.storage.remote.store import RemoteObject


@pytest.fixture
def pictures(album: Callable[..., Path]) -> Path:
    """A folder of five grey pictures; four have companion files."""
    folder = album(5)
    for path in list(folder.glob("*/*.jpg")):
        path.rename(folder / path.name)
    paths = sorted(folder.glob("*.jpg"))
    strengths = {paths[0].name: 0.0, paths[1].stem: 0.4}
    for name, strength in strengths.items():
        (folder / f"{name}.batchcolor.json").write_text(json.dumps({"strength": strength}))
    for name in (paths[2].name, paths[3].stem):
        paint(folder / f"{name}.hints.png", Image.open(paths[2]).size)
    return folder


def paint(path: Path, size: tuple[int, int]) -> None:
    hints = np.zeros((size[1], size[0], 4), np.uint8)
    hints[: size[1] // 2, :, :] = 220, 40, 30, 255
    Image.fromarray(hints).save(path)


@pytest.fixture
def memory() -> Any:
    """The storage in memory of fsspec, empty before and after."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def results(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jpg"))}


@pytest.fixture
def local(pictures: Path, flat: str, tmp_path: Path) -> dict[str, bytes]:
    """The results of the pictures as a local folder, of which companions change four."""
    report = batchcolor.run(pictures, output=tmp_path / "local", model=flat)
    assert report.done == 5, report.as_json()
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in pictures.glob("*.jpg"):
        shutil.copy2(path, bare)
    batchcolor.run(bare, output=tmp_path / "plain", model=flat)
    plain, changed = results(tmp_path / "plain"), results(tmp_path / "local")
    assert sum(plain[name] != changed[name] for name in plain) == 4
    return changed


@pytest.mark.parametrize("kind", ["memory", "pattern", "zip", "http"])
def test_companion_files_count_as_in_a_folder(
    kind: str,
    pictures: Path,
    local: dict[str, bytes],
    memory: Any,
    serve: Callable[..., str],
    flat: str,
    tmp_path: Path,
) -> None:
    if kind == "zip":
        source = shutil.make_archive(str(tmp_path / "a"), "zip", pictures)
    elif kind == "http":
        source = serve(pictures)
    else:
        memory.put(f"{pictures}/", "/pictures/", recursive=True)
        source = "memory://pictures" + ("/*.jpg" if kind == "pattern" else "")
    report = batchcolor.run(source, output=tmp_path / "out", model=flat)
    assert report.done == 5, report.as_json()
    assert results(tmp_path / "out") == local


def test_companion_files_count_on_s3(
    bucket: Any, pictures: Path, local: dict[str, bytes], flat: str, tmp_path: Path
) -> None:
    bucket.put(f"{pictures}/", "album/pictures/", recursive=True)
    report = batchcolor.run("s3://album/pictures", output=tmp_path / "out", model=flat)
    assert report.done == 5, report.as_json()
    assert results(tmp_path / "out") == local
    names = sorted(local)
    for name in (names[1], names[2]):
        one = batchcolor.run(f"s3://album/pictures/{name}", output=tmp_path / "one", model=flat)
        assert one.done == 1, one.as_json()
        assert results(tmp_path / "one")[name] == local[name]


def test_a_changed_companion_file_is_applied_again_to_its_picture_alone(
    memory: Any, pictures: Path, flat: str, tmp_path: Path
) -> None:
    memory.put(f"{pictures}/", "/pictures/", recursive=True)

    def run() -> batchcolor.RunReport:
        return batchcolor.run("memory://pictures", output=tmp_path / "out", model=flat)

    assert run().done == 5
    assert run().done == 0
    decision = next(path for path in memory.find("/pictures") if path.endswith(".json"))
    memory.pipe_file(decision, b'{"strength": 1.7}')
    before = results(tmp_path / "out")
    assert run().done == 1
    after = results(tmp_path / "out")
    assert [name for name in after if after[name] != before[name]] == [min(after)]


def test_a_damaged_decision_fails_its_picture_and_names_the_file(
    memory: Any, pictures: Path, flat: str, tmp_path: Path
) -> None:
    first = min(pictures.glob("*.jpg"))
    (pictures / f"{first.name}.batchcolor.json").write_text("{")
    memory.put(f"{pictures}/", "/pictures/", recursive=True)
    report = batchcolor.run("memory://pictures", output=tmp_path / "out", model=flat)
    assert report.done == 4
    (failure,) = report.failures
    assert f"{first.name}.batchcolor.json: it is not JSON" in failure.reason


def test_companion_files_are_removed_with_their_picture(
    memory: Any, pictures: Path, flat: str, tmp_path: Path
) -> None:
    memory.put(f"{pictures}/", "/watched/", recursive=True)
    batchcolor.run("memory://watched", output=tmp_path / "out", model=flat)
    (mount,) = [one for one in mounts._mounts.values() if one.url == "memory://watched"]
    assert mount.companions == {}


def listed(*keys: str) -> list[RemoteObject]:
    return [RemoteObject(f"/base/{key}", key, 1) for key in keys]


def test_pictures_keep_their_order_and_wait_for_companions_that_come_later() -> None:
    keys = sorted(["a", "a-1.jpg", "a.hints.png", "b.JPG", "b.tif", "b.batchcolor.json", "c/b.jpg"])
    companions: dict[str, RemoteObject] = {}

    def scan() -> Iterator[RemoteObject | SkippedEntry]:
        for one in listed(*keys):
            if one.key.endswith((".hints.png", ".batchcolor.json")):
                companions[one.key] = one
            else:
                yield one
        yield SkippedEntry(Path("x"), "a reason")

    found = list(attach_companions(scan(), companions, is_sorted=True))
    assert [
        (entry.key, [one.key for one in beside])
        for entry, beside in found
        if isinstance(entry, RemoteObject)
    ] == [
        ("a", ["a.hints.png"]),
        ("a-1.jpg", []),
        ("b.JPG", ["b.batchcolor.json"]),
        ("b.tif", ["b.batchcolor.json"]),
        ("c/b.jpg", []),
    ]
    assert companions == {}


def test_a_reference_in_a_decision_is_another_result_or_an_object_beside_the_picture(
    memory: Any, pictures: Path, flat: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))
    names = sorted(path.name for path in pictures.glob("*.jpg"))
    memory.put(f"{pictures}/", "/pictures/", recursive=True)
    Image.new("RGB", (64, 64), (40, 160, 60)).save(tmp_path / "green.png")
    memory.put(str(tmp_path / "green.png"), "/references/green.png")
    sidecar = json.dumps({"reference": "../references/green.png"}).encode()
    memory.pipe_file(f"/pictures/{names[0]}.batchcolor.json", sidecar)

    def run() -> batchcolor.RunReport:
        return batchcolor.run("memory://pictures", output="memory://out", model=flat)

    def red(name: str) -> float:
        picture = Image.open(memory.open(f"/out/{name}")).convert("YCbCr")
        return float(np.asarray(picture)[..., 2].mean())

    assert run().done == 5
    before = abs(red(names[0]) - red(names[4]))
    line = {"source": names[4], "reference": names[0]}
    memory.pipe_file("/out/.batchcolor/decisions.jsonl", json.dumps(line).encode() + b"\n")
    assert run().done == 1
    assert abs(red(names[0]) - red(names[4])) < before / 3
    missing = json.dumps({"source": names[1], "reference": "lost.jpg"}).encode() + b"\n"
    memory.pipe_file("/out/.batchcolor/decisions.jsonl", missing)
    (failure,) = run().failures
    assert "its reference memory://out/lost.jpg: it does not exist" in failure.reason
