"""Runner: runs one colorizer on one device, in batches of one shape.

Every batch has the same shape and is padded where squares are missing, because the last bits of a
network's output depend on the batch shape. So the result of a picture depends neither on the
pictures beside it nor on where a job was interrupted and resumed.

A copy of the colorizer stays in the host's memory. Where the device runs out of memory or is lost,
its batches run on that copy: a device whose context is lost cannot return its weights.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from batchcolor.errors import PluginError, ProcessingError
from batchcolor.hooks import options as model_options
from batchcolor.hooks.failures import PluginFailure, format_error
from batchcolor.hooks.guard import InvalidChromaError, validate_chroma
from batchcolor.hooks.manager import RegisteredColorizer
from batchcolor.hooks.types import Colorizer, TemporalColorizer
from batchcolor.inference import weights
from batchcolor.inference.color_transfer import ColorTransfer
from batchcolor.inference.device import (
    Device,
    DeviceLostError,
    is_out_of_memory,
    resolve_device,
)
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.model_code import (
    HOOK,
    build_colorizer,
    find_model_location,
    isolate_model,
)

Square = NDArray[np.float32]
"""Luma `(S, S)` in 0..1."""
Result = NDArray[np.float32] | ProcessingError
"""Chroma `(2, s, s)` in -0.5..0.5, or the reason why there is none."""


def load_runner(registered: RegisteredColorizer, loading: LoadOptions | None = None) -> Runner:
    """Builds a colorizer, loads its weights, and moves it to its device.

    Raises UsageError (options, device, like), WeightsError, PluginError.
    """
    spec, loading = registered.spec, loading or LoadOptions()
    parsed = model_options.parse_options(spec, dict(loading.options))
    transfer = ColorTransfer.from_picture(loading.like) if loading.like else None
    path = weights.find(registered, loading.weights)
    digest = weights.verify(path) if path else ""
    device = resolve_device(loading.device, loading.precision)
    colorizer = build_colorizer(spec, parsed, f"{spec.name} of {registered.origin}")
    if spec.temporal and not isinstance(colorizer, TemporalColorizer):
        raise PluginError(f"{spec.name} of {registered.origin} is temporal but has no reset()")
    if path is not None:
        if not isinstance(colorizer, nn.Module):
            raise PluginError(
                f"{spec.name} of {registered.origin} has weights but is not a torch.nn.Module"
            )
        weights.load(colorizer, path)
    batch_size = loading.batch_size or device.default_batch_size(spec.working_size)
    runner = Runner(registered, colorizer, device, batch_size, digest, transfer)
    if spec.temporal and (loading.batch_size or 1) > 1:
        runner.notes.append(f"{spec.name} keeps state between frames: its batch size is 1")
    return runner


class Runner:
    """Runs one colorizer on batches of luma squares."""

    def __init__(
        self,
        registered: RegisteredColorizer,
        colorizer: Colorizer,
        device: Device,
        batch_size: int,
        weights_hash: str,
        color_transfer: ColorTransfer | None = None,
    ) -> None:
        self.registered, self.spec, self.name = registered, registered.spec, registered.spec.name
        self.weights_hash, self.color_transfer = weights_hash, color_transfer
        self.batch_size = 1 if self.spec.temporal else batch_size
        self.notes: list[str] = []
        """Changes of device or batch size, each reported once."""
        if isinstance(colorizer, nn.Module):
            colorizer.eval()
        self._cpu = device if device.is_cpu else resolve_device("cpu")
        self._host_colorizer = colorizer if device.is_cpu else _copy_for_host(colorizer)
        self.device, self.colorizer = device, colorizer
        try:
            with device.translated_errors():
                _move_to_device(colorizer, device)
        except (torch.OutOfMemoryError, DeviceLostError) as error:
            self._continue_on_cpu(error)

    def __repr__(self) -> str:
        return (
            f"<Runner {self.name}: {self.working_size} px, {self.device.name}, "
            f"{str(self.device.dtype).removeprefix('torch.')}, batch size {self.batch_size}>"
        )

    @property
    def working_size(self) -> int:
        """Side of the luma squares, in pixels."""
        return self.spec.working_size

    def run(self, squares: Sequence[Square]) -> list[Result]:
        """Returns a result for each luma square `(S, S)`, in order.

        Runs at most `batch_size` squares at once. A temporal colorizer is reset before each.
        """
        if self.spec.temporal:
            return self.run_frames(squares, [True] * len(squares))
        results: list[Result] = []
        start = 0
        while start < len(squares):
            part = squares[start : start + self.batch_size]
            try:
                results += self._run_batch(part)
            except DeviceLostError as error:
                self._continue_on_cpu(error)
                continue
            except torch.OutOfMemoryError:
                if self.batch_size > 1:
                    self._halve_batch()
                    continue
                results += self._run_batch_on_cpu(part)
            start += len(part)
        return results

    def run_frames(
        self, squares: Sequence[Square], are_shot_starts: Sequence[bool]
    ) -> list[Result]:
        """Returns a result for each frame of one film, in order.

        A temporal colorizer gets the frames one at a time, and a `reset()` before each frame that
        starts a shot. For other colorizers this is the same as `run`.
        """
        if not self.spec.temporal:
            return self.run(squares)
        pairs = zip(squares, are_shot_starts, strict=True)
        return [self._run_frame(square, is_shot_start) for square, is_shot_start in pairs]

    def _run_frame(self, square: Square, is_shot_start: bool) -> Result:
        try:
            if is_shot_start:
                self._reset()
            return self._run_batch([square])[0]
        except (torch.OutOfMemoryError, DeviceLostError) as error:
            if self.device.is_cpu:
                return _make_memory_failure()
            self._continue_on_cpu(error)
            return self._run_frame(square, is_shot_start=True)  # the state was on the device
        except InvalidChromaError as error:
            return self._make_failure(error)

    def _reset(self) -> None:
        """Resets a temporal colorizer. Raises InvalidChromaError and what a device causes."""
        assert isinstance(self.colorizer, TemporalColorizer)  # checked when loaded
        try:
            with self.device.translated_errors(), torch.inference_mode(), isolate_model():
                self.colorizer.reset()
        except (torch.OutOfMemoryError, DeviceLostError):
            raise
        except (Exception, SystemExit) as error:
            raise InvalidChromaError(f"reset() raised {format_error(error)}") from error

    # ---- device failures -----------------------------------------------------------------

    def _halve_batch(self) -> None:
        with contextlib.suppress(RuntimeError):  # if the device is lost, the next batch reports it
            self.device.release_memory()
        self.batch_size //= 2
        self._note(
            f"{self.device.name} is out of memory: the batch size is {self.batch_size} from now on"
        )

    def _run_batch_on_cpu(self, part: Sequence[Square]) -> list[Result]:
        """Runs this batch on the host's copy; the next one runs on the device again."""
        if self.device.is_cpu:
            return [_make_memory_failure() for _ in part]
        self._note(f"{self.device.name} has no memory for a single picture: it runs on the CPU")
        device, colorizer = self.device, self.colorizer
        self._switch_to_cpu()
        try:
            return self._run_batch(part)
        except torch.OutOfMemoryError:
            return [_make_memory_failure() for _ in part]
        finally:
            self.device, self.colorizer = device, colorizer

    def _continue_on_cpu(self, error: Exception) -> None:
        """Runs everything from now on on the host's copy."""
        cause = "is out of memory" if is_out_of_memory(error) else f"was lost ({error})"
        self._note(f"{self.device.name} {cause}: the CPU is used from now on")
        self._switch_to_cpu()
        self.batch_size = min(self.batch_size, self.device.default_batch_size(self.working_size))

    def _switch_to_cpu(self) -> None:
        self.device, self.colorizer = self._cpu, self._host_colorizer
        with contextlib.suppress(RuntimeError):  # a module that could not be copied
            _move_to_device(self.colorizer, self.device)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    # ---- batches -------------------------------------------------------------------------

    def _run_batch(self, part: Sequence[Square]) -> list[Result]:
        """Runs one batch. If the colorizer fails, runs each of its squares once alone.

        Raises torch.OutOfMemoryError, DeviceLostError.
        """
        try:
            fields = self._forward(part)
        except InvalidChromaError as error:
            if len(part) == 1:
                return [self._make_failure(error)]
            return [self._run_batch([square])[0] for square in part]
        if self.color_transfer is None:
            return list(fields)
        pairs = zip(fields, part, strict=True)
        return [self.color_transfer.apply(chroma, square) for chroma, square in pairs]

    def _forward(self, part: Sequence[Square]) -> NDArray[np.float32]:
        """Returns chroma `(n, 2, s, s)` of n squares, from a batch padded to `batch_size`.

        Raises InvalidChromaError, torch.OutOfMemoryError, DeviceLostError.
        """
        stacked = np.stack(part)[:, None]
        missing = self.batch_size - len(part)
        if missing > 0:
            stacked = np.concatenate([stacked, np.repeat(stacked[-1:], missing, axis=0)])
        with self.device.translated_errors():
            luma = self.device.upload(stacked).contiguous(memory_format=torch.channels_last)
            chroma = validate_chroma(self._call(luma), len(luma), self.device.torch_device)
            return self.device.download(chroma[: len(part)])

    def _call(self, luma: torch.Tensor) -> object:
        """Calls the colorizer. Raises InvalidChromaError and what a device causes."""
        is_builtin = self.registered.origin.package == "batchcolor"
        given = luma if is_builtin else luma.clone()
        try:
            with torch.inference_mode(), isolate_model():
                chroma: object = self.colorizer(given)
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error) or self.device.is_lost_after(error):
                raise
            raise InvalidChromaError(f"raised {format_error(error)}") from error
        if given is not luma and not torch.equal(given, luma):
            raise InvalidChromaError("changed its input")
        return chroma

    def _make_failure(self, error: InvalidChromaError) -> ProcessingError:
        """Returns the failure of a picture, and records where the colorizer's code caused it."""
        origin = self.registered.origin
        location = find_model_location(error.__cause__, self.colorizer)
        text = f"model {self.name} {error}"
        self.registered.record(PluginFailure(origin, text, location, HOOK, self.spec.name))
        return ProcessingError("chroma", f"model {self.name} of {origin} {error}")


def _copy_for_host(colorizer: Colorizer) -> Colorizer:
    """Returns a copy for the CPU. What cannot be copied, or is no module, serves as it is."""
    if not isinstance(colorizer, nn.Module):
        return colorizer
    try:
        return copy.deepcopy(colorizer)
    except Exception:  # a plugin's module may hold anything
        return colorizer


def _move_to_device(colorizer: Colorizer, device: Device) -> None:
    if isinstance(colorizer, nn.Module):
        device.move(colorizer)


def _make_memory_failure() -> ProcessingError:
    return ProcessingError("chroma", "not enough memory to run the model")
