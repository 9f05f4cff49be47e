"""Reads still formats that Pillow does not know through the plugins of imageio.

Camera raw (rawpy). imageio and its plugins are imported when the first such file is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.color_detection import has_colors
from batchcolor.images.color_profiles.icc import convert_pixels
from batchcolor.images.decode_options import DEFAULT_OPTIONS, DecodeOptions
from batchcolor.images.formats import CAMERA_RAW, Format
from batchcolor.images.metadata.camera_raw import read_camera_raw
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.picture import Picture, Plane, check_size
from batchcolor.images.pixel_modes import stretch_to_16_bits
from batchcolor.images.scan import ScannedFile

READ_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    # LibRaw: white balance of the camera, gamma curve of sRGB (IEC 61966-2-1)
    CAMERA_RAW.name: {"output_bps": 16, "use_camera_wb": True, "gamma": (2.4, 12.92)},
}
"""Options of the plugins' `read`, by format name; with them the samples use all 16 bits."""


def read_header(path: Path, kind: Format) -> tuple[int, int, int]:
    """Returns width, height and number of pages from the header, where the plugin can."""
    with _open(path, kind) as file:
        shape = file.properties(index=0).shape
        all_pages = file.properties(index=...)
        pages = all_pages.n_images if all_pages.is_batch else 1
    if _has_pages(shape):
        return shape[2], shape[1], shape[0]
    return shape[1], shape[0], pages or 1


def decode_with_imageio(
    found: ScannedFile, max_pixels: int, options: DecodeOptions = DEFAULT_OPTIONS
) -> Picture:
    """Returns the picture of a file that an imageio plugin decodes, upright.

    Raises ProcessingError for several pages and for more than `max_pixels`, and whatever the
    plugin raises.
    """
    assert found.format is not None
    kind = found.format
    notes = [found.note] if found.note else []
    with _open(found.path, kind) as file:
        try:
            pixels = np.asarray(file.read(index=0, **READ_OPTIONS.get(kind.name, {})))
        except UnboundLocalError as error:  # imageio's rawpy plugin discards LibRaw's exception
            raise ProcessingError("decode", "damaged: LibRaw cannot decode its pixels") from error
    if _has_pages(pixels.shape):
        raise ProcessingError("decode", f"has {len(pixels)} pages or frames")
    check_size(pixels.shape[1], pixels.shape[0], max_pixels)
    if pixels.dtype != np.uint8 and kind.name not in READ_OPTIONS:
        pixels = stretch_to_16_bits(pixels.astype(np.float64), notes)
    color, alpha = _split_alpha(np.ascontiguousarray(pixels))
    metadata = _read_raw_metadata(found.path, notes) if kind == CAMERA_RAW else Metadata()
    luma, metadata = convert_pixels(color, metadata, options.profile, notes)
    is_colored = has_colors(pixels)
    return Picture(found.path, luma, alpha, kind, metadata, notes, is_colored)


def _open(path: Path, kind: Format) -> Any:
    """Opens a file with its imageio plugin. Raises ProcessingError where the plugin refuses it."""
    import imageio.v3 as iio
    from imageio.core.request import InitializationError

    imopen: Any = iio.imopen  # its overloads know no plugin name in a variable
    try:
        return imopen(path, "r", plugin=kind.imageio_plugin, legacy_mode=False)
    except OSError as error:
        if not isinstance(error.__cause__, InitializationError):
            raise
        reason = f"damaged, or a kind of {kind.name} that {kind.imageio_plugin} does not know"
        raise ProcessingError("decode", reason) from error


def _has_pages(shape: tuple[int, ...]) -> bool:
    """Whether an array is a stack of pictures, and not `(H, W)` or `(H, W, 1 to 4)`."""
    return len(shape) > 3 or (len(shape) == 3 and shape[2] > 4)


def _split_alpha(pixels: NDArray[Any]) -> tuple[NDArray[Any], Plane | None]:
    """Returns grey or RGB, and the alpha of what has it, uint8 or uint16."""
    if pixels.ndim == 2 or pixels.shape[2] not in (2, 4):
        return pixels, None
    return pixels[..., :-1], np.ascontiguousarray(pixels[..., -1])


def _read_raw_metadata(path: Path, notes: list[str]) -> Metadata:
    """Returns the metadata of a camera raw file, whose pixels LibRaw turns upright."""
    try:
        return read_camera_raw(path, notes)
    except OSError as error:
        notes.append(f"metadata dropped: they cannot be read ({error})")
        return Metadata()
