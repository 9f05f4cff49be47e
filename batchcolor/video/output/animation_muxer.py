"""Joins the coded frames of a film to an animated PNG or WebP."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.images.animation import read_animation_header
from batchcolor.images.animation_writer import open_animation_writer
from batchcolor.video.ffmpeg import is_cover, open_container
from batchcolor.video.output.animation_coder import PLACE
from batchcolor.video.output.muxer_options import list_tag_names
from batchcolor.video.output.output_spec import OutputSpec
from batchcolor.video.output.packet_segments import PacketSegments
from batchcolor.video.source_info import LOOP_FOREVER, PLAY_ONCE, SourceInfo

MILLISECONDS = 1000


def check_streams(source: SourceInfo, output: OutputSpec) -> tuple[str, ...]:
    """Returns notes of what an animation does not hold.

    Raises ProcessingError for audio and other streams that would be lost.
    """
    if not source.has_packets:
        return ()
    name = output.container.name
    with open_container(source.path) as container:
        tags = ", ".join(sorted(list_tag_names(container)))
        for stream in container.streams:
            is_kept_out = stream.type in ("data", "unknown", "attachment") or is_cover(stream)
            if stream.index != source.stream and not is_kept_out:
                codec = stream.codec_context.name if stream.codec_context else "unknown"
                raise ProcessingError(
                    "plan",
                    f"{name} cannot hold {stream.type} stream {stream.index} ({codec}); "
                    f"--format mkv can",
                )
    return (f"{name} has no tags: {tags} dropped",) if tags else ()


def count_plays(loop: int) -> int:
    """Returns how often an animation is shown, 0 for ever, from FFmpeg's loop count of a GIF."""
    return {LOOP_FOREVER: 0, PLAY_ONCE: 1}.get(loop, loop + 1)


def write_animation(target: Path, segments: PacketSegments, output: OutputSpec) -> int:
    """Writes all frames, each shown until the next one; returns their number. Raises OSError."""
    still = output.container.still
    assert still is not None
    times, _ = segments.read_packet_times()
    frame_format = output.frame_format
    size = (output.width, output.height)
    size = size[::-1] if frame_format.rotation % 180 else size
    ends = [*times[1:].tolist(), segments.timeline.end]
    clock = Fraction(int(times[0])) * output.time_base * MILLISECONDS
    with target.open("wb") as file:
        writer = open_animation_writer(file, still, size, len(times), count_plays(output.loop))
        for packet, end in zip(segments.read_packets(), ends, strict=True):
            left, top = PLACE.unpack_from(packet.data)
            until = max(clock, Fraction(end) * output.time_base * MILLISECONDS)
            clock += writer.append(packet.data[PLACE.size :], until - clock, (left, top))
        writer.close()
    return len(times)


def verify_animation(target: Path, output: OutputSpec, frames: int) -> None:
    """Counts the frames of the finished file. Raises ProcessingError if some are missing."""
    header = read_animation_header(target, output.container.still)
    found = 1 if header is None else header.frames
    if found != frames:
        raise ProcessingError("commit", f"the written file has {found} frames instead of {frames}")
