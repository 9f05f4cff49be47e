"""A coloured film put together: its coded picture, with every other track of its source."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import GIF, MKV, MOV, MP4, Format
from batchcolor.video.output import matroska
from batchcolor.video.output.codecs import VideoSettings, choose_pixel_format
from batchcolor.video.output.containers import open_output
from batchcolor.video.output.encoders import configure_encoder
from batchcolor.video.output.packet_segments import PacketSegments, StoredPacket
from batchcolor.video.output.streams import open_streams
from batchcolor.video.output.timestamps import PacketScan, Timeline, decoding_timestamps
from batchcolor.video.source_info import (
    DECODE_ERRORS,
    LIMITED_RANGE,
    MEDIA_ERRORS,
    SourceInfo,
    format_av_error,
    open_container,
)

CODECS_WITHOUT_SAR = ("ffv1", "av1", "prores")
"""Codecs whose stream has no shape of samples."""
GIF_TICKS, LONGEST_DELAY = 100, 65535
"""A GIF counts hundredths of a second, in 16 bits."""


def resolve_output_format(film: SourceInfo, settings: VideoSettings) -> SourceInfo:
    """The film with the pixel format and depth that its encoder will be given, changes noted."""
    encoder = av.Codec(settings.video_codec.encoder, "w")
    if film.has_alpha and not settings.video_codec.uses_palette:
        film = _without_alpha(film)
    name = choose_pixel_format(film, settings, tuple(f.name for f in encoder.video_formats or ()))
    notes = list(film.notes)
    if name != film.pixel_format:
        notes.append(f"{film.pixel_format} becomes {name}")
    return replace(film, pixel_format=name, bits=10 if "10" in name else 8, notes=tuple(notes))


def _without_alpha(film: SourceInfo) -> SourceInfo:
    """A GIF as what other codecs hold, and players play: 4:2:0 at limited range."""
    note = f"{film.path.suffix[1:]} to film: what is transparent becomes black"
    return replace(
        film,
        pixel_format="yuv420p",
        full_range=False,
        tags=replace(film.tags, range=LIMITED_RANGE),
        has_alpha=False,
        notes=(*film.notes, note),
    )


def as_shown(film: SourceInfo, settings: VideoSettings) -> SourceInfo:
    """The film as its result is to be: twice as wide, as it is seen, beside its grey source."""
    if not settings.compare:
        return film
    turned = film.rotation % 180 != 0
    return replace(film, height=2 * film.height) if turned else replace(film, width=2 * film.width)


def dry_run_mux(film: SourceInfo, settings: VideoSettings, container: Format) -> SourceInfo:
    """The film, if its result can be written as asked: checked before work begins.

    Encoder and container are set up in memory, up to their header. Tracks of readings that the
    container does not take are dropped, and noted. Raises ProcessingError.
    """
    try:
        _write_header(film, settings, container)
    except ProcessingError:
        skippable = _skippable_streams(film)
        if not skippable or film.skipped_streams:
            raise
        notes = (*film.notes, *filter(None, skippable.values()))
        film = replace(film, skipped_streams=tuple(skippable), notes=notes)
        _write_header(film, settings, container)
    return film


def _write_header(film: SourceInfo, settings: VideoSettings, container: Format) -> None:
    writer = None
    try:
        writer = Muxer(io.BytesIO(), as_shown(film, settings), settings, container)
        try:
            writer.container.start_encoding()
        except (*DECODE_ERRORS, TypeError) as error:
            raise _refused_by_muxer(container.name, settings, error) from error
    except MEDIA_ERRORS as error:
        raise _refused_by_muxer(container.name, settings, error) from error
    finally:
        if writer is not None:
            writer.abort()


def _refused_by_muxer(container: str, settings: VideoSettings, error: Exception) -> ProcessingError:
    reason = format_av_error(error)
    return ProcessingError(
        "plan", f"{container} cannot hold this film as {settings.codec}: {reason}"
    )


def _skippable_streams(film: SourceInfo) -> dict[int, str]:
    streams = open_streams(film)
    try:
        return streams.skippable_streams()
    finally:
        streams.close()


class Muxer:
    """Writes one film from its coded picture: `write` once, or `abort` where that fails.

    `film` is that of `resolve_output_format`. Raises ProcessingError (this film), OSError (disk).
    """

    def __init__(
        self, target: Path | Any, film: SourceInfo, settings: VideoSettings, container: Format
    ) -> None:
        self.film, self.target, self.preview = film, target, settings.preview is not None
        self._lacks_sar = settings.codec in CODECS_WITHOUT_SAR
        self.notes: list[str] = []
        self.frames = 0
        self.end = Fraction(0)
        """The second at which the result ends."""
        self.streams = open_streams(film, recode_sound=settings.recode_sound)
        self.container: OutputContainer = open_output(
            target, container, self.streams.muxer_options(container)
        )
        try:
            takes = (MKV, MP4, MOV) if container == GIF else settings.video_codec.containers
            for _ in self.streams.add_streams(self.container, container, takes):
                self.video = self._add_video_stream(settings)
        except BaseException:
            self.abort()
            raise

    def _add_video_stream(self, settings: VideoSettings) -> VideoStream:
        """A stream that says the parameters of the encoders of the segments; it encodes nothing."""
        film, codec = self.film, settings.video_codec
        try:
            stream = self.container.add_stream(codec.encoder, rate=film.rate)
        except (*DECODE_ERRORS, TypeError) as error:
            raise _refused_by_muxer(self.container.format.name, settings, error) from error
        assert isinstance(stream, VideoStream)
        configure_encoder(stream.codec_context, film, settings)
        stream.time_base = film.time_base
        if film.display_matrix:
            stream.set_display_matrix(film.display_matrix)
        if codec.tag and self.container.format.name in ("mp4", "mov"):
            stream.codec_context.codec_tag = codec.tag
        self.streams.copy_metadata(stream)
        if self._needs_display_size:
            stream.metadata["title"] = stream.metadata.get("title", "") + matroska.NAME_PADDING
        return stream

    @property
    def _needs_display_size(self) -> bool:
        """Whether neither codec nor muxer say that the samples are no squares."""
        in_matroska = self.container.format.name == "matroska"
        return in_matroska and self._lacks_sar and self.film.sample_aspect_ratio not in (None, 0, 1)

    def write(self, segments: PacketSegments, scan: PacketScan, missing: int) -> None:
        """Write all packets, each with its time, all other streams beside them, and close the file.

        `missing` frames could not be read of those that the source promises. The last frame is
        held to the end that the source promises, where that is later.
        """
        timeline = segments.timeline
        until = self._promised_end(timeline, scan, missing)
        self.end = until * self.film.time_base
        if self.container.format.name == "gif":
            delay = round(timeline.last_duration * GIF_TICKS)
            self.container.container_options["final_delay"] = str(min(delay, LONGEST_DELAY))
        shown, given = segments.packet_times()
        decoding = decoding_timestamps(shown, given)
        last, film_in_mp4 = len(decoding) - 1, self.container.format.name in ("mp4", "mov")
        for item, dts in zip(segments.packets(), decoding.tolist(), strict=True):
            packet = self._packet(item, dts)
            if until > timeline.end and item.encoder_pts == timeline.encoder_pts:
                packet.duration = until - item.pts
            if (until > timeline.end or film_in_mp4) and self.frames == last:
                # It need not be the last frame, but MP4 takes the length of the film from it.
                length = until - int(shown.min()) - (dts - int(decoding[0]))
                packet.duration = max(packet.duration or 0, length)
            self.streams.mux_until(self.container, dts * self.film.time_base)
            self.container.mux(packet)
            self.frames += 1
        self.streams.mux_until(self.container, self.end if self.preview else None)
        self.streams.close()
        self.container.close()
        if self._needs_display_size:
            film = self.film
            assert film.sample_aspect_ratio is not None
            if not matroska.patch_display_size(
                self.target, film.width, film.height, film.sample_aspect_ratio
            ):
                raise ProcessingError("encode", "mkv does not take the shape of its samples")

    def _packet(self, item: StoredPacket, dts: int) -> Packet[VideoStream]:
        packet: Packet[Any] = Packet(item.data)
        packet.stream, packet.time_base = self.video, self.film.time_base
        packet.pts, packet.dts = item.pts, dts
        packet.duration, packet.is_keyframe = item.duration, item.is_keyframe
        return packet

    def _promised_end(self, timeline: Timeline, scan: PacketScan, missing: int) -> int:
        """The tick to which the last frame is shown; later than its own where the source is cut."""
        tick = self.film.time_base
        seconds = scan.promised_end(self.film, float(timeline.seconds), missing)
        promised = round(Fraction(seconds) / tick)
        short = promised - timeline.end
        rounding = 0 if self.film.is_image_sequence else timeline.step  # of what headers say
        if short <= rounding or self.preview:
            return timeline.end
        self.notes.append(
            f"its picture ends {float(short * tick):.2f} s before the end that its file promises "
            f"({float(promised * tick):.2f} s); the last frame is held until there"
        )
        return promised

    def abort(self) -> None:
        """Close everything, whatever state it is in; what was written is worth nothing."""
        self.streams.close()
        try:
            self.container.close()
        except (*DECODE_ERRORS, TypeError):
            pass  # a header or an index that cannot be written: the file is discarded


def verify(target: Path, writer: Muxer) -> None:
    """Read the finished file back: as many frames as were written, and to the same end.

    Raises ProcessingError where it is less; nothing is decoded.
    """
    count, end = 0, Fraction(0)
    with open_container(target) as container:
        for packet in container.demux(container.streams[writer.video.index]):
            if packet.size and packet.pts is not None:
                count += 1
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    if count != writer.frames:
        raise ProcessingError(
            "commit", f"reads back with {count} frames instead of {writer.frames}"
        )
    wanted, frame = writer.end, 1 / writer.film.rate
    if end < wanted - 2 * frame:
        raise ProcessingError(
            "commit", f"reads back {float(end):.2f} s long, not {float(wanted):.2f}"
        )
