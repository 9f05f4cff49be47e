"""The files that films are written to, and which of them takes every track of a film."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition

from batchcolor.images.formats import GIF, MKV, Format
from batchcolor.video.output.pcm_transcoder import PCM_CONTAINERS
from batchcolor.video.source_info import DECODE_ERRORS, SourceInfo, ffmpeg_url

MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "gif": "gif"}
DATA_STREAM_TYPES = ("data", "unknown")
"""Tracks without picture, sound or text: timecodes, readings of sensors."""


def open_output(place: Path | Any, container: Format, options: dict[str, str]) -> OutputContainer:
    """An empty result, at a path or in a file object; `options` are for its muxer."""
    where = ffmpeg_url(place) if isinstance(place, Path) else place
    return av.open(where, "w", format=MUXERS[container.name], container_options=options)


def suggest_container(
    source: InputContainer, film: SourceInfo, refused: Format, others: Sequence[Format]
) -> str:
    """What to do about a track that a container cannot hold, in words: which of `others` takes
    every one, else whether only sound stands against one."""
    ranked = sorted(others, key=lambda other: other != MKV)  # it takes most
    for other in ranked:
        if other not in (refused, GIF) and not _unsupported_types(other, source, film):
            return f"--format {other.name} can"
    for other in sorted(ranked, key=lambda other: other != refused):
        kinds = _unsupported_types(other, source, film)
        if kinds == {"audio"} and other in PCM_CONTAINERS:
            asked = "" if other == refused else f" with --format {other.name}"
            return f"--recode-sound{asked} makes plain samples of it"
    return "nor can another that is written here"


def _unsupported_types(container: Format, source: InputContainer, film: SourceInfo) -> set[str]:
    """Of what kinds the tracks are that the container does not take."""
    refused: set[str] = set()
    with open_output(io.BytesIO(), container, {}) as trial:
        for stream in source.streams:
            cover = stream.disposition & Disposition.attached_pic
            if stream.index == film.stream or stream.type in DATA_STREAM_TYPES or cover:
                continue
            try:
                trial.add_stream_from_template(stream, opaque=True)
            except (*DECODE_ERRORS, TypeError):
                refused.add(stream.type)
    return refused
