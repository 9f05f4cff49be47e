"""Copies everything of a film but its coloured stream: audio, subtitles, chapters, attachments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import MKV, MOV, MP4, MXF, Format
from batchcolor.video.ffmpeg import DECODE_ERRORS, DEMUXER_OPTIONS, format_av_error, to_ffmpeg_url
from batchcolor.video.output.containers import refuses_stream, suggest_container
from batchcolor.video.output.muxer_options import (
    MUXER_OWNED_TAGS,
    choose_muxer_options,
    describe_early_audio,
)
from batchcolor.video.output.mxf_audio import MxfAudio
from batchcolor.video.output.output_spec import OutputSpec
from batchcolor.video.output.pcm_transcoder import (
    MXF_RATE,
    PCM_CODEC,
    PCM_CONTAINERS,
    AudioFormat,
    PcmTranscoder,
    read_audio_format,
)
from batchcolor.video.output.stream_cut import StreamCut, cut_chapters
from batchcolor.video.output.timed_text import TimedTextConverter
from batchcolor.video.source_info import SourceInfo


class StreamCopier:
    """Remuxes the other streams of a film into its result, interleaved with the coloured stream.

    The source is opened a second time and demuxed only up to the time of the coloured stream, so
    packets do not accumulate in memory.
    """

    def __init__(self, source: SourceInfo, output: OutputSpec) -> None:
        self.source, self.output = source, output
        self.notes: list[str] = []
        self._input: InputContainer = av.open(
            to_ffmpeg_url(source.path), "r", options=DEMUXER_OPTIONS, metadata_errors="replace"
        )
        self._targets: dict[int, RemuxedStream | PcmTranscoder | TimedTextConverter] = {}
        self._next_packet: Packet[Stream] | None = None
        self._with_packets: set[int] = set()
        """Streams that have a packet in the result."""
        self._last_dts: dict[int, int] = {}
        """Last decoding time of each stream."""
        self._packets = self._demux()
        self._audio = MxfAudio()
        self._delay = Fraction(0)
        """Seconds that the muxer adds to all times."""
        self._cut: StreamCut | None = None

    def cut(self, target: OutputContainer, start: Fraction, end: Fraction) -> None:
        """Selects a part of the source, before the first packet.

        `start` is the second of the source that becomes zero, `end` that at which `target` ends.
        Chapters outside are dropped.
        """
        self._cut = StreamCut(start) if start else None
        chapters = self._input.chapters()
        if chapters and not self.output.settings.has_only_shots:
            target.set_chapters(cut_chapters(chapters, start, end))

    def choose_muxer_options(self) -> dict[str, str]:
        """Returns the options of the result's muxer."""
        options, notes = choose_muxer_options(self._input, self.source, self.output)
        self.notes += notes
        self._delay = Fraction(options.get("output_ts_offset", 0))
        return options

    def add_streams(self, target: OutputContainer, alternatives: Sequence[Format]) -> Iterator[int]:
        """Adds the streams of the source to `target`, in their order.

        Yields the index of the coloured stream, which the caller adds. Raises ProcessingError if
        the container accepts an audio, subtitle or attachment stream not; the message names one of
        `alternatives` that does.
        """
        container = self.output.container
        streams: list[Stream] = list(self._input.streams)
        if container == MXF:  # FFmpeg's muxer wants the video first
            streams.sort(key=lambda stream: stream.index != self.source.stream)
        for stream in streams:
            if stream.index == self.source.stream:
                yield stream.index
            elif stream.index in self.output.skipped_streams:
                continue
            elif container in (MOV, MXF) and _is_timecode(stream):
                continue  # FFmpeg generates it from the tag of the video stream
            elif self.output.settings.starts_later and _is_timecode(stream):
                continue  # it is that of the film's beginning
            elif container == MKV and stream.disposition & Disposition.attached_pic:
                self._attach_cover(target, stream)
            elif container == MKV and _is_timed_text(stream):
                self._convert_timed_text(target, stream)
            else:
                self._add_stream(target, stream, alternatives)
        tags = _select_tags(self._input.metadata)
        self._drop_timecode(tags)
        target.metadata.update(tags)
        chapters = self._input.chapters()
        if chapters and not self.output.settings.has_only_shots:
            target.set_chapters(chapters)

    def copy_metadata(self, target: Stream) -> None:
        """Copies tags, language and disposition of the coloured stream to `target`."""
        _copy_metadata(self._input.streams[self.source.stream], target)
        reels = [s.metadata.get("reel_name") for s in self._input.streams if _is_timecode(s)]
        if reels and reels[0]:  # FFmpeg's muxers generate the timecode stream with it
            target.metadata.setdefault("reel_name", reels[0])
        if self.source.timecode and "timecode" not in self._input.metadata:
            target.metadata.setdefault("timecode", self.source.timecode)
        self._drop_timecode(target.metadata)

    def _drop_timecode(self, tags: dict[str, str]) -> None:
        """Removes the timecode of the film's beginning from a result that begins later."""
        note = "the timecode is that of the film's beginning: dropped"
        is_dropped = self.output.settings.starts_later and tags.pop("timecode", "")
        if is_dropped and note not in self.notes:
            self.notes.append(note)

    def _add_stream(
        self, target: OutputContainer, stream: Stream, alternatives: Sequence[Format]
    ) -> None:
        container = self.output.container
        name = stream.codec_context.name if stream.codec_context is not None else stream.type
        try:
            if refuses_stream(container, stream):
                raise ValueError(f"{container.name} refuses {name}")
            added = target.add_stream_from_template(stream, opaque=True)
            copier: RemuxedStream | PcmTranscoder = RemuxedStream(added)
        except (*DECODE_ERRORS, TypeError) as error:
            form = self._find_pcm_format(stream)
            if form is None or not isinstance(stream, AudioStream):
                advice = suggest_container(self._input, self.source, container, alternatives)
                raise ProcessingError(
                    "plan",
                    f"{container.name} cannot hold {stream.type} stream {stream.index} ({name}); "
                    f"{advice}",
                ) from error
            if container == MXF:
                form = replace(form, rate=MXF_RATE)
            copier = PcmTranscoder(stream, target, form)
            added = copier.target
            self.notes.append(f"audio stream {stream.index} ({name}) becomes {PCM_CODEC}")
        _copy_metadata(stream, added)
        if not isinstance(stream, AttachmentStream):
            self._targets[stream.index] = copier

    def _find_pcm_format(self, stream: Stream) -> AudioFormat | None:
        """Returns the format in which a stream is written as PCM; None if it is not."""
        is_wanted = self.output.settings.recode_sound and self.output.container in PCM_CONTAINERS
        if not (is_wanted and isinstance(stream, AudioStream)):
            return None
        return read_audio_format(self.source.path, stream.index)

    def _convert_timed_text(self, target: OutputContainer, stream: Stream) -> None:
        converter = TimedTextConverter(stream, target)
        _copy_metadata(stream, converter.target)
        self._targets[stream.index] = converter
        self.notes.append(f"subtitle stream {stream.index} (mov_text) becomes SubRip")

    def _attach_cover(self, target: OutputContainer, stream: Stream) -> None:
        """Attaches a cover picture as a file, as Matroska does."""
        name = stream.codec_context.name
        kind = "png" if "png" in name else "jpeg"
        filename = stream.metadata.get("filename", f"cover.{'png' if kind == 'png' else 'jpg'}")
        with av.open(to_ffmpeg_url(self.source.path)) as container:
            packet = next(p for p in container.demux(container.streams[stream.index]) if p.size)
            target.add_attachment(filename, f"image/{kind}", bytes(packet))

    def _demux(self) -> Iterator[Packet[Stream]]:
        wanted = [self._input.streams[index] for index in self._targets]
        packets = self._input.demux(*wanted) if wanted else iter(())
        while True:
            try:
                packet = next(packets, None)
            except DECODE_ERRORS as error:
                note = f"damaged data in its other streams: {format_av_error(error)}"
                if note in self.notes:
                    return
                self.notes.append(note)
                packets = self._input.demux(*wanted)  # an error ends the generator
                continue
            if packet is None:
                return
            if packet.size:
                yield packet

    def mux_until(self, target: OutputContainer, seconds: Fraction | None) -> None:
        """Muxes packets with a decoding time up to `seconds`; all remaining ones if it is None."""
        while True:
            packet = self._next_packet or self._read_packet()
            if packet is None:
                self._finish(target)
                return
            self._next_packet = packet
            time = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and time is not None and time * packet.time_base > seconds:
                return
            self._next_packet = None
            if not _is_empty_subtitle(packet):
                self._note_first(packet)
                self._make_monotonic(packet)
                self._audio.count(self._targets[packet.stream_index].target, packet)
                target.mux(list(self._targets[packet.stream_index].convert_packet(packet)))

    def _note_first(self, packet: Packet[Stream]) -> None:
        is_first = packet.stream_index not in self._with_packets
        self._with_packets.add(packet.stream_index)
        if is_first and self.output.container == MKV:
            self.notes += filter(None, [describe_early_audio(packet, self._delay)])

    def pad_audio(self, target: OutputContainer, end: Fraction) -> None:
        """Appends silence to audio that ends before the picture, at `end` seconds."""
        self.notes += self._audio.pad(target, end, 1 / self.output.rate)

    def _read_packet(self) -> Packet[Stream] | None:
        """Returns the next packet, with its time in the result; None at the end."""
        for packet in self._packets:
            if self._cut is None or self._cut.move(packet):
                return packet
        return None

    def _finish(self, target: OutputContainer) -> None:
        """Flushes transcoders, once; later calls of `mux_until` find nothing to do."""
        if self.output.container in (MP4, MOV):  # FFmpeg writes no track without a sample
            self.notes += [
                f"{self._input.streams[index].type} stream {index} is empty: dropped"
                for index in sorted(self._targets.keys() - self._with_packets)
                if self._input.streams[index].type in ("audio", "video")
            ]
        while self._targets:
            index, copier = self._targets.popitem()
            target.mux(list(copier.convert_packet(None)))
            if isinstance(copier, PcmTranscoder) and copier.damaged_packets:
                self.notes.append(
                    f"audio stream {index}: {copier.damaged_packets} damaged packets are silent"
                )
            if isinstance(copier, TimedTextConverter) and copier.styled:
                self.notes.append(f"subtitle stream {index}: its styles are dropped")

    def _make_monotonic(self, packet: Packet[Stream]) -> None:
        """Increases a decoding time that damage has decreased: muxers would refuse the film."""
        last, dts = self._last_dts.get(packet.stream_index), packet.dts
        if dts is None:
            return
        if last is not None and dts < last:
            packet.dts = dts = last + 1
            packet.pts = max(packet.pts or dts, dts)
            note = f"stream {packet.stream_index}: decreasing timestamps were increased"
            if note not in self.notes:
                self.notes.append(note)
        self._last_dts[packet.stream_index] = dts

    def close(self) -> None:
        """Closes the source."""
        self._input.close()


class NoStreams:
    """The null object of `StreamCopier`, for a folder of numbered pictures."""

    def __init__(self, source: SourceInfo, output: OutputSpec) -> None:
        self.source, self.output = source, output
        self.notes: list[str] = []

    def choose_muxer_options(self) -> dict[str, str]:
        """Returns the options of the result's muxer."""
        return choose_muxer_options(None, self.source, self.output)[0]

    def add_streams(self, target: OutputContainer, alternatives: Sequence[Format]) -> Iterator[int]:
        """Yields the index of the coloured stream, the only one."""
        yield self.source.stream

    def cut(self, target: OutputContainer, start: Fraction, end: Fraction) -> None:
        """Does nothing: there are neither packets nor chapters."""

    def copy_metadata(self, target: Stream) -> None:
        """Sets the timecode of the first frame, if it has one."""
        if self.source.timecode and not self.output.settings.starts_later:
            target.metadata["timecode"] = self.source.timecode

    def mux_until(self, target: OutputContainer, seconds: Fraction | None) -> None:
        """Does nothing: there are no packets."""

    def pad_audio(self, target: OutputContainer, end: Fraction) -> None:
        """Does nothing: there is no audio."""

    def close(self) -> None:
        """Does nothing: no file is open."""


def open_streams(source: SourceInfo, output: OutputSpec) -> StreamCopier | NoStreams:
    """Opens the other streams of a source."""
    streams = StreamCopier if source.has_packets else NoStreams
    return streams(source, output)


@dataclass(frozen=True)
class RemuxedStream:
    """A stream whose packets are copied unchanged to `target`."""

    target: Stream

    def convert_packet(self, packet: Packet[Stream] | None) -> Iterator[Packet[Stream]]:
        """Yields the packet, assigned to `target`; nothing for None, the end of the stream."""
        if packet is not None:
            packet.stream = self.target
            yield packet


def _copy_metadata(stream: Stream, target: Stream) -> None:
    tags = _select_tags(stream.metadata)
    if (
        "name" in tags
    ):  # FFmpeg's demuxer calls the title of an MP4 stream `name`, its muxer `title`
        tags.setdefault("title", tags.pop("name"))
    target.metadata.update(tags)
    target.disposition = stream.disposition


def _select_tags(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key.lower() not in MUXER_OWNED_TAGS}


def _is_timecode(stream: Stream) -> bool:
    """Whether it is a QuickTime timecode stream."""
    return stream.type == "data" and "timecode" in stream.metadata


def _is_timed_text(stream: Stream) -> bool:
    context = stream.codec_context
    return stream.type == "subtitle" and context is not None and context.name == "mov_text"


def _is_empty_subtitle(packet: Packet[Stream]) -> bool:
    """Whether it is an empty sample between subtitles of an MP4, which FFmpeg's muxer generates."""
    context = packet.stream.codec_context  # None for timecodes
    return context is not None and context.name == "mov_text" and bytes(packet) == b"\0\0"
