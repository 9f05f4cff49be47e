"""Several devices: one queue, identical results, and the work of a lost device."""

import functools
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import batchcolor
from batchcolor.errors import UsageError
from batchcolor.hooks.manager import Origin, RegisteredColorizer
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.inference import device as device_module
from batchcolor.inference.backends.selection import list_devices
from batchcolor.inference.device import Device, resolve_device
from batchcolor.inference.device_errors import DeviceLostError
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.models.builtin import BETA

SIZE = 8
REGISTERED_BETA = RegisteredColorizer(BETA, Origin("builtin", "batchcolor", "0"))


def squares(count, size=SIZE):
    return list(np.random.default_rng(0).random((count, size, size), np.float32))


class Network(torch.nn.Module):
    """Chroma in proportion to luma; counts its resets."""

    def __init__(self):
        super().__init__()
        self.resets = 0

    def forward(self, luma):
        return (luma.mean(dim=(2, 3), keepdim=True) / 2).expand(-1, 2, 2, 2)

    def reset(self):
        self.resets += 1


def load(device, temporal=False, batch_size=2):
    spec = ColorizerSpec("net", "", SIZE, lambda options: Network(), temporal=temporal)
    registered = RegisteredColorizer(spec, Origin("net", "net-package", "1"))
    return load_runner(registered, LoadOptions(device=device, batch_size=batch_size))


class FakeGpu(Device):
    """A GPU that is lost at its second upload."""

    uploads = 0

    @property
    def is_cpu(self):
        return False

    def upload(self, array):
        type(self).uploads += 1
        if self.uploads >= 2:
            raise DeviceLostError("CUDA error: an illegal memory access was encountered")
        return super().upload(array)


@pytest.fixture
def fake_gpus(monkeypatch):
    """Makes every `cuda:N` a GPU that is lost."""
    monkeypatch.setattr(FakeGpu, "uploads", 0)

    def resolve(device="auto", precision="auto"):
        if not device.startswith("cuda"):
            return resolve_device(device, precision)
        return FakeGpu(torch.device("cpu"), torch.float32, f"Fake GPU {device[-1]}")

    monkeypatch.setattr(device_module, "resolve_device", resolve)


def assert_all_coloured(given, results):
    assert len(results) == len(given)
    for square, chroma in zip(given, results, strict=True):
        np.testing.assert_allclose(chroma, square.mean() / 2, atol=1e-6)


@pytest.mark.parametrize("backend", ["torch", "auto"])
@pytest.mark.parametrize("devices", ["cpu,cpu", "cpu, cpu, cpu"])
def test_chroma_is_identical_on_one_device_and_on_several(
    backend, devices, tmp_path_factory, monkeypatch
):
    folder = tmp_path_factory.getbasetemp() / "cache-of-several-devices"
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(folder))
    given = squares(23, BETA.working_size)
    one, several = (
        load_runner(REGISTERED_BETA, LoadOptions(device=device, backend=backend, batch_size=2))
        for device in ("cpu", devices)
    )
    expected = one.run(given)
    assert several.squares_at_once >= devices.count("cpu") * 2
    for count in (23, 7, 1):
        results = several.run(given[:count])
        assert all(np.array_equal(*pair) for pair in zip(results, expected, strict=False))
        assert len(results) == count


def test_devices_work_at_the_same_time():
    runner = load("cpu,cpu")
    both = threading.Barrier(2)

    def run_after_both_began(worker, part):
        del worker.run  # only its first batch waits
        both.wait(timeout=300)
        return worker.run(part)

    for worker in runner._workers:
        worker.run = functools.partial(run_after_both_began, worker)
    assert_all_coloured(squares(9), runner.run(squares(9)))


def test_the_work_of_a_lost_device_goes_to_the_others(fake_gpus):
    runner = load("cuda:0,cpu")
    for _ in range(3):
        assert_all_coloured(squares(11), runner.run(squares(11)))
    assert [note for note in runner.notes if "lost" in note] == [
        "Fake GPU 0 was lost (CUDA error: an illegal memory access was encountered): "
        "the other devices are used from now on"
    ]
    assert runner.backend.device_name == "CPU"


def test_the_last_device_that_is_lost_continues_on_the_cpu(fake_gpus):
    runner = load("cuda:0,cuda:1")
    assert_all_coloured(squares(11), runner.run(squares(11)))
    assert runner.backend.is_on_cpu
    assert len([note for note in runner.notes if "other devices" in note]) == 1
    assert len([note for note in runner.notes if "the CPU is used" in note]) == 1


def test_an_error_on_one_device_ends_the_call_and_does_not_hang():
    runner = load("cpu,cpu")

    both = threading.Barrier(2)

    def fail(part):
        both.wait(timeout=300)
        raise KeyError("a defect")

    for worker in runner._workers:
        worker.run = fail
    with pytest.raises(KeyError, match="a defect"):
        runner.run(squares(9))


def test_a_temporal_model_stays_on_the_first_device():
    runner = load("cpu,cpu", temporal=True, batch_size=1)
    assert_all_coloured(squares(3), runner.run_frames(squares(3), [True, False, False]))
    assert runner.squares_at_once == 1
    assert runner.notes == ["net keeps state between frames: it runs on cpu only"]


@pytest.mark.parametrize("device", ["cpu,", ",", "cpu,,cpu", "cpu,all", "cpu,abacus"])
def test_an_unusable_list_of_devices_is_a_usage_error(device):
    with pytest.raises(UsageError, match="--device"):
        load(device)


def test_all_is_every_gpu_or_what_auto_is(monkeypatch):
    from batchcolor.inference.backends import selection

    monkeypatch.setattr(selection, "may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert list_devices("all") == ["cuda:0", "cuda:1", "cuda:2"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert list_devices("all") == ["auto"]


def test_a_film_on_several_devices_is_identical(tmp_path):
    """Two shots, the second in the middle of a batch; each device takes a batch of the film."""
    source = tmp_path / "film.mkv"
    with av.open(str(source), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(27):
            luma = np.random.default_rng(number // 14).integers(30, 220, (32, 48), np.uint8)
            luma[:8, : number + 1] = 235
            frame = av.VideoFrame.from_ndarray(luma, format="gray")
            film.mux(stream.encode(frame.reformat(format="yuv420p")))
        film.mux(stream.encode())
    results = []
    for devices in ("cpu", "cpu,cpu"):
        output = tmp_path / devices.replace(",", "-")
        report = batchcolor.run(
            source, output=output, model="beta", device=devices, batch_size=4, backend="torch"
        )
        assert (report.done, report.exit_code) == (1, 0)
        with av.open(str(output / "film.mkv")) as film:
            packets = [(p.pts, p.dts, bytes(p)) for p in film.demux(video=0) if p.size]
        assert len(packets) == 27
        results.append(packets)
    assert results[0] == results[1]


def test_a_job_on_several_devices_writes_identical_files(tmp_path, grey_picture):
    source = tmp_path / "in"
    source.mkdir()
    for number in range(9):
        grey_picture(40 + number, 32, seed=number).save(source / f"{number}.png")
    outputs = []
    for devices in ("cpu", "cpu,cpu"):
        output = tmp_path / devices.replace(",", "-")
        arguments = {"model": "beta", "device": devices, "batch_size": 2, "backend": "torch"}
        report = batchcolor.run(source, output=output, **arguments)
        assert (report.done, report.exit_code) == (9, 0)
        outputs.append({file.name: file.read_bytes() for file in output.glob("*.png")})
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) == 9
    files = [Path(source, f"{number}.png") for number in range(9)]
    several = batchcolor.colorize_many(files, model="beta", device="cpu,cpu", backend="torch")
    one = batchcolor.colorize_many(files, model="beta", device="cpu", backend="torch")
    assert [np.array(image).tolist() for image in several] == [
        np.array(image).tolist() for image in one
    ]
