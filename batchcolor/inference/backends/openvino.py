"""The OpenVINO backend: exported models on a CPU, faster than in torch.

Of a model that was exported before, the graph is loaded and torch is not imported. Torch is loaded
where its answer counts: for chroma that the guard refuses, as only the module's own code shows the
cause, and after OpenVINO fails.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from batchcolor.hooks.failures import format_error
from batchcolor.hooks.guard import InvalidChromaError, validate_chroma_array
from batchcolor.inference.backends.backend import (
    Array,
    BackendUnavailableError,
    split_batches,
)
from batchcolor.inference.backends.check_input import find_difference, make_test_luma
from batchcolor.inference.backends.export_cache import (
    CANNOT_STORE,
    Export,
    discard_export,
    find_export,
    store_export,
)
from batchcolor.inference.backends.model_source import ModelSource
from batchcolor.inference.backends.openvino_library import openvino

if TYPE_CHECKING:
    from batchcolor.inference.backends.torch import TorchBackend

EXPORT_VERSION = 4
"""Changed when the code of this folder exports models in another way."""
EXPORTING = threading.Lock()
"""torch exports one model at a time in a process."""
CREATING = threading.Lock()
HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoBackend:
    """Runs one compiled graph of a fixed shape, in streams of one thread each.

    A batch on all cores would make every layer wait for the slowest core, which other threads of
    the job use as well.
    """

    name, device_name, torch_device, is_on_cpu = "openvino", "CPU with OpenVINO", "cpu", True

    def __init__(
        self,
        compiled: openvino.CompiledModel,
        precision: str,
        load_torch: Callable[[], TorchBackend],
    ) -> None:
        self.notes: list[str] = []
        self.precision = precision
        self._shape = tuple(compiled.input(0).shape)
        self.parallel_batches = int(compiled.get_property("NUM_STREAMS"))
        self._requests = [compiled.create_infer_request() for _ in range(self.parallel_batches)]
        self._load_torch = load_torch
        self._has_failed = False

    @cached_property
    def _torch(self) -> TorchBackend:
        backend = self._load_torch()
        backend.prepare()
        return backend

    def prepare(self) -> None:
        """Does nothing: the graph is compiled."""

    def compute_chroma(self, luma: Array, count: int, batch_size: int) -> Array:
        """Returns chroma `(count, 2, s, s)` of the first squares of luma `(N, 1, S, S)`.

        N is a multiple of `batch_size`; every batch has that size. Raises InvalidChromaError,
        DeviceMemoryError.
        """
        batches = split_batches(luma, batch_size)
        if self._has_failed or batches[0].shape != self._shape:
            return self._torch.compute_chroma(luma, count, batch_size)
        try:
            chroma = self.infer(batches)
        except Exception as error:  # OpenVINO raises RuntimeError for everything
            self._has_failed = True
            self.notes.append(f"OpenVINO failed ({format_error(error)}): torch is used from now on")
            return self._torch.compute_chroma(luma, count, batch_size)
        try:
            return validate_chroma_array(chroma, len(luma))[:count]
        except InvalidChromaError:
            if count > 1:
                raise  # the runner tries each square alone
            return self._torch.compute_chroma(luma, count, batch_size)

    def infer(self, batches: Sequence[Array]) -> Array:
        """Returns what the graph computes from all batches. Raises what OpenVINO raises."""
        results: list[Array] = []
        for start in range(0, len(batches), len(self._requests)):
            part = batches[start : start + len(self._requests)]
            results += _infer(self._requests[: len(part)], part)
        return np.concatenate(results)

    def reset(self) -> None:
        """Has no effect: an exported model keeps no state between frames."""

    def find_failure_location(self, error: BaseException | None) -> str:
        """Returns `FILE:LINE` of the model's code that raised, or of its definition."""
        return self._torch.find_failure_location(error)

    def release_memory(self) -> None:
        """Does nothing: OpenVINO keeps no memory beside that of its graph."""

    def move_to_cpu(self) -> None:
        """Does nothing: the graph runs on the CPU."""

    @contextlib.contextmanager
    def run_on_cpu(self) -> Iterator[None]:
        """Does nothing: the graph runs on the CPU."""
        yield


def get_core() -> openvino.Core:
    """Returns the only core of this process, which is never freed. Raises RuntimeError.

    A core gives the thread that creates it another stack for signal handlers, and frees that
    stack with itself. If cores are freed in another order than the reverse of their creation, or by
    another thread, the freed stack stays in use, and the next signal, as of Ctrl-C, is a
    segmentation fault.
    """
    with CREATING:
        return _create_core()


@cache
def _create_core() -> openvino.Core:
    return openvino.Core()


def load_openvino(
    source: ModelSource,
    batch_size: int,
    precision: str,
    load_torch: Callable[[], TorchBackend],
    streams: int = 1,
) -> OpenVinoBackend:
    """Loads a model from its export, which is made where there is none.

    `precision` is `auto`, `float32` or `bfloat16`; `streams` batches run at the same time. Raises
    BackendUnavailableError, and for a model without an export what `load_torch` raises.
    """
    try:
        core = get_core()
        capabilities = sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    except RuntimeError as error:
        raise BackendUnavailableError(f"cannot be loaded ({format_error(error)})") from error
    digest = source.compute_digest(EXPORT_VERSION, batch_size, precision, capabilities)
    fastest = ("bfloat16", "float32") if "BF16" in capabilities else ("float32",)
    precisions = fastest if precision == "auto" else (precision,)
    with EXPORTING:
        export = find_export(digest)
        backend = _open(core, export, load_torch, streams) if export is not None else None
        if backend is None:
            if export is not None:  # OpenVINO cannot read it
                discard_export(digest)
            export = make_export(core, source, batch_size, precisions, load_torch())
            backend = _open(core, _store(digest, export), load_torch, streams)
    if backend is None:
        raise BackendUnavailableError("cannot run it")
    return backend


def _open(
    core: openvino.Core, export: Export, load_torch: Callable[[], TorchBackend], streams: int
) -> OpenVinoBackend | None:
    """Compiles an export and compares its results with torch's; None where it cannot be compiled.

    Raises BackendUnavailableError.
    """
    if export.obstacle:
        raise BackendUnavailableError(export.obstacle)
    try:
        compiled = _compile(core, export.graph, export.precision, streams)
        backend = OpenVinoBackend(compiled, export.precision, load_torch)
        chroma = backend.infer([export.luma])
    except RuntimeError:
        return None
    if difference := find_difference(chroma, export.chroma, export.precision):
        raise BackendUnavailableError(f"gives other numbers than torch ({difference})")
    return backend


def make_export(
    core: openvino.Core,
    source: ModelSource,
    batch_size: int,
    precisions: Sequence[str],
    torch_backend: TorchBackend,
) -> Export:
    """Exports a model in the first precision whose results are those of torch."""
    # Here, as it imports torch.
    from batchcolor.inference.backends.openvino_export import ExportError, export_module

    spec = source.registered.spec
    luma = make_test_luma(batch_size, spec.working_size)
    torch_backend.prepare()
    try:
        chroma = torch_backend.compute_chroma(luma, batch_size, batch_size)
        graph = export_module(torch_backend.colorizer, luma.shape, spec.rearrange_for_inference)
        difference = ""
        for precision in precisions:
            (result,) = _infer([_compile(core, graph, precision).create_infer_request()], [luma])
            difference = find_difference(result, chroma, precision)
            if not difference:
                return Export(precision, luma, chroma, graph)
    except (ExportError, InvalidChromaError) as error:
        return Export(obstacle=f"has no export of it ({error})")
    except RuntimeError as error:
        return Export(obstacle=f"cannot run it ({format_error(error)})")
    return Export(obstacle=f"gives other numbers than torch ({difference})")


def _store(digest: str, export: Export) -> Export:
    """Stores an export, and returns it as later jobs read it; it need not be stored."""
    with contextlib.suppress(*CANNOT_STORE):
        store_export(digest, export, openvino.save_model)
        return find_export(digest) or export
    return export


def _compile(
    core: openvino.Core, graph: openvino.Model | Path, precision: str, streams: int = 1
) -> openvino.CompiledModel:
    return core.compile_model(
        graph,
        "CPU",
        {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "ENABLE_CPU_PINNING": False,  # other threads of the job need the cores as well
        },
    )


def _infer(requests: Sequence[openvino.InferRequest], batches: Sequence[Array]) -> list[Array]:
    """Returns what a graph computes from each batch. Raises what OpenVINO raises."""
    given = [np.ascontiguousarray(batch) for batch in batches]
    for request, luma in zip(requests, given, strict=True):
        request.start_async([luma], share_inputs=True)
    for request in requests:
        request.wait()
    return [request.get_output_tensor(0).data.astype(np.float32) for request in requests]
