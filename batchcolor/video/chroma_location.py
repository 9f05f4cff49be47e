"""Where the chroma samples of 4:2:0 lie: read from the sequence parameter set of H.264 and H.265.

PyAV shows the location of neither frames nor streams. Sources: ITU-T H.264, 7.3.2.1.1 and E.1.1;
ITU-T H.265, 7.3.2.2, 7.3.3, 7.3.4, 7.3.7 and E.2.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from batchcolor.video.bit_reader import START_CODE, BitReader, parse_unit

NAMES = ("left", "center", "topleft", "top", "bottomleft", "bottom")
"""FFmpeg's names of the types 0 to 5."""
FIXED_LOCATIONS = {
    **dict.fromkeys(("mpeg1video", "mjpeg", "theora", "h263"), "center"),
    "dvvideo": "topleft",
}
"""Of codecs that have one location, by FFmpeg's names."""
H264_SPS, H265_SPS = 7, 33
HIGH_PROFILES = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
EXTENDED_SAR = 255


def read_chroma_location(codec: str, extradata: bytes) -> str:
    """Returns the location that a stream states, by FFmpeg's name; empty where it states none.

    `extradata` is the header of the codec in either form: start codes, or that of MP4.
    """
    if codec in FIXED_LOCATIONS:
        return FIXED_LOCATIONS[codec]
    kinds = {"h264": (H264_SPS, _parse_h264), "hevc": (H265_SPS, _parse_h265)}
    if codec not in kinds:
        return ""
    wanted, parse = kinds[codec]
    try:
        for unit in _iterate_units(codec, extradata):
            kind, content = parse_unit(codec, unit)
            if kind == wanted:
                number = parse(BitReader(content))
                return "" if number is None or number >= len(NAMES) else NAMES[number]
    except IndexError:  # damaged or truncated: the decoder reports it
        pass
    return ""


def _iterate_units(codec: str, extradata: bytes) -> Iterator[bytes]:
    """Yields the units of a header (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1)."""
    if extradata[:1] != b"\1":
        places = [found.end() for found in START_CODE.finditer(extradata)]
        for start, end in itertools.pairwise([*places, len(extradata) + 3]):
            yield extradata[start : end - 3]
        return
    place = 5 if codec == "h264" else 22
    arrays = 1 if codec == "h264" else extradata[place]
    place += codec != "h264"
    for _ in range(arrays):
        count = extradata[place] & 31
        place += 1
        if codec != "h264":
            count = int.from_bytes(extradata[place : place + 2], "big")
            place += 2
        for _ in range(count):
            size = int.from_bytes(extradata[place : place + 2], "big")
            yield extradata[place + 2 : place + 2 + size]
            place += 2 + size


def _parse_h264(bits: BitReader) -> int | None:
    profile = bits.read(8)
    bits.read(16)
    bits.read_ue()
    if profile in HIGH_PROFILES:
        chroma = bits.read_ue()
        bits.read(chroma == 3)
        bits.skip_ue(2)
        bits.read(1)
        if bits.read(1):
            for index in range(8 if chroma != 3 else 12):
                if bits.read(1):
                    _skip_h264_scaling_list(bits, 16 if index < 6 else 64)
    bits.read_ue()
    order = bits.read_ue()
    if order == 0:
        bits.read_ue()
    elif order == 1:
        bits.read(1)
        bits.skip_ue(2)
        bits.skip_ue(bits.read_ue())
    bits.read_ue()
    bits.read(1)
    bits.skip_ue(2)
    if not bits.read(1):
        bits.read(1)
    bits.read(1)
    if bits.read(1):
        bits.skip_ue(4)
    return _parse_vui(bits) if bits.read(1) else None


def _skip_h264_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.read_se()) % 256
        last = following or last


def _parse_vui(bits: BitReader) -> int | None:
    """The type for the top field, which both codecs state at the same place."""
    if bits.read(1) and bits.read(8) == EXTENDED_SAR:
        bits.read(32)
    if bits.read(1):
        bits.read(1)
    if bits.read(1):
        bits.read(4)
        if bits.read(1):
            bits.read(24)
    return bits.read_ue() if bits.read(1) else None


def _parse_h265(bits: BitReader) -> int | None:
    bits.read(4)
    layers = bits.read(3)
    bits.read(1)
    _skip_h265_profile(bits, layers)
    bits.read_ue()
    if bits.read_ue() == 3:
        bits.read(1)
    bits.skip_ue(2)
    if bits.read(1):
        bits.skip_ue(4)
    bits.skip_ue(2)
    order_bits = bits.read_ue() + 4
    for _ in range(layers + 1 if bits.read(1) else 1):
        bits.skip_ue(3)
    bits.skip_ue(6)
    if bits.read(1) and bits.read(1):
        _skip_h265_scaling_lists(bits)
    bits.read(2)
    if bits.read(1):
        bits.read(8)
        bits.skip_ue(2)
        bits.read(1)
    _skip_h265_reference_sets(bits)
    if bits.read(1):
        for _ in range(bits.read_ue()):
            bits.read(order_bits + 1)
    bits.read(2)
    return _parse_vui(bits) if bits.read(1) else None


def _skip_h265_profile(bits: BitReader, layers: int) -> None:
    bits.read(96)
    flags = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for has_profile, has_level in flags:
        bits.read(88 * has_profile + 8 * has_level)


def _skip_h265_scaling_lists(bits: BitReader) -> None:
    for size in range(4):
        for _ in range(6 if size < 3 else 2):
            if not bits.read(1):
                bits.read_ue()
                continue
            bits.skip_ue(size > 1)
            bits.skip_ue(min(64, 16 << (2 * size)))


def _skip_h265_reference_sets(bits: BitReader) -> None:
    """Skips the short-term reference picture sets; each may be predicted from the one before."""
    pictures = 0
    for number in range(bits.read_ue()):
        if number and bits.read(1):
            bits.read(1)
            bits.read_ue()
            used = 0
            for _ in range(pictures + 1):
                used += bool(bits.read(1) or bits.read(1))
            pictures = used
            continue
        negative, positive = bits.read_ue(), bits.read_ue()
        pictures = negative + positive
        for _ in range(pictures):
            bits.read_ue()
            bits.read(1)
