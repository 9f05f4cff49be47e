"""EvaluateSettings: the options of `batchcolor evaluate`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from batchcolor.errors import UsageError
from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.inference.load_options import LoadOptions
from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.settings_model import SettingsModel
from batchcolor.pipeline.options.shared_options import (
    Backend,
    BatchSize,
    ColorReference,
    Device,
    ModelOptions,
    Models,
    Precision,
    Strength,
    WeightsOfOneModel,
)
from batchcolor.storage.remote.input_location import read_local_copies, read_local_copy

CONSTANT_ROWS = ("grey", "mean")
"""Rows of every measurement: no chroma, and the mean chroma of all references."""


class EvaluateSettings(SettingsModel):
    """The options of one measurement, on a folder of photographs or on films."""

    data: Annotated[
        Path | None,
        BeforeValidator(read_local_copy),
        Option(
            *("Data", "A folder or URL of colour photographs: the references."),
            metavar="DIR",
            takes_url=True,
        ),
    ] = None
    video: Annotated[
        tuple[Path, ...],
        BeforeValidator(read_local_copies),
        Option(
            *("Data", "Measure flicker on films instead; repeat for several."),
            metavar="FILM",
            takes_url=True,
        ),
    ] = ()
    limit: Annotated[
        int | None,
        Field(ge=1),
        Option("Data", "Use at most this many pictures, evenly spread (default: all)."),
    ] = None
    size: Annotated[
        int | None,
        Field(ge=8),
        Option("Data", "Reduce the short side to at most this many pixels (default: as it is)."),
    ] = None
    against: Annotated[
        Path | None,
        Option(
            *("Data", "Compare with an earlier --json, picture by picture."),
            metavar="BASELINE.json",
        ),
    ] = None
    models: Models = (DEFAULT_MODEL,)
    strength: Strength = 1.0
    options: ModelOptions = ()
    like: ColorReference = None
    weights: WeightsOfOneModel = None
    batch_size: BatchSize = None
    device: Device = "auto"
    precision: Precision = "auto"
    backend: Backend = "auto"

    def _check_combinations(self) -> None:
        if self.data is None and not self.video:
            raise UsageError("no pictures to measure: give --data FOLDER or --video FILM")
        if self.data is not None and self.video:
            raise UsageError("--data and --video are separate measurements: give one of them")
        if self.video and (self.limit or self.size or self.against):
            raise UsageError("--limit, --size and --against go with --data, not with --video")
        reserved = [name for name in self.models if name in CONSTANT_ROWS]
        if reserved:
            raise UsageError(
                f"--model {reserved[0]}: this name is reserved for a row of every measurement"
            )

    @cached_property
    def loading(self) -> LoadOptions:
        """How the models are loaded."""
        return LoadOptions.from_settings(self)
