"""Options of FFmpeg's muxers, chosen so that no stream is shifted in time and no tag is lost."""

from __future__ import annotations

import math
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from batchcolor.images.formats import DV, GIF, MKV, MXF, Format
from batchcolor.video.output.output_spec import OutputSpec
from batchcolor.video.source_info import SourceInfo

MUXER_OWNED_TAGS = frozenset(
    {
        *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id"),
        *("uid", "generation_uid", "operational_pattern_ul", "material_package_umid"),
        *("file_package_umid", "reel_umid", "company_name", "product_name", "product_uid"),
        *("product_version", "product_version_num", "toolkit_version_num", "application_platform"),
    }
)
"""Tags, in lower case, that describe how a file was muxed; the muxer of the result sets its own."""
MP4_TAGS = frozenset(
    {
        *("title", "artist", "album", "album_artist", "composer", "comment", "genre", "date"),
        *("copyright", "description", "synopsis", "grouping", "lyrics", "show", "episode_id"),
        *("network", "keywords", "track", "disc", "compilation", "creation_time"),
    }
)
"""Tags that MP4 has standard names for."""
DV_TAGS = frozenset({"timecode", "creation_time"})
"""Tags that FFmpeg writes to DV: time codes and the time of recording."""
MAX_TIMESCALE = 10_000_000
"""Largest movie timescale written, in ticks per second: seven minutes in 32 bits; FFmpeg uses 64
bits for longer films."""
KEEP_NEGATIVE_TIMESTAMPS = {"avoid_negative_ts": "disabled"}
ALLOW_EXPERIMENTAL = {"strict": "experimental"}
"""FFmpeg writes TrueHD to MP4 only so; a source that has it keeps it."""


def choose_muxer_options(
    container: InputContainer | None, source: SourceInfo, output: OutputSpec
) -> tuple[dict[str, str], list[str]]:
    """Returns the options of the result's muxer, and notes of what it cannot store.

    `container` is the open source; None for a folder of numbered pictures.
    """
    if container is None:
        loop = {"loop": str(output.loop)} if output.container == GIF else {}
        return KEEP_NEGATIVE_TIMESTAMPS | loop, []
    options: dict[str, str] = {}
    if output.container in (MXF, DV):
        notes = _note_fixed_rate_losses(container, source, output.container)
    elif output.container == GIF:
        options, notes = _choose_gif_options(container, output)
    elif output.container == MKV:
        options, notes = _choose_matroska_options(container, source, output)
    else:
        options, notes = _choose_mp4_options(container, source, output)
    return KEEP_NEGATIVE_TIMESTAMPS | options, notes


def _choose_gif_options(
    container: InputContainer, output: OutputSpec
) -> tuple[dict[str, str], list[str]]:
    tags = ", ".join(sorted(list_tag_names(container) - {"comment"}))
    notes = [f"gif has no tags but a comment: {tags} dropped"] if tags else []
    return {"loop": str(output.loop)}, notes


def _note_fixed_rate_losses(
    container: InputContainer, source: SourceInfo, kind: Format
) -> list[str]:
    """Returns notes of what MXF and DV do not hold: tags (DV), chapters, an offset of streams."""
    tags = ", ".join(sorted(list_tag_names(container) - DV_TAGS)) if kind == DV else ""
    notes = [f"dv has no tags: {tags} dropped"] if tags else []
    if container.chapters():
        notes.append(f"{kind.name} has no chapters: dropped")
    starts = [
        float(stream.start_time * stream.time_base)
        for stream in container.streams
        if stream.type in ("video", "audio") and stream.start_time is not None and stream.time_base
    ]
    if starts and max(starts) - min(starts) > 1 / source.rate:
        notes.append(f"its streams begin at different times, in {kind.name} together")
    return notes


def _choose_matroska_options(
    container: InputContainer, source: SourceInfo, output: OutputSpec
) -> tuple[dict[str, str], list[str]]:
    """Shifts a film that starts before zero: Matroska has no negative times (RFC 9559)."""
    start = container.streams[source.stream].start_time
    if start is None or start >= 0 or output.settings.starts_later:
        return {}, []
    shift = f"{float(-start * source.time_base):.6f}"
    note = f"starts before zero, which mkv cannot store: all streams are delayed by {shift} s"
    return {"output_ts_offset": shift}, [note]


def describe_early_audio(packet: Packet[Stream], delay: Fraction) -> str:
    """Returns a note if the first packet of an audio stream begins before zero in Matroska.

    The samples before zero are those that an encoder puts before the sound, as of AAC. `delay` is
    that of all streams, in seconds. Empty if there is nothing to note: Opus states the number of
    these samples itself.
    """
    stream = packet.stream
    context = stream.codec_context
    if packet.pts is None or stream.type != "audio" or context is None or context.name == "opus":
        return ""
    seconds = packet.pts * packet.time_base + delay
    if seconds >= 0:
        return ""
    return (
        f"audio stream {stream.index} starts {float(-seconds):.3f} s before zero: kept with its "
        "time, but in mkv players do not know that they may skip it"
    )


def _choose_mp4_options(
    container: InputContainer, source: SourceInfo, output: OutputSpec
) -> tuple[dict[str, str], list[str]]:
    """Chooses between MP4's two tag lists: standard names, which allow a cover, or any names, which
    do not. Any names are used if a tag would be lost and there is no cover."""
    options = ALLOW_EXPERIMENTAL | _choose_timescale(container, source, output)
    other_tags = sorted(list_tag_names(container) - MP4_TAGS)
    has_cover = any(s.disposition & Disposition.attached_pic for s in container.streams)
    if other_tags and has_cover:
        tags = ", ".join(other_tags)
        return options, [f"{output.container.name} cannot store {tags} beside a cover: dropped"]
    if other_tags:
        options["movflags"] = "use_metadata_tags"
    return options, []


def _choose_timescale(
    container: InputContainer, source: SourceInfo, output: OutputSpec
) -> dict[str, str]:
    """MP4 stores the start of a stream in the movie timescale, by default milliseconds."""
    timed = [s for s in container.streams if s.type in ("video", "audio") and s.time_base]
    if not (output.settings.starts_later or any(stream.start_time for stream in timed)):
        return {}
    exact = math.lcm(*(stream.time_base.denominator for stream in timed if stream.time_base))
    own = container.streams[source.stream].time_base
    finest = exact if exact <= MAX_TIMESCALE else own.denominator if own else 0
    return {"movie_timescale": str(finest)} if 0 < finest <= MAX_TIMESCALE else {}


def list_tag_names(container: InputContainer) -> set[str]:
    """Returns the names of a film's tags, without those that muxers write themselves."""
    return {name.lower() for name in container.metadata} - MUXER_OWNED_TAGS
