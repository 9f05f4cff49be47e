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

from batchcolor.colorizers import weights as stored
from batchcolor.colorizers.device import Device, choose
from batchcolor.colorizers.like import Palette
from batchcolor.colorizers.loading import Loading
from batchcolor.errors import BatchcolorError, PictureError, PluginError
from batchcolor.hooks import options as own
from batchcolor.hooks.guard import ColorizerFaultError, checked, state_kept
from batchcolor.hooks.manager import Owned, words
from batchcolor.hooks.spec import Colorizer, TemporalColorizer

Square = NDArray[np.float32]
Result = NDArray[np.float32] | PictureError


def load_runner(owned: Owned, loading: Loading | None = None) -> Runner:
    """A colorizer built, filled with its weights and put on its device.

    Raises ImpossiblePlanError (options, device, like), WeightsError, PluginError.
    """
    spec, loading = owned.spec, loading or Loading()
    parsed = own.parse(spec, dict(loading.options))
    palette = Palette.of(loading.like) if loading.like else None
    path = stored.find(owned, loading.weights)
    digest = stored.verified(path) if path else ""
    chosen = choose(loading.device, loading.precision)
    try:
        with state_kept(), contextlib.redirect_stdout(sys.stderr):
            colorizer = spec.build(parsed)
    except BatchcolorError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{spec.name} of {owned.origin} cannot be built: {words(error)}"
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
        owned: Owned,
        colorizer: Colorizer,
        device: Device,
        batch_size: int,
        weights_hash: str,
        palette: Palette | None = None,
    ) -> None:
        self.owned, self.spec, self.name = owned, owned.spec, owned.spec.name
        self.palette = palette
        self.device, self.weights_hash = device, weights_hash
        self.batch_size = 1 if self.spec.temporal else batch_size
        self.notes: list[str] = []
        """What happened to the device or to the batch, said once each."""
        self.colorizer = colorizer
        self._place()

    @property
    def working_size(self) -> int:
        """Side of the luma squares, in pixels."""
        return self.spec.working_size

    def _place(self) -> None:
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
                self._narrow(part, results)
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
                self._narrow([square], results)
        return results

    def _reset(self) -> PictureError | None:
        """Let the colorizer forget; why it cannot."""
        try:
            with torch.inference_mode(), state_kept(), contextlib.redirect_stdout(sys.stderr):
                assert isinstance(self.colorizer, TemporalColorizer)  # or it was not loaded
                self.colorizer.reset()
        except (Exception, SystemExit) as error:
            what = f"model {self.name} of {self.owned.origin} raised {words(error)} at its reset"
            return PictureError("chroma", what)
        return None

    def _narrow(self, part: Sequence[Square], results: list[Result]) -> None:
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
            results.append(PictureError("chroma", "not enough memory to run the model"))

    def _on_cpu(self, part: Sequence[Square]) -> list[Result]:
        before = self.device
        self.device = choose("cpu")
        self._place()
        try:
            return self._batch(part)
        except torch.OutOfMemoryError:
            return [PictureError("chroma", "not enough memory to run the model")] * len(part)
        finally:
            self.device = before
            self._place()

    def _batch(self, part: Sequence[Square]) -> list[Result]:
        """One batch; after a fault each of its pictures once alone."""
        try:
            fields = self._forward(part)
            if self.palette is None:
                return list(fields)
            pairs = zip(fields, part, strict=True)
            return [self.palette.toward(chroma, square) for chroma, square in pairs]
        except torch.OutOfMemoryError:
            raise
        except ColorizerFaultError as fault:
            if len(part) == 1:
                return [PictureError("chroma", f"model {self.name} of {self.owned.origin} {fault}")]
        return [self._batch([square])[0] for square in part]

    def _forward(self, part: Sequence[Square]) -> NDArray[np.float32]:
        """Chroma `(n, 2, s, s)`. Raises ColorizerFaultError, torch.OutOfMemoryError."""
        stacked = np.stack(part)[:, None]
        missing = self.batch_size - len(part)
        if missing > 0:
            stacked = np.concatenate([stacked, np.repeat(stacked[-1:], missing, axis=0)])
        luma = torch.from_numpy(stacked).to(self.device.place, self.device.dtype)
        luma = luma.contiguous(memory_format=torch.channels_last)
        chroma = checked(self._call(luma), len(luma), self.device.place)
        result: NDArray[np.float32] = chroma[: len(part)].cpu().numpy()
        return result

    def _call(self, luma: torch.Tensor) -> object:
        given = luma.clone() if self.owned.origin.package != "batchcolor" else luma
        try:
            with torch.inference_mode(), state_kept(), contextlib.redirect_stdout(sys.stderr):
                chroma: object = self.colorizer(given)
        except (Exception, SystemExit) as error:
            if _out_of_memory(error):
                raise torch.OutOfMemoryError(str(error)) from error
            if self.device.place.type == "cuda" and _device_lost(error):
                self._say(f"{self.device.name} was lost ({words(error)}): on the CPU from here on")
                self.device = choose("cpu")
                self._place()
                return self._call(luma.cpu().float())
            raise ColorizerFaultError(f"raised {words(error)}") from error
        if given is not luma and not torch.equal(given, luma):
            raise ColorizerFaultError("changed its input")
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
