"""Decodes the flattened picture that Photoshop files hold beside their layers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples, encode_srgb, round_like
from batchcolor.images.picture import Plane
from batchcolor.images.readers.psd_structure import (
    BITMAP,
    CMYK,
    DUOTONE,
    GREY,
    INDEXED,
    LAB,
    MULTICHANNEL,
    RGB,
    PsdFile,
    read_psd_header,
    read_psd_sections,
)

RAW, PACKBITS, ZIP = 0, 1, 2
RESOLUTION, IPTC, ICC, VERSION_INFO, EXIF, XMP = 1005, 1028, 1039, 1057, 1058, 1060
KEPT_RESOURCES = (IPTC, 1034, 1035, 1061)
"""Resources for the result: IPTC, copyright flag, URL, digest of the caption."""
SPACES = {CMYK: b"CMYK", LAB: b"Lab "}
BLEND_TOLERANCE = 64
"""The rounding of blended colours is below this part of white."""
PLAIN_MODES = (GREY, RGB)
PLACEHOLDER_SHARE = 0.8
"""The share of black and white samples from which a neutral picture is a placeholder."""
NO_COMPOSITE = (
    "was saved without a flattened picture; save it again in Photoshop with Maximize Compatibility"
)


def read_header(path: Path) -> FileHeader:
    """Returns size and depth. Raises ProcessingError for a colour mode without colours."""
    with path.open("rb") as file:
        psd = read_psd_header(file)
    if psd.mode == MULTICHANNEL:
        raise ProcessingError("decode", "is a multichannel Photoshop file: it defines no colours")
    return FileHeader(psd.width, psd.height, is_deep=psd.depth > 8)


def decode(path: Path) -> Samples:
    """Returns the flattened picture with its metadata.

    Raises ProcessingError for a file without one, and ValueError for damaged data.
    """
    with path.open("rb") as file:
        psd = read_psd_sections(file)
        notes: list[str] = []
        planes = _read_planes(file, psd, notes)
    is_stated = psd.resources.get(VERSION_INFO, b"\0\0\0\0\1")[4:5] != b"\0"
    if not is_stated and _is_placeholder(psd, planes[: psd.colour_channels]):
        raise ProcessingError("decode", NO_COMPOSITE)
    pixels = _join_channels(psd, planes[: psd.colour_channels], notes)
    alpha: Plane | None = None
    if psd.has_transparency and _has_alpha(psd):
        alpha = _to_plane(planes[psd.colour_channels], notes)
        pixels = pixels if psd.mode == LAB else _remove_white(pixels, alpha)
    if psd.mode == CMYK:
        pixels = np.invert(pixels)  # the file holds the absence of ink
    return Samples(
        pixels,
        alpha,
        space=SPACES.get(psd.mode, b""),
        exif=psd.resources.get(EXIF, b"").removeprefix(b"Exif\0\0"),
        icc=b"" if psd.depth == 32 else psd.resources.get(ICC, b""),
        xmp=psd.resources.get(XMP, b""),
        photoshop=_build_resources(psd),
        dpi=_read_dpi(psd),
        notes=notes,
    )


def _is_placeholder(psd: PsdFile, planes: list[NDArray[Any]]) -> bool:
    """Whether there is no picture, in a file that states to have none.

    Photoshop writes a blank area then, or a sentence in white on black. Some other programs write
    a picture and do not state it.
    """
    first = planes[0]
    if psd.mode not in PLAIN_MODES or first.dtype.kind == "f":
        return True
    if any((plane != first).any() for plane in planes[1:]):
        return False
    extreme = np.count_nonzero((first == 0) | (first == np.iinfo(first.dtype).max))
    return bool(extreme / first.size > PLACEHOLDER_SHARE)


def _has_alpha(psd: PsdFile) -> bool:
    return psd.channels > psd.colour_channels and psd.mode not in (BITMAP, INDEXED)


def _read_planes(file: BinaryIO, psd: PsdFile, notes: list[str]) -> list[NDArray[Any]]:
    """Returns the channels that are needed, each `(H, W)`, big-endian as stored."""
    count = psd.colour_channels + (psd.has_transparency and _has_alpha(psd))
    row_size = (psd.width * psd.depth + 7) // 8
    plane_size = row_size * psd.height
    compression = int.from_bytes(file.read(2), "big")
    if compression == RAW:
        planes = [file.read(plane_size) for _ in range(count)]
    elif compression == PACKBITS:
        planes = _read_packbits(file, psd, count, notes)
    elif compression == ZIP:
        data = zlib.decompressobj().decompress(file.read(), plane_size * count)
        planes = [data[i * plane_size : (i + 1) * plane_size] for i in range(count)]
    else:
        reason = f"its flattened picture has the compression {compression}: no decoder here"
        raise ProcessingError("decode", reason)
    if any(len(plane) != plane_size for plane in planes):
        raise ValueError("truncated: the flattened picture is incomplete")
    return [_to_array(plane, psd, row_size) for plane in planes]


def _read_packbits(file: BinaryIO, psd: PsdFile, count: int, notes: list[str]) -> list[bytes]:
    """Decodes channels; the sizes of all their rows come first (TIFF 6.0, section 9)."""
    import imagecodecs

    size_type = np.dtype(">u4" if psd.is_large else ">u2")
    table = file.read(psd.channels * psd.height * size_type.itemsize)
    if len(table) < psd.channels * psd.height * size_type.itemsize:
        raise ValueError("truncated: the flattened picture is incomplete")
    sizes = np.frombuffer(table, size_type).reshape(psd.channels, psd.height)
    totals = sizes.sum(axis=1, dtype=np.int64)[:count]
    packed = [file.read(int(total)) for total in totals]
    if any(len(data) < total for data, total in zip(packed, totals, strict=True)):
        raise ValueError("truncated: the flattened picture is incomplete")
    planes = [bytes(imagecodecs.packbits_decode(data)) for data in packed]
    row_size = (psd.width * psd.depth + 7) // 8
    if all(len(plane) <= row_size * psd.height for plane in planes):
        return planes
    notes.append("rows that are longer than the picture are cut")  # some programs pad them
    return [
        b"".join(_cut_rows(data, lengths, row_size))
        for data, lengths in zip(packed, sizes, strict=False)
    ]


def _cut_rows(data: bytes, lengths: NDArray[Any], row_size: int) -> Iterator[bytes]:
    """Yields each row of a channel, without the samples behind its width."""
    import imagecodecs

    position = 0
    for length in map(int, lengths):
        row = bytes(imagecodecs.packbits_decode(data[position : position + length]))
        if len(row) < row_size:
            raise ValueError("truncated: the flattened picture is incomplete")
        yield row[:row_size]
        position += length


def _to_array(plane: bytes, psd: PsdFile, row_size: int) -> NDArray[Any]:
    if psd.depth == 1:
        rows = np.frombuffer(plane, np.uint8).reshape(psd.height, row_size)
        bits = np.unpackbits(rows, axis=1)[:, : psd.width]
        return (1 - bits) * np.uint8(255)  # a set bit is black
    kind = {8: "u1", 16: ">u2", 32: ">f4"}[psd.depth]
    samples: NDArray[Any] = np.frombuffer(plane, np.dtype(kind))
    return samples.reshape(psd.height, psd.width)


def _join_channels(psd: PsdFile, planes: list[NDArray[Any]], notes: list[str]) -> Plane:
    """Returns grey `(H, W)`, or the channels of the colour mode as stored `(H, W, C)`."""
    if psd.mode == INDEXED:
        palette = np.frombuffer(psd.palette.ljust(768, b"\0"), np.uint8).reshape(3, 256)
        return np.take(palette.T, planes[0], axis=0)
    if psd.mode == DUOTONE:
        notes.append("duotone: its inks are not applied")
    converted: list[Any] = [_to_plane(plane, notes) for plane in planes]
    return converted[0] if len(converted) == 1 else np.stack(converted, axis=2)


def _to_plane(plane: NDArray[Any], notes: list[str]) -> Plane:
    """Returns native uint8 or uint16; 32-bit samples are linear and get the curve of sRGB."""
    if plane.dtype.kind != "f":
        return plane.astype(plane.dtype.newbyteorder("="), copy=False)
    values = plane.astype(np.float32)
    if not np.isfinite(values).all():
        raise ProcessingError("decode", "has samples that are not finite numbers")
    if values.max() > 1:
        note = "samples above white (HDR) are clipped"
        notes += [note] if note not in notes else []
    return encode_srgb(values)


def _remove_white(pixels: Plane, alpha: Plane) -> Plane:
    """Returns straight colours: Photoshop blends its flattened picture with white.

    Colours that are darker than any blend are straight already, as ImageMagick writes them.
    """
    top = np.float32(np.iinfo(pixels.dtype).max)
    weight = (alpha[..., None] if pixels.ndim == 3 else alpha).astype(np.float32) / top
    white = top * (1 - weight)
    if (pixels < white - top / BLEND_TOLERANCE).any():
        return pixels
    straight = (pixels - white) / np.maximum(weight, 1 / top)
    straight = np.where(weight > 0, straight, pixels)
    return round_like(straight, pixels)


def _build_resources(psd: PsdFile) -> bytes:
    """Returns the resources in `KEPT_RESOURCES` as a block."""
    kept = b""
    for number in KEPT_RESOURCES:
        content = psd.resources.get(number, b"")
        if content:
            head = b"8BIM" + number.to_bytes(2, "big") + b"\0\0" + len(content).to_bytes(4, "big")
            kept += head + content + b"\0" * (len(content) % 2)
    return kept


def _read_dpi(psd: PsdFile) -> tuple[float, float] | None:
    """Returns the resolution; both values are pixels an inch as 16.16 fixed-point numbers."""
    content = psd.resources.get(RESOLUTION, b"")
    if len(content) < 16:
        return None
    return tuple(int.from_bytes(content[i : i + 4], "big") / 65536 for i in (0, 8))  # type: ignore[return-value]
