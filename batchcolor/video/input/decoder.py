"""Decodes the frames of a film in display order; damaged packets lose only their own frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.video.ffmpeg import DECODE_ERRORS, format_av_error, open_container
from batchcolor.video.frame_conversion import copy_frame, fit_frame
from batchcolor.video.frame_format import FrameFormat
from batchcolor.video.frame_mark import FrameMark
from batchcolor.video.input.corruption import detect_corruption
from batchcolor.video.input.damage_log import DamageLog
from batchcolor.video.input.gif_damage import GifInspector, is_truncated_gif
from batchcolor.video.input.lost_frames import LeapDetector, LostFrameDetector
from batchcolor.video.input.resume_place import find_resume_place
from batchcolor.video.input.seeking import find_key_frame, skip_to_key_frame
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.time_range import TimeRange, make_start_error

MAX_DEMUX_ERRORS = 8
"""Consecutive demuxer errors after which the rest of the file is skipped."""

MAX_SIZE_CHANGE, LARGEST_FRAME = 4, 8192 * 4352
"""Frames with more times the pixels of the first one, and more than 8K, count as damaged: their
memory was not reserved."""


class VideoDecoder:
    """Iterates over the frames of a film, converted to `frame_format` (default: the source's).

    The first `skip` frames are decoded, because later frames depend on them, but not yielded.
    After the last frame, `count` is the number of frames and `notes` describes damage. A packet
    that cannot be decoded loses its frame; all other frames keep their times, so the previous one
    is shown longer. `strict` raises ProcessingError instead. `preview` selects a part of the film:
    frames before its start are neither yielded nor counted, and their damage is not reported.
    `repeat_last_frame` yields the frame before a damaged position once for each missing frame, for
    outputs without timestamps; with `fills_gaps`, also where the film has no frame for a time.
    """

    def __init__(
        self,
        source: SourceInfo,
        frame_format: FrameFormat | None = None,
        *,
        strict: bool,
        skip: int = 0,
        preview: TimeRange | None = None,
        repeat_last_frame: bool = False,
        fills_gaps: bool = False,
    ) -> None:
        self.source, self.frame_format = source, frame_format or source.frame_format
        self.strict, self.skip, self.preview = strict, skip, preview
        self.repeat_last_frame, self.fills_gaps = repeat_last_frame, fills_gaps
        self._last: tuple[VideoFrame, int] | None = None
        """With its timestamp; that of the frame itself may be changed by its consumer."""
        self._is_gap_near = False
        self._gif: GifInspector | None = None
        self._lost: LostFrameDetector | None = None
        self._leaps = LeapDetector(1 / (source.rate * source.time_base))
        self._last_pts: int | None = None
        self._pts_offset = 0
        self._first_tick: int | None = None
        self._start_tick: int | None = None
        """Tick of the start of a preview; None if it starts at the beginning."""
        self._origin = Fraction(0)
        """Second of the file's timestamps that players show as zero."""
        self._decoded, self._decoded_until = 0, 0
        """Number of decoded frames, also those before a preview, and tick at which they end."""
        self.count = 0
        self._damage = DamageLog(is_strict=strict)
        self.discarded = 0
        """Frames that an edit list of the file hides."""
        self._all_discarded = 0
        self._marks: Sequence[FrameMark] = ()
        self.number_of_first_decoded = 0
        """Frames before those that are decoded, in a resumed film."""
        self.notes: list[str] = []
        self._is_size_change_noted = self._is_format_change_noted = False
        self._pixel_format = ""
        """Name of that of the first decoded frame."""

    def __iter__(self) -> Iterator[VideoFrame]:
        with open_container(self.source.path) as container:
            self._gif = GifInspector() if container.format.name == "gif" else None
            stream = container.streams[self.source.stream]
            assert isinstance(stream, VideoStream)
            self._configure(stream)
            if stream.codec_context.name == "hevc" and not self.source.has_estimated_pts:
                self._lost = LostFrameDetector()
            packets = self._demux(container, stream)
            if self._seek_to_resume(container, stream) or self._seek(container, stream):
                packets = skip_to_key_frame(packets)
            for packet in packets:
                for frame in self._decode(packet):
                    tick = self._count_decoded(frame)
                    if self._start_tick is not None and tick < self._start_tick:
                        continue
                    if self._is_past_preview(tick):
                        return
                    self._leaps.add_frame(tick)
                    fit = self._fit(frame)
                    for shown in (*self._repeat_before(fit), fit):
                        self.count += 1
                        if self.count > self.skip:
                            yield shown
            if self._lost is not None:
                self._report_lost(self._lost.find_rest())
        self._finish()

    @property
    def missing(self) -> int:
        """Frames in the header that could not be decoded; 0 for a preview."""
        if self.preview is not None:
            return 0
        # A decoder that seeks does not meet all packets.
        discarded = max(self.discarded, self._all_discarded)
        return max(0, self.source.frames - discarded - self.count)

    @property
    def is_flawless(self) -> bool:
        """Whether nothing had to be reported so far."""
        return not (self._damage.count or self.notes)

    def resume(self, skip: int, marks: Sequence[FrameMark], discarded: int) -> None:
        """Sets `skip`; where the film can be seeked, most of these frames are not decoded.

        `marks` are those of the first frames, from an earlier run in which `is_flawless` held;
        with none, all frames are decoded. `discarded` is the number of packets that an edit list
        of the film hides.
        """
        self.skip, self._marks, self._all_discarded = skip, marks, discarded

    def _configure(self, stream: VideoStream) -> None:
        if stream.codec_context.name == "h264":
            # With slice threads FFmpeg's decoder neither conceals nor reports damage.
            stream.thread_type = "NONE"
        size = self.source.frame_format.width * self.source.frame_format.height
        limit = max(MAX_SIZE_CHANGE * size, LARGEST_FRAME)
        stream.codec_context.options = {"max_pixels": str(limit)}
        # No frame threads: after an error they lose intact frames that they buffer.

    def _seek_to_resume(self, container: InputContainer, stream: VideoStream) -> bool:
        """Seeks to a key frame before the first frame that is yielded; False where all frames are
        decoded."""
        if not self._marks or self._gif is not None or self.source.has_estimated_pts:
            return False
        place = find_resume_place(
            self.source, self.skip, self._marks, self._configure, self._convert
        )
        if place is None:
            return False
        container.seek(place.seek_tick, stream=stream)
        self.count = self._decoded = self.number_of_first_decoded = place.number
        self._start_tick, self._first_tick = place.first_tick, self._marks[0].tick
        for mark in self._marks[: place.number]:
            self._leaps.add_frame(mark.tick)
        return True

    def _seek(self, container: InputContainer, stream: VideoStream) -> bool:
        """Seeks to the key frame before the start of a preview.

        False if the film is decoded from its beginning: seeking is not possible, or frames depend
        on all earlier ones.
        """
        if self.preview is None or not self.preview.start:
            return False
        self._origin = Fraction(container.start_time or 0, av.time_base)
        start = self._origin + Fraction(self.preview.start)
        self._start_tick = round(start / self.source.time_base)
        if self._gif is not None or self.source.has_estimated_pts:
            return False
        place = find_key_frame(self.source.path, stream.index, self._start_tick)
        if place is not None:
            container.seek(place, stream=stream)
        return place is not None

    def _demux(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[Packet[VideoStream]]:
        """Yields packets up to the end of the file; continues after demuxer errors."""
        errors = 0
        packets = container.demux(stream)
        with detect_corruption(self.source.path, container.format.name) as detector:
            while errors < MAX_DEMUX_ERRORS:
                try:
                    packet = next(packets, None)
                except DECODE_ERRORS as error:
                    if not errors:
                        self._report_damage(None, format_av_error(error))
                    errors += 1
                    packets = container.demux(stream)  # an error ends the generator
                    continue
                if packet is None:
                    return
                errors = 0
                self.discarded += packet.is_discard
                if detector is not None and detector.has_gap_before(packet.pos, packet.size):
                    self._report_damage(packet.pts, "bytes between packets are damaged")
                yield packet

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        damage = ""
        if self._gif is not None and packet.size:
            damage = self._gif.find_damage(bytes(packet))
        if self._lost is not None and packet.size and not packet.is_discard:
            self._lost.add_packet(packet.pts)
        try:
            frames = packet.decode()
        except DECODE_ERRORS as error:
            if self._lost is not None:
                self._lost.forget_packet(packet.pts)
            self._report_damage(packet.pts, damage or format_av_error(error))
            return []
        if damage:
            self._report_damage(packet.pts, damage, is_lost=False)
        good = [frame for frame in frames if isinstance(frame, VideoFrame)]
        for frame in good:
            if self.source.has_estimated_pts:
                self._estimate_pts(frame)
            if self._lost is not None:
                self._report_lost(self._lost.find_before(frame.pts))
            if frame.is_corrupt:
                self._report_damage(frame.pts, "damaged data")
        return good

    def _report_lost(self, ticks: list[int]) -> None:
        """Reports frames in a row that the decoder omitted without an error."""
        if ticks:
            many = "a frame" if len(ticks) == 1 else f"{len(ticks)} frames in a row"
            self._report_damage(ticks[0], f"{many} cannot be decoded")

    def _estimate_pts(self, frame: VideoFrame) -> None:
        """Replaces an estimated timestamp by the decoding timestamp, shifted to the first frame.

        Frames are decoded in display order, so this is exact. The last frames have no decoding
        timestamp and follow at the frame rate.
        """
        if self._last_pts is None:
            self._pts_offset = (frame.pts or 0) - (frame.dts or 0)
        if frame.dts is not None:
            frame.pts = frame.dts + self._pts_offset
        elif self._last_pts is not None:
            frame.pts = self._last_pts + round(1 / (self.source.rate * self.source.time_base))
        self._last_pts = frame.pts

    def _repeat_before(self, frame: VideoFrame) -> list[VideoFrame]:
        """Returns copies of the previous frame for frames lost before this one."""
        last, pts = self._last, frame.pts
        if not self.repeat_last_frame or pts is None:
            return []
        self._last = (frame, pts)
        if last is None or not (self._is_gap_near or self.fills_gaps):
            return []
        step = 1 / (self.source.rate * self.source.time_base)
        missing = round((pts - last[1]) / step) - 1
        if missing < 1:
            return []  # reordered frames before the gap may still follow
        self._is_gap_near = False
        repeated = [copy_frame(last[0]) for _ in range(missing)]
        for number, copy in enumerate(repeated, start=1):
            copy.pts = last[1] + round(number * step)
        return repeated

    def _report_damage(self, pts: int | None, reason: str, *, is_lost: bool = True) -> None:
        """Counts a damaged place; `is_lost`: a frame is missing there."""
        if self._start_tick is not None:
            is_before = (
                self.count == self.number_of_first_decoded
                if pts is None
                else pts < self._start_tick
            )
            if is_before:
                return
        second = None if pts is None else float(pts * self.source.time_base)
        self._damage.add(second, reason)
        self._is_gap_near |= is_lost

    def _count_decoded(self, frame: VideoFrame) -> int:
        """Returns the tick of a decoded frame; one without a timestamp follows at the rate."""
        step = 1 / (self.source.rate * self.source.time_base)
        tick = round(self._decoded * step) if frame.pts is None else frame.pts
        self._decoded += 1
        self._decoded_until = max(self._decoded_until, tick + round(step))
        return tick

    def _is_past_preview(self, tick: int) -> bool:
        """Whether a frame is after the end of a preview, which has at least one frame."""
        if self.preview is None:
            return False
        if self._first_tick is None:
            self._first_tick = tick
        return float((tick - self._first_tick) * self.source.time_base) >= self.preview.length

    def _fit(self, frame: VideoFrame) -> VideoFrame:
        """Returns the frame in the size and pixel format of the film; notes a change of size."""
        size = (self.frame_format.width, self.frame_format.height)
        if (frame.width, frame.height) != size and not self._is_size_change_noted:
            self._is_size_change_noted = True
            self.notes.append(
                f"frame size changes to {frame.width} x {frame.height}; frames are scaled to the "
                f"initial {size[0]} x {size[1]}"
            )
        self._note_pixel_format(frame.format.name)
        return self._convert(frame)

    def _note_pixel_format(self, name: str) -> None:
        """Notes once that the pixel format of decoded frames changes."""
        first = self._pixel_format = self._pixel_format or name
        if name != first and not self._is_format_change_noted and self._gif is None:
            self._is_format_change_noted = True
            own = self.frame_format.pixel_format
            self.notes.append(
                f"pixel format changes from {first} to {name}; frames are converted to {own}"
            )

    def _convert(self, frame: VideoFrame) -> VideoFrame:
        is_full_range = self.source.frame_format.is_full_range
        return fit_frame(
            frame, self.frame_format, is_rgb=self.source.is_rgb, is_full_range=is_full_range
        )

    def _finish(self) -> None:
        """Adds notes about damage. Raises ProcessingError if no frame was decoded."""
        if not self.count and self._decoded and self.preview is not None:
            end = self._decoded_until * self.source.time_base - self._origin
            raise make_start_error(self.preview, float(end))
        if not self.count:
            place = self._damage.describe_first()
            raise ProcessingError("decode", f"no frame can be decoded{place}")
        if is_truncated_gif(self.source.path):
            self._report_damage(None, "the end of the file is missing")
        if self._damage.count:
            self.notes.append(self._damage.describe())
        elif (leaps := self._leaps.describe(self.source.time_base)) and self._gif is None:
            self.notes.append(leaps)
        if self.missing:
            text = f"{self.missing} of {self.source.frames} frames in its header cannot be decoded"
            if self.strict:
                raise ProcessingError(LIMITS, f"{text} (--strict)")
            self.notes.append(text)
