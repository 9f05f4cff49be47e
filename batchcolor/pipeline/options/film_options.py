"""FilmOptions: how films are coloured and written."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, InstanceOf

from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.option_values import codec_names, read_frame_rate, read_time_range
from batchcolor.pipeline.options.settings_model import SettingsModel
from batchcolor.video.time_range import TimeRange

Stabilize = Literal["off", "fast", "best"]
MAX_EVERY = 12


class FilmOptions(SettingsModel):
    """How films are coloured and written."""

    codec: Annotated[
        str,
        Option(
            "Films",
            "auto, h264, h265, av1, prores, dnxhr, dv, ffv1, gif, apng, awebp, h264_nvenc or "
            "hevc_nvenc; auto: h264, or in MXF, MOV and DV files the film's own codec for "
            "editing.",
            values=codec_names,
        ),
    ] = "auto"
    crf: Annotated[
        int | None,
        Option("Films", "Quality, lower is better (h264 18, h265 20, av1 28, nvenc 19 and 22)."),
    ] = None
    preset: Annotated[
        str | None, Option("Films", "Speed of the encoder (medium; av1: 8; nvenc: p5).")
    ] = None
    bit_depth: Annotated[
        int | None, Option("Films", "8, 10, 12, 14 or 16 (default: the film's own).")
    ] = None
    stabilize: Annotated[
        Stabilize, Option("Films", "Reduce colour flicker; best uses later frames as well.")
    ] = "fast"
    palette_lock: Annotated[
        bool,
        Option("Films", "Hold all shots to one palette: that of the first shot, or of --like."),
    ] = False
    every: Annotated[
        int,
        Field(ge=1, le=MAX_EVERY),
        Option("Films", "Run the model on every N-th frame; propagate along motion between."),
    ] = 1
    """The limit is half a second of most films: new areas have propagated colours until then."""
    preview: Annotated[
        InstanceOf[TimeRange] | None,
        BeforeValidator(read_time_range),
        Option(
            *(
                "Films",
                "Only a part of each film: 10s, 0:12:30+10s, or shots (a frame of each).",
            ),
            is_text=True,
        ),
    ] = None
    compare: Annotated[bool, Option("Films", "Show the grey source at the left of the result.")] = (
        False
    )
    frames: Annotated[
        bool, Option("Films", "Sources are folders of numbered frames; each becomes a film.")
    ] = False
    fps: Annotated[
        InstanceOf[Fraction] | None,
        BeforeValidator(read_frame_rate),
        Option(
            *("Films", "With --frames: frames per second, 24 (default), 23.976 or 30000/1001."),
            is_text=True,
        ),
    ] = None
    to_frames: Annotated[
        bool, Option("Films", "Write a folder of numbered pictures for each film.")
    ] = False
    strip: Annotated[
        bool, Option("Films", "Write a contact sheet with one frame per shot beside each film.")
    ] = False
    recode_sound: Annotated[
        bool, Option("Films", "Write audio that the container cannot hold as PCM.")
    ] = False
    strict: Annotated[
        bool, Option("Films", "Fail a damaged film instead of keeping its intact frames.")
    ] = False
