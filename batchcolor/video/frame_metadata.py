"""Metadata that decoded frames carry beside their samples: what results keep, and what they lose.

PyAV gives side data of frames as the bytes of FFmpeg's structures (libavutil, `frame.h`,
`mastering_display_metadata.h`, `pan_scan` of `defs.h`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

MASTERING = struct.Struct("=20i2i")
"""Ten rationals: x and y of R, G, B and white, lowest and highest luminance; two flags."""
LIGHT_LEVEL = struct.Struct("=2I")
PAN_SCAN = struct.Struct("=3i6h")
"""Identifier, width and height in 1/16 pixel, and positions."""
GROUP_START = b"\0\0\1\xb8"
"""Start code of a group of pictures."""
DOLBY_VISION = "Dolby Vision metadata"
LOST = {
    Type.DOVI_RPU_BUFFER: DOLBY_VISION,
    Type.DYNAMIC_HDR_PLUS: "HDR10+ metadata",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid metadata",
    Type.AMBIENT_VIEWING_ENVIRONMENT: "ambient viewing environment",
    Type.AFD: "active format description",
    Type.STEREO3D: "description of stereo frames",
    Type.SPHERICAL: "spherical mapping",
    Type.FILM_GRAIN_PARAMS: "film grain parameters",
    Type.ICC_PROFILE: "ICC profile",
}
"""Side data that no result has, by the name in the note."""


@dataclass(frozen=True)
class HdrMetadata:
    """Static metadata of high dynamic range (SMPTE ST 2086, CTA-861.3)."""

    mastering: tuple[Fraction, ...] = ()
    """x and y of R, G, B and white, lowest and highest luminance in cd/m2; empty without any."""
    light_level: tuple[int, ...] = ()
    """Maximum content light level and maximum frame-average light level; empty without any."""


def read_hdr_metadata(frame: VideoFrame) -> HdrMetadata:
    """Returns the static HDR metadata of a frame."""
    side_data: Any = frame.side_data
    mastering = side_data.get(Type.MASTERING_DISPLAY_METADATA)
    light_level = side_data.get(Type.CONTENT_LIGHT_LEVEL)
    numbers: tuple[Fraction, ...] = ()
    if mastering is not None:
        *rationals, has_primaries, has_luminance = MASTERING.unpack(
            bytes(mastering)[: MASTERING.size]
        )
        pairs = list(zip(rationals[::2], rationals[1::2], strict=True))
        if has_primaries and has_luminance and all(bottom for _, bottom in pairs):
            numbers = tuple(Fraction(top, bottom) for top, bottom in pairs)
    levels = () if light_level is None else LIGHT_LEVEL.unpack(bytes(light_level)[:8])
    return HdrMetadata(numbers, levels if any(levels) else ())


def list_lost_metadata(frame: VideoFrame) -> list[str]:
    """Returns names of the metadata of a frame that no result has."""
    side_data: Any = frame.side_data
    lost = [name for kind, name in LOST.items() if side_data.get(kind) is not None]
    if _has_pan_scan(side_data.get(Type.PANSCAN), frame):
        lost.append("pan-scan rectangle")
    return lost


def _has_pan_scan(data: Any, frame: VideoFrame) -> bool:
    """Whether a rectangle is smaller than the frame; FFmpeg gives one for every MPEG-2 frame."""
    if data is None:
        return False
    rectangle: tuple[int, ...] = PAN_SCAN.unpack(bytes(data)[: PAN_SCAN.size])
    width, height = rectangle[1:3]
    return 0 < width < frame.width * 16 or 0 < height < frame.height * 16


def parse_group_timecode(packet: bytes) -> str:
    """Returns the timecode of a group of pictures of MPEG-1 or MPEG-2 (ISO/IEC 13818-2, 6.2.2.6).

    Empty without one, and for zero, which stands for none. FFmpeg's decoder gives the
    one of the next group with the first frame where each frame is a group.
    """
    place = packet.find(GROUP_START)
    header = packet[place + len(GROUP_START) :][:4]
    if place < 0 or len(header) < 4:
        return ""
    bits = int.from_bytes(header, "big") >> 7
    frames = bits & 0x3F
    numbers = bits >> 19 & 0x1F, bits >> 13 & 0x3F, bits >> 6 & 0x3F
    if not any((*numbers, frames)):
        return ""
    separator = ";" if bits >> 24 else ":"
    return ":".join(f"{number:02d}" for number in numbers) + f"{separator}{frames:02d}"


def read_timecode(frame: VideoFrame) -> str:
    """Returns the timecode of a frame of H.264 or H.265, from its message; empty without one."""
    return str(frame.metadata.get("timecode", ""))
