"""MachineOptions: what a job runs on, and how much of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.option_values import read_memory, read_temporary_space
from batchcolor.pipeline.options.settings_model import SettingsModel
from batchcolor.pipeline.options.shared_options import Backend, BatchSize, Device, Precision
from batchcolor.storage.remote.retry import DEFAULT_RETRIES

MAX_PIXELS = 400_000_000


class MachineOptions(SettingsModel):
    """What a job runs on, and how much memory and disk space it may take."""

    batch_size: BatchSize = None
    device: Device = "auto"
    precision: Precision = "auto"
    backend: Backend = "auto"
    cluster: Annotated[
        str | None,
        Option(
            "Machine",
            "Colour on the nodes of a Ray cluster: auto (the one that is running), local (this "
            "machine only), or ray://HOST:PORT.",
            metavar="ADDRESS",
        ),
    ] = None
    workers: Annotated[
        int | None,
        Field(ge=1),
        Option("Machine", "Threads that decode, and as many that encode (default: cores)."),
    ] = None
    max_memory: Annotated[
        int | None,
        BeforeValidator(read_memory),
        Option("Machine", "Memory for pictures in flight, as 512M or 2G.", is_text=True),
    ] = None
    """Bytes."""
    max_pixels: Annotated[
        int, Field(ge=1), Option("Machine", "Refuse pictures with more pixels than this.")
    ] = MAX_PIXELS
    temporary_space: Annotated[
        int | None,
        BeforeValidator(read_temporary_space),
        Option(
            "Machine",
            "Disk space for files of remote sources and results in work, as 20G (default: half of "
            "what is free).",
            is_text=True,
        ),
    ] = None
    """Bytes."""
    retries: Annotated[
        int,
        Field(ge=0, le=100),
        Option("Machine", "Repetitions of a request to remote storage that fails for the moment."),
    ] = DEFAULT_RETRIES
