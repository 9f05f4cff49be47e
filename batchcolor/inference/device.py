"""Where a network runs and in what precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from batchcolor.errors import UsageError

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
KNOWN = "use auto, cpu, cuda, cuda:N or mps"
CPU_BATCH, CPU_PIXELS = 8, 2 * 256**2
"""Pictures in a batch on a CPU, and pixels: what a larger one holds leaves the caches."""
GPU_BATCH = 64


@dataclass(frozen=True)
class Device:
    """A torch device and the type that networks have there."""

    place: torch.device
    dtype: torch.dtype
    name: str

    def batch_size(self, side: int) -> int:
        """Squares of so many pixels a side in a batch where nobody says otherwise."""
        if self.place.type != "cpu":
            return GPU_BATCH
        return max(1, min(CPU_BATCH, CPU_PIXELS // side**2))


def resolve_device(device: str = "auto", precision: str = "auto") -> Device:
    """The device asked for; `auto` is CUDA, then Apple's, then the CPU.

    `auto` precision is float16 on CUDA and float32 elsewhere: half types are slower on CPUs.
    Raises UsageError for a device that is not here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if _apple() else "cpu"
    try:
        chosen = torch.device(device or "none")  # torch takes an empty name for the CPU
    except RuntimeError as error:
        raise UsageError(f"--device {device}: {KNOWN}") from error
    if chosen.type == "cuda" and (
        not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count()
    ):
        raise UsageError(f"--device {device}: no such CUDA device here; try --device cpu")
    if chosen.type == "mps" and not _apple():
        raise UsageError(f"--device {device}: not on this machine; try --device cpu")
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"--device {device}: {KNOWN}")
    if precision == "auto":
        precision = "float16" if chosen.type == "cuda" else "float32"
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: use auto, {', '.join(PRECISIONS)}")
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else chosen.type.upper()
    return Device(chosen, PRECISIONS[precision], name)


def _apple() -> bool:
    return torch.backends.mps.is_available()
