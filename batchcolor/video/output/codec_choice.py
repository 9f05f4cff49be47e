"""Chooses container and codec of a result from those of its source.

With `--codec auto`, a film in ProRes, DNxHD or DV keeps this codec where its container is MOV or
MXF, as editing programs expect; a DV file stays one, and any other MXF becomes DNxHR or ProRes.
"""

from __future__ import annotations

from dataclasses import replace

from batchcolor.images.formats import (
    ANIMATED_WEBP,
    APNG,
    DV,
    GIF,
    IMAGE_SEQUENCE,
    MKV,
    MOV,
    MP4,
    MXF,
    Format,
)
from batchcolor.video.output.codecs import AUTO, USUAL_CODEC, VideoSettings
from batchcolor.video.output.dnxhd import can_encode_dnxhd
from batchcolor.video.source_info import SourceInfo

KEPT_CODECS = {"prores": "prores", "dnxhd": "dnxhr", "dvvideo": "dv"}
"""Codecs of editing and tapes that results keep, by FFmpeg's name of the source's."""
OWN_CODECS = {GIF: "gif", APNG: "apng", ANIMATED_WEBP: "awebp"}
"""The codec of containers that have only one."""
KEPT_IN_MXF = {**KEPT_CODECS, "ffv1": "ffv1"}


def choose_container(settings: VideoSettings, own: Format | None) -> Format:
    """Returns the container of a result: `own`, the source's, if the codec allows it."""
    if settings.video_codec.is_animation:
        return settings.video_codec.containers[0]
    if own == GIF:
        return own
    accepted = settings.video_codec.containers
    if settings.codec == AUTO and not settings.has_quality:
        accepted = (*accepted, MXF, *((DV,) if _fits_dv(settings) else ()))
    if own in accepted:
        return own
    return MKV if MKV in accepted and own not in (MP4, MOV, IMAGE_SEQUENCE) else accepted[0]


def resolve_codec(
    settings: VideoSettings, container: Format, source: SourceInfo | None = None
) -> VideoSettings:
    """Returns the settings with the codec for a container; `source` is None before it is probed.

    GIF and animated PNG and WebP have their own codecs, without quality options. Raises UsageError
    if the codec does not take the settings.
    """
    if settings.to_frames:
        return settings
    if own_codec := OWN_CODECS.get(container):
        return replace(settings, codec=own_codec, crf=None, preset=None, bit_depth=None)
    if settings.codec != AUTO:
        return settings
    return replace(settings, codec=_choose_codec(settings, container, source))


def _choose_codec(settings: VideoSettings, container: Format, source: SourceInfo | None) -> str:
    if container == DV:
        return "dv"
    own = "" if source is None else source.codec
    if container == MXF:
        kept = KEPT_IN_MXF.get(own, "dnxhr")
    elif container == MOV and not settings.has_quality:
        kept = KEPT_CODECS.get(own, USUAL_CODEC)
    else:
        return USUAL_CODEC
    if kept == "dv" and not _fits_dv(settings):
        kept = "dnxhr"
    is_possible = source is None or can_encode_dnxhd(source.frame_format, settings.compare)
    if kept == "dnxhr" and not is_possible:
        kept = "prores"
    return kept


def describe_loss(asked: VideoSettings, chosen: VideoSettings, source: SourceInfo) -> str:
    """Returns a note where a lossless film gets a lossy codec without being asked for it.

    `asked` are the settings of the job, `chosen` those for this film. Empty where nothing is lost,
    and where a codec or quality is asked for.
    """
    is_asked = asked.codec != AUTO or asked.has_quality or asked.to_frames
    if is_asked or not source.lossless_codec or chosen.video_codec.is_lossless:
        return ""
    editing = "" if chosen.codec in KEPT_CODECS.values() else ", --codec prores is for editing"
    return (
        f"{source.lossless_codec} is lossless, {chosen.codec} is lossy; "
        f"--codec ffv1 is lossless (mkv){editing}"
    )


def _fits_dv(settings: VideoSettings) -> bool:
    """Whether DV can hold what is asked for: its frame sizes are fixed."""
    return settings.bit_depth in (None, 8) and not settings.compare
