"""Jobs on the nodes of a cluster: names, lost and late nodes, shards, weights. Without Ray."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import batchcolor
from batchcolor.cluster import run_on_cluster, workforce
from batchcolor.errors import ExitCode, NodeMismatchError
from batchcolor.hooks.manager import DISABLE
from batchcolor.storage.journal import STATE_FOLDER
from tests.cluster.thread_cluster import ThreadCluster

ROOT = Path(__file__).parents[2]


@pytest.fixture
def color(
    flat: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., batchcolor.Report]:
    """Runs a job on these nodes; on one machine without them."""
    monkeypatch.setenv(DISABLE, "")  # workers change it
    monkeypatch.chdir(tmp_path)

    def run(
        source: Any, nodes: ThreadCluster | None, name: str = "out", **arguments: Any
    ) -> batchcolor.Report:
        if nodes is not None:
            monkeypatch.setattr(run_on_cluster, "RayCluster", nodes.connect)
        where = {"output": tmp_path / name, "cluster": None if nodes is None else "auto"}
        return batchcolor.run(source, **{"model": flat, "batch_size": 1, **where, **arguments})

    return run


def read_results(output: Path) -> dict[str, bytes]:
    files = (path for path in output.rglob("*") if path.is_file())
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in files
        if STATE_FOLDER not in path.parts
    }


def read_journal(output: Path) -> list[str]:
    lines = [
        line
        for path in (output / STATE_FOLDER).glob("journal*.jsonl")
        for line in path.read_text().splitlines()
    ]
    return sorted(json.dumps({**json.loads(line), "run": 0}) for line in lines)


@pytest.fixture
def memory() -> Iterator[Any]:
    """The storage in memory of fsspec, empty before and after."""
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def read_objects(memory: Any, folder: str) -> tuple[dict[str, bytes], list[str]]:
    """The results of an output in memory, and the lines of its journal without tags."""
    files = {
        path.removeprefix(folder): memory.cat_file(path)
        for path in memory.find(folder)
        if STATE_FOLDER not in path or path.endswith("journal.jsonl")
    }
    lines = files.pop(f"/{STATE_FOLDER}/journal.jsonl").splitlines()
    return files, sorted(json.dumps({**json.loads(line), "result_tag": ""}) for line in lines)


def test_objects_are_planned_by_their_content_as_on_one_machine(color, album, memory):
    source = album(4)
    for name in ("001.tif", "001.bmp", "picture.jpg"):  # each is PNG by content
        Image.new("L", (40, 30), 90).save(source / name, "PNG")
    (source / "garbage.jpg").write_bytes(b"nothing that is known")
    memory.put(f"{source}/", "/scans/", recursive=True)
    report = color("memory://scans", ThreadCluster("a", "b"), output="memory://colour")
    alone = color("memory://scans", None, output="memory://alone")
    again = color("memory://scans", ThreadCluster("a"), output="memory://colour")
    found, journal = read_objects(memory, "/colour")
    assert (found, journal) == read_objects(memory, "/alone")
    assert {"/picture.png", "/001.png"} < found.keys()
    assert (report.done, report.failed) == (alone.done, alone.failed) == (7, 1)
    assert report.total == alone.total == 8
    assert (again.done, again.skipped, again.failed) == (0, 7, 1)


def paint(path: Path, size: tuple[int, int]) -> None:
    """Writes painted colour hints: the upper half in red."""
    painted = Image.new("RGBA", size)
    painted.paste((220, 40, 30, 255), (0, 0, size[0], size[1] // 2))
    painted.save(path)


def test_decisions_and_painted_hints_beside_objects_count_as_on_one_machine(color, album, memory):
    source = album(6)
    shutil.copy(source / "001.jpg", source / "001.jpeg")  # with the same hints
    paint(source / "001.hints.png", (96, 64))
    Image.new("L", (96, 64), 90).save(source / "wrong.jpg", "PNG")
    Image.new("L", (96, 64), 90).save(source / "plain.jpg", "PNG")
    paint(source / "wrong.jpg.hints.png", (96, 64))
    for name in ("wrong", "003"):
        (source / f"{name}.batchcolor.json").write_text(json.dumps({"strength": 0.4}))
    paint(source / "005.jpg.hints.png", (50, 50))  # does not fit
    memory.put(f"{source}/", "/scans/", recursive=True)
    report = color("memory://scans", ThreadCluster("a", "b"), output="memory://colour")
    alone = color("memory://scans", None, output="memory://alone")
    found, journal = read_objects(memory, "/colour")
    assert (found, journal) == read_objects(memory, "/alone")
    assert (report.done, report.failed) == (alone.done, alone.failed) == (8, 1)
    reasons = [[(one.step, one.reason) for one in each.failures] for each in (report, alone)]
    assert reasons[0] == reasons[1]
    assert found["/wrong.png"] != found["/plain.png"]
    color("memory://scans", ThreadCluster("a"), output="memory://colour")
    assert read_objects(memory, "/colour") == (found, journal)
    memory.rm("/scans/001.hints.png")
    again = color("memory://scans", ThreadCluster("a"), output="memory://colour")
    assert (again.done, again.skipped, again.failed) == (2, 6, 1)


def test_painted_hints_that_change_while_a_cluster_runs_fail_their_picture_alone(
    color, album, memory
):
    source, nodes = album(2), ThreadCluster("a")
    paint(source / "001.hints.png", (96, 64))
    memory.put(f"{source}/", "/scans/", recursive=True)
    nodes.before_color = lambda node, tasks: memory.pipe_file("/scans/001.hints.png", b"other")
    report = color("memory://scans", nodes, output="memory://colour")
    assert (report.done, report.failed) == (1, 1)
    (failure,) = report.failures
    assert (failure.source.name, failure.step) == ("001.jpg", "scan")
    assert "001.hints.png beside it cannot be read" in failure.reason


def test_a_node_that_joins_later_gets_work_and_one_that_leaves_costs_nothing(color, album):
    nodes = ThreadCluster("first")

    def join(node: str, tasks: tuple[Any, ...]) -> None:
        if node == "first":
            nodes.add("second")
            while len(done) < 2:  # the second node has coloured something
                time.sleep(0.01)
            nodes.nodes.pop("first", None)
            raise ConnectionError("the node is gone")

    done: list[str] = []

    def count(report: batchcolor.Report) -> None:
        done[:] = ["x"] * report.done

    nodes.before_color = join
    report = color(album(12), nodes, progress=count)
    assert (report.done, report.failed, report.exit_code) == (12, 0, ExitCode.DONE)
    states = {node.name: (node.state, node.finished) for node in report.nodes}
    assert states == {"first": ("lost", 0), "second": ("working", 12)}


def test_a_file_that_ends_three_workers_is_found_in_its_chunk(color, album, tmp_path):
    source, nodes, deaths = album(30), ThreadCluster("a", "b"), []

    def die(node: str, tasks: tuple[Any, ...]) -> None:
        if any(task.source.path.name == "017.jpg" for task in tasks):
            deaths.append(len(tasks))
            raise ConnectionError("the process is gone")

    nodes.before_color = die
    report = color(source, nodes)
    assert (report.done, report.failed) == (29, 1)
    assert (report.failures[0].source.name, report.failures[0].step) == ("017.jpg", "worker")
    assert deaths[0] > 1
    assert deaths[0] == deaths[2]  # three workers, then halves
    assert deaths[-1] == 1
    (source / "017.jpg").unlink()
    color(source, None, "alone")
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")


def test_a_cluster_without_cores_ends_the_job_after_the_wait(color, album, tmp_path, monkeypatch):
    monkeypatch.setattr(workforce, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(workforce, "NODE_SECONDS", 0.05)
    source = album(3)
    report = color(source, ThreadCluster())
    assert report.exit_code == ExitCode.EXTERNAL_FAILURE
    assert "no node of the cluster has a processor core" in report.message
    assert not read_results(tmp_path / "out")
    assert color(source, ThreadCluster("a")).done == 3


def test_a_job_waits_for_cores_that_another_job_has_and_says_so(color, album, monkeypatch):
    monkeypatch.setattr(workforce, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(workforce, "NODE_SECONDS", 0.05)
    nodes = ThreadCluster("a")
    nodes.busy.add("a")

    def free(report: batchcolor.Report) -> None:
        if report.notes:
            nodes.free("a")

    report = color(album(2), nodes, progress=free)
    assert (report.done, report.exit_code) == (2, ExitCode.DONE)
    assert "other jobs may have all cores" in report.notes[0]


def test_shards_on_clusters_give_the_results_of_one_job(color, album, tmp_path):
    source = album(9)
    reports = [color(source, ThreadCluster("a"), shard=f"{index}/3") for index in (1, 2, 3)]
    assert sum(report.done for report in reports) == 9
    color(source, None, "alone")
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")
    assert read_journal(tmp_path / "out") == read_journal(tmp_path / "alone")


def test_shards_without_pictures_need_no_cluster(color, album):
    source, nodes = album(1), ThreadCluster()
    reports = [color(source, nodes, shard=f"{index}/4") for index in (1, 2, 3)]
    empty = [report for report in reports if "has no pictures" in "".join(report.notes)]
    assert len(empty) >= 2
    assert {report.exit_code for report in empty} == {ExitCode.DONE}


def test_names_of_two_sources_are_those_of_one_machine(color, album, tmp_path):
    first = album(4)
    second = tmp_path / "more" / "album"
    shutil.copytree(first, second)
    Image.new("L", (20, 20), 200).save(second / "001.png")
    sources = [str(first), str(second)]
    color(sources, ThreadCluster("a", "b"), format="png")
    color(sources, None, "alone", format="png")
    found = read_results(tmp_path / "out")
    assert found == read_results(tmp_path / "alone")
    assert len(found) == 9


def test_weights_that_differ_on_all_nodes_end_the_job_before_it_begins(
    color, album, tmp_path, monkeypatch
):
    weights, nodes = tmp_path / "weights", ThreadCluster("a")
    weights.mkdir()
    file = weights / "beta.safetensors"
    shutil.copy(ROOT / "weights" / "beta.safetensors", file)
    monkeypatch.setenv("BATCHCOLOR_WEIGHTS", str(weights))
    nodes.before_prepare = lambda node: file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(NodeMismatchError, match="a: "):
        color(album(2), nodes, model="beta")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that refuses files")
def test_a_node_that_cannot_write_to_the_output_is_not_used(color, album, tmp_path):
    nodes = ThreadCluster("a")

    def make_unwritable(node: str) -> None:
        """The folder in which nodes try to write leads to one of the system's own."""
        for folder in (tmp_path / "out" / STATE_FOLDER / "cluster").iterdir():
            folder.rmdir()
            folder.symlink_to("/proc")

    nodes.before_prepare = make_unwritable
    with pytest.raises(NodeMismatchError, match=r"a: it cannot write to .*; mount it there for"):
        color(album(2), nodes)
    assert not read_results(tmp_path / "out")


def test_weights_of_a_model_of_a_decision_are_compared_on_nodes(
    color, album, tmp_path, monkeypatch
):
    weights, source = tmp_path / "weights", album(3)
    weights.mkdir()
    original = (ROOT / "weights" / "alpha.safetensors").read_bytes()
    changed = original[:-1] + bytes([original[-1] ^ 1])
    file = weights / "alpha.safetensors"
    file.write_bytes(original)
    monkeypatch.setenv("BATCHCOLOR_WEIGHTS", str(weights))
    (source / "001.jpg.batchcolor.json").write_text(json.dumps({"version": 1, "model": "alpha"}))
    nodes = ThreadCluster("a")
    nodes.before_color = lambda node, tasks: file.write_bytes(changed)
    with pytest.raises(NodeMismatchError, match=r"weights of alpha.*not those of the driver"):
        color(source, nodes)
    file.write_bytes(original)
    nodes = ThreadCluster("a")

    def change(node: str, tasks: tuple[Any, ...]) -> None:
        nodes.add("b")
        file.write_bytes(original if node == "b" else changed)

    nodes.before_color = change
    report = color(source, nodes)
    assert (report.done, report.exit_code) == (3, ExitCode.DONE)
    assert [note for note in report.notes if "a is not used: its weights of alpha" in note]


def test_results_of_a_killed_driver_without_a_line_in_the_journal_are_done_again(
    color, album, tmp_path
):
    source = album(3)
    color(source, None)
    state, results = tmp_path / "out" / STATE_FOLDER, read_results(tmp_path / "out")
    (state / "journal.jsonl").unlink()
    edited = min(results)
    (tmp_path / "out" / edited).write_bytes(b"edited by a person")
    records = state / "cluster" / "1-1"
    records.mkdir(parents=True)
    sources = [str(path) for path in source.rglob("*.jpg")]
    (records / "chunk-1.json").write_text(json.dumps(sources))
    report = color(source, ThreadCluster("a"))
    assert (report.done, report.existed, report.skipped) == (2, 1, 1)
    assert [node.finished for node in report.nodes] == [2]
    kept = read_results(tmp_path / "out")
    assert kept == {**results, edited: b"edited by a person"}
    assert not (state / "cluster").exists()


def test_results_that_workers_of_a_killed_driver_write_late_are_done_again(color, album, tmp_path):
    source, nodes = album(3), ThreadCluster("a")
    records = tmp_path / "out" / STATE_FOLDER / "cluster" / "1-1"
    records.mkdir(parents=True)
    sources = [str(path) for path in source.rglob("*.jpg")]
    (records / "chunk-1.json").write_text(json.dumps(sources))

    def write_late(node: str, tasks: tuple[Any, ...]) -> None:
        for task in tasks:
            task.target.parent.mkdir(parents=True, exist_ok=True)
            task.target.write_bytes(b"by a worker that has not ended yet")

    nodes.before_color = write_late
    report = color(source, nodes)
    assert (report.done, report.existed, report.failed) == (3, 0, 0)
    color(source, None, "alone")
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")
    assert read_journal(tmp_path / "out") == read_journal(tmp_path / "alone")
