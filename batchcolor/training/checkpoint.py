"""Saves and loads the complete state of a training run, in one file that is replaced atomically."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from batchcolor.errors import UsageError
from batchcolor.storage.atomic import write_atomic

NAME = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Replaces the checkpoint of a run; if the process is killed, the former one stays whole."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(folder / NAME, buffer.getvalue())


def load(folder: Path, fingerprint: str, device: torch.device) -> dict[str, Any]:
    """Returns a saved state. Raises UsageError if it is damaged or belongs to another run."""
    path = folder / NAME
    if not path.exists():
        raise UsageError(f"nothing to resume: {path} does not exist; run again without --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        saved_fingerprint = state["fingerprint"]
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not a checkpoint of batchcolor ({type(error).__name__}); "
            f"move it away and start again"
        ) from error
    if saved_fingerprint != fingerprint:
        raise UsageError(
            f"{path} belongs to a run with other settings or of another version of batchcolor; "
            f"repeat the command of that run with --resume, or choose another --output"
        )
    return state
