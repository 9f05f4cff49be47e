"""How a film is written, decided once from the source, the settings and the container."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

import av

from batchcolor.color import BT601, BT709
from batchcolor.errors import UsageError
from batchcolor.images.formats import JPEG, MKV, Format
from batchcolor.video.ffmpeg import open_container
from batchcolor.video.frame_format import (
    BIT_DEPTHS,
    FULL_RANGE,
    LIMITED_RANGE,
    MATRIX_BT709,
    FrameFormat,
    name_pixel_format,
)
from batchcolor.video.frame_metadata import HdrMetadata
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.dnxhd import is_interlaced_dnxhd
from batchcolor.video.output.encoder_memory import EncoderLimits
from batchcolor.video.output.hdr_parameters import HDR_PARAMETERS
from batchcolor.video.picture_colors import name_unstated_colors
from batchcolor.video.source_info import SourceInfo

CHROMA_SUBSAMPLINGS = ("420", "411", "422", "444")
"""In the order of preference where the encoder has not that of the source."""
CODECS_WITH_CHROMA_LOCATION = ("h264", "h265", "av1")
"""Codecs whose bitstream states where chroma samples lie."""
NTSC_DV_HEIGHT = 480
"""DV has 4:1:1 at this height and no 4:2:0 (IEC 61834-2)."""


@dataclass(frozen=True)
class OutputSpec:
    """How a film, or a folder of numbered pictures, is written."""

    container: Format
    """Container of the film, or format of the pictures."""
    settings: VideoSettings
    frame_format: FrameFormat
    """Frames that the decoder returns and that chroma is written into."""
    width: int
    """Width of written frames as stored; twice that of `frame_format` in a comparison."""
    height: int
    """Height of written frames as stored; twice that in a comparison of a rotated film."""
    rate: Fraction
    """Frames per second."""
    time_base: Fraction
    """Seconds per tick of timestamps."""
    loop: int
    """Loop count of a GIF."""
    chroma_location: str = ""
    """As `SourceInfo.chroma_location`; the encoder or the container states it."""
    hdr: HdrMetadata = field(default_factory=HdrMetadata)
    """Static HDR metadata that the encoder writes."""
    skipped_streams: tuple[int, ...] = ()
    """Indices of data streams that the container does not accept."""
    notes: tuple[str, ...] = ()
    encoder_limits: EncoderLimits = field(default_factory=EncoderLimits)

    @property
    def frame_bytes(self) -> int:
        """Memory of one frame as written."""
        frame = self.frame_format
        return frame.frame_bytes * self.width * self.height // (frame.width * frame.height)


def resolve_output_spec(
    source: SourceInfo,
    settings: VideoSettings,
    container: Format,
    skippable_streams: dict[int, str] | None = None,
) -> OutputSpec:
    """Decides how a source is written.

    `skippable_streams` are those not to be copied, by index, each with a note or an empty string.
    Raises UsageError if the encoder accepts no YUV, ProcessingError if the source is unreadable.
    """
    still = container.still if settings.video_codec.is_animation else container
    if settings.to_frames or settings.video_codec.is_animation:
        assert still is not None
        frame_format, notes = _resolve_picture_frame_format(source, still)
    else:
        frame_format, notes = _resolve_film_frame_format(source, settings)
        if source.hdr != HdrMetadata() and settings.video_codec.encoder not in HDR_PARAMETERS:
            notes.append(f"HDR mastering metadata dropped: {settings.codec} is written without it")
    location = source.chroma_location if frame_format.chroma == "420" else ""
    if location and not (container == MKV or settings.codec in CODECS_WITH_CHROMA_LOCATION):
        notes.append(f"position of chroma samples ({location}) dropped: only mkv states it")
        location = ""
    skipped = skippable_streams or {}
    if settings.has_only_shots and source.has_packets and not settings.to_frames:
        skipped, more = _skip_other_streams(source)
        notes += more
    width, height = frame_format.width, frame_format.height
    if settings.compare and frame_format.rotation % 180:
        height *= 2  # side by side after rotation
    elif settings.compare:
        width *= 2
    return OutputSpec(
        container=container,
        settings=settings,
        frame_format=frame_format,
        width=width,
        height=height,
        rate=source.rate,
        time_base=source.time_base,
        loop=source.loop,
        chroma_location=location,
        hdr=source.hdr,
        skipped_streams=tuple(skipped),
        notes=(*notes, *filter(None, skipped.values())),
    )


def _resolve_film_frame_format(
    source: SourceInfo, settings: VideoSettings
) -> tuple[FrameFormat, list[str]]:
    """Returns the format of the encoder's frames, and notes of what differs from the source."""
    frame_format, notes = source.frame_format, []
    is_picture = frame_format.has_alpha or source.is_animation
    if is_picture and not settings.video_codec.uses_palette:
        # 4:2:0 at limited range is what players support.
        tags = replace(frame_format.tags, range=LIMITED_RANGE)
        if frame_format.has_alpha:
            notes.append("transparent areas become black")
        frame_format = replace(frame_format, pixel_format="yuv420p", tags=tags)
    encoder = av.Codec(settings.video_codec.encoder, "w")
    offered = tuple(offer.name for offer in encoder.video_formats or ())
    if settings.codec == "dv" and frame_format.height == NTSC_DV_HEIGHT:
        offered = tuple(name for name in offered if name != "yuv420p")
    pixel_format = choose_pixel_format(frame_format, settings, offered)
    if source.is_rgb and settings.video_codec.is_lossless:
        # Limited range has 220 levels of luma at 8 bits, RGB 256.
        tags = replace(frame_format.tags, range=FULL_RANGE)
        frame_format = replace(frame_format, tags=tags)
    if frame_format.is_full_range and not settings.video_codec.has_full_range:
        tags = replace(frame_format.tags, range=LIMITED_RANGE)
        frame_format = replace(frame_format, tags=tags)
        notes.append(f"full range becomes limited range: {settings.codec} has no other")
    if settings.codec == "dnxhr" and frame_format.matrix != BT709:
        tags = replace(frame_format.tags, matrix=MATRIX_BT709)
        frame_format = replace(frame_format, matrix=BT709, tags=tags)
        notes.append("chroma is computed with the matrix of BT.709: dnxhr states no other")
    if pixel_format != frame_format.pixel_format:
        change = f"{frame_format.pixel_format} becomes {pixel_format}"
        bits = replace(frame_format, pixel_format=pixel_format).bits
        is_limited = settings.bit_depth is None and bits < frame_format.bits
        notes.append(f"{change}: {settings.codec} has no more bits" if is_limited else change)
    states_order = settings.video_codec.states_field_order
    if settings.codec == "dnxhr":
        size = (frame_format.width, frame_format.height)
        states_order = not settings.compare and is_interlaced_dnxhd(frame_format, size)
    if frame_format.is_interlaced and not states_order:
        only = f"{settings.codec} is written without field order"
        if settings.codec != "dnxhr":  # whose encoder takes no interlaced frames
            only = f"the frames of {settings.codec} state no field order, only the container does"
        notes.append(f"{only}; --codec h264, prores or ffv1 keeps it in the frames")
    return replace(frame_format, pixel_format=pixel_format), notes


def choose_pixel_format(
    frame_format: FrameFormat, settings: VideoSettings, offered: tuple[str, ...]
) -> str:
    """Chooses the encoder's pixel format nearest to a source: bit depth first, then chroma.

    `offered` are the encoder's pixel formats. Frame sizes that a codec cannot halve get 4:4:4.
    """
    if settings.video_codec.uses_palette:
        return "yuva444p" if frame_format.has_alpha else "yuv444p"
    bits = settings.bit_depth or frame_format.bits
    own = CHROMA_SUBSAMPLINGS.index(frame_format.chroma)
    if settings.video_codec.needs_even_size and (frame_format.width % 2 or frame_format.height % 2):
        own = CHROMA_SUBSAMPLINGS.index("444")
    # More chroma is preferred to less.
    order = [own, *range(own + 1, len(CHROMA_SUBSAMPLINGS)), *range(own - 1, -1, -1)]
    lower = [depth for depth in reversed(BIT_DEPTHS) if depth < bits]
    for depth in (bits, *lower, *(depth for depth in BIT_DEPTHS if depth > bits)):
        for index in order:
            name = name_pixel_format(CHROMA_SUBSAMPLINGS[index], depth)
            if name in offered:
                return name
    raise UsageError(f"--codec {settings.codec}: its encoder in this FFmpeg accepts no YUV")


def _resolve_picture_frame_format(
    source: SourceInfo, kind: Format
) -> tuple[FrameFormat, list[str]]:
    """Returns the format of frames from which pictures are made, and notes of what is dropped."""
    own, notes = source.frame_format, []
    bits = own.bits if kind.supports_16_bits else 8
    if bits < own.bits:
        notes.append(f"{own.bits} bits become 8: {kind.name} has no more")
    if source.has_packets:
        notes += _note_dropped_streams(source)
    chroma = "420" if kind == JPEG else "444"
    has_alpha = own.has_alpha and kind.supports_alpha
    if own.has_alpha and not has_alpha:
        notes.append(f"transparency dropped: {kind.name} has none")
    if unstated := name_unstated_colors(own.tags, kind):
        notes.append(
            f"{kind.name} does not state {unstated}: programs show the pictures too flat; "
            f"png states it"
        )
    pixel_format = name_pixel_format(chroma, bits, has_alpha=has_alpha)
    # Images have BT.601: with the same matrix on both sides, luma stays unchanged.
    matrix = BT601 if source.is_image_sequence else own.matrix
    return replace(own, pixel_format=pixel_format, matrix=matrix), notes


def _skip_other_streams(source: SourceInfo) -> tuple[dict[int, str], list[str]]:
    """Returns the streams beside the coloured one, as `skippable_streams`, and a note on them."""
    with open_container(source.path) as container:
        others = {s.index: s.type for s in container.streams if s.index != source.stream}
    types = ", ".join(sorted(set(others.values())))
    notes = [f"its other streams ({types}) are dropped"] if others else []
    return dict.fromkeys(others, ""), notes


def _note_dropped_streams(source: SourceInfo) -> list[str]:
    """Returns notes about streams and properties that numbered pictures do not have."""
    _, notes = _skip_other_streams(source)
    aspect = source.frame_format.sample_aspect_ratio
    if aspect not in (None, 1):
        notes.append(f"its samples are not square ({aspect}); the pictures are not scaled")
    return notes
