"""Decodes single pictures with decoders of FFmpeg."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import Samples, encode_srgb, scale_to_full_range, split_alpha
from batchcolor.images.picture import Plane

ORDERED_FORMATS = ("gray", "rgb24", "rgb48", "rgba", "gbrp", "gbrap")
"""Beginnings of pixel formats that PyAV returns as grey, RGB or RGBA."""
NARROW_FORMATS = {1: "gray", 3: "rgb24", 4: "rgba"}
"""Pixel formats of 8 bits by number of channels."""
WIDE_FORMATS = {1: "gray16le", 3: "rgb48le", 4: "rgba64le"}
"""Pixel formats of 16 bits by number of channels."""


def decode_frame(codec: str, data: bytes) -> Any:
    """Returns the frame of a picture. Raises whatever FFmpeg raises; ValueError without one."""
    import av

    context: Any = av.CodecContext.create(codec, "r")
    frames = context.decode(av.Packet(data)) or context.decode(None)
    if not frames:
        raise ValueError("truncated: its pixels cannot be decoded")
    return frames[0]


def is_damaged(codec: str, data: bytes) -> bool | None:
    """Whether FFmpeg finds compressed data that are invalid or incomplete.

    None where FFmpeg does not read this kind of file. For decoders that report no damage.
    """
    import av

    context: Any = av.CodecContext.create(codec, "r")
    context.options = {"err_detect": "explode"}
    try:
        if not context.decode(av.Packet(data)):
            context.decode(None)
    except av.error.InvalidDataError:
        return True
    except av.error.FFmpegError:
        return None
    return False


def decode_integers(codec: str, data: bytes) -> Plane:
    """Returns the samples `(H, W)` or `(H, W, C)` of a grey, RGB or RGBA picture.

    They are uint8, or uint16 for more than 8 bits, over the full range of the type.
    """
    frame = decode_frame(codec, data)
    components = frame.format.components
    bits = max(component.bits for component in components)
    if not frame.format.name.startswith(ORDERED_FORMATS):
        channels = 3 if frame.format.has_palette else len(components)
        bits = 8 if bits <= 8 else 16
        frame = frame.reformat(format=(NARROW_FORMATS if bits == 8 else WIDE_FORMATS)[channels])
    samples: NDArray[Any] = frame.to_ndarray()
    return scale_to_full_range(samples, (1 << bits) - 1)


def decode_linear(codec: str, data: bytes, *, is_premultiplied: bool = False) -> Samples:
    """Returns a picture of linear floating-point samples, with the curve of sRGB, at 16 bits.

    Colours that are multiplied by alpha are divided by it. Samples above white are clipped, with
    a note. Raises ProcessingError for samples that are not finite.
    """
    frame = decode_frame(codec, data)
    channels = len(frame.format.components)
    wide = {1: "grayf32le", 3: "gbrpf32le", 4: "gbrapf32le"}[channels]
    frame = frame if frame.format.name == wide else frame.reformat(format=wide)
    values: NDArray[np.float32] = frame.to_ndarray()
    if not np.isfinite(values).all():
        raise ProcessingError("decode", "has samples that are not finite numbers")
    colour, alpha = (values[..., :3], values[..., 3]) if channels == 4 else (values, None)
    if alpha is not None and is_premultiplied:
        # light without a surface, where alpha is 0, stays
        divisor = np.where(alpha > 0, alpha, 1).astype(np.float32)
        colour = (colour / divisor[..., None]).astype(np.float32)
    notes = ["samples above white (HDR) are clipped"] if colour.max() > 1 else []
    pixels, _ = split_alpha(encode_srgb(colour))
    if alpha is None:
        return Samples(pixels, notes=notes)
    plane = (np.clip(alpha, 0, 1) * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
    return Samples(pixels, plane, notes=notes)
