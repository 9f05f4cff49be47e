"""A coloured film on its way to the disk: frames to the encoder, every other track beside them."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from batchcolor.errors import PictureError
from batchcolor.films.codecs import FilmSettings, pixel_format
from batchcolor.films.film import UNREADABLE, Film, opened, words
from batchcolor.films.timing import Survey, Timeline
from batchcolor.films.tracks import Tracks, new_container
from batchcolor.pictures.formats import Format


def as_written(film: Film, settings: FilmSettings) -> Film:
    """The film with the pixel format and depth that its encoder will be given, changes noted."""
    encoder = av.Codec(settings.film_codec.encoder, "w")
    name = pixel_format(film, settings, tuple(f.name for f in encoder.video_formats or ()))
    notes = list(film.notes)
    if name != film.pixel_format:
        notes.append(f"{film.pixel_format} becomes {name}")
    return replace(film, pixel_format=name, bits=10 if "10" in name else 8, notes=tuple(notes))


def tried_out(film: Film, settings: FilmSettings, container: Format) -> Film:
    """The film, if its result can be written as asked: told before work begins.

    Encoder and container are set up in memory, up to their header. Tracks of readings that the
    container does not take are left out, and noted. Raises PictureError.
    """
    try:
        _set_up(film, settings, container)
    except PictureError:
        sensed = _sensed(film)
        if not sensed or film.left_out:
            raise
        notes = (*film.notes, *filter(None, sensed.values()))
        film = replace(film, left_out=tuple(sensed), notes=notes)
        _set_up(film, settings, container)
    return film


def _set_up(film: Film, settings: FilmSettings, container: Format) -> None:
    writer = FilmWriter(io.BytesIO(), film, settings, container, Survey())
    try:
        writer.container.start_encoding()
    except (*UNREADABLE, TypeError) as error:
        raise PictureError(
            "plan", f"{container.name} cannot hold this film as {settings.codec}: {words(error)}"
        ) from error
    finally:
        writer.abandon()


def _sensed(film: Film) -> dict[int, str]:
    tracks = Tracks(film)
    try:
        return tracks.sensed()
    finally:
        tracks.close()


class FilmWriter:
    """Writes one film. `write` its frames in order, then `finish`; `abandon` where that fails.

    `film` is that of `as_written`. Raises PictureError (this film) and OSError (the disk).
    """

    def __init__(
        self,
        place: Path | Any,
        film: Film,
        settings: FilmSettings,
        container: Format,
        survey: Survey,
    ) -> None:
        self.film, self.place, self.survey = film, place, survey
        self.notes: list[str] = []
        self.frames = 0
        self._held: list[Any] = []
        self.timeline = Timeline(film, survey)
        self.tracks = Tracks(film)
        self.container: OutputContainer = new_container(place, container)
        try:
            for _ in self.tracks.place(self.container, container):
                self.video = self._picture_stream(settings)
        except BaseException:
            self.abandon()
            raise

    def _picture_stream(self, settings: FilmSettings) -> VideoStream:
        film, codec = self.film, settings.film_codec
        stream = self.container.add_stream(
            codec.encoder, rate=film.rate, options=settings.encoder_options
        )
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = film.width, film.height, film.pixel_format
        context.time_base = film.time_base
        stream.time_base = film.time_base
        context.color_range, context.colorspace = film.tags.range, film.tags.matrix
        context.color_primaries, context.color_trc = film.tags.primaries, film.tags.transfer
        if film.aspect:
            context.sample_aspect_ratio = film.aspect
        context.field_order = film.field_order
        if film.interlaced:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        if film.display:
            stream.set_display_matrix(film.display)
        if codec.tag and self.container.format.name in ("mp4", "mov"):
            context.codec_tag = codec.tag
        context.thread_type = "AUTO"
        self.tracks.describe(stream)
        return stream

    def write(self, frame: VideoFrame) -> None:
        """Hand the next frame to the encoder, and what it gives to the container."""
        self.timeline.tell(frame)
        frame.time_base = self.film.time_base
        frame.pict_type = 0  # the encoder decides anew which frames stand for themselves
        coded = self.video.encode(frame)
        self._mux(self._held, None)
        self._held = coded  # until it is sure that they are not the last ones
        self.frames += 1

    def finish(self) -> None:
        """Write what the encoder still holds and all other tracks, and close the file.

        The last frame is held to the end that the source promises, where that is later.
        """
        self._mux([*self._held, *self.video.encode(None)], self._promised_end())
        self.tracks.copy_until(self.container, None)
        self.tracks.close()
        self.container.close()

    def _promised_end(self) -> int:
        """The tick to which the last frame is shown; later than its own where the source is cut."""
        end, tick = self.timeline.end, self.film.time_base
        promised = round(Fraction(self.survey.promised_end(self.film)) / tick)
        missing = promised - end
        if missing <= self.timeline.step:
            return end
        self.notes.append(
            f"its picture ends {float(missing * tick):.2f} s before the end that its file promises "
            f"({float(promised * tick):.2f} s); the last frame is held until there"
        )
        return promised

    def _mux(self, packets: list[Any], until: int | None) -> None:
        for packet in packets:
            self.timeline.restore(packet, until)
            if until is not None and packet is packets[-1]:
                self.timeline.stretch(packet, until)
            self.tracks.copy_until(self.container, packet.dts * packet.time_base)
            self.container.mux(packet)

    def abandon(self) -> None:
        """Close everything, whatever state it is in; what was written is worth nothing."""
        self.tracks.close()
        try:
            self.container.close()
        except (*UNREADABLE, TypeError):
            pass  # a header or an index that cannot be written: nobody will read it


def verify(place: Path, writer: FilmWriter) -> None:
    """Read the finished file back: as many frames as were written, and to the same end.

    Raises PictureError where it is less; nothing is decoded.
    """
    count, end = 0, Fraction(0)
    with opened(place) as container:
        for packet in container.demux(container.streams[writer.video.index]):
            if packet.size and packet.pts is not None:
                count += 1
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    if count != writer.frames:
        raise PictureError("commit", f"reads back with {count} frames instead of {writer.frames}")
    wanted, frame = writer.timeline.seconds, 1 / writer.film.rate
    if end < wanted - 2 * frame:
        raise PictureError("commit", f"reads back {float(end):.2f} s long, not {float(wanted):.2f}")


def flush_to_disk(place: Path) -> None:
    """Wait until the file is on the disk."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
