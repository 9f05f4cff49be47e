"""LoadOptions: how a model is loaded, as given by command-line options or the Python API."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from batchcolor.errors import UsageError
from batchcolor.storage.remote.input_location import read_local_copy

BACKENDS = ("auto", "torch", "openvino")
"""`auto`: OpenVINO where it is installed, for models on a CPU that can be exported; else torch."""


@dataclass(frozen=True)
class LoadOptions:
    """Options that `run`, `evaluate`, `compare` and the Python API share.

    Raises UsageError for values of a wrong type. Whether a file or device exists is checked when
    the model is loaded.
    """

    options: tuple[tuple[str, str], ...] = ()
    """Options of the model, as keys and values of `--set`."""
    weights: Path | None = None
    """A weights file to use instead of the model's own."""
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    """None: the default of the device."""
    like: Path | None = None
    """A colour picture whose colours are transferred to the results."""
    backend: str = "auto"
    """One of `BACKENDS`."""

    @classmethod
    def from_settings(cls, settings: object, **changes: Any) -> Self:
        """Returns the options in the fields of the same names of a command's settings."""
        names = {field.name for field in fields(cls)} - changes.keys()
        return cls(**{name: getattr(settings, name) for name in names}, **changes)

    def __post_init__(self) -> None:
        for name in ("device", "precision", "backend"):
            value: object = getattr(self, name)
            if not isinstance(value, str):
                raise UsageError(f"{name} is a name such as 'auto', not {value!r}")
        if self.backend not in BACKENDS:
            raise UsageError(f"--backend {self.backend}: use {', '.join(BACKENDS)}")
        for name in ("weights", "like"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str | os.PathLike):
                raise UsageError(f"{name} is the path of a file, not {value!r}")
            copy = read_local_copy(value)
            object.__setattr__(self, name, None if copy is None else Path(str(copy)))
        size: object = self.batch_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise UsageError(f"batch_size is a whole number from 1, not {size!r}")
