"""ColorOptions: how pictures are coloured and written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.images.decode_options import Luma, OutputProfile
from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.option_values import format_names, model_names, read_paths_by_name
from batchcolor.pipeline.options.settings_model import SettingsModel
from batchcolor.pipeline.options.shared_options import ColorReference, ModelOptions, Strength
from batchcolor.storage.remote.input_location import read_local_copy

IfColored = Literal["recolor", "copy", "skip"]
Pages = Literal["all", "first"]


class ColorOptions(SettingsModel):
    """How pictures are coloured and written."""

    model: Annotated[str, Option("Colour", "The model.", ("--model", "-m"), values=model_names)] = (
        DEFAULT_MODEL
    )
    strength: Strength = 1.0
    options: ModelOptions = ()
    like: ColorReference = None
    like_for: Annotated[
        tuple[tuple[str, str], ...],
        BeforeValidator(read_paths_by_name),
        Option(
            "Colour",
            "The reference of one folder or picture below the source, instead of --like; PICTURE "
            "may be a folder, as for --references.",
            metavar="PATH=PICTURE",
            is_text=True,
            has_path_values=True,
        ),
    ] = ()
    references: Annotated[
        Path | None,
        BeforeValidator(read_local_copy),
        Option(
            "Colour",
            "Transfer the colours of the picture in this folder whose luma is nearest; for films "
            "names may state a frame or time.",
            metavar="FOLDER",
            takes_url=True,
        ),
    ] = None
    weights: Annotated[
        Path | None,
        BeforeValidator(read_local_copy),
        Option("Colour", "Use this weights file.", metavar="FILE", takes_url=True),
    ] = None
    format: Annotated[
        str | None,
        Option(
            "Colour",
            "jpeg, png, webp, tiff, bmp, avif, heic or jxl; for films mp4, mkv, mov, mxf, dv, "
            "gif, apng or awebp, animated PNG and WebP (default: the source's own).",
            values=format_names,
        ),
    ] = None
    if_colored: Annotated[
        IfColored,
        Option(
            "Colour",
            "Pictures that are in colour already: copy them as they are, skip them, or recolor "
            "them from their luma. Toned and tinted pictures are always coloured.",
        ),
    ] = "copy"
    no_mark: Annotated[
        bool,
        Option("Colour", "Do not state in the result's metadata that its colours are computed."),
    ] = False
    profile: Annotated[
        OutputProfile,
        Option(
            *("Colour", "RGB space of pictures; keep: of the source's own RGB profile, else sRGB."),
        ),
    ] = "keep"
    luma: Annotated[
        Luma,
        Option(
            "Colour",
            "JPEG to JPEG; auto: the coded luma of a grey JPEG is copied. exact: also that of "
            "YCbCr, by jpeglib, in more time.",
        ),
    ] = "auto"
    pages: Annotated[
        Pages,
        Option(
            "Colour",
            "Pages of a TIFF that are coloured; the result has the same. first: also the first "
            "picture of another file with several.",
        ),
    ] = "all"
    quality: Annotated[
        int | None,
        Field(ge=1, le=100),
        Option(
            "Colour",
            "1 to 100, for JPEG (default 96), WebP and AVIF (95), HEIC (80) and JPEG XL (97; "
            "100 is lossless).",
        ),
    ] = None
