"""Runner: runs one colorizer on one device, in batches of one shape.

Every batch has the same shape and is padded where squares are missing, because the last bits of a
network's output depend on the batch shape. So the result of a picture depends neither on the
pictures beside it nor on where a job was interrupted and resumed.

The runner works with NumPy arrays and does not import torch; a backend computes the chroma.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.hooks import options as model_options
from batchcolor.hooks.failures import PluginFailure
from batchcolor.hooks.guard import InvalidChromaError
from batchcolor.hooks.manager import RegisteredColorizer
from batchcolor.inference import weights
from batchcolor.inference.backends.backend import Backend
from batchcolor.inference.backends.model_source import ModelSource
from batchcolor.inference.backends.selection import load_backend
from batchcolor.inference.batch_size import get_default_batch_size
from batchcolor.inference.color_transfer import ColorTransfer
from batchcolor.inference.device_errors import DeviceLostError, DeviceMemoryError
from batchcolor.inference.load_options import LoadOptions

Square = NDArray[np.float32]
"""Luma `(S, S)` in 0..1."""
Result = NDArray[np.float32] | ProcessingError
"""Chroma `(2, s, s)` in -0.5..0.5, or the reason why there is none."""
HOOK = "batchcolor_colorizers"
"""The hook that failures of a model are recorded under."""


def load_runner(registered: RegisteredColorizer, loading: LoadOptions | None = None) -> Runner:
    """Builds a colorizer, loads its weights, and moves it to its device.

    Raises UsageError (options, device, backend, like), WeightsError, PluginError.
    """
    spec, loading = registered.spec, loading or LoadOptions()
    parsed = model_options.parse_options(spec, dict(loading.options))
    transfer = ColorTransfer.from_picture(loading.like) if loading.like else None
    path = weights.find(registered, loading.weights)
    digest = weights.verify(path) if path else ""
    backend = load_backend(ModelSource(registered, parsed, path, digest), loading)
    batch_size = loading.batch_size or get_default_batch_size(
        spec.working_size, is_on_cpu=backend.is_on_cpu
    )
    runner = Runner(registered, backend, batch_size, digest, transfer)
    if spec.temporal and (loading.batch_size or 1) > 1:
        runner.notes.append(f"{spec.name} keeps state between frames: its batch size is 1")
    return runner


class Runner:
    """Runs one colorizer on batches of luma squares."""

    def __init__(
        self,
        registered: RegisteredColorizer,
        backend: Backend,
        batch_size: int,
        weights_hash: str,
        color_transfer: ColorTransfer | None = None,
    ) -> None:
        self.registered, self.spec, self.name = registered, registered.spec, registered.spec.name
        self.weights_hash, self.color_transfer = weights_hash, color_transfer
        self.backend = backend
        self.batch_size = 1 if self.spec.temporal else batch_size
        self.notes = backend.notes
        """Changes of backend, device or batch size, each reported once."""
        try:
            backend.prepare()
        except (DeviceMemoryError, DeviceLostError) as error:
            self._continue_on_cpu(error)

    def __repr__(self) -> str:
        return (
            f"<Runner {self.name}: {self.working_size} px, {self.backend.device_name}, "
            f"{self.backend.precision}, batch size {self.batch_size}>"
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
            except DeviceMemoryError:
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
                self.backend.reset()
            return self._run_batch([square])[0]
        except (DeviceMemoryError, DeviceLostError) as error:
            if self.backend.is_on_cpu:
                return _make_memory_failure()
            self._continue_on_cpu(error)
            return self._run_frame(square, is_shot_start=True)  # the state was on the device
        except InvalidChromaError as error:
            return self._make_failure(error)

    # ---- device failures -----------------------------------------------------------------

    def _halve_batch(self) -> None:
        self.backend.release_memory()
        self.batch_size //= 2
        self._note(
            f"{self.backend.device_name} is out of memory: "
            f"the batch size is {self.batch_size} from now on"
        )

    def _run_batch_on_cpu(self, part: Sequence[Square]) -> list[Result]:
        """Runs this batch on the CPU; the next one runs on the device again."""
        if self.backend.is_on_cpu:
            return [_make_memory_failure() for _ in part]
        self._note(
            f"{self.backend.device_name} has no memory for a single picture: it runs on the CPU"
        )
        try:
            with self.backend.run_on_cpu():
                return self._run_batch(part)
        except DeviceMemoryError:
            return [_make_memory_failure() for _ in part]

    def _continue_on_cpu(self, error: Exception) -> None:
        """Runs everything from now on on the CPU."""
        is_full = isinstance(error, DeviceMemoryError)
        cause = "is out of memory" if is_full else f"was lost ({error})"
        self._note(f"{self.backend.device_name} {cause}: the CPU is used from now on")
        self.backend.move_to_cpu()
        default = get_default_batch_size(self.working_size, is_on_cpu=True)
        self.batch_size = min(self.batch_size, default)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    # ---- batches -------------------------------------------------------------------------

    def _run_batch(self, part: Sequence[Square]) -> list[Result]:
        """Runs one batch. If the colorizer fails, runs each of its squares once alone.

        Raises DeviceMemoryError, DeviceLostError.
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

        Raises InvalidChromaError, DeviceMemoryError, DeviceLostError.
        """
        stacked = np.stack(part)[:, None]
        missing = self.batch_size - len(part)
        if missing > 0:
            stacked = np.concatenate([stacked, np.repeat(stacked[-1:], missing, axis=0)])
        return self.backend.compute_chroma(stacked, len(part))

    def _make_failure(self, error: InvalidChromaError) -> ProcessingError:
        """Returns the failure of a picture, and records where the colorizer's code caused it."""
        origin = self.registered.origin
        location = self.backend.find_failure_location(error.__cause__)
        text = f"model {self.name} {error}"
        self.registered.record(PluginFailure(origin, text, location, HOOK, self.spec.name))
        return ProcessingError("chroma", f"model {self.name} of {origin} {error}")


def _make_memory_failure() -> ProcessingError:
    return ProcessingError("chroma", "not enough memory to run the model")
