"""Reading a still: its own luma, upright, at full resolution and depth."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from batchcolor.color import rgb16_to_luma
from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.images import metadata
from batchcolor.images.formats import HEIF, JPEG, PNG, READ_ONLY_FORMATS, Format
from batchcolor.images.imageio_reader import decode_with_imageio, read_header
from batchcolor.images.picture import Picture, Plane
from batchcolor.images.pixel_modes import luma_and_alpha, turn_upright
from batchcolor.images.plugin_reader import decode_with_reader
from batchcolor.images.scan import GONE, ScannedFile

# Sizes are checked against --max-pixels from the header, before any memory is taken; Pillow's
# own limit would refuse honest scans.
Image.MAX_IMAGE_PIXELS = None

NEW_SUBFILE_TYPE, DNG_VERSION = 254, 50706
BYTES_PER_PIXEL = 12
"""Decoded samples, luma, joined planes and the encoded file at their peak, for 8 bits a sample."""


def estimate_memory(found: ScannedFile, max_pixels: int, readers: Sequence[Reader] = ()) -> int:
    """Bytes that this picture needs at its peak, from the header alone.

    Raises ProcessingError for what is refused from the header: empty, unknown, more pixels than
    `max_pixels`, several pages or frames.
    """
    if found.size == GONE:
        raise ProcessingError("scan", "vanished while the job ran")
    if found.size == 0:
        raise ProcessingError("decode", "the file is empty")
    if found.format is None:
        raise ProcessingError("decode", _describe_unknown_file(found.path))
    if _reader(found, readers) is not None:
        return found.size * 20  # only its plugin can tell; a guess that keeps few at once
    try:
        width, height, pages, is_deep = _read_header(found.path, found.format)
    except ProcessingError:
        raise
    except Exception as error:
        raise ProcessingError("decode", _describe_error(error)) from error
    if width * height > max_pixels:
        raise ProcessingError(
            LIMITS,
            f"{width} x {height} are more than --max-pixels {max_pixels:,}; raise it if meant",
        )
    if pages > 1:
        raise ProcessingError(
            "decode", f"has {pages} pages or frames; only single pictures are done"
        )
    return found.size + width * height * BYTES_PER_PIXEL * (2 if is_deep else 1)


def _read_header(path: Path, kind: Format) -> tuple[int, int, int, bool]:
    """Returns width, height, number of pages, and whether samples have more than 8 bits."""
    if kind.imageio_plugin:
        return *read_header(path, kind), True
    with _open_with_pillow(path, kind) as image:
        _check_not_preview(image)
        width, height = image.size
        is_deep = image.mode.startswith(("I", "F")) or _sample_bits(path, image) == 16
        pages = 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
    return width, height, pages, is_deep


def _check_not_preview(image: Image.Image) -> None:
    """Raises ProcessingError for a TIFF structure whose first picture stands for another one.

    Tags: NewSubfileType, bit 0 (TIFF 6.0), and DNGVersion (DNG 1.7).
    """
    tags = getattr(image, "tag_v2", {})
    if DNG_VERSION in tags or tags.get(NEW_SUBFILE_TYPE, 0) & 1:
        raise ProcessingError(
            "decode",
            "its first picture is a preview, as in camera raw files; give it the suffix of its "
            "raw format (.dng, .nef, ...)",
        )


def _open_with_pillow(source: Path | io.BytesIO, kind: Format) -> Image.Image:
    """Opens a picture without decoding it. Makes HEIF known to Pillow when the first one comes."""
    if kind == HEIF:
        import pillow_heif

        pillow_heif.register_heif_opener()
    return Image.open(source)


def _describe_unknown_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "not a picture in any format known here"


def decode(found: ScannedFile, max_pixels: int, readers: Sequence[Reader] = ()) -> Picture:
    """The picture of a file. Raises ProcessingError, whatever the decoder does, with a reason."""
    try:
        status = found.path.stat()
        if (status.st_size, status.st_mtime_ns) != (found.size, found.mtime_ns):
            raise ProcessingError("decode", "changed while the job ran; run again to colour it")
        reader = _reader(found, readers)
        if reader is not None:
            return decode_with_reader(found, reader, max_pixels)
        if found.format is not None and found.format.imageio_plugin:
            return decode_with_imageio(found, max_pixels)
        return _decode(found, found.path.read_bytes(), max_pixels)
    except ProcessingError:
        raise
    except Exception as error:  # a decoder may raise anything; one picture is not the job
        raise ProcessingError("decode", _describe_error(error)) from error


def _decode(found: ScannedFile, data: bytes, max_pixels: int) -> Picture:
    if found.format is None:
        raise ProcessingError("decode", "not a picture in any format known here")
    notes = [found.note] if found.note else []
    with _open_with_pillow(io.BytesIO(data), found.format) as image:
        if image.width * image.height > max_pixels:
            raise ProcessingError(LIMITS, f"more pixels than --max-pixels {max_pixels:,}")
        if found.format != JPEG:
            if image.format == "TIFF":
                _check_deflate_data(image, data)
            image.load()  # before EXIF is asked for, which would hide that pixels are damaged
        blocks, orientation = metadata.read(image, notes)
        jpeg_luma = _jpeg_luma(data, image) if found.format == JPEG else None
        planes: tuple[Plane, Plane | None]
        if jpeg_luma is not None:
            planes = jpeg_luma, None
        else:
            planes = _luma_and_alpha(image, data, found.path, notes)
    luma, alpha = turn_upright(planes, orientation)
    return Picture(found.path, luma, alpha, found.format, blocks, notes)


def picture_from_image(image: Image.Image) -> Picture:
    """Return the picture of a Pillow image in memory, upright, with its metadata.

    Raises ProcessingError for an image that cannot be loaded or converted.
    """
    notes: list[str] = []
    try:
        image.load()
        blocks, orientation = metadata.read(image, notes)
        planes = luma_and_alpha(image, notes)
    except ProcessingError:
        raise
    except Exception as error:  # a lazily opened file may be damaged in any way
        raise ProcessingError("decode", _describe_error(error)) from error
    luma, alpha = turn_upright(planes, orientation)
    path = Path(getattr(image, "filename", "") or "image")
    return Picture(path, luma, alpha, PNG, blocks, notes)


def _jpeg_luma(data: bytes, image: Image.Image) -> NDArray[np.uint8] | None:
    """The Y plane of a grey or YCbCr JPEG as it stands, or None for the other kinds.

    Where a picture is vivid, Y and the luma of its RGB differ, as RGB is clipped; what people
    see is the RGB, so its luma is taken. A look at one eighth of the size tells.
    """
    if image.mode == "L":
        return _decode_gray(data)
    if image.mode != "RGB" or image.info.get("adobe_transform", 1) != 1:
        return None
    least = {"min_width": max(1, image.width // 8), "min_height": max(1, image.height // 8)}
    small = simplejpeg.decode_jpeg(data, "RGB", **least, fastdct=True, strict=False)
    high, low = small.max(axis=2).astype(np.int16), small.min(axis=2).astype(np.int16)
    at_the_edge = ((high > 235) | (low < 20)) & (high - low > 24)
    if at_the_edge.mean() < 0.002:
        return _decode_gray(data)
    rgb = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    return np.asarray(Image.fromarray(rgb).convert("L"))


def _decode_gray(data: bytes) -> NDArray[np.uint8]:
    luma: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "GRAY", strict=True)[..., 0]
    return luma


def _luma_and_alpha(
    image: Image.Image, data: bytes, path: Path, notes: list[str]
) -> tuple[Plane, Plane | None]:
    """Return luma and alpha of any mode that Pillow opens; 16 bits are kept."""
    if _sample_bits(path, image) == 16 and not image.mode.startswith("I;16"):
        planes = _decode_16_bit(image, data)
        if planes is not None:
            return planes
    return luma_and_alpha(image, notes)


def _check_deflate_data(image: Image.Image, data: bytes) -> None:
    """Raise zlib.error for damaged strips or tiles: libtiff reports them, Pillow goes on.

    Tags are those of TIFF 6.0: compression, strip and tile offsets and byte counts.
    """
    tags = getattr(image, "tag_v2", {})
    if tags.get(259) not in (8, 32946):
        return
    for offsets, counts in ((273, 279), (324, 325)):
        for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False):
            zlib.decompress(data[offset : offset + count])


def _sample_bits(path: Path, image: Image.Image) -> int:
    """Bits a sample as the file has them: Pillow shows deep colour as 8 bits."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        return int(max(bits)) if isinstance(bits, tuple) else int(bits)
    return 8


def _decode_16_bit(image: Image.Image, data: bytes) -> tuple[Plane, Plane | None] | None:
    """16-bit colour or grey with alpha, which Pillow would cut to 8 bits."""
    import imagecodecs
    import tifffile

    if image.format == "PNG":
        pixels = imagecodecs.png_decode(data)
    else:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            if page.axes not in ("YX", "YXS") or page.dtype != np.uint16:
                return None
            pixels = page.asarray()
    if pixels.dtype != np.uint16:
        return None
    if pixels.ndim == 2:
        return pixels, None
    alpha = pixels[..., -1] if pixels.shape[2] in (2, 4) else None
    luma = pixels[..., 0] if pixels.shape[2] <= 2 else rgb16_to_luma(pixels[..., :3])
    return np.ascontiguousarray(luma), None if alpha is None else np.ascontiguousarray(alpha)


def _reader(found: ScannedFile, readers: Sequence[Reader]) -> Reader | None:
    if found.format is None or found.format.writable or found.format in READ_ONLY_FORMATS:
        return None
    return next((reader for reader in readers if reader.name == found.format.name), None)


def _describe_error(error: Exception) -> str:
    """Why a decoder gave up, in plain words."""
    if isinstance(error, UnidentifiedImageError):
        return "garbage, or a kind of picture that is not known here"
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    if isinstance(error, FileNotFoundError):
        return "vanished while the job ran"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (struct.error, IndexError, KeyError, EOFError)):
        return f"damaged: {type(error).__name__} {error}".strip()
    text = str(error).strip()
    if "premature end" in text.lower() or "truncated" in text.lower():
        return f"truncated: {text}"
    return f"damaged: {text or type(error).__name__}"
