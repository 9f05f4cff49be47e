"""DeviceWorker: runs one colorizer on one device, and copes with what a device does.

Every batch has the same shape and is padded where squares are missing, because the last bits of a
network's output depend on the batch shape. So the result of a picture depends neither on the
pictures beside it nor on where a job was interrupted and resumed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.hooks.failures import PluginFailure
from batchcolor.hooks.guard import InvalidChromaError
from batchcolor.hooks.manager import RegisteredColorizer
from batchcolor.inference.backends.backend import Backend
from batchcolor.inference.batch_size import get_default_batch_size
from batchcolor.inference.device_errors import DeviceLostError, DeviceMemoryError

Square = NDArray[np.float32]
"""Luma `(S, S)` in 0..1."""
Result = NDArray[np.float32] | ProcessingError
"""Chroma `(2, s, s)` in -0.5..0.5, or the reason why there is none."""
HOOK = "batchcolor_colorizers"
"""The hook that failures of a model are recorded under."""


class DeviceWorker:
    """Runs one colorizer on batches of luma squares. For one thread at a time."""

    def __init__(self, registered: RegisteredColorizer, backend: Backend, batch_size: int) -> None:
        self.registered, self.spec, self.backend = registered, registered.spec, backend
        self.batch_size = 1 if self.spec.temporal else batch_size
        self.seconds: dict[str, float] = {}
        """Time in which the model ran, by the device as torch names it."""
        try:
            backend.prepare()
        except (DeviceMemoryError, DeviceLostError) as error:
            self.continue_on_cpu(error)

    @property
    def notes(self) -> list[str]:
        """Changes of backend, device or batch size, each once."""
        return self.backend.notes

    @property
    def squares_at_once(self) -> int:
        """Squares that keep the device busy: a batch for each that it runs in parallel."""
        return self.batch_size * self.backend.parallel_batches

    def run(self, squares: Sequence[Square]) -> list[Result]:
        """Returns a result for each luma square `(S, S)`, in order. Raises DeviceLostError."""
        results: list[Result] = []
        while len(results) < len(squares):
            part = squares[len(results) : len(results) + self.squares_at_once]
            try:
                results += self._run_batches(part)
            except DeviceMemoryError:
                if self.batch_size > 1:
                    self._halve_batch()
                else:
                    results += self._run_on_cpu_once(part[:1])
        return results

    def run_alone(self, square: Square) -> Result:
        """Returns the result of one square, in a batch of its own. Raises DeviceLostError."""
        try:
            return self._run_batches([square], batch_size=1)[0]
        except DeviceMemoryError:
            return self._run_on_cpu_once([square])[0]

    def run_frame(self, square: Square, *, is_shot_start: bool) -> Result:
        """Returns the result of one frame; a temporal colorizer is reset before a shot."""
        try:
            if is_shot_start:
                self.backend.reset()
            return self._run_batches([square])[0]
        except (DeviceMemoryError, DeviceLostError) as error:
            if self.backend.is_on_cpu:
                return _make_memory_failure()
            self.continue_on_cpu(error)
            return self.run_frame(square, is_shot_start=True)  # the state was on the device
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

    def _run_on_cpu_once(self, part: Sequence[Square]) -> list[Result]:
        """Runs this batch on the CPU; the next one runs on the device again."""
        if self.backend.is_on_cpu:
            return [_make_memory_failure() for _ in part]
        self._note(
            f"{self.backend.device_name} has no memory for a single picture: it runs on the CPU"
        )
        try:
            with self.backend.run_on_cpu():
                return self._run_batches(part)
        except DeviceMemoryError:
            return [_make_memory_failure() for _ in part]

    def continue_on_cpu(self, error: Exception) -> None:
        """Runs everything from now on on the CPU."""
        is_full = isinstance(error, DeviceMemoryError)
        cause = "is out of memory" if is_full else f"was lost ({error})"
        self._note(f"{self.backend.device_name} {cause}: the CPU is used from now on")
        self.backend.move_to_cpu()
        default = get_default_batch_size(self.spec.working_size, is_on_cpu=True)
        self.batch_size = min(self.batch_size, default)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    # ---- batches -------------------------------------------------------------------------

    def _run_batches(self, part: Sequence[Square], batch_size: int = 0) -> list[Result]:
        """Runs batches. If the colorizer fails, runs each of their squares once alone.

        Raises DeviceMemoryError, DeviceLostError.
        """
        try:
            fields = self._forward(part, batch_size or self.batch_size)
        except InvalidChromaError as error:
            if len(part) == 1:
                return [self._make_failure(error)]
            return [self._run_batches([square])[0] for square in part]
        return list(fields)

    def _forward(self, part: Sequence[Square], batch_size: int) -> NDArray[np.float32]:
        """Returns chroma `(n, 2, s, s)` of n squares, from batches padded to `batch_size`.

        Raises InvalidChromaError, DeviceMemoryError, DeviceLostError.
        """
        stacked = np.stack(part)
        if stacked.ndim == 3:  # luma without the channels of colour hints
            stacked = stacked[:, None]
        missing = -len(part) % batch_size
        if missing > 0:
            stacked = np.concatenate([stacked, np.repeat(stacked[-1:], missing, axis=0)])
        start = time.perf_counter()
        try:
            return self.backend.compute_chroma(stacked, len(part), batch_size)
        finally:
            add_seconds(self.seconds, {self.backend.torch_device: time.perf_counter() - start})

    def _make_failure(self, error: InvalidChromaError) -> ProcessingError:
        """Returns the failure of a picture, and records where the colorizer's code caused it."""
        origin = self.registered.origin
        location = self.backend.find_failure_location(error.__cause__)
        text = f"model {self.spec.name} {error}"
        self.registered.record(PluginFailure(origin, text, location, HOOK, self.spec.name))
        return ProcessingError("chroma", f"model {self.spec.name} of {origin} {error}")


def _make_memory_failure() -> ProcessingError:
    return ProcessingError("chroma", "not enough memory to run the model")


def add_seconds(total: dict[str, float], more: Mapping[str, float]) -> None:
    """Adds times by the name of the device."""
    for name, seconds in more.items():
        total[name] = total.get(name, 0.0) + seconds
