"""SourceOptions: what a job reads, and where its results are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, InstanceOf

from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.option_values import read_shard
from batchcolor.pipeline.options.settings_model import SettingsModel
from batchcolor.pipeline.options.shared_options import Sources
from batchcolor.storage.locations import Url, read_location
from batchcolor.storage.shard import Shard

IfExists = Literal["skip", "overwrite", "error"]


class SourceOptions(SettingsModel):
    """What a job reads, where its results are, and which files it considers."""

    sources: Sources = ()
    output: Annotated[
        Path | InstanceOf[Url] | None,
        BeforeValidator(read_location),
        Option(
            *(
                "Where",
                "Folder or URL for the results (default: SOURCE-colorized); - is a pipe.",
                ("--output", "-o"),
            ),
            metavar="FOLDER",
            takes_url=True,
        ),
    ] = None
    if_exists: Annotated[IfExists, Option("Where", "What to do where a result exists already.")] = (
        "skip"
    )
    retry_failed: Annotated[
        bool, Option("Where", "Process again what failed in an earlier run.")
    ] = False
    include_results: Annotated[
        bool, Option("Where", "Also colour folders that batchcolor wrote, which are skipped.")
    ] = False
    no_lock: Annotated[
        bool,
        Option("Where", "Do not lock the output folder: for file systems without locks."),
    ] = False
    shard: Annotated[
        InstanceOf[Shard] | None,
        BeforeValidator(read_shard),
        Option(
            *("Where", "Only part I of N of the files, as 1/4; the parts share the output folder."),
            metavar="I/N",
            is_text=True,
        ),
    ] = None
    watch: Annotated[
        bool,
        Option("Where", "Stay, and colour what arrives in the source folders; Ctrl-C ends."),
    ] = False
    settle: Annotated[
        float,
        Field(ge=0, le=3600, allow_inf_nan=False),
        Option("Where", "With --watch: seconds without a change after which a file is complete."),
    ] = 2.0
    salvage: Annotated[
        bool, Option("Where", "Colour what a damaged picture still gives, with a note.")
    ] = False
