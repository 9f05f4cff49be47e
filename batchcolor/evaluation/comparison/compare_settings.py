"""CompareSettings: the options of `batchcolor compare`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from batchcolor.errors import UsageError
from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.inference.load_options import LoadOptions
from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.option_values import drop_repeated, read_numbers
from batchcolor.pipeline.options.settings_model import SettingsModel
from batchcolor.pipeline.options.shared_options import (
    Backend,
    ColorReference,
    Device,
    ModelOptions,
    Models,
    Precision,
    Sources,
    WeightsOfOneModel,
)

DEFAULT_STRENGTHS = (0.5, 1.0, 1.5)
"""Shown for grey sources; sources in colour are shown at strength 1."""


class CompareSettings(SettingsModel):
    """The options of one comparison."""

    sources: Sources = ()
    outputs: Annotated[
        tuple[Path, ...],
        Field(min_length=1),
        AfterValidator(drop_repeated),
        Option(
            "Where",
            "A .png, .jpg, .pdf or .html; repeat for several (default: compare.png here).",
            ("--output", "-o"),
            metavar="FILE",
        ),
    ] = (Path("compare.png"),)
    if_exists: Annotated[
        Literal["error", "overwrite"],
        Option("Where", "What to do where the output exists already."),
    ] = "error"
    strengths: Annotated[
        tuple[Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)], ...] | None,
        BeforeValidator(read_numbers),
        Option(
            "Sheet",
            "Strengths to show, as 0.5,1,1.5 (default: these; 1 for colour sources).",
            metavar="LIST",
            is_text=True,
            is_list=True,
            expected="numbers from 0 to 2, as 0.5,1,1.5",
        ),
    ] = None
    limit: Annotated[
        int, Field(ge=1), Option("Sheet", "Show at most this many pictures, evenly spread.")
    ] = 12
    size: Annotated[
        int | None,
        Field(ge=16, le=4096),
        Option("Sheet", "Long side of each panel in pixels (default: 320; 800 for .html)."),
    ] = None
    title: Annotated[str, Option("Sheet", "Title of the sheet or page.")] = ""
    models: Models = (DEFAULT_MODEL,)
    options: ModelOptions = ()
    like: ColorReference = None
    weights: WeightsOfOneModel = None
    device: Device = "auto"
    precision: Precision = "auto"
    backend: Backend = "auto"

    def _check_combinations(self) -> None:
        if not self.sources:
            raise UsageError("no SOURCE: name a folder, files or a glob")

    @cached_property
    def loading(self) -> LoadOptions:
        """How the models are loaded; pictures run one at a time."""
        return LoadOptions.from_settings(self, batch_size=1)
