"""Muxes the encoded frames of a film with the other streams of its source."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import DV, GIF, MKV, MOV, MP4, MXF
from batchcolor.images.provenance_marks.provenance import Provenance
from batchcolor.video.ffmpeg import DECODE_ERRORS, MEDIA_ERRORS, format_av_error, open_container
from batchcolor.video.film_mark import COMMENT_ONLY, FILM_TAGS, add_film_mark
from batchcolor.video.frame_format import FieldOrder
from batchcolor.video.output import matroska
from batchcolor.video.output.containers import FIXED_RATE_CONTAINERS, describe_limits, open_output
from batchcolor.video.output.encoders import configure_encoder, is_interlaced_in_encoder
from batchcolor.video.output.gif_comment import add_comment
from batchcolor.video.output.gif_joiner import GifJoiner
from batchcolor.video.output.mxf_descriptor import correct_descriptor
from batchcolor.video.output.mxf_tags import convert_tags
from batchcolor.video.output.output_spec import OutputSpec
from batchcolor.video.output.packet_segments import PacketSegments, StoredPacket
from batchcolor.video.output.stream_copier import open_streams
from batchcolor.video.output.thread_scheduling import keep_scheduling
from batchcolor.video.output.timestamps import PacketScan, Timeline, compute_decoding_timestamps
from batchcolor.video.source_info import SourceInfo

CODECS_WITHOUT_SAR = ("ffv1", "av1", "prores")
"""Codecs whose bitstream has no sample aspect ratio."""
GIF_TICKS_PER_SECOND, MAX_GIF_DELAY = 100, 65535
"""Unit and largest value (16 bits) of a GIF frame's delay."""


def dry_run_mux(source: SourceInfo, output: OutputSpec) -> None:
    """Writes a header in memory, to check that the container accepts encoder and streams.

    Raises ProcessingError if it does not.
    """
    muxer = None
    try:
        muxer = Muxer(io.BytesIO(), source, output)
        try:
            with keep_scheduling():
                muxer.container.start_encoding()
        except (*DECODE_ERRORS, TypeError) as error:
            raise _make_refusal(output, error) from error
    except MEDIA_ERRORS as error:
        raise _make_refusal(output, error) from error
    finally:
        if muxer is not None:
            muxer.abort()


def _make_refusal(output: OutputSpec, error: Exception) -> ProcessingError:
    container, codec = output.container.name, output.settings.codec
    reason = describe_limits(output.container) or format_av_error(error)
    return ProcessingError("plan", f"{container} cannot hold this film as {codec}: {reason}")


class Muxer:
    """Muxes one film: call `write` once; `abort` closes everything, also after a failure.

    Raises ProcessingError (this film fails), OSError (disk).
    """

    def __init__(self, target: Path | Any, source: SourceInfo, output: OutputSpec) -> None:
        self.target, self.source, self.output = target, source, output
        self.is_preview = output.settings.preview is not None
        self.notes: list[str] = []
        self.frames = self.repeated = 0
        """Frames that are written, and copies of the last one that follow them."""
        self.end = Fraction(0)
        """Second at which the result ends."""
        self.streams = open_streams(source, output)
        try:
            self.container: OutputContainer = open_output(
                target, output.container, self.streams.choose_muxer_options()
            )
        except BaseException:
            self.streams.close()
            raise
        is_gif = output.container == GIF
        self._gif = GifJoiner() if is_gif else None
        alternatives = (MKV, MP4, MOV) if is_gif else output.settings.video_codec.containers
        try:
            for _ in self.streams.add_streams(self.container, alternatives):
                self.video = self._add_video_stream()
        except BaseException:
            self.abort()
            raise

    def _add_video_stream(self) -> VideoStream:
        """Adds a stream with the parameters of the segments' encoders; it encodes nothing itself.

        Raises ProcessingError.
        """
        output, codec = self.output, self.output.settings.video_codec
        try:
            stream = self.container.add_stream(codec.encoder, rate=output.rate)
        except (*DECODE_ERRORS, TypeError) as error:
            raise _make_refusal(output, error) from error
        assert isinstance(stream, VideoStream)
        configure_encoder(stream.codec_context, output)
        stream.time_base = output.time_base
        if output.frame_format.display_matrix:
            stream.set_display_matrix(output.frame_format.display_matrix)
        if codec.tag and output.container in (MP4, MOV):
            stream.codec_context.codec_tag = codec.tag
        self.streams.copy_metadata(stream)
        if self._needs_display_size:
            stream.metadata["title"] = stream.metadata.get("title", "") + matroska.NAME_PADDING
        return stream

    @property
    def _needs_display_size(self) -> bool:
        """Whether neither the codec nor PyAV's muxer store the sample aspect ratio."""
        return (
            self.output.container == MKV
            and self.output.settings.codec in CODECS_WITHOUT_SAR
            and self.output.frame_format.sample_aspect_ratio not in (None, 0)
        )

    def mark(self, provenance: Provenance) -> None:
        """States in the tags of the container what coloured the film."""
        if self.output.container == DV:
            self.streams.notes.append("dv has no tags: the result states nothing of its colours")
            return
        usable = COMMENT_ONLY if self.output.container in (MOV, GIF) else FILM_TAGS
        add_film_mark(self.container.metadata, provenance, usable)

    @keep_scheduling()
    def write(self, segments: PacketSegments, scan: PacketScan, missing: int) -> None:
        """Muxes all packets with the other streams and closes the container.

        `missing` is the number of frames in the header of the source that could not be decoded.
        The last frame is shown up to the end in that header, if this is later.
        """
        timeline, time_base = segments.timeline, self.output.time_base
        if self.output.container == MXF:
            convert_tags(self.container.metadata, self.video.metadata)
        until = self._compute_expected_end(timeline, scan, missing)
        # A preview that starts later begins at zero.
        start = (timeline.first or 0) if self.output.settings.starts_later else 0
        until, last_end = until - start, timeline.end - start
        self.end = until * time_base
        if self.is_preview:
            self.streams.cut(self.container, start * time_base, self.end)
        if self.output.container == GIF:
            shown = timeline.last_duration + (until - last_end) * time_base
            delay = round(shown * GIF_TICKS_PER_SECOND)
            if delay > MAX_GIF_DELAY:
                self.end -= Fraction(delay - MAX_GIF_DELAY, GIF_TICKS_PER_SECOND)
            self.container.container_options["final_delay"] = str(min(delay, MAX_GIF_DELAY))
        pts, encoder_dts = segments.read_packet_times()
        pts -= start
        dts = compute_decoding_timestamps(pts, encoder_dts - start)
        last, is_mp4 = len(dts) - 1, self.output.container in (MP4, MOV)
        for item, packet_dts in zip(segments.read_packets(), dts.tolist(), strict=True):
            packet = self._make_packet(item, item.pts - start, packet_dts)
            if until != last_end and item.encoder_pts == timeline.encoder_pts:
                packet.duration = until - (item.pts - start)
            if (until > last_end or is_mp4) and self.frames == last:
                # MP4 derives the length of the stream from the packet decoded last, which need not
                # be the frame shown last.
                length = until - int(pts.min()) - (packet_dts - int(dts[0]))
                is_short = until < last_end
                packet.duration = max(1 if is_short else packet.duration or 0, length)
            self.streams.mux_until(self.container, packet_dts * time_base)
            self.container.mux(packet)
            self.frames += 1
            if self.frames == len(dts) and self.output.container in FIXED_RATE_CONTAINERS:
                self._repeat_last(item, int(pts.min()), until)
        self.streams.mux_until(self.container, self.end if self.is_preview else None)
        if self.output.container == MXF:
            self.streams.pad_audio(self.container, self.end)
        self.streams.close()
        comment = self.container.metadata.get("comment", "")
        self.container.close()
        if comment and self.output.container == GIF:
            add_comment(Path(self.target), comment)
        if self._needs_display_size:
            self._patch_display_size()
        if self.output.container == MXF:
            self._correct_descriptor()

    def _repeat_last(self, item: StoredPacket, first: int, until: int) -> None:
        """Repeats the last frame up to a tick, in containers without timestamps.

        Codecs of these containers code every frame by itself. `first` is the tick of the first
        frame, which becomes zero.
        """
        step = 1 / (self.output.rate * self.output.time_base)
        for number in range(self.frames, round((until - first) / step)):
            tick = first + round(number * step)
            self.container.mux(self._make_packet(item, tick, tick))
            self.repeated += 1
        self.end = (until - first) * self.output.time_base

    def _patch_display_size(self) -> None:
        output, aspect = self.output, self.output.frame_format.sample_aspect_ratio
        assert aspect is not None
        if not matroska.patch_display_size(self.target, output.width, output.height, aspect):
            raise ProcessingError("encode", "the sample aspect ratio cannot be written to mkv")

    def _correct_descriptor(self) -> None:
        output, frame_format = self.output, self.output.frame_format
        aspect = frame_format.sample_aspect_ratio
        shown = Fraction(output.width, output.height) * aspect if aspect else None
        order = frame_format.fields.order
        if not is_interlaced_in_encoder(output):
            order = FieldOrder.PROGRESSIVE
        if not correct_descriptor(self.target, order, shown):
            self.streams.notes.append("the header of mxf does not state the field order")

    def _make_packet(self, item: StoredPacket, pts: int, dts: int) -> Packet[VideoStream]:
        data = item.data if self._gif is None else self._gif.join(bytes(item.data))
        packet: Packet[Any] = Packet(data)
        packet.stream, packet.time_base = self.video, self.output.time_base
        packet.pts, packet.dts = pts, dts
        packet.duration, packet.is_keyframe = item.duration, item.is_keyframe
        return packet

    def _compute_expected_end(self, timeline: Timeline, scan: PacketScan, missing: int) -> int:
        """Returns the tick up to which the last frame is shown: its own end, or that of the header
        of a source that lacks frames at its end."""
        tick = self.output.time_base
        seconds = scan.compute_expected_end(self.source, float(timeline.seconds), missing)
        expected = round(Fraction(seconds) / tick)
        short = expected - timeline.end
        tolerance = 0 if self.source.is_image_sequence else timeline.step  # headers are rounded
        if self.is_preview:
            return timeline.end
        header_end = round(Fraction(self.source.end) / tick)
        if not missing and self._has_short_last_frame(timeline, timeline.end - header_end):
            return header_end
        if short <= tolerance:
            return timeline.end
        self.notes.append(
            f"the last frame ends {float(short * tick):.2f} s before the end in the header "
            f"({float(expected * tick):.2f} s); it is shown until there"
        )
        return expected

    def _has_short_last_frame(self, timeline: Timeline, excess: int) -> bool:
        """Whether the last frame is shown for `excess` ticks less than the frame before it.

        FFmpeg gives both the same duration where frames are reordered; the header of MP4 and MOV
        has the exact end.
        """
        is_exact = self.source.path.suffix.lower() in (*MP4.suffixes, *MOV.suffixes)
        shown = timeline.last_duration / self.output.time_base - excess
        return is_exact and excess >= timeline.step / 8 and shown >= timeline.step / 8

    def abort(self) -> None:
        """Closes everything in any state; an incomplete file is useless."""
        self.streams.close()
        try:
            self.container.close()
        except (*DECODE_ERRORS, TypeError):
            pass  # the header or index cannot be written; the caller discards the file


def verify(target: Path, muxer: Muxer) -> None:
    """Demuxes the finished file and compares the number of frames and the end; decodes nothing.

    Raises ProcessingError if frames are missing.
    """
    count, end = 0, Fraction(0)
    with open_container(target) as container:
        for packet in container.demux(container.streams[muxer.video.index]):
            if packet.size and packet.pts is not None:
                count += 1
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    expected = muxer.frames + muxer.repeated
    if count != expected:
        raise ProcessingError(
            "commit", f"the written file has {count} frames instead of {expected}"
        )
    if end < muxer.end - 2 / muxer.output.rate:
        raise ProcessingError(
            "commit", f"the written file ends at {float(end):.2f} s, not {float(muxer.end):.2f} s"
        )
