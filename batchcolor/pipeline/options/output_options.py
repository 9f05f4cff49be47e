"""OutputOptions: what a job writes beside its results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, InstanceOf

from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.settings_model import SettingsModel
from batchcolor.storage.locations import Url, read_location


class OutputOptions(SettingsModel):
    """What a job writes beside its results."""

    c2pa: Annotated[
        tuple[Path, Path] | None,
        Option(
            *("Output", "Sign each result: certificate chain and private key, as PEM files."),
            metavar="CERT KEY",
            expected="two files",
            is_pair=True,
        ),
    ] = None
    sidecar: Annotated[
        bool,
        Option("Output", "Write NAME.json beside each result: checksums, settings, notes."),
    ] = False
    premis: Annotated[
        bool, Option("Output", "Write NAME.premis.xml beside each result: a PREMIS 3 event.")
    ] = False
    gallery: Annotated[
        bool,
        Option("Output", "Write a page that shows each picture before and after: OUTPUT-gallery."),
    ] = False
    metrics: Annotated[
        Path | None,
        Option(
            "Output",
            "Write metrics for Prometheus to this file, or serve them at :PORT or HOST:PORT.",
            metavar="FILE",
        ),
    ] = None
    report: Annotated[
        Path | InstanceOf[Url] | None,
        BeforeValidator(read_location),
        Option("Output", "Write the report as JSON to this file.", metavar="FILE", takes_url=True),
    ] = None
