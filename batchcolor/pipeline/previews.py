"""Small pictures of sources and results for a screen: for galleries and for the review."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from batchcolor.errors import ProcessingError
from batchcolor.hooks.thread_warnings import silence_warnings
from batchcolor.hooks.types import Reader
from batchcolor.images.decode import decode
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.formats import JPEG
from batchcolor.images.header import open_with_pillow
from batchcolor.images.picture import reduce_to_8_bits
from batchcolor.images.readers.codec_reader import find_codec
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.pipeline.options.settings import MAX_PIXELS

FILM_FRAME = 12
"""Number of the frame that represents a film; the first ones may be black."""
QUALITY = 86
PAPER = 236
"""Grey level behind transparent parts."""


def find_file(path: Path, readers: Sequence[Reader] = ()) -> ScannedFile:
    """Returns the picture or film of this path. Raises ProcessingError where it is none."""
    found = next(scan(path, readers=readers), None)
    if not isinstance(found, ScannedFile):
        raise ProcessingError("scan", found.reason if found else "not a picture or film")
    return found


def read_source(path: Path, side: int, readers: Sequence[Reader] = ()) -> Image.Image:
    """Returns the luma of a source, upright, at most `side` pixels long. Raises ProcessingError.

    Of a film one frame.
    """
    found = find_file(path, readers)
    if found.is_film:
        return _read_frame(path, side).convert("L")
    if found.format == JPEG:
        try:
            return _read_small_jpeg(path, side).convert("L")
        except Exception:  # a damaged file, which the decoder of the job may repair
            pass
    luma = decode(found, MAX_PIXELS, readers).luma
    return shrink(Image.fromarray(reduce_to_8_bits(luma) if luma.itemsize > 1 else luma), side)


def read_result(path: Path, side: int) -> Image.Image:
    """Returns a picture in colour, upright, sRGB, at most `side` pixels long; of a film one frame.

    Raises ProcessingError.
    """
    found = find_file(path)
    if found.is_film:
        return _read_frame(path, side)
    try:
        if found.format == JPEG:
            return _read_small_jpeg(path, side)
        if found.format is not None and find_codec(found.format) is not None:
            import imagecodecs

            return shrink(_from_array(imagecodecs.imread(path)), side)
        assert found.format is not None
        with silence_warnings(), open_with_pillow(path, found.format) as image:
            return _finish(image, side)
    except Exception as error:  # decoders raise any type of error
        raise ProcessingError("decode", describe_error(error)) from error


def encode_preview(image: Image.Image, quality: int = QUALITY) -> bytes:
    """Returns a JPEG without metadata."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Returns the picture with at most `side` pixels along its longer side."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return small


def _read_small_jpeg(path: Path, side: int) -> Image.Image:
    """Decodes a JPEG at a fraction of its size: as fast as its Huffman decoding."""
    with silence_warnings(), Image.open(path) as image:
        image.draft(None, (side, side))
        return _finish(image, side)


def _finish(image: Image.Image, side: int) -> Image.Image:
    profile = image.info.get("icc_profile")
    small = ImageOps.exif_transpose(shrink(image, side))
    if small.mode in ("RGBA", "RGBa", "PA", "LA") or "transparency" in small.info:
        rgba = small.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, (PAPER, PAPER, PAPER, 255))
        small = Image.alpha_composite(paper, rgba)
    return _to_srgb(small.convert("RGB"), profile)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError):  # a profile of another colour space, or a damaged one
        return image
    return converted or image


def _from_array(samples: np.ndarray) -> Image.Image:
    values = samples if samples.dtype == np.uint8 else reduce_to_8_bits(samples)
    return Image.fromarray(np.ascontiguousarray(values[..., :3]))


def _read_frame(path: Path, side: int) -> Image.Image:
    from batchcolor.video.color_conversion import to_upright_rgb
    from batchcolor.video.input.decoder import VideoDecoder
    from batchcolor.video.probe import probe

    film = probe(path, MAX_PIXELS)
    last = None
    for number, frame in enumerate(VideoDecoder(film, strict=False)):
        last = frame
        if number == FILM_FRAME:
            break
    if last is None:
        raise ProcessingError("decode", "no frame can be decoded")
    return shrink(Image.fromarray(to_upright_rgb(last, film.frame_format, side)), side)
