"""Decodes Netpbm files: PBM, PGM, PPM, PAM and PFM, at 8 and 16 bits (netpbm.sourceforge.net/doc).

Pillow reduces 16-bit colour to 8 bits and knows no PAM.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples, scale_to_full_range, split_alpha
from batchcolor.images.picture import Plane
from batchcolor.images.pixel_modes import scale_to_16_bits

MAX_HEADER = 4096
CHANNELS = {b"P1": 1, b"P2": 1, b"P3": 3, b"P4": 1, b"P5": 1, b"P6": 3, b"Pf": 1, b"PF": 3}
ASCII_KINDS = (b"P1", b"P2", b"P3")
FLOAT_KINDS = (b"Pf", b"PF")
PAM = b"P7"


@dataclass(frozen=True)
class NetpbmHeader:
    """`maximum` is the sample value of white; negative for PFM in little-endian order."""

    kind: bytes
    width: int
    height: int
    channels: int
    maximum: float
    size: int
    """Bytes of the header."""

    @property
    def sample_type(self) -> np.dtype[Any]:
        """The type of samples in the file."""
        if self.kind in FLOAT_KINDS:
            return np.dtype("<f4" if self.maximum < 0 else ">f4")
        return np.dtype(np.uint8 if self.maximum <= 255 else ">u2")

    @property
    def raster_size(self) -> int:
        """Bytes of samples that follow the header of a binary file."""
        if self.kind == b"P4":
            return (self.width + 7) // 8 * self.height
        return self.width * self.height * self.channels * self.sample_type.itemsize


def parse_netpbm_header(head: bytes) -> NetpbmHeader:
    """Returns the header at the beginning of `head`. Raises ValueError."""
    return _parse_pam_header(head) if head[:2] == PAM else _parse_pnm_header(head)


def _parse_pnm_header(head: bytes) -> NetpbmHeader:
    """Parses kind, width, height and maximum: words with white space and comments between them."""
    kind = head[:2]
    count = 2 if kind in (b"P1", b"P4") else 3
    gap = rb"(?:\s|#[^\r\n]*[\r\n])+"
    pattern = re.escape(kind) + (gap + rb"([-+.0-9eE]+)") * count + rb"\s"
    match = re.match(pattern, head)
    if kind not in CHANNELS or match is None:
        raise ValueError("damaged: the Netpbm header is incomplete")
    width, height = int(match[1]), int(match[2])
    maximum = float(match[3]) if count == 3 else 1
    header = NetpbmHeader(kind, width, height, CHANNELS[kind], maximum, match.end())
    return _check(header)


def _parse_pam_header(head: bytes) -> NetpbmHeader:
    """Parses lines of a keyword and its value, up to ENDHDR."""
    end = re.search(rb"(?:^|\n)ENDHDR[^\n]*\n", head)
    if end is None:
        raise ValueError("damaged: the PAM header is incomplete")
    lines = [line.split() for line in head[2 : end.start()].splitlines()]
    values = {line[0]: line[1] for line in lines if len(line) > 1 and line[0][:1] != b"#"}
    width, height, depth, maximum = (
        int(values.get(name, b"0")) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")
    )
    return _check(NetpbmHeader(PAM, width, height, depth, maximum, end.end()))


def _check(header: NetpbmHeader) -> NetpbmHeader:
    is_float = header.kind in FLOAT_KINDS
    if min(header.width, header.height) < 1 or header.maximum == 0:
        raise ValueError(f"damaged: {header.width} x {header.height} pixels in its header")
    if not is_float and not 1 <= header.maximum <= 65535:
        raise ValueError(f"damaged: its maximum sample is {header.maximum:g}")
    if not 1 <= header.channels <= 4:
        reason = f"has {header.channels} channels: neither grey nor RGB, with or without alpha"
        raise ProcessingError("decode", reason)
    return header


def read_header(path: Path) -> FileHeader:
    """Returns size, depth and whether further pictures follow the first. Raises ValueError."""
    with path.open("rb") as file:
        header = parse_netpbm_header(file.read(MAX_HEADER))
        pages = 1 + (header.kind not in ASCII_KINDS and _has_another_picture(file, header))
    is_deep = header.maximum > 255 or header.kind in FLOAT_KINDS
    return FileHeader(header.width, header.height, pages, is_deep)


def _has_another_picture(file: BinaryIO, header: NetpbmHeader) -> bool:
    file.seek(header.size + header.raster_size)
    return file.read(2) == header.kind


def decode(path: Path) -> Samples:
    """Returns the samples at 8 or 16 bits. Raises ValueError for damaged data."""
    data = path.read_bytes()
    header = parse_netpbm_header(data[:MAX_HEADER])
    notes: list[str] = []
    if header.kind in ASCII_KINDS and header.maximum <= 255:
        with Image.open(io.BytesIO(data)) as image:
            return Samples(np.asarray(image.convert("L" if header.channels == 1 else "RGB")))
    pixels, alpha = split_alpha(_scale(_read_samples(data, header), header, notes))
    return Samples(pixels, alpha, notes=notes)


def _read_samples(data: bytes, header: NetpbmHeader) -> NDArray[Any]:
    """Returns the samples as stored, `(H, W)` or `(H, W, C)`."""
    raster: NDArray[Any]
    shape: tuple[int, ...] = (header.height, header.width)
    if header.kind == b"P4":
        rows = _take(data, header, np.dtype(np.uint8)).reshape(header.height, -1)
        return 1 - np.unpackbits(rows, axis=1)[:, : header.width]  # a set bit is black
    if header.kind in ASCII_KINDS:
        words = re.sub(rb"#[^\r\n]*", b"", data[header.size :]).split()
        raster = np.array(words[: header.width * header.height * header.channels], np.uint32)
    else:
        raster = _take(data, header, header.sample_type)
    if header.channels > 1:
        shape += (header.channels,)
    if raster.size != np.prod(shape):
        raise ValueError("truncated: samples are missing")
    samples = raster.reshape(shape)
    return samples[::-1] if header.kind in FLOAT_KINDS else samples  # PFM begins at the bottom


def _take(data: bytes, header: NetpbmHeader, sample_type: np.dtype[Any]) -> NDArray[Any]:
    raster = data[header.size : header.size + header.raster_size]
    if len(raster) < header.raster_size:
        raise ValueError("truncated: samples are missing")
    return np.frombuffer(raster, sample_type)


def _scale(samples: NDArray[Any], header: NetpbmHeader, notes: list[str]) -> Plane:
    """Returns samples over the full range of uint8 or uint16."""
    if header.kind in FLOAT_KINDS:
        return scale_to_16_bits(samples.astype(np.float64), notes)
    maximum = int(header.maximum)
    if 255 < maximum < 65535:
        notes.append(f"its samples from 0 to {maximum} became 16 bits")
    return scale_to_full_range(samples, maximum)
