"""LoadOptions: what a model is loaded with, as the commands' options say it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LoadOptions:
    """Values that `run`, `evaluate`, `compare` and the Python API share, checked when used."""

    options: tuple[tuple[str, str], ...] = ()
    """The model's own, as `--set` takes them: keys and values."""
    weights: Path | None = None
    """A file used instead of the model's own."""
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    """None: what suits the device."""
    like: Path | None = None
    """A colour picture whose palette the results are moved toward."""
