"""Everything of a film but its picture: sound, subtitles, chapters, attachments, names, copied."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

from batchcolor.errors import PictureError
from batchcolor.films.film import AS_IT_IS, UNREADABLE, Film, url_of, words
from batchcolor.pictures.formats import GIF, MKV, Format

MADE_ANEW = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id"}
)
"""Tags that say how the source's own file was written (in lower case); the result has its own."""
WELL_KNOWN = frozenset(
    {
        *("title", "artist", "album", "album_artist", "composer", "comment", "genre", "date"),
        *("copyright", "description", "synopsis", "grouping", "lyrics", "show", "episode_id"),
        *("network", "keywords", "track", "disc", "compilation", "creation_time"),
    }
)
"""Tags that MP4 has names for, as players know them."""
SENSED = ("data", "unknown")
"""Tracks without picture, sound or text: timecodes, readings of sensors."""


class Tracks:
    """The other tracks of a film: put into a result packet by packet, in step with its picture.

    They are read by a second look at the source, so that however far the picture is behind,
    nothing piles up in memory.
    """

    def __init__(self, film: Film) -> None:
        self.film = film
        self.notes: list[str] = []
        self._source: InputContainer = av.open(
            url_of(film.path), "r", options=AS_IT_IS, metadata_errors="replace"
        )
        self._placed: dict[int, Stream] = {}
        self._waiting: Packet[Stream] | None = None
        self._line = self._packets()

    def muxer_options(self, container: Format) -> dict[str, str]:
        """What the muxer is told: no track is moved in time, and no name of the film is lost.

        MP4 has a list of well-known names, which may have a cover, or one of any names, which may
        not: the first one unless it would lose something, but never for a cover.
        """
        options = {"avoid_negative_ts": "disabled"}
        if container == GIF:
            return self._gif_options(options)
        if container.name not in ("mp4", "mov"):
            return options
        keys = {key.lower() for key in self._source.metadata}
        others = sorted(keys - MADE_ANEW - WELL_KNOWN)
        if others and any(s.disposition & Disposition.attached_pic for s in self._source.streams):
            lost = ", ".join(others)
            self.notes.append(f"{container.name} cannot hold {lost} beside a cover: left out")
        elif others:
            options["movflags"] = "use_metadata_tags"
        return options

    def _gif_options(self, options: dict[str, str]) -> dict[str, str]:
        names = sorted({key.lower() for key in self._source.metadata} - MADE_ANEW)
        if names:
            self.notes.append(f"gif holds no names: {', '.join(names)} left out")
        return options | {"loop": str(self.film.loop)}

    def place(self, target: OutputContainer, container: Format) -> Iterator[int]:
        """Give the result the tracks of the source, in their order; gives the picture's index.

        The caller adds the picture's own stream when it is given. Raises PictureError where
        sound, subtitles or attachments cannot be held, naming a container that can.
        """
        for stream in self._source.streams:
            if stream.index == self.film.stream:
                yield stream.index
            elif stream.index in self.film.left_out:
                continue
            elif container == MKV and stream.disposition & Disposition.attached_pic:
                self._attach_cover(target, stream)
            else:
                self._place_one(target, container, stream)
        tags = {k: v for k, v in self._source.metadata.items() if k.lower() not in MADE_ANEW}
        target.metadata.update(tags)
        chapters = self._source.chapters()
        if chapters:
            target.set_chapters(chapters)

    def describe(self, target: Stream) -> None:
        """Give the result's picture the language, names and disposition of the source's."""
        self._describe(self._source.streams[self.film.stream], target)

    def _place_one(self, target: OutputContainer, container: Format, stream: Stream) -> None:
        name = stream.codec_context.name if stream.codec_context is not None else stream.type
        try:
            placed = target.add_stream_from_template(stream, opaque=True)
        except (*UNREADABLE, TypeError) as error:
            hint = "" if container == MKV else "; --format mkv can"
            raise PictureError(
                "plan",
                f"{stream.type} track {stream.index} ({name}) cannot be held by "
                f"{container.name}{hint}",
            ) from error
        self._describe(stream, placed)
        if not isinstance(stream, AttachmentStream):
            self._placed[stream.index] = placed

    def _describe(self, source: Stream, target: Stream) -> None:
        tags = {k: v for k, v in source.metadata.items() if k.lower() not in MADE_ANEW}
        target.metadata.update(tags)
        target.disposition = source.disposition

    def _attach_cover(self, target: OutputContainer, stream: Stream) -> None:
        """Matroska keeps a cover as an attached file."""
        name = stream.codec_context.name
        kind = "png" if "png" in name else "jpeg"
        filename = stream.metadata.get("filename", f"cover.{'png' if kind == 'png' else 'jpg'}")
        with av.open(url_of(self.film.path)) as source:
            packet = next(p for p in source.demux(source.streams[stream.index]) if p.size)
            target.add_attachment(filename, f"image/{kind}", bytes(packet))

    def _packets(self) -> Iterator[Packet[Stream]]:
        wanted = [self._source.streams[index] for index in self._placed]
        while wanted:
            try:
                yield from (packet for packet in self._source.demux(*wanted) if packet.size)
                return
            except UNREADABLE as error:
                note = f"a damaged place among its other tracks: {words(error)}"
                if note in self.notes:
                    return
                self.notes.append(note)

    def copy_until(self, target: OutputContainer, seconds: Fraction | None) -> None:
        """Put the packets of the other tracks into `target` up to that time; None: all the rest."""
        while True:
            packet = self._waiting or next(self._line, None)
            if packet is None:
                return
            self._waiting = packet
            time = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and time is not None and time * packet.time_base > seconds:
                return
            self._waiting = None
            if not _is_gap(packet):
                packet.stream = self._placed[packet.stream_index]
                target.mux(packet)

    def sensed(self) -> dict[int, str]:
        """Tracks that may be left out, and what is to be said: nothing of the text of chapters."""
        return {
            stream.index: ""
            if _is_chapter_text(stream)
            else f"track {stream.index} ({stream.type}) is left out: its container cannot hold it"
            for stream in self._source.streams
            if stream.type in SENSED
        }

    def close(self) -> None:
        """Let the source go."""
        self._source.close()


def _is_chapter_text(stream: Stream) -> bool:
    """Whether it only holds the names of chapters, as QuickTime has them; they are made anew."""
    try:
        return stream.type == "data" and stream.codec_tag == "text"
    except UNREADABLE:
        return False


def _is_gap(packet: Packet[Stream]) -> bool:
    """Whether it is the empty text that MP4 has between subtitles; FFmpeg puts it in by itself."""
    name = packet.stream.codec_context.name
    return name == "mov_text" and bytes(packet) == b"\0\0"


class NoTracks(Tracks):
    """Those of a folder of frames, which has none."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.notes = []

    def muxer_options(self, container: Format) -> dict[str, str]:
        """Frames begin at zero, but the first may be missing."""
        return {"avoid_negative_ts": "disabled"}

    def place(self, target: OutputContainer, container: Format) -> Iterator[int]:
        """The picture alone."""
        yield self.film.stream

    def describe(self, target: Stream) -> None:
        """There is nothing to tell."""

    def copy_until(self, target: OutputContainer, seconds: Fraction | None) -> None:
        """There is nothing to copy."""

    def sensed(self) -> dict[int, str]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """There is nothing open."""


def tracks_of(film: Film) -> Tracks:
    """The other tracks of a film."""
    return NoTracks(film) if film.numbered else Tracks(film)


MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "gif": "gif"}


def new_container(place: Path | Any, container: Format, options: dict[str, str]) -> OutputContainer:
    """An empty result, at a path or in a file object; `options` are for its muxer."""
    where = url_of(place) if isinstance(place, Path) else place
    return av.open(where, "w", format=MUXERS[container.name], container_options=options)
