"""Device, precision and processes of a training run; several GPUs with `torchrun`."""

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
    """The device of this process, and its rank among all processes."""

    device: torch.device
    autocast_dtype: torch.dtype | None
    rank: int = 0
    world_size: int = 1
    compile: bool = False

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[object]:
        """Returns the context of mixed precision, which does nothing in float32."""
        return torch.autocast(
            self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None
        )

    def compile_forward(self, network: nn.Module) -> Callable[..., torch.Tensor]:
        """Returns the network's forward pass, compiled if `compile` is set."""
        return torch.compile(network) if self.compile else network

    def any_process(self, flag: bool) -> bool:
        """Returns whether the flag is set in any process. All processes must call this."""
        if self.world_size == 1:
            return flag
        shared = torch.tensor(float(flag), device=self.device)
        distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
        return bool(shared.item())

    def mean_over_processes(self, value: float) -> float:
        """Returns the mean over all processes. All processes must call this."""
        if self.world_size == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        distributed.all_reduce(shared)
        return float(shared.item()) / self.world_size

    def describe(self) -> str:
        """Returns the hardware for the card: name of the GPU, or number of CPU threads."""
        if self.device.type == "cuda":
            return f"{self.world_size} x {torch.cuda.get_device_name(self.device)}"
        return f"CPU, {torch.get_num_threads()} threads, {self.world_size} process(es)"


def init_distributed(device: str, precision: str, *, compile: bool = False) -> DistributedContext:
    """Selects device and precision, and joins the process group of `torchrun`, if there is one.

    `auto` precision is mixed bfloat16 on a GPU that supports it; on most CPUs float32 is faster.
    Raises UsageError for a device that this machine does not have.
    """
    world_size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("--device cuda: this machine has no usable CUDA device; use --device cpu")
    if device == "cuda" and world_size > 1:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"--device {device}: unknown device; use cpu or cuda") from error
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world_size > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    half = chosen.type == "cuda" and torch.cuda.is_bf16_supported()
    autocast_dtype = {"auto": torch.bfloat16 if half else None, "float32": None}.get(
        precision, torch.bfloat16
    )
    return DistributedContext(chosen, autocast_dtype, rank, world_size, compile)
