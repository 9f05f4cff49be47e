"""The whole state of a training run in one file that is never half-written."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from batchcolor.errors import UsageError

NAME = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replace the run's checkpoint in one step; a kill leaves the former one whole."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{NAME}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / NAME)
    finally:
        temporary.unlink(missing_ok=True)


def load(folder: Path, fingerprint: str, device: torch.device) -> dict[str, Any]:
    """The state that `save` wrote. Raises UsageError where it is another run's."""
    path = folder / NAME
    if not path.exists():
        raise UsageError(f"nothing to resume: {path} does not exist; leave out --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        former = state["fingerprint"]
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not a checkpoint of batchcolor ({type(error).__name__}); "
            f"move it away and start again"
        ) from error
    if former != fingerprint:
        raise UsageError(
            f"{path} belongs to a run with other settings; repeat that command with --resume, "
            f"or choose another --output"
        )
    return state
