"""The codecs that films are written with: encoders, defaults, and what containers take them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fractions import Fraction

from batchcolor.errors import UsageError
from batchcolor.images.formats import GIF, IMAGE_SEQUENCE, MKV, MOV, MP4, Format

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 says its settings on the screen otherwise

BITS = (8, 10)
DEFAULT_CODEC = "h264"
DEFAULT_FPS = "24"
MIN_FPS, MAX_FPS = Fraction(1, 10), Fraction(1000)
NTSC_ROUNDING = Fraction(1, 200)
"""How far from n * 1000/1001 a decimal rate may be that means it: 23.98, 29.97, 59.94."""
MAX_PREVIEW_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class VideoCodec:
    """One codec. `crf` is its default quality, lower is better; None where it has no such scale.

    `options` go to the encoder as they are; `containers` are those that take it, the first one
    where the source's own does not.
    """

    name: str
    encoder: str
    containers: tuple[Format, ...]
    crf: int | None = None
    max_crf: int = 51
    preset: str | None = None
    presets: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    needs_even_size: bool = True
    """Whether 4:2:0 and 4:2:2 need sides that chroma's size divides."""
    tag: str = ""
    """What mp4 and mov call it, where FFmpeg's choice is not played everywhere."""
    quality_option: str = "crf"
    """The encoder's own option for `--crf`."""
    max_bits: int = 10
    """The most that is written a sample."""
    hardware: str = ""
    """What a machine must have for it; empty where the processor does it."""
    uses_palette: bool = False
    """Whether its frames have a palette of 256 colours, one of them transparent."""


X264_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"),
    *("veryslow", "placebo"),
)
NVENC_PRESETS = tuple(f"p{number}" for number in range(1, 8))
NVENC_OPTIONS = (("rc", "vbr"), ("b", "0"))
"""Constant quality: without a rate of bits, `cq` alone decides."""
NVIDIA = "an NVIDIA GPU with an encoder, and its driver"
CODECS = (
    VideoCodec("h264", "libx264", (MP4, MKV, MOV), 18, 51, "medium", X264_PRESETS),
    VideoCodec(
        *("h265", "libx265", (MP4, MKV, MOV), 20, 51, "medium", X264_PRESETS),
        options=(("x265-params", "log-level=none"),),
        tag="hvc1",
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
        "prores", "prores_ks", (MOV, MKV), options=(("vendor", "apl0"),), needs_even_size=False
    ),
    VideoCodec(
        *("ffv1", "ffv1", (MKV,)),
        options=(("level", "3"), ("slicecrc", "1"), ("g", "1")),
        needs_even_size=False,
    ),
    VideoCodec("gif", "gif", (GIF,), needs_even_size=False, uses_palette=True),
)


def codec_by_name(name: str) -> VideoCodec:
    """The codec of that name. Raises UsageError naming those there are."""
    for codec in CODECS:
        if codec.name == name:
            return codec
    names = ", ".join(codec.name for codec in CODECS)
    raise UsageError(f"--codec {name}: not a codec that is written here ({names})")


@dataclass(frozen=True)
class VideoSettings:
    """How films are written: what `--codec`, `--crf`, `--preset` and `--bit-depth` say.

    None is the codec's own default, and for `bit_depth` the source's depth.
    """

    codec: str = DEFAULT_CODEC
    crf: int | None = None
    preset: str | None = None
    bit_depth: int | None = None
    strict: bool = False
    preview: float | None = None
    """Seconds from its beginning that are coloured of each film; None for all of it."""
    compare: bool = False
    """Whether the result shows the grey source at its left."""
    fps: Fraction | None = None
    """Frames a second of sources that are folders of numbered frames; None for films."""
    to_frames: bool = False
    """Whether a folder of numbered pictures is written instead of a film."""
    recode_sound: bool = False
    """Whether sound that a container cannot hold becomes plain samples instead of a refusal."""

    def __post_init__(self) -> None:
        codec = codec_by_name(self.codec)
        if self.crf is not None and codec.crf is None:
            raise UsageError(f"--crf: {codec.name} has no such scale")
        if self.crf is not None and not 0 <= self.crf <= codec.max_crf:
            raise UsageError(f"--crf {self.crf}: 0 to {codec.max_crf} for {codec.name}")
        if self.preset is not None and self.preset not in codec.presets:
            known = ", ".join(codec.presets) or "none"
            raise UsageError(f"--preset {self.preset}: {codec.name} has {known}")
        if self.preview is not None and not 0 < self.preview < MAX_PREVIEW_SECONDS:
            raise UsageError(f"--preview {self.preview:g}: a time, as 10s or 2m")
        if self.bit_depth is not None and self.bit_depth not in BITS:
            raise UsageError(f"--bit-depth {self.bit_depth}: 8 or 10")
        if (self.bit_depth or 8) > codec.max_bits:
            raise UsageError(f"--bit-depth {self.bit_depth}: {codec.name} has 8")
        coding = (self.codec, self.crf, self.preset, self.bit_depth, self.recode_sound)
        if self.to_frames and coding != (DEFAULT_CODEC, None, None, None, False):
            raise UsageError(
                "--to-frames writes pictures; --codec, --crf, --preset, --bit-depth and "
                "--recode-sound are for films"
            )

    @property
    def video_codec(self) -> VideoCodec:
        """The codec itself."""
        return codec_by_name(self.codec)

    @property
    def ending(self) -> str:
        """What a result's name ends with that is not the whole film as it is."""
        shown = ("-compare" if self.compare else "") + ("-preview" if self.preview else "")
        return shown + ("-frames" if self.to_frames else "")

    @property
    def encoder_options(self) -> dict[str, str]:
        """Options of the encoder."""
        codec = self.video_codec
        options = dict(codec.options)
        if codec.crf is not None:
            options[codec.quality_option] = str(codec.crf if self.crf is None else self.crf)
        if codec.preset is not None:
            options["preset"] = self.preset or codec.preset
        return options

    def for_container(self, container: Format) -> VideoSettings:
        """The settings for a result in that container: a GIF has a codec of its own, and no other
        codec's scales."""
        if self.to_frames or container != GIF or self.codec == "gif":
            return self
        return replace(self, codec="gif", crf=None, preset=None, bit_depth=None)

    def container(self, own: Format | None) -> Format:
        """The container of a result whose source has `own`: the same one where it may be."""
        takes = self.video_codec.containers
        if own in takes or own == GIF:
            return own
        return MKV if MKV in takes and own not in (MP4, MOV, IMAGE_SEQUENCE) else takes[0]


def parse_time(text: str) -> float:
    """Seconds of `10s`, `2m`, `1h` or a plain number of seconds. Raises UsageError."""
    number = text.strip().lower()
    factor = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(number[-1:], 0.0)
    try:
        return float(number[:-1] if factor else number) * (factor or 1.0)
    except ValueError as error:
        raise UsageError(f"--preview {text}: a time, as 10s or 2m") from error


def parse_frame_rate(text: str) -> Fraction:
    """Frames a second of `24`, `30000/1001` or `23.976`, which is meant as 24000/1001.

    Raises UsageError.
    """
    try:
        rate = Fraction(text.strip())
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"--fps {text}: as 24, 23.976 or 30000/1001") from error
    if not MIN_FPS <= rate <= MAX_FPS:
        raise UsageError(f"--fps {text}: from {MIN_FPS} to {MAX_FPS}")
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    rounded = rate.denominator != 1 and "/" not in text
    return ntsc if rounded and abs(rate - ntsc) < NTSC_ROUNDING else rate
