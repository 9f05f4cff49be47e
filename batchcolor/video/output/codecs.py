"""Codecs that films are written with: encoders, defaults, and containers that accept them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction

from batchcolor.errors import UsageError
from batchcolor.images.formats import ANIMATED_WEBP, APNG, DV, GIF, MKV, MOV, MP4, MXF, Format
from batchcolor.video.frame_format import BIT_DEPTHS
from batchcolor.video.time_range import TimeRange

os.environ.setdefault("SVT_LOG", "1")  # otherwise SVT-AV1 prints its settings

AUTO = "auto"
"""Chooses the codec by the source: see `codec_choice.py`."""
USUAL_CODEC = "h264"
DEFAULT_FPS = "24"
MIN_FPS, MAX_FPS = Fraction(1, 10), Fraction(1000)
NTSC_ROUNDING = Fraction(1, 200)
"""Largest difference of a rounded rate, such as 23.98 or 29.97, from n * 1000/1001."""


@dataclass(frozen=True)
class VideoCodec:
    """A codec and its encoder."""

    name: str
    encoder: str
    containers: tuple[Format, ...]
    """Containers that accept it; the first is used if that of the source does not."""
    crf: int | None = None
    """Default quality, lower is better; None if the encoder has no such scale."""
    max_crf: int = 51
    preset: str | None = None
    presets: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    """Further options of the encoder."""
    needs_even_size: bool = True
    """Whether subsampled chroma requires even frame sizes."""
    tag: str = ""
    """Codec tag in mp4 and mov, if FFmpeg's own is not played everywhere."""
    quality_option: str = "crf"
    """Option of the encoder that `--crf` sets."""
    max_bits: int = 10
    """Largest number of bits per sample."""
    hardware: str = ""
    """Required hardware; empty for software encoders."""
    is_lossless: bool = False
    has_full_range: bool = True
    """Whether decoders read luma as full range where the source has it."""
    states_field_order: bool = False
    """Whether its bitstream states which field of an interlaced frame comes first."""
    uses_palette: bool = False
    """Whether frames have a palette of 256 colours, one of them transparent."""

    @property
    def is_animation(self) -> bool:
        """Whether its frames are pictures of PNG or WebP."""
        return self.containers[0].still is not None


X264_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"),
    *("veryslow", "placebo"),
)
NVENC_PRESETS = tuple(f"p{number}" for number in range(1, 8))
NVENC_OPTIONS = (("rc", "vbr"), ("b", "0"))
"""Constant quality: with bit rate 0, `cq` alone controls the quality."""
NVIDIA = "an NVIDIA GPU with an encoder, and its driver"
CODECS = (
    VideoCodec(
        *("h264", "libx264", (MP4, MKV, MOV), 18, 51, "medium", X264_PRESETS),
        states_field_order=True,
    ),
    VideoCodec(
        *("h265", "libx265", (MP4, MKV, MOV), 20, 51, "medium", X264_PRESETS),
        options=(("x265-params", "log-level=none"),),
        tag="hvc1",
        max_bits=12,
    ),
    VideoCodec(
        *("av1", "libsvtav1", (MP4, MKV), 28, 63, "8", tuple(map(str, range(14)))),
    ),
    VideoCodec(
        *("h264_nvenc", "h264_nvenc", (MP4, MKV, MOV), 19, 51, "p5", NVENC_PRESETS),
        options=NVENC_OPTIONS,
        quality_option="cq",
        max_bits=8,
        hardware=NVIDIA,
    ),
    VideoCodec(
        *("hevc_nvenc", "hevc_nvenc", (MP4, MKV, MOV), 22, 51, "p5", NVENC_PRESETS),
        options=NVENC_OPTIONS,
        tag="hvc1",
        quality_option="cq",
        max_bits=8,
        hardware=NVIDIA,
    ),
    VideoCodec(
        *("prores", "prores_ks", (MOV, MKV, MXF)),
        options=(("vendor", "apl0"),),
        needs_even_size=False,
        has_full_range=False,
        states_field_order=True,
    ),
    VideoCodec("dnxhr", "dnxhd", (MXF, MOV), needs_even_size=False),
    VideoCodec(
        *("dv", "dvvideo", (DV, MOV, MXF)),
        needs_even_size=False,
        has_full_range=False,
        max_bits=8,
        states_field_order=True,
    ),
    VideoCodec(
        *("ffv1", "ffv1", (MKV, MXF)),
        options=(("level", "3"), ("slicecrc", "1"), ("g", "1")),
        needs_even_size=False,
        max_bits=16,
        is_lossless=True,
        states_field_order=True,
    ),
    VideoCodec("gif", "gif", (GIF,), needs_even_size=False, max_bits=8, uses_palette=True),
    VideoCodec("apng", "apng", (APNG,), needs_even_size=False, max_bits=16, is_lossless=True),
    VideoCodec("awebp", "libwebp", (ANIMATED_WEBP,), needs_even_size=False, max_bits=8),
)


def find_codec(name: str) -> VideoCodec:
    """Returns the codec of that name; for `auto` the usual one.

    Raises UsageError, which lists all names.
    """
    name = USUAL_CODEC if name == AUTO else name
    for codec in CODECS:
        if codec.name == name:
            return codec
    names = ", ".join((AUTO, *(codec.name for codec in CODECS)))
    raise UsageError(f"--codec {name}: unknown codec; choose one of {names}")


@dataclass(frozen=True)
class VideoSettings:
    """Options of films. None selects the codec's default; for `bit_depth`, that of the source."""

    codec: str = AUTO
    crf: int | None = None
    preset: str | None = None
    bit_depth: int | None = None
    strict: bool = False
    preview: TimeRange | None = None
    """The part of the film that is coloured; None for the whole film."""
    compare: bool = False
    """Whether the result shows the grey source at its left."""
    fps: Fraction | None = None
    """Frames per second of folders of numbered frames; None for films."""
    to_frames: bool = False
    """Whether a folder of numbered pictures is written instead of a film."""
    recode_sound: bool = False
    """Whether audio that a container does not accept is written as PCM."""

    def __post_init__(self) -> None:
        codec = find_codec(self.codec)
        if self.crf is not None and codec.crf is None:
            raise UsageError(f"--crf: {codec.name} has no quality option")
        if self.crf is not None and not 0 <= self.crf <= codec.max_crf:
            raise UsageError(f"--crf {self.crf}: must be 0 to {codec.max_crf} for {codec.name}")
        if self.preset is not None and self.preset not in codec.presets:
            names = ", ".join(codec.presets) or "none"
            raise UsageError(f"--preset {self.preset}: presets of {codec.name}: {names}")
        if self.bit_depth is not None and self.bit_depth not in BIT_DEPTHS:
            raise UsageError(f"--bit-depth {self.bit_depth}: must be 8, 10, 12, 14 or 16")
        if (self.bit_depth or 8) > codec.max_bits:
            limit = "only 8" if codec.max_bits == 8 else f"at most {codec.max_bits}"
            raise UsageError(f"--bit-depth {self.bit_depth}: {codec.name} supports {limit}")
        coding = (self.codec, self.crf, self.preset, self.bit_depth, self.recode_sound)
        if self.to_frames and coding != (AUTO, None, None, None, False):
            raise UsageError(
                "--to-frames writes pictures; --codec, --crf, --preset, --bit-depth and "
                "--recode-sound are for films"
            )

    @property
    def video_codec(self) -> VideoCodec:
        """Codec of that name."""
        return find_codec(self.codec)

    @property
    def has_quality(self) -> bool:
        """Whether a quality or speed is asked for, which the codecs of editing do not have."""
        return self.crf is not None or self.preset is not None

    @property
    def starts_later(self) -> bool:
        """Whether the result begins after the beginning of the film, at a time of zero."""
        return self.preview is not None and self.preview.starts_later

    @property
    def has_only_shots(self) -> bool:
        """Whether the result is one frame of each shot."""
        return self.preview is not None and self.preview.is_shots

    @property
    def name_suffix(self) -> str:
        """Suffix of the name of a preview, comparison or folder of frames."""
        preview = "" if self.preview is None else self.preview.name_suffix
        suffix = ("-compare" if self.compare else "") + preview
        return suffix + ("-frames" if self.to_frames else "")

    @property
    def encoder_options(self) -> dict[str, str]:
        """Options for the encoder."""
        codec = self.video_codec
        options = dict(codec.options)
        if codec.crf is not None:
            options[codec.quality_option] = str(codec.crf if self.crf is None else self.crf)
        if codec.preset is not None:
            options["preset"] = self.preset or codec.preset
        return options


def parse_frame_rate(text: str) -> Fraction:
    """Parses frames per second, as `24`, `30000/1001` or `23.976`, which means 24000/1001.

    Raises UsageError.
    """
    try:
        rate = Fraction(text.strip())
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"--fps {text}: must be a rate, as 24, 23.976 or 30000/1001") from error
    if not MIN_FPS <= rate <= MAX_FPS:
        raise UsageError(f"--fps {text}: must be from {MIN_FPS} to {MAX_FPS}")
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    is_rounded = rate.denominator != 1 and "/" not in text
    return ntsc if is_rounded and abs(rate - ntsc) < NTSC_ROUNDING else rate
