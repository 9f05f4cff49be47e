"""The runner: one batch shape, the out-of-memory ladder, the guard."""

import dataclasses

import numpy as np
import pytest
import torch

from batchcolor.errors import ProcessingError, UsageError
from batchcolor.hooks.manager import Origin, RegisteredColorizer
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.models.builtin import BETA


def owned(call, size=8):
    spec = ColorizerSpec("made", "for a test", size, lambda options: call)
    return RegisteredColorizer(spec, Origin("made", "made-package", "1.2"))


def squares(count, size=8):
    return list(np.random.default_rng(0).random((count, size, size), np.float32))


def mean_as_chroma(luma):
    return (luma.mean(dim=(2, 3), keepdim=True) - 0.5).expand(-1, 2, 2, 2)


def test_results_come_in_order_however_they_fall_into_batches():
    runner = load_runner(owned(mean_as_chroma), LoadOptions(device="cpu", batch_size=4))
    given = squares(11)
    results = runner.run(given)
    for square, chroma in zip(given, results, strict=True):
        assert isinstance(chroma, np.ndarray)
        assert chroma.shape == (2, 2, 2)
        assert chroma.max() == pytest.approx(float(square.mean()) - 0.5, abs=1e-6)


def test_on_a_cpu_a_batch_holds_fewer_squares_the_larger_they_are():
    sizes = [
        load_runner(owned(mean_as_chroma, side), LoadOptions(device="cpu")).batch_size
        for side in (8, 128, 256, 512, 4096)
    ]
    assert sizes == [8, 8, 2, 1, 1]


def test_a_real_network_gives_a_picture_the_same_bits_alone_and_in_company():
    beta = RegisteredColorizer(BETA, Origin("builtin", "batchcolor", "0"))
    runner = load_runner(beta, LoadOptions(device="cpu", batch_size=8))
    given = squares(13, BETA.working_size)
    together = runner.run(given)
    alone = [runner.run([square])[0] for square in given]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))


def test_out_of_memory_halves_the_batch_remembers_it_and_loses_no_picture():
    seen = []

    def hungry(luma):
        seen.append(len(luma))
        if len(luma) > 3:
            raise torch.OutOfMemoryError("too much")
        return mean_as_chroma(luma)

    runner = load_runner(owned(hungry), LoadOptions(device="cpu", batch_size=16))
    results = runner.run(squares(9))
    assert all(isinstance(result, np.ndarray) for result in results)
    assert len(results) == 9
    assert runner.batch_size == 2
    assert len(runner.notes) == 3  # 8, 4, 2: each said once
    seen.clear()
    runner.run(squares(4))
    assert max(seen) == 2


def test_out_of_memory_at_a_single_picture_costs_that_picture_only():
    def choosy(luma):
        if float(luma.max()) > 0.9:
            raise torch.OutOfMemoryError("too bright")
        return mean_as_chroma(luma)

    given = [np.full((8, 8), value, np.float32) for value in (0.2, 0.95, 0.4)]
    results = load_runner(owned(choosy), LoadOptions(device="cpu", batch_size=2)).run(given)
    assert [isinstance(result, ProcessingError) for result in results] == [False, True, False]


def test_global_state_that_a_model_sets_is_set_back():
    def rude(luma):
        torch.manual_seed(7)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(True)
        return mean_as_chroma(luma)

    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    load_runner(owned(rude), LoadOptions(device="cpu")).run(squares(2))
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.rand(1), before)


def test_a_device_that_is_not_there_is_one_sentence():
    for device in ("cuda:99", "abacus", "meta"):
        with pytest.raises(UsageError, match="--device"):
            load_runner(owned(mean_as_chroma), LoadOptions(device=device))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_gives_the_colour_that_the_cpu_gives():
    beta = RegisteredColorizer(BETA, Origin("builtin", "batchcolor", "0"))
    given = squares(5, BETA.working_size)
    fields = [
        load_runner(beta, LoadOptions(device=device)).run(given) for device in ("cpu", "cuda")
    ]
    for ours, theirs in zip(*fields, strict=True):
        assert np.abs(ours - theirs).max() < 0.01


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_that_runs_out_of_memory_loses_no_picture():
    class Greedy(torch.nn.Module):
        def forward(self, luma):
            if luma.is_cuda:
                torch.empty(len(luma) * 2**36, device="cuda")  # 256 GiB a picture
            return mean_as_chroma(luma)

    spec = dataclasses.replace(owned(None).spec, build=lambda options: Greedy())
    runner = load_runner(
        RegisteredColorizer(spec, Origin("g", "g", "1")), LoadOptions(device="cuda", batch_size=4)
    )
    assert all(isinstance(result, np.ndarray) for result in runner.run(squares(3)))
    assert any("CPU" in note for note in runner.notes)
