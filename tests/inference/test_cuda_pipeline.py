"""Several batches in flight on a CUDA device."""

import contextlib

import numpy as np
import pytest
import torch

from batchcolor.hooks.guard import InvalidChromaError
from batchcolor.hooks.manager import Origin, RegisteredColorizer
from batchcolor.inference.backends.cuda_pipeline import CUDA_BATCHES, run_overlapped
from batchcolor.inference.device import Device
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.models.builtin import BETA

BETA_REGISTERED = RegisteredColorizer(BETA, Origin("builtin", "batchcolor", "0"))
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


class Stream:
    """A stream that is always idle."""

    def wait_event(self, event):
        assert event == "event"

    def record_event(self):
        return "event"

    def synchronize(self):
        pass


@pytest.fixture
def cuda_on_cpu(monkeypatch):
    """Makes torch's functions for streams and pinned memory work without a CUDA device."""
    empty = torch.empty
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: None)
    monkeypatch.setattr(
        torch, "empty", lambda *shape, pin_memory=False, **options: empty(*shape, **options)
    )


def compute(luma):
    return luma.mean((2, 3), keepdim=True).expand(-1, 2, 2, 2).float() / 2


def test_batches_keep_their_order_and_their_values(cuda_on_cpu):
    device = Device(torch.device("cpu"), torch.float32, "none")
    batches = np.random.default_rng(0).random((5, 3, 1, 8, 8), np.float32)
    chroma = run_overlapped(compute, list(batches), device)
    assert chroma.shape == (15, 2, 2, 2)
    np.testing.assert_allclose(chroma[:, 0, 0, 0], batches.mean((3, 4)).ravel() / 2, atol=1e-6)


def test_nan_in_one_of_the_batches_is_refused(cuda_on_cpu):
    device = Device(torch.device("cpu"), torch.float32, "none")
    batches = np.zeros((3, 2, 1, 8, 8), np.float32)
    batches[1] = np.nan
    with pytest.raises(InvalidChromaError, match="NaN"):
        run_overlapped(compute, list(batches), device)


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:0,cuda:0", "all"])
def test_chroma_does_not_depend_on_what_is_in_flight(device):
    given = list(np.random.default_rng(0).random((43, 32, 32), np.float32))
    runner = load_runner(BETA_REGISTERED, LoadOptions(device=device, batch_size=4))
    assert runner.squares_at_once >= CUDA_BATCHES * 4
    together = runner.run(given)
    alone = [runner.run([square])[0] for square in given]
    assert all(np.array_equal(*pair) for pair in zip(together, alone, strict=True))


@pytest.mark.cuda
@needs_cuda
def test_nan_on_a_gpu_costs_only_its_picture():
    given = list(np.random.default_rng(0).random((9, 32, 32), np.float32))
    given[5][:] = np.nan
    results = load_runner(BETA_REGISTERED, LoadOptions(device="cuda", batch_size=2)).run(given)
    assert [isinstance(result, np.ndarray) for result in results].count(False) == 1
    assert not isinstance(results[5], np.ndarray)
