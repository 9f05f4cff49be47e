"""The OpenVINO backend: exports, their cache, and the ways back to torch."""

import dataclasses
import json
import os
import resource
import sys
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from batchcolor.errors import ProcessingError, UsageError
from batchcolor.hooks.manager import Origin, RegisteredColorizer
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference.backends import export_cache, selection
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.storage import user_cache

pytest.importorskip("openvino", exc_type=ImportError)
SIDE = 8
BUILTIN = Origin("builtin", "batchcolor", "0")


class Gain(torch.nn.Module):
    """Chroma in proportion to luma; NaN where luma is white, as of a division by zero."""

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.zeros(1))

    def forward(self, luma):
        spare = 1 - luma.mean(dim=(2, 3), keepdim=True)
        return (self.gain * spare / spare).expand(-1, 2, 2, 2)


class Counting(Gain):
    """Changes its own state."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1), persistent=False)

    def forward(self, luma):
        self.calls += 1
        return super().forward(luma)


class Random(Gain):
    """Gives other chroma in each call."""

    def forward(self, luma):
        return super().forward(luma) + torch.rand(len(luma), 2, 2, 2) / 4


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test."""
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "exports"


@pytest.fixture
def load(tmp_path):
    """Returns a runner of a module with one parameter."""

    def load(module=Gain, gain=0.25, **options):
        file = tmp_path / "gain.safetensors"
        save_file({"gain": torch.full((1,), gain)}, file)
        spec = ColorizerSpec("gain", "", SIDE, lambda options: module(), weights=file)
        settings = LoadOptions(device="cpu", **{"batch_size": 4, **options})
        origin = Origin("gain", "gain-package", "1", tmp_path)
        return load_runner(RegisteredColorizer(spec, origin), settings)

    return load


@pytest.fixture
def no_torch(monkeypatch):
    """Fails a test that loads a model in torch."""

    def refuse(*arguments):
        raise AssertionError("torch is not needed")

    monkeypatch.setattr(selection, "load_torch", refuse)


def squares(count):
    return list(np.random.default_rng(0).random((count, SIDE, SIDE), np.float32) * 0.9)


def test_a_module_with_weights_is_exported_and_gives_the_chroma_of_torch(load):
    runner = load()
    assert runner.backend.name == "openvino"
    assert repr(runner).startswith("<Runner gain: 8 px, CPU with OpenVINO, ")
    assert runner.notes == []
    in_torch = load(backend="torch").run(squares(6))
    for chroma, expected in zip(runner.run(squares(6)), in_torch, strict=True):
        np.testing.assert_allclose(chroma, expected, atol=2e-3)


def test_the_next_job_uses_the_export_without_torch_and_gives_identical_chroma(
    load, request, cache
):
    first = load().run(squares(5))
    request.getfixturevalue("no_torch")
    assert np.array_equal(load().run(squares(5)), first)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    "change", [{"gain": 0.125}, {"batch_size": 2}, {"precision": "float32"}], ids=str
)
def test_other_weights_batch_sizes_and_precisions_have_exports_of_their_own(load, cache, change):
    load()
    changed = load(**change)
    assert len(list(cache.iterdir())) == 2
    np.testing.assert_allclose(changed.run(squares(1))[0], change.get("gain", 0.25), atol=1e-3)


def test_bfloat16_is_compared_with_torch_in_float32(load):
    runner = load(precision="bfloat16")
    assert (runner.backend.name, runner.backend.precision) == ("openvino", "bfloat16")


def test_a_change_of_the_plugins_code_makes_a_new_export(load, cache, tmp_path):
    load()
    (tmp_path / "network.py").write_text("SCALE = 2")
    load()
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("name", ["model.bin", "model.xml", "test.npz", "export.json"])
def test_a_damaged_export_is_made_again(load, cache, name):
    expected = load().run(squares(3))
    (file,) = cache.glob(f"*/{name}")
    file.write_bytes(file.read_bytes()[:-3] + b"\0\0\0")
    runner = load()
    assert (runner.backend.name, runner.notes) == ("openvino", [])
    assert np.array_equal(runner.run(squares(3)), expected)


def test_jobs_that_export_at_the_same_time_get_one_whole_export(load, cache):
    runners = []
    threads = [threading.Thread(target=lambda: runners.append(load())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [runner.backend.name for runner in runners] == ["openvino"] * 3
    assert sorted(file.name for file in cache.glob("*/*")) == [
        *("export.json", "model.bin", "model.xml", "test.npz")
    ]


def test_an_export_that_another_job_has_stored_meanwhile_is_kept(load, cache):
    load()
    (folder,) = cache.iterdir()
    stored = export_cache.find_export(folder.name)
    export_cache.store_export(folder.name, export_cache.Export(obstacle="later"), print)
    assert export_cache.find_export(folder.name).precision == stored.precision
    assert list(cache.iterdir()) == [folder]


def test_without_a_writable_folder_the_export_lasts_as_long_as_the_process(
    load, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "file"))
    runner = load()
    assert (runner.backend.name, runner.notes) == ("openvino", [])
    assert isinstance(runner.run(squares(1))[0], np.ndarray)


@pytest.fixture
def exported(load, monkeypatch, tmp_path, request):
    """A folder with the cache of an earlier job; the export in it is made without torch again."""
    expected = load().run(squares(5))
    return tmp_path / "cache", expected


def test_a_filled_cache_that_is_read_only_is_used(load, exported, monkeypatch, request):
    folder, expected = exported
    request.getfixturevalue("no_torch")
    monkeypatch.setattr(user_cache, "_is_writable", lambda folder: False)
    before = sorted(folder.rglob("*"))
    assert np.array_equal(load().run(squares(5)), expected)
    monkeypatch.delenv("BATCHCOLOR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent))
    folder.rename(folder.parent / "batchcolor")
    assert np.array_equal(load().run(squares(5)), expected)
    assert len(sorted((folder.parent / "batchcolor").rglob("*"))) == len(before)


def test_an_export_that_openvino_cannot_read_is_made_again(load, exported, cache):
    (graph,) = cache.glob("*/model.xml")
    graph.write_text("<net/>")
    state = json.loads((graph.parent / "export.json").read_text())
    state["sha256"]["model.xml"] = export_cache.hash_file(graph)
    (graph.parent / "export.json").write_text(json.dumps(state))
    runner = load()
    assert (runner.backend.name, runner.notes) == ("openvino", [])
    assert np.array_equal(runner.run(squares(5)), exported[1])
    assert graph.stat().st_size > 100


def test_a_full_disk_leaves_no_export_behind_and_the_job_goes_on(load, cache):
    """A limit of the size of files stops every writer as a full disk does, OpenVINO's too."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, former[1]))
    try:
        runner = load()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert (runner.backend.name, runner.notes) == ("openvino", [])
    assert isinstance(runner.run(squares(1))[0], np.ndarray)
    assert list(cache.iterdir()) == []


def test_openvino_without_its_cpu_plugin_leaves_torch_with_one_note(load, monkeypatch):
    from batchcolor.inference.backends import openvino as module

    class NoPlugin:
        def get_property(self, *arguments):
            raise RuntimeError("Cannot load library libopenvino_intel_cpu_plugin.so")

    monkeypatch.setattr(module, "get_core", NoPlugin)  # that of the process exists by now
    runner = load()
    assert runner.backend.name == "torch"
    (note,) = runner.notes
    assert "cannot be loaded (RuntimeError: Cannot load library" in note


@pytest.mark.parametrize(
    ("module", "reason"),
    [(Counting, "changes its own state"), (Random, "other numbers than torch")],
)
def test_a_model_that_is_not_exported_runs_in_torch_with_one_note(load, module, reason, cache):
    for _ in range(2):  # the second time, the cache knows it
        runner = load(module)
        assert runner.backend.name == "torch"
        assert len(runner.notes) == 1
        assert reason in runner.notes[0]
        assert runner.notes[0].startswith("gain: torch is used, as OpenVINO")
    assert len(list(cache.iterdir())) == 1


def test_an_export_with_other_results_than_torch_is_not_used(load, cache):
    load()
    (folder,) = cache.iterdir()
    with np.load(folder / "test.npz") as test:
        np.savez(folder / "test.npz", luma=test["luma"], chroma=test["chroma"] + 0.2)
    state = json.loads((folder / "export.json").read_text())
    state["sha256"]["test.npz"] = export_cache.hash_file(folder / "test.npz")
    (folder / "export.json").write_text(json.dumps(state))
    runner = load()
    assert runner.backend.name == "torch"
    assert "chroma differs by 0.2" in runner.notes[0]


def test_a_broken_installation_of_openvino_leaves_torch(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "batchcolor.inference.backends.openvino", None)
    runner = load()
    assert runner.backend.name == "torch"
    assert "cannot be loaded" in runner.notes[0]


def test_chroma_that_the_guard_refuses_is_computed_by_torch_for_that_picture_alone(load):
    given = squares(4)
    given[2][:] = 1
    runner = load()
    results = runner.run(given)
    assert [isinstance(result, ProcessingError) for result in results] == [
        False,
        False,
        True,
        False,
    ]
    assert "NaN" in results[2].reason
    assert np.array_equal(results[3], runner.run(squares(4))[3])


def test_a_failure_of_openvino_during_a_job_is_noted_once_and_loses_no_picture(load, monkeypatch):
    runner = load()

    def fail(luma):
        raise RuntimeError("Exception from src/inference")

    monkeypatch.setattr(runner.backend, "infer", fail)
    assert all(isinstance(chroma, np.ndarray) for chroma in runner.run(squares(9)))
    assert len(runner.notes) == 1
    assert "torch is used from now on" in runner.notes[0]


def test_models_without_weights_and_with_a_state_run_in_torch(tmp_path):
    spec = ColorizerSpec("bare", "", SIDE, lambda options: Gain())
    for made in (spec, dataclasses.replace(spec, name="temporal")):
        registered = RegisteredColorizer(made, Origin("bare", "bare-package", "1"))
        automatic = load_runner(registered, LoadOptions(device="cpu"))
        assert (automatic.backend.name, automatic.notes) == ("torch", [])
        asked = load_runner(registered, LoadOptions(device="cpu", backend="openvino"))
        assert asked.backend.name == "torch"
        assert "only models with a weights file" in asked.notes[0]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"device": "cuda"}, "runs on the CPU"),
        ({"precision": "float16"}, "no --precision float16"),
        ({"backend": "onnx"}, "use auto, torch, openvino"),
    ],
    ids=str,
)
def test_what_openvino_cannot_run_is_a_usage_error(options, reason):
    from batchcolor.models.builtin import BETA

    with pytest.raises(UsageError, match=reason):
        load_runner(
            RegisteredColorizer(BETA, BUILTIN), LoadOptions(**{"backend": "openvino", **options})
        )


def test_openvino_that_is_not_installed_is_a_usage_error_that_names_the_extra(load, monkeypatch):
    monkeypatch.setattr(selection.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'batchcolor\[openvino\]'"):
        load(backend="openvino")
    assert load().backend.name == "torch"


def test_only_the_newest_exports_are_kept(load, cache, monkeypatch):
    monkeypatch.setattr(export_cache, "MAX_EXPORTS", 2)
    for batch_size in (1, 2, 3):
        load(batch_size=batch_size)
    assert len(list(cache.iterdir())) == 2


def test_exports_beyond_the_size_and_age_limits_and_remains_of_others_are_removed(
    load, cache, monkeypatch
):
    load(batch_size=1)
    (old,) = cache.iterdir()
    os.utime(old, (0, 0))
    (cache / "remains").mkdir()
    (cache / "remains" / "model.bin").write_bytes(b"of a removal that was interrupted")
    load(batch_size=2)
    (second,) = cache.iterdir()
    assert second != old
    monkeypatch.setattr(export_cache, "MAX_BYTES", 100)
    load(batch_size=3)
    (third,) = cache.iterdir()  # the export in use is kept at any size
    assert third != second
