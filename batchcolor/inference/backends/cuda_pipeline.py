"""Several batches in flight on a CUDA device: copies run beside the computation.

Copies from and to pinned memory are asynchronous, and each direction has a stream of its own. So
while a batch is computed, the next one is copied to the device and the one before it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from batchcolor.hooks.guard import validate_chroma_array
from batchcolor.inference.backends.backend import Array
from batchcolor.inference.device import Device

CUDA_BATCHES = 3
"""One is copied to the device, one is computed, and one is copied back."""


def run_overlapped(
    compute: Callable[[torch.Tensor], torch.Tensor], batches: Sequence[Array], device: Device
) -> Array:
    """Returns the chroma `(N, 2, s, s)` of all batches `(n, 1, S, S)`.

    `compute` is called once for each batch, in order. Raises what it raises, InvalidChromaError,
    and errors of CUDA.
    """
    with torch.cuda.device(device.torch_device):
        computing = torch.cuda.current_stream()
        uploading, downloading = _make_stream(), _make_stream()
        uploads = [_upload(batch, device, uploading) for batch in batches]
        results = []
        for luma, is_uploaded in uploads:
            computing.wait_event(is_uploaded)
            luma.record_stream(computing)  # its memory was allocated for the other stream
            chroma = compute(luma.to(device.dtype, memory_format=torch.channels_last))
            is_computed = computing.record_event()
            with torch.cuda.stream(downloading):
                downloading.wait_event(is_computed)
                chroma.record_stream(downloading)
                result = torch.empty(chroma.shape, dtype=chroma.dtype, pin_memory=True)
                results.append(result.copy_(chroma, non_blocking=True))
        downloading.synchronize()
    return np.concatenate([validate_chroma_array(it.numpy(), len(it)) for it in results])


def _make_stream() -> torch.cuda.Stream:
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def _upload(
    batch: Array, device: Device, stream: torch.cuda.Stream
) -> tuple[torch.Tensor, torch.cuda.Event]:
    """Starts the copy of a batch; the event is that of its end."""
    pinned = torch.from_numpy(batch).pin_memory()
    with torch.cuda.stream(stream):
        luma = pinned.to(device.torch_device, non_blocking=True)
        return luma, stream.record_event()
