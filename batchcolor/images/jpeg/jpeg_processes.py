"""Decodes the kinds of JPEG that simplejpeg does not: lossless, 12 bits, JPEG-LS, rare subsampling.

libjpeg-turbo 3 and CharLS, both through imagecodecs, decode them. What neither reads is refused
with its name.
"""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import scale_to_full_range
from batchcolor.images.color_detection import has_colors
from batchcolor.images.color_profiles.icc import CMYK, GREY, RGB, plan_conversion
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.jpeg.jpeg_colors import (
    JpegColors,
    expand_limited_range,
    read_colors,
    undo_reversible_transform,
)
from batchcolor.images.jpeg_stream.jpeg_frame import (
    DCT_MARKERS,
    JPEG_LS,
    LOSSLESS,
    PROGRESSIVE,
    SOS,
    JpegFrame,
)
from batchcolor.images.metadata.read import read_file_metadata
from batchcolor.images.picture import Picture, check_size
from batchcolor.images.pixel_modes import turn_upright
from batchcolor.images.readers.ffmpeg_still import is_damaged
from batchcolor.images.scan import ScannedFile

DECODED_MARKERS = frozenset({0xC0, 0xC1, PROGRESSIVE, LOSSLESS, JPEG_LS, 0xC9, 0xCA})
END_OF_IMAGE = b"\xff\xd9"
PREVIEW_SIDE = 512
"""Pixels of the longer side, about, of what is tested for colours."""


def check_process(frame: JpegFrame) -> None:
    """Raises ProcessingError, which names the process, for a JPEG that no decoder here reads."""
    if frame.marker not in DECODED_MARKERS:
        raise ProcessingError("decode", f"{frame.process}: no decoder here reads it")
    counts = (1, 3, 4) if frame.marker in DCT_MARKERS else (1, 3)
    if not frame.is_8_bit_dct and frame.components not in counts:
        depth = f"{frame.precision}-bit {frame.process}"
        reason = f"{depth} with {frame.components} components: no decoder here reads it"
        raise ProcessingError("decode", reason)
    if not frame.height:
        reason = "its height is in a DNL marker: no decoder here reads it; recode it as JPEG"
        raise ProcessingError("decode", reason)


def is_common_jpeg(data: bytes, frame: JpegFrame) -> bool:
    """Whether simplejpeg decodes it: 8 bits, DCT, and a subsampling that TurboJPEG has."""
    if not frame.is_8_bit_dct:
        return False
    try:
        simplejpeg.decode_jpeg_header(data, strict=False)
    except ValueError as error:
        return "subsampling" not in str(error)
    except KeyError:  # it has no name for the subsampling
        return False
    return True


def decode_rare_process(
    found: ScannedFile,
    data: bytes,
    frame: JpegFrame,
    max_pixels: int,
    options: DecodeOptions,
    *,
    is_strict: bool = True,
) -> Picture:
    """Returns the picture of a JPEG that is not `is_common_jpeg`.

    Samples of more than 8 bits are scaled to 16, with a note, and fewer to 8. Raises
    ProcessingError for more than `max_pixels`, for a truncated file, and, with `is_strict`, for
    damage that FFmpeg finds: imagecodecs reports none inside the compressed data.
    """
    assert found.format is not None
    check_process(frame)
    check_size(frame.width, frame.height, max_pixels)
    if is_strict and data.find(END_OF_IMAGE, frame.offset) < 0:
        raise ProcessingError("decode", "truncated: it has no end marker")
    notes = [found.note] if found.note else []
    if is_strict:
        _check_compressed_data(data, frame, notes)
    image = open_as_baseline(data, frame)
    metadata, orientation = read_file_metadata(data, image, found.format.name, notes)
    samples, chroma = _decode_samples(data, frame, image, notes)
    bits = 8 if samples.dtype == np.uint8 else frame.precision
    samples = scale_to_full_range(samples, (1 << min(bits, frame.precision)) - 1)
    space = GREY if samples.ndim == 2 else (CMYK if samples.shape[2] == 4 else RGB)
    conversion = plan_conversion(metadata.icc, space, options.profile, notes)
    luma = conversion.to_luma(samples)
    metadata = dataclasses.replace(metadata, icc=conversion.target)
    if 8 < bits < 16:
        notes.append(f"its {bits} bits per sample became 16")
    upright, _ = turn_upright((luma, None), orientation)
    is_colored = has_colors(_build_preview(samples, chroma))
    return Picture(found.path, upright, None, found.format, metadata, notes, is_colored)


def _check_compressed_data(data: bytes, frame: JpegFrame, notes: list[str]) -> None:
    """Raises ProcessingError where FFmpeg finds damage.

    CharLS reports that of JPEG-LS itself. FFmpeg reads differences of 16 bits wrongly (ITU-T T.81,
    H.1.2.2), and not every subsampling; what cannot be checked is noted.
    """
    if frame.marker == JPEG_LS:
        return
    is_unreliable = frame.marker == LOSSLESS and frame.precision == 16
    found = None if is_unreliable else is_damaged("mjpeg", data)
    if found:
        raise ProcessingError("decode", "damaged: its compressed data are invalid or incomplete")
    if found is None:
        notes.append("a rare kind of JPEG: damage inside its compressed data is not detected")


def open_as_baseline(data: bytes, frame: JpegFrame, *, begin: bytes = b"") -> Image.Image:
    """Returns the header as Pillow opens it, with the metadata: Pillow refuses the real frame.

    With `begin`, that comes before the frame in place of the segments of the file.
    """
    size = frame.height.to_bytes(2, "big") + frame.width.to_bytes(2, "big")
    components = b"".join(bytes((number, 0x11, 0)) for number in range(frame.components))
    body = b"\x08" + size + bytes((frame.components,)) + components
    segment = b"\xff\xc0" + (len(body) + 2).to_bytes(2, "big") + body
    scan = bytes((0xFF, SOS, 0, 2))
    begin = begin or data[: frame.offset]
    return Image.open(io.BytesIO(begin + segment + scan + END_OF_IMAGE))


def _decode_samples(
    data: bytes, frame: JpegFrame, header: Image.Image, notes: list[str]
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Returns the samples as stored: luma `(H, W)`, RGB `(H, W, 3)` or ink `(H, W, 4)`.

    With luma of a picture in colour, also its chroma `(H, W, 2)`, of full range.
    """
    import imagecodecs

    chroma: NDArray[Any] | None = None
    if frame.marker == JPEG_LS:
        samples: NDArray[Any] = imagecodecs.jpegls_decode(data)
    elif frame.marker in DCT_MARKERS:
        color_space = {1: "grayscale", 3: "rgb", 4: "cmyk"}[frame.components]
        samples = imagecodecs.jpeg8_decode(data, outcolorspace=color_space)
        if frame.components == 4:  # Adobe's programs store light, and all others follow
            samples = (1 << frame.precision) - 1 - samples
    elif frame.components == 1:
        samples = imagecodecs.jpeg8_decode(data)
    else:  # libjpeg-turbo converts no colours of lossless frames
        statement = read_colors(data, frame, header)
        samples = imagecodecs.jpeg8_decode(data, colorspace="ycbcr", outcolorspace="ycbcr")
        if statement.note:
            notes.append(statement.note)
        if statement.colors is JpegColors.REVERSIBLE_TRANSFORM:
            samples = undo_reversible_transform(samples)
        elif statement.colors is JpegColors.YCBCR:
            chroma = scale_to_full_range(samples[..., 1:], (1 << frame.precision) - 1)
            samples = samples[..., 0]
            if statement.is_limited:
                samples = expand_limited_range(samples)
                notes.append("its luma of 16 to 235 became 0 to 255")
    if samples.shape[:2] != (frame.height, frame.width):
        raise ProcessingError("decode", f"damaged: it decodes to {samples.shape}")
    return samples, chroma


def _build_preview(
    samples: NDArray[Any], chroma: NDArray[Any] | None
) -> Image.Image | NDArray[Any]:
    """Returns a small picture in colour, for `has_colors`."""
    step = max(1, max(samples.shape[:2]) // PREVIEW_SIDE)
    small = samples[::step, ::step]
    if chroma is None and not (small.ndim == 3 and small.shape[2] == 4):
        return small
    planes = small if chroma is None else np.dstack([small, chroma[::step, ::step]])
    preview = np.ascontiguousarray(planes >> (8 * (planes.itemsize - 1)), np.uint8)
    return Image.fromarray(preview, "CMYK" if chroma is None else "YCbCr").convert("RGB")
