"""Properties of a source film, read once by `probe` or `probe_image_sequence`."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from batchcolor.video.frame_format import FrameFormat
from batchcolor.video.frame_metadata import HdrMetadata

LOOP_FOREVER, PLAY_ONCE = 0, -1
"""Loop counts of a GIF, in FFmpeg's values."""


@dataclass(frozen=True)
class SourceInfo:
    """A source film. How its result is written is decided in `OutputSpec`."""

    path: Path
    stream: int
    """Index of the video stream that is coloured."""
    frame_format: FrameFormat
    """Planar YUV format nearest to the coded frames: same chroma subsampling and bit depth."""
    rate: Fraction
    """Frames per second."""
    time_base: Fraction
    """Seconds per tick of the stream's timestamps."""
    frames: int = 0
    """Number of frames according to the header; 0 if unknown."""
    end: float = 0.0
    """Second at which the stream ends according to the header; 0 if unknown."""
    container_end: float = 0.0
    """Second at which the last stream of the container ends, as `end`."""
    codec: str = ""
    """FFmpeg's name of its codec; empty for a folder of pictures."""
    lossless_codec: str = ""
    """Name of its codec, or of the format of its pictures, if it loses nothing; else empty."""
    timecode: str = ""
    """Timecode that the first frame states (DPX, MPEG-2, H.264, H.265); empty without one."""
    chroma_location: str = ""
    """Where chroma samples of 4:2:0 lie, by FFmpeg's name; empty where nothing states it."""
    hdr: HdrMetadata = field(default_factory=HdrMetadata)
    """Static HDR metadata of the first frame."""
    is_rgb: bool = False
    """Whether its coded frames are RGB and are converted."""
    loop: int = LOOP_FOREVER
    """Number of repetitions of a GIF; `PLAY_ONCE` if it has none."""
    is_image_sequence: bool = False
    """Whether it is a folder of numbered pictures, which has neither streams nor packets."""
    is_animation: bool = False
    """Whether it is an animated picture, which has no packets either."""
    has_estimated_pts: bool = False
    """Whether FFmpeg estimates the frames' timestamps and they decrease: an AVI with B-frames."""
    notes: tuple[str, ...] = ()

    @property
    def has_packets(self) -> bool:
        """Whether FFmpeg reads it, as a container of streams and packets."""
        return not (self.is_image_sequence or self.is_animation)

    @property
    def width(self) -> int:
        """Width of a frame as stored, in pixels."""
        return self.frame_format.width

    @property
    def height(self) -> int:
        """Height of a frame as stored, in pixels."""
        return self.frame_format.height
