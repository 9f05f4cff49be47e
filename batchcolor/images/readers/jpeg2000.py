"""Decodes JPEG 2000 with OpenJPEG: through imagecodecs, and what it does not read with Pillow.

Pillow reduces colour of more than 8 bits to 8, wraps grey of 9 bits, reads no ICC profile, and
knows few layouts. Colour spaces are those of ISO/IEC 15444-1, annex I, and 15444-2, annex M.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.color import ycbcr_to_rgb
from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import (
    FileHeader,
    Samples,
    divide_by_alpha,
    scale_to_full_range,
    split_alpha,
)
from batchcolor.images.color_detection import has_colors
from batchcolor.images.picture import Plane
from batchcolor.images.pixel_modes import split_luma_and_alpha
from batchcolor.images.readers.jpeg2000_boxes import (
    CIE_LAB,
    CMYK,
    EXTENDED_YCC,
    GREY,
    SYCC,
    Jpeg2000File,
    parse_jpeg2000,
)

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
IPTC_UUID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
EXIF_UUID = b"JpgTiffExif->JP2"
OTHER_UUIDS = {
    **{XMP_UUID: "", IPTC_UUID: "", EXIF_UUID: ""},
    bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03"): "GeoTIFF",
}
"""Names of blocks of metadata; empty for those that are kept."""
COLOUR_COUNTS = {GREY: 1, CMYK: 4}
"""Components of colour by enumerated colour space; 3 for the others."""
ICC_COLOUR_COUNTS = {b"GRAY": 1, b"CMYK": 4}
"""Components of colour by the colour space of a profile; 3 for the others."""
LAB_RANGES = (100, 170, 200)
MAX_BITS = 16


def read_header(path: Path) -> FileHeader:
    """Returns size and depth. Raises ValueError for damaged data."""
    with path.open("rb") as file:
        parsed = parse_jpeg2000(file)
    return FileHeader(parsed.width, parsed.height, is_deep=max(parsed.bits) > 8)


def decode(path: Path) -> Samples:
    """Returns samples and metadata. Raises whatever the decoders raise."""
    with path.open("rb") as file:
        parsed = parse_jpeg2000(file)
    size = parsed.width, parsed.height
    if parsed.stated_size not in (None, size):  # Pillow believes the box, and allocates it
        stated = "{} x {}".format(*parsed.stated_size)
        reason = f"its header box states {stated} pixels, its codestream {size[0]} x {size[1]}"
        raise ProcessingError("decode", f"damaged: {reason}")
    decode_once = _decode_palette if parsed.has_palette else _decode_uniform
    samples = decode_once(path, parsed) or _decode_with_pillow(path)
    samples.exif = parsed.uuids.get(EXIF_UUID, b"").removeprefix(b"Exif\0\0")
    samples.icc = parsed.icc
    samples.xmp = parsed.uuids.get(XMP_UUID, b"")
    samples.iptc = parsed.uuids.get(IPTC_UUID, b"")
    samples.dpi = parsed.dpi
    samples.notes += _note_other_boxes(parsed)
    return samples


def _note_other_boxes(parsed: Jpeg2000File) -> list[str]:
    """Returns a note that names the boxes of metadata that no other format has."""
    names = [OTHER_UUIDS.get(uuid, f"UUID {uuid.hex()}") for uuid in parsed.uuids]
    names = [name for name in names if name] + ["XML"] * bool(parsed.xml_boxes)
    return [f"not kept, only JPEG 2000 holds it: {', '.join(names)}"] if names else []


def _decode_uniform(path: Path, parsed: Jpeg2000File) -> Samples | None:
    """Returns the picture; None where imagecodecs does not read such components."""
    if len(set(parsed.bits)) > 1:
        return None
    try:
        decoded = _decode_components(path.read_bytes()[parsed.start :], parsed)
    except NotImplementedError:
        return None
    return _interpret(decoded, parsed)


def _decode_palette(path: Path, parsed: Jpeg2000File) -> Samples | None:
    """Returns a picture whose component is an index; OpenJPEG also converts it to sRGB."""
    import imagecodecs

    decoded: NDArray[Any] = imagecodecs.jpeg2k_decode(path.read_bytes(), numthreads=1)
    if decoded.dtype != np.uint8 or decoded.shape[:2] != (parsed.height, parsed.width):
        return None
    parsed.icc = b""
    return Samples(*split_alpha(decoded))


def _decode_components(codestream: bytes, parsed: Jpeg2000File) -> NDArray[Any]:
    """Returns components `(H, W, C)` of `parsed.bits`, from 0 to their maximum.

    imagecodecs gets the codestream without its boxes, since it would convert with the profile in
    them, and returns what is converted as if it was not.
    """
    import imagecodecs

    decoded: NDArray[Any] = imagecodecs.jpeg2k_decode(codestream, numthreads=1)
    decoded = decoded if decoded.ndim == 3 else decoded[..., np.newaxis]
    if decoded.shape != (parsed.height, parsed.width, len(parsed.bits)):
        raise ProcessingError("decode", f"damaged: it decodes to {decoded.shape}")
    if decoded.dtype.kind == "i":  # zero is in the middle of the range
        middle = 1 << (parsed.bits[0] - 1)
        decoded = (decoded.astype(np.int64) + middle).astype(f"u{decoded.itemsize}")
    return decoded


def _decode_with_pillow(path: Path) -> Samples:
    """Returns a picture whose components differ, or are all subsampled, with 8 bits."""
    notes: list[str] = []
    with Image.open(path) as image:
        try:
            image.load()
        except OSError as error:
            reason = f"no decoder here reads its components, or they are damaged ({error})"
            raise ProcessingError("decode", reason) from error
        pixels, alpha = split_luma_and_alpha(image, notes)
        return Samples(pixels, alpha, notes=notes, is_colored=has_colors(image))


def _interpret(decoded: NDArray[Any], parsed: Jpeg2000File) -> Samples:
    """Returns colours and opacity of components `(H, W, C)`, over the full range of their type."""
    count, notes = decoded.shape[2], list[str]()
    alpha_index = parsed.alpha if parsed.alpha is not None and parsed.alpha < count else None
    colours = [i for i in range(count) if i != alpha_index]
    colours = [parsed.order.get(i, i) for i in range(len(colours))] if parsed.order else colours
    if any(i >= count for i in colours):
        raise ValueError("damaged: its channel definition names components that it lacks")
    needed = _count_colours(parsed)
    needed = needed if len(colours) >= needed else 1
    colours, rest = colours[:needed], colours[needed:]
    if alpha_index is None and len(rest) == 1:
        alpha_index, rest = rest[0], []
    if rest:
        notes.append(f"{len(rest)} further component{'s' * (len(rest) > 1)} ignored: not alpha")
    bits = parsed.bits[0]
    if bits > MAX_BITS:
        decoded, bits = decoded >> (bits - MAX_BITS), MAX_BITS
    maximum = (1 << bits) - 1
    pixels = scale_to_full_range(
        decoded[..., colours] if needed > 1 else decoded[..., colours[0]], maximum
    )
    alpha = None if alpha_index is None else scale_to_full_range(decoded[..., alpha_index], maximum)
    space = parsed.colour_space if not parsed.icc else None
    if needed == 3 and space in (SYCC, EXTENDED_YCC) and not parsed.is_chroma_subsampled:
        pixels = _ycc_to_rgb(pixels)  # imagecodecs converts where chroma is subsampled
    if needed == 3 and space == CIE_LAB:
        pixels = _unify_lab(decoded[..., colours], bits, parsed.lab)
    if alpha is not None and parsed.is_premultiplied:
        pixels = divide_by_alpha(pixels, alpha)
    return Samples(pixels, alpha, space=_name_space(parsed, needed), notes=notes)


def _count_colours(parsed: Jpeg2000File) -> int:
    if parsed.icc:
        return ICC_COLOUR_COUNTS.get(parsed.icc[16:20], 3)
    return COLOUR_COUNTS.get(parsed.colour_space, 3)


def _name_space(parsed: Jpeg2000File, colours: int) -> bytes:
    """Returns the colour space as `Samples` names it."""
    if colours == 4:
        return b"CMYK"
    is_lab = parsed.icc[16:20] == b"Lab " if parsed.icc else parsed.colour_space == CIE_LAB
    return b"Lab " if is_lab and colours == 3 else b""


def _ycc_to_rgb(pixels: Plane) -> Plane:
    """Returns RGB of Y, Cb and Cr with the coefficients of ITU-R BT.601, full range."""
    top = float(np.iinfo(pixels.dtype).max)
    middle = (top + 1) / 2
    y, cb, cr = np.moveaxis(pixels.astype(np.float32), -1, 0)
    planes = ycbcr_to_rgb(y / top, (cb - middle) / top, (cr - middle) / top)
    rgb: Any = np.clip(np.stack(planes, axis=2) * top + 0.5, 0, top).astype(pixels.dtype)
    result: Plane = rgb
    return result


def _unify_lab(stored: NDArray[Any], bits: int, parameters: bytes) -> Plane:
    """Returns L*, a* and b* as ICC profiles encode them (15444-2, M.11.7.4.1)."""
    offsets: tuple[int, ...] = (0, 1 << (bits - 1), (1 << (bits - 2)) + (1 << (bits - 3)))
    ranges: tuple[int, ...] = LAB_RANGES
    if len(parameters) >= 24:
        values = struct.unpack_from(">6I", parameters)
        ranges, offsets = values[::2], values[1::2]
    maximum = (1 << bits) - 1
    lab = (stored.astype(np.float32) - np.array(offsets, np.float32)) * (
        np.array(ranges, np.float32) / np.float32(maximum)
    )
    unit = lab * np.array([1 / 100, 1 / 255, 1 / 255], np.float32)
    unit += np.array([0, 128 / 255, 128 / 255], np.float32)
    target: type[np.uint8 | np.uint16] = np.uint8 if bits <= 8 else np.uint16
    top = np.iinfo(target).max
    encoded: Any = np.clip(unit * top + 0.5, 0, top).astype(target)
    result: Plane = encoded
    return result
