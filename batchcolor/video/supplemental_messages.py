"""Finds messages (SEI) of H.264 and H.265 that FFmpeg's decoders do not return with a frame.

Sources: ITU-T H.264, 7.3.1, 7.3.2.3.1 and annex D; ITU-T H.265, 7.3.1.2 and annex D; for the
length of units in MP4 and Matroska, ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from batchcolor.video.bit_reader import START_CODE, BitReader, parse_unit
from batchcolor.video.frame_metadata import DOLBY_VISION

MESSAGES = {
    2: "pan-scan rectangle",
    23: "tone mapping information",
    141: "knee function information",
    142: "colour remapping information",
}
"""Payload types, the same in both standards; each payload begins with a number and whether it
cancels an earlier one."""
DOLBY_VISION_UNITS = (62, 63)
"""Units of H.265 that hold its metadata and its second layer; FFmpeg returns the first, if it can
parse it."""
H264_SEI, H265_SEI = 6, 39
PAYLOAD_LIMIT = 255
"""A byte of this value is continued in the next one."""


def list_supplemental_messages(codec: str, extradata: bytes, packet: bytes) -> list[str]:
    """Returns the names of the `MESSAGES` in a packet; `codec` is FFmpeg's name.

    `extradata` is the header of the codec, which states how units are separated. Empty for other
    codecs, and for what cannot be read: the decoder reports damage.
    """
    if codec not in ("h264", "hevc"):
        return []
    names: list[str] = []
    try:
        for unit in _iterate_units(codec, extradata, packet):
            kind, content = parse_unit(codec, unit)
            if kind == (H264_SEI if codec == "h264" else H265_SEI):
                names += _list_messages(content)
            if codec == "hevc" and kind in DOLBY_VISION_UNITS:
                names.append(DOLBY_VISION)
    except IndexError:
        pass
    return list(dict.fromkeys(names))


def _iterate_units(codec: str, extradata: bytes, packet: bytes) -> Iterator[bytes]:
    """Yields the units of a packet, which is not empty."""
    if extradata[:1] != b"\1":
        _, *units = START_CODE.split(packet)
        yield from filter(None, units)
        return
    size = (extradata[4 if codec == "h264" else 21] & 3) + 1
    place = 0
    while place + size < len(packet):
        length = int.from_bytes(packet[place : place + size], "big")
        place += size
        yield packet[place : place + length]
        place += length


def _list_messages(data: bytes) -> Iterator[str]:
    place = 0
    while place + 2 < len(data):  # the last byte ends the unit
        kind, place = _read_number(data, place)
        size, place = _read_number(data, place)
        if kind in MESSAGES and not _is_cancelled(data[place : place + size]):
            yield MESSAGES[kind]
        place += size


def _read_number(data: bytes, place: int) -> tuple[int, int]:
    """Returns a payload type or size, and the place after it."""
    number = 0
    while data[place] == PAYLOAD_LIMIT:
        number, place = number + PAYLOAD_LIMIT, place + 1
    return number + data[place], place + 1


def _is_cancelled(payload: bytes) -> bool:
    bits = BitReader(payload)
    bits.read_ue()
    return bool(bits.read(1))
