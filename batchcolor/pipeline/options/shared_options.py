"""Options that the settings of several commands declare, as types of their fields."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.option_values import (
    drop_repeated,
    model_names,
    model_option_keys,
    read_key_values,
)
from batchcolor.storage.remote.input_location import read_local_copy

Sources: TypeAlias = Annotated[
    tuple[str, ...],
    Option("Where", "Folders, files, globs, URLs or archives.", metavar="SOURCE", is_argument=True),
]
Models: TypeAlias = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    AfterValidator(drop_repeated),
    Option(
        "Colour",
        f"A model, or NAME:KEY=VALUE with an option of it; repeat for several "
        f"(default: {DEFAULT_MODEL}).",
        ("--model", "-m"),
        metavar="MODEL",
        values=model_names,
    ),
]
Strength: TypeAlias = Annotated[
    float,
    Field(ge=0, le=2, allow_inf_nan=False),
    Option("Colour", "0 keeps grey, 1 is the model's colour, up to 2."),
]
ModelOptions: TypeAlias = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(read_key_values),
    Option(
        "Colour",
        "An option of the model (see: batchcolor models).",
        ("--set",),
        metavar="KEY=VALUE",
        values=model_option_keys,
        is_text=True,
    ),
]
ColorReference: TypeAlias = Annotated[
    Path | None,
    BeforeValidator(read_local_copy),
    Option(
        *("Colour", "Transfer the colours of a colour photograph."),
        metavar="PICTURE",
        takes_url=True,
    ),
]
WeightsOfOneModel: TypeAlias = Annotated[
    Path | None,
    BeforeValidator(read_local_copy),
    Option(*("Colour", "Use this weights file (one model only)."), metavar="FILE", takes_url=True),
]
BatchSize: TypeAlias = Annotated[
    int | None,
    Field(ge=1),
    Option("Machine", "Pictures per batch (default: 64 on a GPU, 2 to 8 on a CPU)."),
]
Device: TypeAlias = Annotated[
    str, Option("Machine", "auto, all, cpu, cuda, cuda:N or mps; several separated by commas.")
]
Precision: TypeAlias = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    Option(
        *("Machine",),
        "auto: float16 on a GPU, float32 on a CPU; OpenVINO: bfloat16 where the CPU has it.",
    ),
]
Backend: TypeAlias = Annotated[
    Literal["auto", "torch", "openvino"],
    Option("Machine", "What runs the model; auto: OpenVINO on a CPU if installed, else torch."),
]
