"""The device, precision and processes of a training run; several GPUs under `torchrun`."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import distributed, nn

from batchcolor.errors import UsageError


@dataclass(frozen=True)
class DistributedContext:
    """Where this process trains, and which of how many processes it is."""

    device: torch.device
    autocast: torch.dtype | None
    rank: int = 0
    world: int = 1
    compile: bool = False

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def precision(self) -> AbstractContextManager[object]:
        """Mixed precision where it was chosen, else nothing."""
        return torch.autocast(
            self.device.type, dtype=self.autocast, enabled=self.autocast is not None
        )

    def compiled(self, network: nn.Module) -> Callable[..., torch.Tensor]:
        """The network's forward pass, through `torch.compile` where that was chosen."""
        return torch.compile(network) if self.compile else network

    def any(self, flag: bool) -> bool:
        """Whether any process raised the flag; all processes must ask together."""
        if self.world == 1:
            return flag
        shared = torch.tensor(float(flag), device=self.device)
        distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
        return bool(shared.item())

    def mean(self, value: float) -> float:
        """The mean over all processes; all processes must ask together."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        distributed.all_reduce(shared)
        return float(shared.item()) / self.world

    def describe(self) -> str:
        """The hardware, for the card: a GPU's name, or processor and threads."""
        if self.device.type == "cuda":
            return f"{self.world} x {torch.cuda.get_device_name(self.device)}"
        return f"CPU, {torch.get_num_threads()} threads, {self.world} process(es)"


def start(device: str, precision: str, *, compile: bool = False) -> DistributedContext:
    """Choose device and precision; join the other processes where `torchrun` started several.

    Mixed precision is bfloat16 on a GPU that has it (`auto`); on most CPUs float32 is faster.
    Raises UsageError for a device that is not there.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("--device cuda: no CUDA device is usable here; use --device cpu")
    if device == "cuda" and world > 1:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"--device {device}: not a device; use cpu or cuda") from error
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    half = chosen.type == "cuda" and torch.cuda.is_bf16_supported()
    autocast = {"auto": torch.bfloat16 if half else None, "float32": None}.get(
        precision, torch.bfloat16
    )
    return DistributedContext(chosen, autocast, rank, world, compile)
