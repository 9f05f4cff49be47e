"""Identifies containers and streams of films by their first bytes."""

from __future__ import annotations

from batchcolor.images.formats import (
    AV1,
    AVI,
    CINE,
    DIRAC,
    DNXHD,
    DV,
    DVCPRO_HD,
    FLV,
    GAME_FILM,
    GIF,
    GXF,
    H264,
    H265,
    IVF,
    MKV,
    MOBILE,
    MOV,
    MP4,
    MPEG,
    MPEG4_VIDEO,
    MPEG_VIDEO,
    MXF,
    NUT,
    OGG,
    REAL_MEDIA,
    WEBM,
    WMV,
    WTV,
    YUV4MPEG,
    Format,
)

FIRST_ATOMS = (b"moov", b"mdat", b"wide", b"skip", b"pnot")
"""First atoms of a QuickTime film without a brand."""
MATROSKA_HEADER_SIZE = 64
"""Bytes that hold the document type of a Matroska file."""
SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\0\0\x01\xba", MPEG),
    (b"FLV\x01", FLV),
    (b".RMF\0", REAL_MEDIA),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01", MXF),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", WMV),
    (b"\x1f\x07\0", DV),  # header section of the first DIF sequence (IEC 61834-2)
    (b"YUV4MPEG2 ", YUV4MPEG),
    (b"\0\0\x01\xb3", MPEG_VIDEO),  # sequence header (ISO/IEC 13818-2)
    (b"DKIF\0\0", IVF),
    (b"nut/multimedia container\0", NUT),
    (b"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d", WTV),
    (b"\0\0\0\0\x01\xbc", GXF),  # map packet (SMPTE ST 360)
    (b"BBCD\0", DIRAC),
    (b"\x12\0\x0a", AV1),  # temporal delimiter, sequence header
    *((b"\0\0\x02\x80" + bytes([version]), DNXHD) for version in (1, 2, 3)),
    (b"CI,\0", CINE),
    (b"\x84\x10\xff\xff\xff\xff", GAME_FILM),
    (b"SMK2", GAME_FILM),
    (b"SMK4", GAME_FILM),
    *((b"BIK" + bytes([version]), GAME_FILM) for version in b"bfghik"),
    *((b"KB2" + bytes([version]), GAME_FILM) for version in b"adfghijk"),
    (b"Interplay MVE File\x1a", GAME_FILM),
    (b"THP\0", GAME_FILM),
    (b"NSVf", GAME_FILM),
    (b"NSVs", GAME_FILM),
)
OGG_VIDEO = (b"\x80theora", b"OVP80", b"BBCD\0", b"\x01video\0\0\0", b"fishead\0")
"""First packets of video in Ogg; `fishead` announces other streams."""
DV_SIGNAL_TYPE = 5 * 80 + 48 + 3
"""Place of the signal type: video source pack of the sixth DIF block."""
SYNC_BYTE = 0x47
PACKET_SIZES = (188, 192, 204)
"""Bytes of a packet of MPEG-TS: plain, with time stamp (Blu-ray, AVCHD), with error correction."""
MIN_PACKETS = 4
ADAPTATION_CONTROL = 0x30
"""Bits of the fourth byte of a packet, of which at least one is set (ISO/IEC 13818-1)."""
H264_PROFILES = frozenset((44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 138, 144, 244))
"""ITU-T H.264, annexes A, F, G and H."""
VISUAL_OBJECT_SEQUENCE, VISUAL_OBJECT = b"\xb0", b"\xb5"
VIDEO_OBJECTS, VIDEO_OBJECT_LAYERS = range(0x20), range(0x20, 0x30)
"""Start codes of MPEG-4 (ISO/IEC 14496-2, table 6-3)."""
TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


def sniff_film(head: bytes, still_brands: tuple[bytes, ...]) -> Format | None:
    """Returns the container whose signature this is.

    `still_brands` are major brands of pictures and audio in the box structure of MP4.
    """
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in still_brands:
            return None
        return MOV if brand == b"qt  " else MOBILE if brand[:2] == b"3g" else MP4
    if head[4:8] in FIRST_ATOMS:
        return MOV
    if head.startswith(b"\x1aE\xdf\xa3"):
        start = head[:MATROSKA_HEADER_SIZE]
        return WEBM if b"webm" in start else MKV if b"matroska" in start else None
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return AVI
    if head[:4] == b"RIFF" and head[8:12] == b"CDXA":  # a copied track of a Video CD
        return MPEG
    if head.startswith(b"OggS"):
        return OGG if any(packet in head for packet in OGG_VIDEO) else None
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return DVCPRO_HD if kind == DV and _is_dvcpro_hd(head) else kind
    return _sniff_elementary_stream(head)


def _is_dvcpro_hd(head: bytes) -> bool:
    """Whether the signal type of DV is 1080-line or 720-line video (SMPTE ST 370)."""
    return len(head) > DV_SIGNAL_TYPE and head[DV_SIGNAL_TYPE] & 0x1F in (0x14, 0x15, 0x18)


def _sniff_elementary_stream(head: bytes) -> Format | None:
    """Returns H.264, H.265 or MPEG-4 by the units after the first start codes."""
    if not head.startswith((b"\0\0\1", b"\0\0\0\1")):
        return None
    units = [unit for unit in head.split(b"\0\0\1")[1:] if len(unit) > 1]
    if not units:
        return None
    first = units[0]
    if first[0] & 0x9F in (6, 7, 9) and any(
        unit[0] & 0x9F == 7 and unit[1] in H264_PROFILES for unit in units
    ):
        return H264
    if first[:2] in (b"\x40\1", b"\x46\1") and any(unit[:2] == b"\x42\1" for unit in units):
        return H265
    codes = [unit[:1] for unit in units]
    if codes[0] == VISUAL_OBJECT_SEQUENCE and VISUAL_OBJECT in codes:
        return MPEG4_VIDEO
    if first[0] in VIDEO_OBJECTS and any(unit[0] in VIDEO_OBJECT_LAYERS for unit in units[:2]):
        return MPEG4_VIDEO
    return None


def is_transport_stream(head: bytes) -> bool:
    """Whether packets of MPEG-TS begin with their sync byte; the file may begin inside a packet."""
    for size in PACKET_SIZES:
        for start in range(size):
            marks = head[start::size]
            if len(marks) < MIN_PACKETS or marks.count(SYNC_BYTE) < len(marks):
                continue
            controls = head[start + 3 :: size]
            if all(control & ADAPTATION_CONTROL for control in controls):
                return True
    return False


def is_text(head: bytes) -> bool:
    """Whether a file begins as text does: no control characters but those of text."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16
        return True
    return bool(head) and all(byte >= 0x20 or byte in TEXT_CONTROLS for byte in head)
