"""Video encoders, with parameters derived from the source stream."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.codec import codecs_available
from av.codec.context import CodecContext, Flags
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from batchcolor.errors import UsageError
from batchcolor.video.fields import PROGRESSIVE_CODE
from batchcolor.video.frame_format import LIMITED_RANGE, ColorTags
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.dnxhd import is_interlaced_dnxhd, list_dnxhd_options
from batchcolor.video.output.encoder_memory import make_limit_options
from batchcolor.video.output.hdr_parameters import list_hdr_parameters
from batchcolor.video.output.output_spec import OutputSpec

UNDELAYED = (
    *("bframes=0", "rc-lookahead=0", "sync-lookahead=0", "sliced-threads=1", "mbtree=0"),
    "force-cfr=1",
)
"""x264 applies a change of field order to the frame that it encodes next, so no frame may wait."""
TRIAL_SIZE = (640, 480)
"""A frame size that every encoder accepts."""


def require_encoder(settings: VideoSettings) -> None:
    """Raises UsageError if the encoder or the hardware that it needs is not available."""
    codec = settings.video_codec
    if codec.encoder not in codecs_available:
        raise UsageError(
            f"--codec {codec.name}: the installed PyAV has no encoder {codec.encoder}; choose "
            f"another codec"
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
            f"--codec {codec.name}: needs {codec.hardware}, which was not found; use --codec h264 "
            f"or h265"
        ) from error


def create_encoder(output: OutputSpec) -> VideoCodecContext:
    """Returns a new encoder for one segment of a film."""
    context = CodecContext.create(output.settings.video_codec.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.flags |= Flags.global_header  # the containers store codec headers outside the packets
    configure_encoder(context, output)
    return context


def configure_encoder(context: VideoCodecContext, output: OutputSpec) -> None:
    """Sets size, time base, colour, field order and quality, the same for each segment."""
    settings, frame_format = output.settings, output.frame_format
    context.options = _combine_options(output)
    uses_palette = settings.video_codec.uses_palette
    context.width, context.height = output.width, output.height
    context.pix_fmt = "pal8" if uses_palette else frame_format.pixel_format
    context.time_base, context.framerate = output.time_base, output.rate
    if uses_palette:
        return
    if output.chroma_location:
        location = {"chroma_sample_location": output.chroma_location}
        context.options = context.options | location
    tags = frame_format.tags
    context.color_range, context.colorspace = tags.range, tags.matrix
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    if frame_format.sample_aspect_ratio:
        context.sample_aspect_ratio = frame_format.sample_aspect_ratio
    if frame_format.is_interlaced and is_interlaced_in_encoder(output):
        context.field_order = frame_format.fields.header_code
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    elif frame_format.fields.header_code == PROGRESSIVE_CODE:
        context.field_order = PROGRESSIVE_CODE
    context.thread_type = "AUTO"


def is_interlaced_in_encoder(output: OutputSpec) -> bool:
    """Whether the encoder accepts interlaced frames: DNxHR does not."""
    size = (output.width, output.height)
    return output.settings.codec != "dnxhr" or is_interlaced_dnxhd(output.frame_format, size)


def _combine_options(output: OutputSpec) -> dict[str, str]:
    """Returns the options of the settings, of the frames and of the limits of memory."""
    options = output.settings.encoder_options
    if output.settings.codec == "dnxhr":
        size = (output.width, output.height)
        options |= list_dnxhd_options(output.frame_format, size, output.rate)
    limits = make_limit_options(output.settings.video_codec.encoder, output.encoder_limits)
    hdr = list_hdr_parameters(output.settings.video_codec.encoder, output.hdr)
    own = ("x264-params", _list_x264_parameters(output))
    for option, parameters in (*limits.items(), *hdr.items(), own):
        if parameters:
            options[option] = ":".join([*filter(None, [options.get(option)]), *parameters])
    return options


def _list_x264_parameters(output: OutputSpec) -> list[str]:
    """Returns the parameters that only x264 has."""
    if output.settings.codec != "h264":
        return []
    parameters, fields = [], output.frame_format.fields
    if output.frame_format.is_interlaced:
        parameters.append(f"{fields.order.value}=1")
    if fields.is_mixed:
        parameters += UNDELAYED
    if output.frame_format.tags == ColorTags(range=LIMITED_RANGE):
        parameters.append("videoformat=component")  # x264 writes no range without another tag
    if _has_avx512():
        # x264 reads uninitialized memory with AVX-512, so its output is not deterministic.
        parameters.append("asm=avx2")
    return parameters


def _has_avx512() -> bool:
    """Whether NumPy finds AVX-512; its name of x86-64 level 4 implies it."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return any(name.startswith(("AVX512", "X86_V4")) for name in found)
