"""Recognizes grey JPEG files whose coded luma can be copied into a colour JPEG as it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from batchcolor.images.jpeg_stream.jpeg_frame import (
    BASELINE,
    EXTENDED,
    FRAME_MARKERS,
    PROGRESSIVE,
    SOS,
)
from batchcolor.images.jpeg_stream.jpeg_structure import JpegStructureError, Segment, read_segments
from batchcolor.images.metadata import exif
from batchcolor.images.metadata.jpeg import ICC_HEADER, MPF
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.read import read_blocks
from batchcolor.images.metadata.xmp import to_utf8

HUFFMAN_FRAMES = frozenset({BASELINE, EXTENDED, PROGRESSIVE})
DAC, DNL, DHP, EXP, DRI = 0xCC, 0xDC, 0xDE, 0xDF, 0xDD
REFUSED = {DAC: "arithmetic coding", DNL: "a DNL marker", DHP: "hierarchical", EXP: "hierarchical"}
APP2, APP11 = 0xE2, 0xEB
JUMBF = b"JP"
"""Begins the segments of content credentials (ISO 19566-5, C2PA)."""
COEFFICIENTS = 64
COMMENT = b"\xff\xfe"
FOLLOWING_SEGMENTS = COMMENT + b"\0\2" + COMMENT + b"\4\2" + bytes(1024)
"""Stand for the scans of chroma when luma is decoded: libjpeg-turbo warns of superfluous bytes in a
scan only where segments follow it, and reads ahead in another way at the end of a file."""


@dataclass(frozen=True)
class GreyJpeg:
    """The bytes of a grey JPEG, 8 bits, Huffman coding, and their structure.

    `orientation` is that of EXIF or XMP, 1 to 8: pixels are not turned.
    """

    data: bytes
    segments: tuple[Segment, ...]
    orientation: int
    is_file: bool = True
    """Whether it is the source file; else it was made of one with more components."""
    profile: bytes = b""
    """The ICC profile of a colour file with this luma, in the place of that of the grey one."""

    @property
    def frame(self) -> Segment:
        """The segment of the frame header."""
        return next(s for s in self.segments if s.marker in HUFFMAN_FRAMES)

    @property
    def component(self) -> int:
        """The identifier of the luma component."""
        return self.data[self.frame.payload + 6]

    @cached_property
    def sha256(self) -> str:
        """The sha256 of the file, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def stored_metadata(self) -> Metadata:
        """The metadata as stored, for pixels as stored."""
        return read_blocks(self.data, "jpeg", [])

    @cached_property
    def metadata(self) -> Metadata:
        """The stored metadata with the RGB profile and XMP in UTF-8, without damaged EXIF."""
        stored = replace(self.stored_metadata, xmp=to_utf8(self.stored_metadata.xmp))
        if self.is_file:
            stored = replace(stored, icc=self.profile)
        try:
            if stored.exif:
                exif.read_orientation(stored.exif)
        except ValueError:
            return replace(stored, exif=b"")
        return stored


def read_grey_jpeg(data: bytes, orientation: int, profile: bytes = b"") -> GreyJpeg | None:
    """Returns the structure of a grey JPEG; None where luma has to be coded again.

    `profile` is that of the result, with which its luma is kept as it is. Entropy-coded data are
    not checked: `decode_luma` has to succeed before they are copied.
    """
    try:
        segments = tuple(read_segments(data))
        _check_frame(data, segments)
        _check_scans(data, segments)
        _check_metadata(data, segments, has_profile=bool(profile))
    except (JpegStructureError, IndexError):
        return None
    return GreyJpeg(data, segments, orientation, profile=profile)


def decode_luma(source: GreyJpeg) -> NDArray[np.uint8] | None:
    """Returns the luma `(H, W)` as stored; None for damage."""
    try:
        end = source.segments[-1].start
        data = source.data[:end] + FOLLOWING_SEGMENTS + b"\xff\xd9"
        pixels = simplejpeg.decode_jpeg(data, "GRAY", strict=True)
    except ValueError:
        return None
    luma: NDArray[np.uint8] = pixels[..., 0]
    return luma


def _check_frame(data: bytes, segments: tuple[Segment, ...]) -> None:
    """Raises JpegStructureError unless there is one frame, 8 bits, with one component."""
    for segment in segments:
        if segment.marker in REFUSED:
            raise JpegStructureError(REFUSED[segment.marker])
    frames = [segment for segment in segments if segment.marker in FRAME_MARKERS]
    if len(frames) != 1 or frames[0].marker not in HUFFMAN_FRAMES:
        raise JpegStructureError("not one Huffman-coded frame")
    (frame,) = frames
    header = data[frame.payload : frame.header_end]
    if len(header) != 9 or header[0] != 8 or header[5] != 1 or not any(header[1:3]):
        raise JpegStructureError("not one component of 8 bits")


def _check_scans(data: bytes, segments: tuple[Segment, ...]) -> None:
    """Raises JpegStructureError unless the scans code each coefficient, to its last bit.

    A decoder ignores a second sequential scan of a file with one component, but not of one with
    three; and it smooths what a progressive file leaves out.
    """
    frame = next(s for s in segments if s.marker in HUFFMAN_FRAMES)
    scans = [segment for segment in segments if segment.marker == SOS]
    if not scans or scans[0].start < frame.start:
        raise JpegStructureError("no scan after the frame header")
    known = [-1] * COEFFICIENTS
    """The number of low bits that are still missing, or -1 before the first scan."""
    for scan in scans:
        header = data[scan.payload : scan.header_end]
        if len(header) != 6 or header[0] != 1 or header[1] != data[frame.payload + 6]:
            raise JpegStructureError("a scan of another component")
        first, last, bits = header[3:]
        if first > last or last >= COEFFICIENTS or (frame.marker != PROGRESSIVE and bits):
            raise JpegStructureError("a scan without a spectral range")
        for index in range(first, last + 1):
            if known[index] != (bits >> 4 or -1):
                raise JpegStructureError("a scan out of order")
            known[index] = bits & 15
    if any(known) or (frame.marker != PROGRESSIVE and len(scans) != 1):
        raise JpegStructureError("its scans are not complete")


def _check_metadata(data: bytes, segments: tuple[Segment, ...], *, has_profile: bool) -> None:
    """Raises JpegStructureError for segments that are wrong in a colour file.

    A profile is damaged if the result has none; offsets to further pictures of the file would
    point elsewhere; content credentials sign the pixels of the source.
    """
    refused = (MPF,) if has_profile else (MPF, ICC_HEADER)
    for segment in segments:
        payload = data[segment.payload : segment.header_end]
        is_refused = segment.marker == APP2 and payload.startswith(refused)
        if is_refused or (segment.marker == APP11 and payload.startswith(JUMBF)):
            raise JpegStructureError("a segment that does not fit a colour file")
