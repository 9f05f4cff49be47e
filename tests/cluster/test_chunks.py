"""Chunks of a job on a cluster: their size, and what follows the death of a worker."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from batchcolor.cluster.chunk import (
    FIRST_SIZE,
    MAX_NODE_LOSSES,
    MAX_SIZE,
    Chunk,
    ChunkQueue,
    ChunkSizer,
)
from batchcolor.cluster.in_flight_chunks import InFlightChunks
from batchcolor.cluster.node_check import (
    Installation,
    describe_installation,
    find_library_mismatch,
    find_missing_path,
    find_version_mismatch,
    find_weights_mismatch,
    find_write_obstacle,
)
from batchcolor.errors import UsageError
from batchcolor.hooks.manager import load_plugins
from batchcolor.images.formats import PNG
from batchcolor.images.scan import ScannedFile
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.planner import Task

NODES = ("one", "two")


def make_chunk(count: int) -> Chunk:
    return Chunk(1, tuple(make_task(f"{number:03}.png") for number in range(count)))


def make_task(name: str) -> Task:
    source = ScannedFile(Path("/in", name), Path(name), 100, 7, PNG)
    return Task(source, Path("/out", name), PNG, "colour")


def names(chunk: Chunk) -> list[str]:
    return [task.source.path.name for task in chunk.tasks]


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_the_file_that_kills_workers_is_found_and_every_other_file_is_coloured_once(count):
    for guilty in {f"{0:03}.png", f"{count - 1:03}.png", f"{count // 2:03}.png"}:
        queue, done, failed, deaths = ChunkQueue(), [], [], 0
        queue.put_back(make_chunk(count))
        while queue:
            chunk = queue.take(NODES[deaths % 2], NODES) or queue.take(NODES[1 - deaths % 2], NODES)
            if guilty not in names(chunk):
                done += names(chunk)
                continue
            deaths += 1
            task = queue.add_lost(chunk, NODES[deaths % 2], is_node_lost=False)
            failed += [task.source.path.name] if task else []
        assert failed == [guilty]
        assert sorted([*done, guilty]) == names(make_chunk(count))
        assert deaths <= 3 + (count - 1).bit_length()


def test_a_lost_node_is_no_fault_of_its_files_and_their_results_are_replaced():
    queue = ChunkQueue()
    chunk = make_chunk(1)
    for _ in range(MAX_NODE_LOSSES):
        assert queue.add_lost(chunk, "one", is_node_lost=True) is None
        chunk = queue.take("one", NODES)
    assert chunk.deaths == 0
    assert all(task.replaces for task in chunk.tasks)


def test_files_that_end_every_node_do_not_end_all_nodes():
    queue, losses, failed = ChunkQueue(), 0, None
    chunk = make_chunk(1)
    while failed is None:
        losses += 1
        failed = queue.add_lost(chunk, f"node-{losses}", is_node_lost=True)
        chunk = queue.take("fresh", NODES)
    assert losses == MAX_NODE_LOSSES + 3


def test_a_chunk_is_tried_on_another_node_while_there_is_one():
    queue = ChunkQueue()
    queue.add_lost(make_chunk(4), "one", is_node_lost=False)
    assert queue.take("one", {"one", "two"}) is None
    queue.add_lost(queue.take("two", {"one", "two"}), "two", is_node_lost=False)
    assert queue.take("one", {"one", "two"}) is not None


def test_chunks_are_small_at_first_then_as_long_as_seconds_and_small_at_the_end():
    sizer = ChunkSizer()
    assert sizer.choose_size(None, 4) == FIRST_SIZE
    sizer.add(8, 0.4)
    assert sizer.choose_size(10_000, 4) == 100
    assert sizer.choose_size(80, 4) == 10
    assert sizer.choose_size(1, 4) == 1
    assert sizer.choose_size(0, 4) == 1
    slow, fast = ChunkSizer(), ChunkSizer()
    slow.add(1, 60.0)
    fast.add(1000, 0.0)
    assert (slow.choose_size(None, 4), fast.choose_size(None, 4)) == (1, MAX_SIZE)


def test_the_next_driver_knows_the_files_that_workers_of_a_killed_one_had(tmp_path):
    killed, chunk = InFlightChunks(tmp_path), make_chunk(3)
    killed.add(chunk)
    later = InFlightChunks(tmp_path)
    assert later.interrupted == {str(task.source.path) for task in chunk.tasks}
    later.close(is_complete=True)
    assert not list(tmp_path.iterdir())


def test_a_record_is_removed_with_its_chunk_and_that_of_a_halved_one_stays(tmp_path):
    records, chunk, queue = InFlightChunks(tmp_path), make_chunk(2), ChunkQueue()
    records.add(chunk)
    for _ in range(3):
        queue.add_lost(chunk, "one", is_node_lost=False)
        chunk = queue.take("one", {"one"})
    assert len(chunk.tasks) == 1
    records.add(chunk)
    records.remove(chunk)
    assert len(InFlightChunks(tmp_path).interrupted) == 2
    records.remove(make_chunk(2))
    assert not InFlightChunks(tmp_path).interrupted


def test_a_torn_record_is_ignored(tmp_path):
    (tmp_path / "cluster" / "1-1").mkdir(parents=True)
    (tmp_path / "cluster" / "1-1" / "chunk-1.json").write_text('["/in/a.p')
    assert not InFlightChunks(tmp_path).interrupted


DRIVER = Installation("1.2", {"tonerpack": "1.0"})


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (DRIVER, ""),
        (Installation("1.1", DRIVER.plugins), "pip install batchcolor==1.2"),
        (Installation("1.2", {}), "lacks the plugin tonerpack.*pip install tonerpack==1.0"),
        (Installation("1.2", {"tonerpack": "2.0"}), "tonerpack 2.0.*tonerpack==1.0 there"),
        (Installation("1.2", {"tonerpack": "1.0", "x": "1"}), "plugin x, .* lacks"),
    ],
)
def test_what_differs_on_a_node_is_named_with_what_to_do(node, message):
    found = find_version_mismatch(DRIVER, node)
    assert bool(found) is bool(message)
    if message:
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(found)


def test_libraries_that_would_change_results_are_compared_and_others_are_not():
    driver = Installation("1.2", libraries={"torch": "2.14.1", "pillow": "13.0", "openvino": "1"})

    def compare(*, may_choose_backend: bool, **libraries: str) -> str:
        node = Installation("1.2", libraries={**driver.libraries, **libraries})
        return find_library_mismatch(driver, node, may_choose_backend=may_choose_backend)

    assert not compare(may_choose_backend=True, rawpy="0.25")  # readers that the driver lacks
    assert "has pillow 12.0, and the driver has 13.0" in compare(
        may_choose_backend=True, pillow="12.0"
    )
    assert "pip install torch==2.14.1" in compare(may_choose_backend=False, torch="2.13")
    assert "openvino" in compare(may_choose_backend=True, openvino="2")
    assert not compare(may_choose_backend=False, openvino="2")
    without = find_library_mismatch(Installation("1.2"), driver, may_choose_backend=True)
    assert "has openvino 1, which the driver lacks" in without


def test_versions_of_this_process_have_no_label_of_a_build():
    libraries = describe_installation(load_plugins(enabled=False)).libraries
    assert libraries["torch"] == importlib.metadata.version("torch").partition("+")[0]
    assert {"pillow", "numpy", "av"} <= libraries.keys()


def test_weights_and_folders_that_a_node_lacks_are_named(tmp_path):
    assert not find_weights_mismatch("abc", "abc", "beta")
    assert "weights of beta" in find_weights_mismatch("a" * 64, "b" * 64, "beta")
    assert not find_missing_path([tmp_path])
    assert str(tmp_path / "x") in find_missing_path([tmp_path, tmp_path / "x"])
    assert not find_write_obstacle(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("values", [{"cluster": "somewhere"}, {"cluster": "auto", "watch": True}])
def test_an_address_that_is_none_and_a_job_that_stays_are_refused(values):
    with pytest.raises(UsageError, match="--cluster"):
        RunSettings(sources=("in",), **values)
