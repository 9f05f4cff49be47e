"""Runner: runs one colorizer in batches of one shape, on one device or on several.

Several devices take batches from one queue. Each has the same batch shape, so it does not matter
which one colours a picture. The work of a device that is lost goes to the others.

The runner works with NumPy arrays and does not import torch; a backend computes the chroma.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.hooks import options as model_options
from batchcolor.hooks.manager import RegisteredColorizer
from batchcolor.inference import weights
from batchcolor.inference.backends.backend import Backend
from batchcolor.inference.backends.model_source import ModelSource
from batchcolor.inference.backends.selection import list_devices, load_backend
from batchcolor.inference.batch_size import get_default_batch_size
from batchcolor.inference.color_transfer import ColorTransfer
from batchcolor.inference.device_errors import DeviceLostError
from batchcolor.inference.device_worker import DeviceWorker, Result, Square, add_seconds
from batchcolor.inference.load_options import LoadOptions

__all__ = ["Prediction", "Result", "Runner", "Square", "load_runner"]


def load_runner(registered: RegisteredColorizer, loading: LoadOptions | None = None) -> Runner:
    """Builds a colorizer, loads its weights, and moves it to its devices.

    Raises UsageError (options, device, backend, like), WeightsError, PluginError.
    """
    spec, loading = registered.spec, loading or LoadOptions()
    parsed = model_options.parse_options(spec, dict(loading.options))
    transfer = ColorTransfer.from_picture(loading.like) if loading.like else None
    path = weights.find(registered, loading.weights)
    digest = weights.verify(path) if path else ""
    source = ModelSource(registered, parsed, path, digest)
    devices = list_devices(loading.device)
    used = devices[:1] if spec.temporal else devices
    workers = []
    for device in used:
        chosen = replace(loading, device=device)
        backend = load_backend(source, chosen, devices_on_cpu=used.count(device))
        batch_size = loading.batch_size or get_default_batch_size(
            spec.working_size, is_on_cpu=backend.is_on_cpu
        )
        workers.append(DeviceWorker(registered, backend, batch_size))
    runner = Runner(registered, workers, digest, transfer)
    if transfer is not None and transfer.note:
        runner.add_note(transfer.note)
    if spec.temporal and (loading.batch_size or 1) > 1:
        runner.add_note(f"{spec.name} keeps state between frames: its batch size is 1")
    if len(used) < len(devices):
        runner.add_note(f"{spec.name} keeps state between frames: it runs on {used[0]} only")
    return runner


class Prediction(NamedTuple):
    """Chroma `(2, s, s)` in -0.5..0.5, and how unsure the model is of it."""

    chroma: NDArray[np.float32]
    doubt: float
    """The mean expected CIEDE2000 error, if the model states it; else 100 times the mean distance
    of chroma from grey, as errors of strong colours are large. Comparable within one model."""


def append_hints(square: Square, hints: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Returns luma `(S, S)` and hints `(3, S, S)`, zeros where there are none, as `(4, S, S)`."""
    if hints is None:
        hints = np.zeros((3, *square.shape), np.float32)
    return np.concatenate([square[None], hints])


def make_prediction(field: NDArray[np.float32]) -> Prediction:
    """Returns the prediction of a field `(2, s, s)`, or `(3, s, s)` with doubt."""
    chroma = field[:2]
    statistic = field[2] if len(field) == 3 else np.hypot(chroma[0], chroma[1])
    return Prediction(chroma, round(100 * float(statistic.mean()), 3))


class Runner:
    """Runs one colorizer on luma squares, on the devices of its workers."""

    def __init__(
        self,
        registered: RegisteredColorizer,
        workers: Sequence[DeviceWorker],
        weights_hash: str,
        color_transfer: ColorTransfer | None = None,
    ) -> None:
        self.registered, self.spec, self.name = registered, registered.spec, registered.spec.name
        self.weights_hash, self.color_transfer = weights_hash, color_transfer
        self._workers = list(workers)
        """Those whose device works."""
        self._every_worker = tuple(workers)
        self._notes: list[str] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        names = ", ".join(worker.backend.device_name for worker in self._workers)
        return (
            f"<Runner {self.name}: {self.working_size} px, {names}, "
            f"{self.backend.precision}, batch size {self.batch_size}>"
        )

    @property
    def notes(self) -> list[str]:
        """Changes of backend, device or batch size, each reported once."""
        everything = [*self._notes, *(note for it in self._workers for note in it.notes)]
        return list(dict.fromkeys(everything))

    @property
    def device_seconds(self) -> dict[str, float]:
        """Time in which the model ran, by the device as torch names it."""
        total: dict[str, float] = {}
        for worker in self._every_worker:
            add_seconds(total, dict(worker.seconds))
        return total

    @property
    def backend(self) -> Backend:
        """The backend of the first device."""
        return self._workers[0].backend

    @property
    def batch_size(self) -> int:
        """Squares in a batch of the first device."""
        return self._workers[0].batch_size

    @property
    def squares_at_once(self) -> int:
        """Squares for a call of `run` that keeps all devices busy."""
        return sum(worker.squares_at_once for worker in self._workers)

    @property
    def working_size(self) -> int:
        """Side of the luma squares, in pixels."""
        return self.spec.working_size

    def add_note(self, note: str) -> None:
        """Adds a note."""
        self._notes.append(note)

    def run(self, squares: Sequence[Square]) -> list[Result]:
        """Returns a result for each luma square `(S, S)`, in order.

        A temporal colorizer is reset before each.
        """
        return self.run_frames(squares, [True] * len(squares))

    def run_frames(
        self, squares: Sequence[Square], are_shot_starts: Sequence[bool]
    ) -> list[Result]:
        """Returns a result for each frame of one film, in order.

        A temporal colorizer gets the frames one at a time, and a `reset()` before each frame that
        starts a shot. For other colorizers this is the same as `run`.
        """
        predictions = self.predict_frames(squares, are_shot_starts)
        return [it.chroma if isinstance(it, Prediction) else it for it in predictions]

    def predict_frames(
        self,
        squares: Sequence[Square],
        are_shot_starts: Sequence[bool],
        hints: Sequence[NDArray[np.float32] | None] | None = None,
    ) -> list[Prediction | ProcessingError]:
        """As `run_frames`, with the doubt of each result.

        `hints` are `(3, S, S)` of `PictureHints.as_square`, for colorizers that take them.
        """
        given = squares
        pairs = list(zip(squares, hints or [None] * len(squares), strict=True))
        is_mixed = self.spec.hints_optional and not self.spec.temporal
        if self.spec.hints and not is_mixed:
            given = [append_hints(*pair) for pair in pairs]
        if is_mixed:
            fields = self._run_hinted(pairs)
        elif self.spec.temporal:
            fields = [
                self._workers[0].run_frame(square, is_shot_start=is_shot_start)
                for square, is_shot_start in zip(given, are_shot_starts, strict=True)
            ]
        else:
            fields = self._run_shared(given)
        results = [it if isinstance(it, ProcessingError) else make_prediction(it) for it in fields]
        return self._transfer_colors(squares, results)

    def _run_hinted(
        self, pairs: Sequence[tuple[Square, NDArray[np.float32] | None]]
    ) -> list[Result]:
        """Runs squares with hints alone, and those without in the same batches as ever."""
        plain = iter(self._run_shared([square for square, hints in pairs if hints is None]))
        return [
            next(plain) if hints is None else self._run_alone(append_hints(square, hints))
            for square, hints in pairs
        ]

    def _run_alone(self, square: Square) -> Result:
        while True:
            worker = self._workers[0]
            try:
                return worker.run_alone(square)
            except DeviceLostError as error:
                self._handle_loss(worker, error)

    def _run_shared(self, squares: Sequence[Square]) -> list[Result]:
        """Runs parts of the squares on every device that is free."""
        results: dict[int, list[Result]] = {}
        waiting = deque(_split(squares, self._workers[0].squares_at_once))

        def work(worker: DeviceWorker) -> None:
            while waiting:
                try:
                    start, part = waiting.popleft()
                except IndexError:  # another device took it
                    return
                try:
                    results[start] = worker.run(part)
                except DeviceLostError as error:
                    waiting.appendleft((start, part))
                    self._handle_loss(worker, error)
                    return

        while waiting:
            if len(waiting) == 1 or len(self._workers) == 1:
                work(self._workers[0])
            else:
                list(self._threads.map(work, list(self._workers)))  # raises what they raised
        return [result for start in sorted(results) for result in results[start]]

    def _handle_loss(self, worker: DeviceWorker, error: DeviceLostError) -> None:
        """Leaves the work to the other devices; the last one continues on the CPU."""
        with self._lock:
            if len(self._workers) == 1:
                worker.continue_on_cpu(error)
                return
            self._workers.remove(worker)
            self._notes += worker.notes
        name = worker.backend.device_name
        self.add_note(f"{name} was lost ({error}): the other devices are used from now on")

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(len(self._workers), "device")

    def _transfer_colors(
        self, squares: Sequence[Square], results: list[Prediction | ProcessingError]
    ) -> list[Prediction | ProcessingError]:
        transfer = self.color_transfer
        if transfer is None:
            return results
        return [
            it
            if isinstance(it, ProcessingError)
            else Prediction(transfer.apply(it.chroma, square), it.doubt)
            for it, square in zip(results, squares, strict=True)
        ]


def _split(squares: Sequence[Square], size: int) -> Iterator[tuple[int, Sequence[Square]]]:
    """Yields parts of the squares with the index of their first square."""
    for start in range(0, len(squares), size):
        yield start, squares[start : start + size]
