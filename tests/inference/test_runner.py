"""The runner: batch shape, out-of-memory handling, global state, argument errors."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from batchcolor.errors import ProcessingError, UsageError
from batchcolor.hooks.manager import Origin, RegisteredColorizer
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.models.builtin import BETA


def registered(call, size=8):
    spec = ColorizerSpec("made", "test", size, lambda options: call)
    return RegisteredColorizer(spec, Origin("made", "made-package", "1.2"))


def squares(count, size=8):
    return list(np.random.default_rng(0).random((count, size, size), np.float32))


def mean_as_chroma(luma):
    return (luma.mean(dim=(2, 3), keepdim=True) - 0.5).expand(-1, 2, 2, 2)


def test_results_keep_the_order_across_batches():
    runner = load_runner(registered(mean_as_chroma), LoadOptions(device="cpu", batch_size=4))
    given = squares(11)
    results = runner.run(given)
    for square, chroma in zip(given, results, strict=True):
        assert isinstance(chroma, np.ndarray)
        assert chroma.shape == (2, 2, 2)
        assert chroma.max() == pytest.approx(float(square.mean()) - 0.5, abs=1e-6)


def test_default_cpu_batch_size_falls_with_the_working_size():
    sizes = [
        load_runner(registered(mean_as_chroma, side), LoadOptions(device="cpu")).batch_size
        for side in (8, 128, 256, 512, 4096)
    ]
    assert sizes == [8, 8, 2, 1, 1]


def test_a_picture_gets_identical_chroma_alone_and_in_a_batch():
    beta = RegisteredColorizer(BETA, Origin("builtin", "batchcolor", "0"))
    runner = load_runner(beta, LoadOptions(device="cpu", batch_size=8))
    given = squares(13, BETA.working_size)
    together = runner.run(given)
    alone = [runner.run([square])[0] for square in given]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))


def test_out_of_memory_halves_the_batch_size_permanently_and_loses_no_picture():
    seen = []

    def hungry(luma):
        seen.append(len(luma))
        if len(luma) > 3:
            raise torch.OutOfMemoryError("too much")
        return mean_as_chroma(luma)

    runner = load_runner(registered(hungry), LoadOptions(device="cpu", batch_size=16))
    results = runner.run(squares(9))
    assert all(isinstance(result, np.ndarray) for result in results)
    assert len(results) == 9
    assert runner.batch_size == 2
    assert len(runner.notes) == 3  # 8, 4, 2: each reported once
    seen.clear()
    runner.run(squares(4))
    assert max(seen) == 2


def test_out_of_memory_for_one_picture_fails_only_that_picture():
    def choosy(luma):
        if float(luma.max()) > 0.9:
            raise torch.OutOfMemoryError("too bright")
        return mean_as_chroma(luma)

    given = [np.full((8, 8), value, np.float32) for value in (0.2, 0.95, 0.4)]
    results = load_runner(registered(choosy), LoadOptions(device="cpu", batch_size=2)).run(given)
    assert [isinstance(result, ProcessingError) for result in results] == [False, True, False]


def test_global_state_changed_by_a_model_is_restored():
    def changes_globals(luma):
        torch.manual_seed(7)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(True)
        return mean_as_chroma(luma)

    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    load_runner(registered(changes_globals), LoadOptions(device="cpu")).run(squares(2))
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.rand(1), before)


def test_a_missing_device_is_a_usage_error():
    for device in ("cuda:99", "abacus", "meta"):
        with pytest.raises(UsageError, match="--device"):
            load_runner(registered(mean_as_chroma), LoadOptions(device=device))


@pytest.mark.parametrize(
    "arguments",
    [
        {"device": 3},
        {"device": None},
        {"precision": torch.float16},
        {"weights": 7},
        {"like": b"album.png"},
        {"batch_size": "4"},
        {"batch_size": 0},
        {"batch_size": True},
    ],
    ids=str,
)
def test_a_load_option_of_a_wrong_type_is_a_usage_error_that_names_it(arguments):
    with pytest.raises(UsageError, match=next(iter(arguments))):
        LoadOptions(**arguments)


def test_paths_in_load_options_may_be_strings():
    assert LoadOptions(weights="a.safetensors", like="b.png") == LoadOptions(
        weights=Path("a.safetensors"), like=Path("b.png")
    )


def test_repr_of_a_runner_names_model_size_device_and_batch_size():
    runner = load_runner(registered(mean_as_chroma), LoadOptions(device="cpu", batch_size=3))
    assert repr(runner) == "<Runner made: 8 px, CPU, float32, batch size 3>"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_real_lost_gpu_loses_no_picture(tmp_path):
    """In a process of its own, as a device-side assertion ends the CUDA context."""
    code = """
import numpy as np, torch
from batchcolor.hooks.manager import Origin, RegisteredColorizer
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
class Network(torch.nn.Module):
    def forward(self, luma):
        if luma.is_cuda:
            torch.zeros(1, device="cuda")[torch.tensor([9], device="cuda")]
        return luma.mean((2, 3), keepdim=True).expand(-1, 2, 2, 2) / 2
spec = ColorizerSpec("n", "", 8, lambda options: Network())
runner = load_runner(RegisteredColorizer(spec, Origin("n", "n", "1")), LoadOptions(device="cuda"))
results = runner.run(list(np.zeros((3, 8, 8), np.float32)))
assert all(isinstance(result, np.ndarray) for result in results), results
assert "lost" in runner.notes[0], runner.notes
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_gpu_and_cpu_give_nearly_the_same_chroma():
    beta = RegisteredColorizer(BETA, Origin("builtin", "batchcolor", "0"))
    given = squares(5, BETA.working_size)
    fields = [
        load_runner(beta, LoadOptions(device=device)).run(given) for device in ("cpu", "cuda")
    ]
    for ours, theirs in zip(*fields, strict=True):
        assert np.abs(ours - theirs).max() < 0.01


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_out_of_memory_loses_no_picture():
    class Greedy(torch.nn.Module):
        def forward(self, luma):
            if luma.is_cuda:
                torch.empty(len(luma) * 2**36, device="cuda")  # 256 GiB a picture
            return mean_as_chroma(luma)

    spec = dataclasses.replace(registered(None).spec, build=lambda options: Greedy())
    runner = load_runner(
        RegisteredColorizer(spec, Origin("g", "g", "1")), LoadOptions(device="cuda", batch_size=4)
    )
    assert all(isinstance(result, np.ndarray) for result in runner.run(squares(3)))
    assert any("CPU" in note for note in runner.notes)
