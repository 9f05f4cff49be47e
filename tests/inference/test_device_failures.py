"""Out of memory and a lost device: every picture is still coloured."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import Origin, RegisteredColorizer
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference import device as device_module
from batchcolor.inference.device import Device, resolve_device
from batchcolor.inference.device_errors import DeviceLostError
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner

SIZE = 8


class FakeGpu:
    """The state of a GPU: after its first CUDA error, every call on it raises again."""

    def __init__(self, operation: str, at: int) -> None:
        self.operation, self.at, self.lost = operation, at, False
        self.calls: list[str] = []

    def __deepcopy__(self, memo: object) -> "FakeGpu":
        return self

    def use(self, operation: str) -> None:
        """Raises if the GPU is lost, or is lost by this call."""
        self.calls.append(operation)
        self.lost = self.lost or (
            operation == self.operation and self.calls.count(operation) == self.at
        )
        if self.lost:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


@dataclasses.dataclass(frozen=True)
class FakeDevice(Device):
    gpu: FakeGpu

    @property
    def is_cpu(self):
        return False

    def move(self, module):
        self.gpu.use("move to it")
        module.on_gpu = True
        super().move(module)

    def upload(self, array):
        self.gpu.use("upload")
        return super().upload(array)

    def download(self, tensor):
        self.gpu.use("download")
        return super().download(tensor)

    def release_memory(self):
        self.gpu.use("release_memory")


class Network(torch.nn.Module):
    """Chroma from the mean luma; `forward` and moves raise if its GPU is lost."""

    def __init__(self, gpu: FakeGpu) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.5))
        self.gpu, self.on_gpu, self.resets = gpu, False, 0

    def _apply(self, *args, **kwargs):
        if self.on_gpu:
            self.gpu.use("move")
        return super()._apply(*args, **kwargs)

    def forward(self, luma):
        if self.on_gpu:
            self.gpu.use("forward")
        return (self.gain * luma.mean(dim=(2, 3), keepdim=True)).expand(-1, 2, 2, 2)

    def reset(self):
        if self.on_gpu:
            self.gpu.use("reset")
        self.resets += 1


@pytest.fixture
def load(monkeypatch):
    """Returns a runner of `Network` on a fake GPU that is lost at the given call."""

    def load(operation, at, temporal=False, batch_size=4):
        gpu = FakeGpu(operation, at)
        fake = FakeDevice(torch.device("cpu"), torch.float32, "Fake GPU", gpu)
        monkeypatch.setattr(
            device_module,
            "resolve_device",
            lambda device="auto", precision="auto": (
                fake if device == "cuda" else resolve_device(device, precision)
            ),
        )
        spec = ColorizerSpec("net", "", SIZE, lambda options: Network(gpu), temporal=temporal)
        registered = RegisteredColorizer(spec, Origin("net", "net-package", "1"))
        return load_runner(registered, LoadOptions(device="cuda", batch_size=batch_size))

    return load


def squares(count):
    return list(np.random.default_rng(0).random((count, SIZE, SIZE), np.float32))


def assert_all_coloured(given, results):
    assert len(results) == len(given)
    for square, chroma in zip(given, results, strict=True):
        assert isinstance(chroma, np.ndarray)
        np.testing.assert_allclose(chroma, square.mean() / 2, atol=1e-6)


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("operation", ["upload", "forward", "download"])
def test_every_picture_is_coloured_after_the_device_is_lost(load, operation, at):
    runner = load(operation, at)
    assert_all_coloured(squares(11), runner.run(squares(11)))
    assert runner.backend.is_on_cpu
    assert [note for note in runner.notes if "lost" in note] == [
        "Fake GPU was lost (CUDA error: an illegal memory access was encountered): "
        "the CPU is used from now on"
    ]
    assert_all_coloured(squares(3), runner.run(squares(3)))


@pytest.mark.parametrize("operation", ["move to it", "move"])
def test_a_device_lost_while_the_model_is_loaded_leaves_the_cpu(load, operation):
    runner = load(operation, 1)
    assert_all_coloured(squares(5), runner.run(squares(5)))


@pytest.mark.parametrize("operation", ["upload", "forward", "download", "reset"])
def test_every_frame_is_coloured_and_the_copy_is_reset_after_the_device_is_lost(load, operation):
    runner = load(operation, 2, temporal=True)
    frames = squares(7)
    starts = [index in (0, 3) for index in range(7)]
    assert_all_coloured(frames, runner.run_frames(frames, starts))
    assert runner.backend.is_on_cpu
    assert runner.backend.colorizer.resets >= 1


def test_every_picture_is_coloured_if_releasing_memory_finds_the_device_lost(load, monkeypatch):
    runner = load("release_memory", 1)
    forward = Network.forward

    def full(self, luma):
        if self.on_gpu:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, luma)

    monkeypatch.setattr(Network, "forward", full)
    assert_all_coloured(squares(5), runner.run(squares(5)))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("MPS backend out of memory"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
    ids=lambda error: str(error),
)
def test_a_picture_that_does_not_fit_the_device_runs_on_the_copy_without_moving_the_model(
    load, monkeypatch, error
):
    runner = load("never", 0, batch_size=2)
    on_device = runner.backend.colorizer
    forward = Network.forward

    def full(self, luma):
        if self.on_gpu and float(luma.max()) > 0.995:
            raise copy.copy(error)
        return forward(self, luma)

    monkeypatch.setattr(Network, "forward", full)
    moves = runner.backend.colorizer.gpu.calls.count("move")
    given = squares(9)
    given[4][0, 0] = 1.0
    assert_all_coloured(given, runner.run(given))
    assert runner.backend.colorizer is on_device
    assert runner.backend.colorizer.gpu.calls.count("move") == moves
    assert any("runs on the CPU" in note for note in runner.notes)


def test_a_cuda_error_raised_on_the_cpu_fails_only_its_picture():
    def broken(luma):
        raise RuntimeError("CUDA error: from a colorizer with its own device")

    spec = ColorizerSpec("own", "", SIZE, lambda options: broken)
    runner = load_runner(
        RegisteredColorizer(spec, Origin("own", "p", "1")), LoadOptions(device="cpu", batch_size=2)
    )
    assert all(isinstance(result, ProcessingError) for result in runner.run(squares(3)))


def test_translated_errors_name_the_first_line_of_the_device_error():
    fake = FakeDevice(torch.device("cpu"), torch.float32, "Fake GPU", FakeGpu("never", 0))
    with pytest.raises(DeviceLostError, match=r"^CUDA error: x$"), fake.translated_errors():
        raise RuntimeError("CUDA error: x\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1")
