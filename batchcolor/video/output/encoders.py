"""Encoders, with parameters derived from the source stream."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.codec import codecs_available
from av.codec.context import CodecContext, Flags
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from batchcolor.errors import UsageError
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.source_info import LIMITED_RANGE, ColorTags, SourceInfo

TRIAL_SIZE = (640, 480)
"""A size that every encoder takes."""


def require_encoder(settings: VideoSettings) -> None:
    """Raises UsageError where the encoder, or the machine that it needs, is not here."""
    codec = settings.video_codec
    if codec.encoder not in codecs_available:
        raise UsageError(
            f"--codec {codec.name}: the FFmpeg that PyAV brings here has no {codec.encoder}; "
            f"choose another codec"
        )
    if not codec.hardware:
        return
    context = CodecContext.create(codec.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = *TRIAL_SIZE, "yuv420p"
    context.time_base, context.options = Fraction(1, 25), settings.encoder_options
    try:
        context.open()
    except FFmpegError as error:
        raise UsageError(
            f"--codec {codec.name}: it needs {codec.hardware}, and none answers here; "
            f"--codec h264 and h265 do without"
        ) from error


def create_encoder(film: SourceInfo, settings: VideoSettings) -> VideoCodecContext:
    """A new encoder for some frames of a film. `film` is that of `resolve_output_format`."""
    context = CodecContext.create(settings.video_codec.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.flags |= Flags.global_header  # its containers keep headers apart
    configure_encoder(context, film, settings)
    return context


def _x264_options(film: SourceInfo, settings: VideoSettings) -> dict[str, str]:
    """Return the options that only x264 has."""
    if settings.codec != "h264":
        return {}
    parameters = []
    if film.tags == ColorTags(range=LIMITED_RANGE):
        parameters.append("videoformat=component")  # it says its range only beside something else
    if _has_avx512():
        # With AVX-512 its rate control reads uninitialized memory, and runs differ.
        parameters.append("asm=avx2")
    return {"x264-params": ":".join(parameters)} if parameters else {}


def _has_avx512() -> bool:
    """As NumPy finds the processor; its name for the fourth level of x86-64 has them too."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return any(name.startswith(("AVX512", "X86_V4")) for name in found)


def configure_encoder(
    context: VideoCodecContext, film: SourceInfo, settings: VideoSettings
) -> None:
    """Size, time, colour, fields and quality: the same for every encoder of one film."""
    context.options = settings.encoder_options | _x264_options(film, settings)
    palette = settings.video_codec.uses_palette
    context.width, context.height = film.width, film.height
    context.pix_fmt = "pal8" if palette else film.pixel_format
    context.time_base, context.framerate = film.time_base, film.rate
    if palette:
        return
    context.color_range, context.colorspace = film.tags.range, film.tags.matrix
    context.color_primaries, context.color_trc = film.tags.primaries, film.tags.transfer
    if film.sample_aspect_ratio:
        context.sample_aspect_ratio = film.sample_aspect_ratio
    context.field_order = film.field_order
    if film.is_interlaced:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    context.thread_type = "AUTO"
