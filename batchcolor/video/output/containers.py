"""Containers that films are written to, and which of them accept the streams of a source."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import DV, GIF, MKV, MXF, Format
from batchcolor.video.ffmpeg import DECODE_ERRORS, open_container, to_ffmpeg_url
from batchcolor.video.output.pcm_transcoder import PCM_CONTAINERS, read_audio_format
from batchcolor.video.output.timestamps import PacketScan
from batchcolor.video.source_info import SourceInfo

MUXERS = {
    **{"mp4": "mp4", "mov": "mov", "mkv": "matroska", "gif": "gif"},
    **{"mxf": "mxf", "dv": "dv"},
}
FIXED_RATE_CONTAINERS = (MXF, DV)
"""Containers without timestamps: every frame is shown equally long."""
LIMITS_OF_CONTAINERS = {
    DV.name: "it holds 720 x 576 at 25 frames per second, 720 x 480 at 29.97, and two "
    "stereo streams of 16-bit PCM; --format mov or mkv holds more",
    MXF.name: "it holds one video stream at 23.976, 24, 25, 29.97, 30, 48, 50, 59.94 or 60 frames "
    "per second, and PCM; --format mkv holds more",
}
MXF_AUDIO = ("pcm_s16le", "pcm_s24le")
DATA_STREAM_TYPES = ("data", "unknown")
"""Streams without video, audio or text, such as timecodes and sensor data."""


def open_output(target: Path | Any, container: Format, options: dict[str, str]) -> OutputContainer:
    """Opens an empty container at a path or in a file object; `options` are those of its muxer."""
    file = to_ffmpeg_url(target) if isinstance(target, Path) else target
    return av.open(file, "w", format=MUXERS[container.name], container_options=options)


def describe_limits(container: Format) -> str:
    """Returns what a container of narrow limits holds; empty for others."""
    return LIMITS_OF_CONTAINERS.get(container.name, "")


def check_frame_rate(container: Format, scan: PacketScan) -> None:
    """Raises ProcessingError for a film of variable frame rate in a container that has one rate."""
    if container in FIXED_RATE_CONTAINERS and not scan.has_constant_rate:
        raise ProcessingError(
            "plan",
            f"{container.name} has one frame rate, and the film's varies; --format mkv, mov or mp4 "
            f"keeps its times",
        )


def refuses_stream(container: Format, stream: Stream) -> bool:
    """Whether a container refuses a stream beside its video, where FFmpeg tells it too late."""
    if container != MXF or stream.type == "video":
        return False
    context = stream.codec_context
    return context is None or context.name not in MXF_AUDIO


def suggest_container(
    container: InputContainer, source: SourceInfo, refused: Format, alternatives: Sequence[Format]
) -> str:
    """Returns advice for a stream that a container does not accept.

    The advice names one of `alternatives` that accepts all streams of the source, else
    `--recode-sound` if only audio is not accepted, and FFmpeg decodes it; else a command that
    removes the streams.
    """
    ranked = sorted(alternatives, key=lambda other: other != MKV)  # it accepts most codecs
    for other in ranked:
        if other in (refused, GIF, *FIXED_RATE_CONTAINERS):
            continue
        if not _find_unsupported(other, container, source):
            return f"--format {other.name} can"
    for other in sorted(ranked, key=lambda other: other != refused):
        if other not in PCM_CONTAINERS:
            continue
        if all(
            stream.type == "audio" and read_audio_format(source.path, stream.index) is not None
            for stream in _find_unsupported(other, container, source)
        ):
            option = "" if other == refused else f" with --format {other.name}"
            return f"--recode-sound{option} writes it as PCM"
    streams = " ".join(
        f"-map -0:{it.index}" for it in _find_unsupported(refused, container, source)
    )
    remove = f"ffmpeg -i FILM -map 0 {streams} -c copy COPY.mkv"
    return f"no other container of batchcolor can; a copy without it: {remove}"


def _find_unsupported(
    target: Format, container: InputContainer, source: SourceInfo
) -> list[Stream]:
    """Returns the streams that `target` does not accept."""
    unsupported: list[Stream] = []
    with open_output(io.BytesIO(), target, {}) as trial:
        for stream in container.streams:
            is_cover = stream.disposition & Disposition.attached_pic
            if stream.index == source.stream or stream.type in DATA_STREAM_TYPES or is_cover:
                continue
            has_decoder = stream.codec_context is not None
            if target == MKV and has_decoder and stream.codec_context.name == "mov_text":
                continue  # it is converted
            if refuses_stream(target, stream):
                unsupported.append(stream)
                continue
            try:
                trial.add_stream_from_template(stream, opaque=True)
            except (*DECODE_ERRORS, TypeError):
                unsupported.append(stream)
    return unsupported


def find_skippable_streams(source: SourceInfo) -> dict[int, str]:
    """Returns the data streams of a source by index, each with the note that it is dropped.

    The note is empty for QuickTime's chapter text, because chapters are written anyway, and for a
    timecode that FFmpeg also gives as a tag of the video: MP4 and MOV get a new timecode stream
    from the tag, Matroska has the tag.
    """
    if not source.has_packets:
        return {}
    with open_container(source.path) as container:
        chapters = len(container.chapters())
        timecode = container.streams[source.stream].metadata.get("timecode")
        return {
            stream.index: ""
            if stream.type == "data"
            and (
                (chapters and stream.frames == chapters)
                or (timecode and stream.metadata.get("timecode") == timecode)
            )
            else f"{stream.type} stream {stream.index} dropped: the container cannot hold it"
            for stream in container.streams
            if stream.type in DATA_STREAM_TYPES
        }
