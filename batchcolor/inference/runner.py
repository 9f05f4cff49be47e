"""Batches in, chroma out: one colorizer on one device, whatever it or the device does.

Every batch has one shape, filled up where pictures are missing, because a network's last bits
depend on the shape of its batch: so a picture's result never depends on its neighbours, nor on
where a job was cut and resumed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from batchcolor.errors import BatchcolorError, PluginError, ProcessingError
from batchcolor.hooks import options as own
from batchcolor.hooks.guard import InvalidChromaError, preserve_global_state, validate_chroma
from batchcolor.hooks.manager import RegisteredColorizer, format_error
from batchcolor.hooks.types import Colorizer, TemporalColorizer
from batchcolor.inference import weights as stored
from batchcolor.inference.color_transfer import ColorTransfer
from batchcolor.inference.device import Device, resolve_device
from batchcolor.inference.load_options import LoadOptions

Square = NDArray[np.float32]
Result = NDArray[np.float32] | ProcessingError


def load_runner(owned: RegisteredColorizer, loading: LoadOptions | None = None) -> Runner:
    """A colorizer built, filled with its weights and put on its device.

    Raises UsageError (options, device, like), WeightsError, PluginError.
    """
    spec, loading = owned.spec, loading or LoadOptions()
    parsed = own.parse_options(spec, dict(loading.options))
    palette = ColorTransfer.of(loading.like) if loading.like else None
    path = stored.find(owned, loading.weights)
    digest = stored.verified(path) if path else ""
    chosen = resolve_device(loading.device, loading.precision)
    try:
        with preserve_global_state(), contextlib.redirect_stdout(sys.stderr):
            colorizer = spec.build(parsed)
    except BatchcolorError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{spec.name} of {owned.origin} cannot be built: {format_error(error)}"
        ) from error
    if spec.temporal and not isinstance(colorizer, TemporalColorizer):
        raise PluginError(f"{spec.name} of {owned.origin} is temporal, yet has no reset()")
    if path is not None:
        if not isinstance(colorizer, nn.Module):
            raise PluginError(f"{spec.name} of {owned.origin} is no network, yet names weights")
        stored.load(colorizer, path)
    batch_size = loading.batch_size or chosen.batch_size(spec.working_size)
    runner = Runner(owned, colorizer, chosen, batch_size, digest, palette)
    if spec.temporal and (loading.batch_size or 1) > 1:
        runner.notes.append(f"{spec.name} remembers what it saw: frames go through it one by one")
    return runner


class Runner:
    """Runs one colorizer on batches of small luma squares."""

    def __init__(
        self,
        owned: RegisteredColorizer,
        colorizer: Colorizer,
        device: Device,
        batch_size: int,
        weights_hash: str,
        palette: ColorTransfer | None = None,
    ) -> None:
        self.owned, self.spec, self.name = owned, owned.spec, owned.spec.name
        self.palette = palette
        self.device, self.weights_hash = device, weights_hash
        self.batch_size = 1 if self.spec.temporal else batch_size
        self.notes: list[str] = []
        """What happened to the device or to the batch, said once each."""
        self.colorizer = colorizer
        self._move_to_device()

    @property
    def working_size(self) -> int:
        """Side of the luma squares, in pixels."""
        return self.spec.working_size

    def _move_to_device(self) -> None:
        if isinstance(self.colorizer, nn.Module):
            self.colorizer.eval()
            self.colorizer.to(self.device.place, self.device.dtype)
            with contextlib.suppress(RuntimeError):  # scripted foreign networks may not have it
                self.colorizer.to(memory_format=torch.channels_last)

    def run(self, squares: Sequence[Square]) -> list[Result]:
        """Chroma `(2, s, s)` float32 for each luma square `(S, S)`, or why there is none.

        At most `batch_size` at once are run; more are divided. The order is kept. A colorizer
        that remembers is set back before each.
        """
        if self.spec.temporal:
            return self.run_frames(squares, [True] * len(squares))
        results: list[Result] = []
        start = 0
        while start < len(squares):
            part = squares[start : start + self.batch_size]
            try:
                results += self._batch(part)
            except torch.OutOfMemoryError:
                self._handle_oom(part, results)
                if len(results) == start:
                    continue
            start += len(part)
        return results

    def run_frames(self, squares: Sequence[Square], begins: Sequence[bool]) -> list[Result]:
        """As `run`, for frames of one film in order; `begins` says which are the first of a shot.

        Only a colorizer that remembers cares: it gets them one by one, and a `reset()` before
        each that begins a shot.
        """
        if not self.spec.temporal:
            return self.run(squares)
        results: list[Result] = []
        for square, first in zip(squares, begins, strict=True):
            fault = self._reset() if first else None
            try:
                results += [fault] if fault else self._batch([square])
            except torch.OutOfMemoryError:
                self._handle_oom([square], results)
        return results

    def _reset(self) -> ProcessingError | None:
        """Let the colorizer forget; why it cannot."""
        try:
            with (
                torch.inference_mode(),
                preserve_global_state(),
                contextlib.redirect_stdout(sys.stderr),
            ):
                assert isinstance(self.colorizer, TemporalColorizer)  # or it was not loaded
                self.colorizer.reset()
        except (Exception, SystemExit) as error:
            what = f"model {self.name} of {self.owned.origin}: reset() raised {format_error(error)}"
            return ProcessingError("chroma", what)
        return None

    def _handle_oom(self, part: Sequence[Square], results: list[Result]) -> None:
        """Out of memory: halve the batch and remember it; at one picture, go to the CPU."""
        if self.device.place.type == "cuda":
            torch.cuda.empty_cache()
        if self.batch_size > 1:
            self.batch_size //= 2
            self._say(f"out of memory on {self.device.name}: batches of {self.batch_size} now")
        elif self.device.place.type != "cpu":
            self._say("out of memory for a single picture: it goes to the CPU")
            results += self._on_cpu(part)
        else:
            results.append(ProcessingError("chroma", "not enough memory to run the model"))

    def _on_cpu(self, part: Sequence[Square]) -> list[Result]:
        before = self.device
        self.device = resolve_device("cpu")
        self._move_to_device()
        try:
            return self._batch(part)
        except torch.OutOfMemoryError:
            return [ProcessingError("chroma", "not enough memory to run the model")] * len(part)
        finally:
            self.device = before
            self._move_to_device()

    def _batch(self, part: Sequence[Square]) -> list[Result]:
        """One batch; after a fault each of its pictures once alone."""
        try:
            fields = self._forward(part)
            if self.palette is None:
                return list(fields)
            pairs = zip(fields, part, strict=True)
            return [self.palette.apply(chroma, square) for chroma, square in pairs]
        except torch.OutOfMemoryError:
            raise
        except InvalidChromaError as fault:
            if len(part) == 1:
                return [
                    ProcessingError("chroma", f"model {self.name} of {self.owned.origin} {fault}")
                ]
        return [self._batch([square])[0] for square in part]

    def _forward(self, part: Sequence[Square]) -> NDArray[np.float32]:
        """Chroma `(n, 2, s, s)`. Raises InvalidChromaError, torch.OutOfMemoryError."""
        stacked = np.stack(part)[:, None]
        missing = self.batch_size - len(part)
        if missing > 0:
            stacked = np.concatenate([stacked, np.repeat(stacked[-1:], missing, axis=0)])
        luma = torch.from_numpy(stacked).to(self.device.place, self.device.dtype)
        luma = luma.contiguous(memory_format=torch.channels_last)
        chroma = validate_chroma(self._call(luma), len(luma), self.device.place)
        result: NDArray[np.float32] = chroma[: len(part)].cpu().numpy()
        return result

    def _call(self, luma: torch.Tensor) -> object:
        given = luma.clone() if self.owned.origin.package != "batchcolor" else luma
        try:
            with (
                torch.inference_mode(),
                preserve_global_state(),
                contextlib.redirect_stdout(sys.stderr),
            ):
                chroma: object = self.colorizer(given)
        except (Exception, SystemExit) as error:
            if _out_of_memory(error):
                raise torch.OutOfMemoryError(str(error)) from error
            if self.device.place.type == "cuda" and _device_lost(error):
                self._say(
                    f"{self.device.name} was lost ({format_error(error)}): on the CPU from here on"
                )
                self.device = resolve_device("cpu")
                self._move_to_device()
                return self._call(luma.cpu().float())
            raise InvalidChromaError(f"raised {format_error(error)}") from error
        if given is not luma and not torch.equal(given, luma):
            raise InvalidChromaError("changed its input")
        return chroma

    def _say(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "not enough memory" in str(error)
    )


def _device_lost(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)
