"""Everything of a film but its picture: sound, subtitles, chapters, attachments, names, copied."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import GIF, MKV, MOV, Format
from batchcolor.video.output.containers import DATA_STREAM_TYPES, suggest_container
from batchcolor.video.output.pcm_transcoder import PCM_CODEC, PCM_CONTAINERS, PcmTranscoder
from batchcolor.video.source_info import (
    DECODE_ERRORS,
    DEMUXER_OPTIONS,
    SourceInfo,
    ffmpeg_url,
    format_av_error,
)

MUXER_OWNED_TAGS = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id"}
)
"""Tags that say how the source's own file was written (in lower case); the result has its own."""
MP4_TAGS = frozenset(
    {
        *("title", "artist", "album", "album_artist", "composer", "comment", "genre", "date"),
        *("copyright", "description", "synopsis", "grouping", "lyrics", "show", "episode_id"),
        *("network", "keywords", "track", "disc", "compilation", "creation_time"),
    }
)
"""Tags that MP4 has names for, as players know them."""
MAX_TIMESCALE = 10_000_000
"""A second, as MP4's own scale of time; 32 bits hold seven minutes of it, and FFmpeg takes 64
where they do not."""


class StreamCopier:
    """The other tracks of a film: put into a result packet by packet, in step with its picture.

    They are read by a second look at the source, so that however far the picture is behind,
    nothing piles up in memory.
    """

    def __init__(self, film: SourceInfo, *, recode_sound: bool = False) -> None:
        self.film, self.recode_sound = film, recode_sound
        self.notes: list[str] = []
        self._source: InputContainer = av.open(
            ffmpeg_url(film.path), "r", options=DEMUXER_OPTIONS, metadata_errors="replace"
        )
        self._targets: dict[int, RemuxedStream | PcmTranscoder] = {}
        self._next_packet: Packet[Stream] | None = None
        self._last_dts: dict[int, int] = {}
        """The last decoding time of each track."""
        self._packets = self._demux()

    def muxer_options(self, container: Format) -> dict[str, str]:
        """Options of the muxer: no stream is moved in time, and no name of the film is lost.

        MP4 has a list of well-known names, which may have a cover, or one of any names, which may
        not: the first one unless it would lose something, but never for a cover.
        """
        options = {"avoid_negative_ts": "disabled"}
        if container == GIF:
            return self._gif_options(options)
        if container == MKV:
            return options | self._negative_start_options()
        options |= self._timescale_options()
        keys = {key.lower() for key in self._source.metadata}
        others = sorted(keys - MUXER_OWNED_TAGS - MP4_TAGS)
        if others and any(s.disposition & Disposition.attached_pic for s in self._source.streams):
            lost = ", ".join(others)
            self.notes.append(f"{container.name} cannot hold {lost} beside a cover: dropped")
        elif others:
            options["movflags"] = "use_metadata_tags"
        return options

    def _negative_start_options(self) -> dict[str, str]:
        """Matroska has no times before zero (RFC 9559), whatever some files do."""
        video = self._source.streams[self.film.stream]
        if video.start_time is None or video.start_time >= 0:
            return {}
        early = f"{float(-video.start_time * self.film.time_base):.6f}"
        self.notes.append(
            f"it begins before zero, which mkv cannot hold: all of it is set forward by {early} s"
        )
        return {"output_ts_offset": early}

    def _timescale_options(self) -> dict[str, str]:
        """MP4 writes how late a track begins in a scale of its own, milliseconds by default."""
        tracks = [s for s in self._source.streams if s.type in ("video", "audio") and s.time_base]
        if not any(stream.start_time for stream in tracks):
            return {}
        exact = math.lcm(*(stream.time_base.denominator for stream in tracks if stream.time_base))
        own = self._source.streams[self.film.stream].time_base
        finest = exact if exact <= MAX_TIMESCALE else own.denominator if own else 0
        return {"movie_timescale": str(finest)} if 0 < finest <= MAX_TIMESCALE else {}

    def _gif_options(self, options: dict[str, str]) -> dict[str, str]:
        names = sorted({key.lower() for key in self._source.metadata} - MUXER_OWNED_TAGS)
        if names:
            self.notes.append(f"gif holds no names: {', '.join(names)} dropped")
        return options | {"loop": str(self.film.loop)}

    def add_streams(
        self, target: OutputContainer, container: Format, others: Sequence[Format] = ()
    ) -> Iterator[int]:
        """Give the result the tracks of the source, in their order; gives the picture's index.

        The caller adds the picture's own stream when it is given. Raises ProcessingError where
        sound, subtitles or attachments cannot be held, naming one of `others` that can.
        """
        for stream in self._source.streams:
            if stream.index == self.film.stream:
                yield stream.index
            elif stream.index in self.film.skipped_streams:
                continue
            elif container == MOV and _is_timecode(stream):
                continue  # FFmpeg makes it anew of the picture's tag
            elif container == MKV and stream.disposition & Disposition.attached_pic:
                self._attach_cover(target, stream)
            else:
                self._add_stream(target, container, stream, others)
        tags = {k: v for k, v in self._source.metadata.items() if k.lower() not in MUXER_OWNED_TAGS}
        target.metadata.update(tags)
        chapters = self._source.chapters()
        if chapters:
            target.set_chapters(chapters)

    def copy_metadata(self, target: Stream) -> None:
        """Give the result's picture the language, names and disposition of the source's."""
        self._copy_metadata(self._source.streams[self.film.stream], target)

    def _add_stream(
        self, target: OutputContainer, container: Format, stream: Stream, others: Sequence[Format]
    ) -> None:
        name = stream.codec_context.name if stream.codec_context is not None else stream.type
        try:
            placed = target.add_stream_from_template(stream, opaque=True)
            track: RemuxedStream | PcmTranscoder = RemuxedStream(placed)
        except (*DECODE_ERRORS, TypeError) as error:
            recoded = self.recode_sound and container in PCM_CONTAINERS
            if not (recoded and isinstance(stream, AudioStream)):
                ways = suggest_container(self._source, self.film, container, others)
                raise ProcessingError(
                    "plan",
                    f"{stream.type} track {stream.index} ({name}) cannot be held by "
                    f"{container.name}; {ways}",
                ) from error
            track = PcmTranscoder(stream, target)
            placed = track.target
            self.notes.append(f"audio track {stream.index} ({name}) becomes {PCM_CODEC}")
        self._copy_metadata(stream, placed)
        if not isinstance(stream, AttachmentStream):
            self._targets[stream.index] = track

    def _copy_metadata(self, source: Stream, target: Stream) -> None:
        tags = {k: v for k, v in source.metadata.items() if k.lower() not in MUXER_OWNED_TAGS}
        if "name" in tags:  # so FFmpeg calls an MP4 track's title when it reads, not when it writes
            tags.setdefault("title", tags.pop("name"))
        target.metadata.update(tags)
        target.disposition = source.disposition

    def _attach_cover(self, target: OutputContainer, stream: Stream) -> None:
        """Matroska keeps a cover as an attached file."""
        name = stream.codec_context.name
        kind = "png" if "png" in name else "jpeg"
        filename = stream.metadata.get("filename", f"cover.{'png' if kind == 'png' else 'jpg'}")
        with av.open(ffmpeg_url(self.film.path)) as source:
            packet = next(p for p in source.demux(source.streams[stream.index]) if p.size)
            target.add_attachment(filename, f"image/{kind}", bytes(packet))

    def _demux(self) -> Iterator[Packet[Stream]]:
        wanted = [self._source.streams[index] for index in self._targets]
        packets = self._source.demux(*wanted) if wanted else iter(())
        while True:
            try:
                packet = next(packets, None)
            except DECODE_ERRORS as error:
                note = f"a damaged place among its other streams: {format_av_error(error)}"
                if note in self.notes:
                    return
                self.notes.append(note)
                packets = self._source.demux(*wanted)  # an error ends the generator
                continue
            if packet is None:
                return
            if packet.size:
                yield packet

    def mux_until(self, target: OutputContainer, seconds: Fraction | None) -> None:
        """Put the packets of the other tracks into `target` up to that time; None: all the rest."""
        while True:
            packet = self._next_packet or next(self._packets, None)
            if packet is None:
                self._finish(target)
                return
            self._next_packet = packet
            time = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and time is not None and time * packet.time_base > seconds:
                return
            self._next_packet = None
            if not _is_empty_subtitle(packet):
                self._make_monotonic(packet)
                target.mux(list(self._targets[packet.stream_index].packets(packet)))

    def _finish(self, target: OutputContainer) -> None:
        """Once: the picture may go on after the last packet of the others."""
        while self._targets:
            index, track = self._targets.popitem()
            target.mux(list(track.packets(None)))
            if isinstance(track, PcmTranscoder) and track.damaged_packets:
                self.notes.append(
                    f"{track.damaged_packets} damaged pieces of track {index} are silent"
                )

    def _make_monotonic(self, packet: Packet[Stream]) -> None:
        """Where damage has set a track's time back, a muxer would refuse the whole film."""
        last, dts = self._last_dts.get(packet.stream_index), packet.dts
        if dts is None:
            return
        if last is not None and dts < last:
            packet.dts = dts = last + 1
            packet.pts = max(packet.pts or dts, dts)
            note = f"the time of track {packet.stream_index} goes back: it is set forward there"
            if note not in self.notes:
                self.notes.append(note)
        self._last_dts[packet.stream_index] = dts

    def skippable_streams(self) -> dict[int, str]:
        """Tracks that may be dropped, and what is to be said: nothing of the text of chapters, as
        QuickTime has it, which is made anew."""
        chapters = len(self._source.chapters())
        return {
            stream.index: ""
            if chapters and stream.type == "data" and stream.frames == chapters
            else f"track {stream.index} ({stream.type}) is dropped: its container cannot hold it"
            for stream in self._source.streams
            if stream.type in DATA_STREAM_TYPES
        }

    def close(self) -> None:
        """Let the source go."""
        self._source.close()


@dataclass(frozen=True)
class RemuxedStream:
    """A track whose packets stay as they are."""

    target: Stream

    def packets(self, packet: Packet[Stream] | None) -> Iterator[Packet[Stream]]:
        """The packet itself, for the result."""
        if packet is not None:
            packet.stream = self.target
            yield packet


def _is_timecode(stream: Stream) -> bool:
    """Whether it counts the picture's frames as editors do, as QuickTime has it."""
    return stream.type == "data" and "timecode" in stream.metadata


def _is_empty_subtitle(packet: Packet[Stream]) -> bool:
    """Whether it is the empty text that MP4 has between subtitles; FFmpeg puts it in by itself."""
    context = packet.stream.codec_context  # a timecode has none
    return context is not None and context.name == "mov_text" and bytes(packet) == b"\0\0"


class NoStreams(StreamCopier):
    """Those of a folder of frames, which has none."""

    def __init__(self, film: SourceInfo) -> None:
        self.film = film
        self.notes = []

    def muxer_options(self, container: Format) -> dict[str, str]:
        """Frames begin at zero, but the first may be missing."""
        return {"avoid_negative_ts": "disabled"}

    def add_streams(
        self, target: OutputContainer, container: Format, others: Sequence[Format] = ()
    ) -> Iterator[int]:
        """The picture alone."""
        yield self.film.stream

    def copy_metadata(self, target: Stream) -> None:
        """There is nothing to tell."""

    def mux_until(self, target: OutputContainer, seconds: Fraction | None) -> None:
        """There is nothing to copy."""

    def skippable_streams(self) -> dict[int, str]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """There is nothing open."""


def open_streams(film: SourceInfo, *, recode_sound: bool = False) -> StreamCopier:
    """The other tracks of a film."""
    return (
        NoStreams(film) if film.is_image_sequence else StreamCopier(film, recode_sound=recode_sound)
    )
