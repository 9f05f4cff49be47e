"""Reads the formats that have a decoder of their own here, one module each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from batchcolor.images.codec_samples import FileHeader, Samples
from batchcolor.images.color_detection import has_colors
from batchcolor.images.color_profiles.icc import (
    CMYK,
    GREY,
    RGB,
    convert_cmyk_to_rgb,
    plan_conversion,
)
from batchcolor.images.decode_options import DEFAULT_OPTIONS, DecodeOptions
from batchcolor.images.formats import (
    BMP,
    DICOM,
    DPX,
    FITS,
    ICON,
    JPEG_2000,
    JPEG_XL,
    NETPBM,
    OPENEXR,
    PCX,
    PSD,
    RADIANCE,
    SGI,
    SUN_RASTER,
    TGA,
    Format,
)
from batchcolor.images.metadata.pillow import read_metadata
from batchcolor.images.picture import Picture, check_size, note_dropped_frames
from batchcolor.images.scan import ScannedFile

MODULES = {
    BMP.name: "bmp",
    JPEG_XL.name: "jpeg_xl",
    JPEG_2000.name: "jpeg2000",
    PSD.name: "psd",
    NETPBM.name: "netpbm",
    SGI.name: "sgi",
    TGA.name: "tga",
    PCX.name: "pcx",
    ICON.name: "icon",
    SUN_RASTER.name: "sun_raster",
    DPX.name: "dpx",
    OPENEXR.name: "openexr",
    RADIANCE.name: "radiance",
    FITS.name: "fits",
    DICOM.name: "dicom",
}
"""Modules of this package with `read_header(path)` and `decode(path)`, by format name; imported
when the first such file is read."""


SAMPLE_SIDE = 256
"""Pixels of the longer side of the sample that decides whether CMYK or Lab is in colour."""


@dataclass(frozen=True)
class Codec:
    """The functions of a module in `MODULES`."""

    read_header: Callable[[Path], FileHeader]
    decode: Callable[[Path], Samples]


def find_codec(kind: Format) -> Codec | None:
    """Returns the decoder of a format, or None where it has none of its own."""
    name = MODULES.get(kind.name)
    if name is None:
        return None
    module: Any = import_module(f"batchcolor.images.readers.{name}")
    return Codec(module.read_header, module.decode)


def decode_with_codec(
    found: ScannedFile, max_pixels: int, options: DecodeOptions = DEFAULT_OPTIONS
) -> Picture:
    """Returns the picture of a file. Raises whatever the decoder raises.

    The size is compared with `max_pixels` again, as the file may have changed since the header
    was read.
    """
    assert found.format is not None
    codec = find_codec(found.format)
    assert codec is not None
    header = codec.read_header(found.path)
    check_size(header.width, header.height, max_pixels)
    samples = codec.decode(found.path)
    notes = [found.note] if found.note else []
    note_dropped_frames(header.pages, notes)
    notes += samples.notes
    metadata = _check_metadata(samples, notes)
    is_colored = samples.is_colored
    if is_colored is None:
        is_colored = _has_colors(samples)
    space = samples.space or (GREY if samples.pixels.ndim == 2 else RGB)
    conversion = plan_conversion(metadata.icc, space, options.profile, notes)
    luma, metadata = conversion.to_luma(samples.pixels), replace(metadata, icc=conversion.target)
    return Picture(
        *(found.path, luma, samples.alpha, found.format, metadata, notes, is_colored),
        bits=samples.bits,
    )


def _has_colors(samples: Samples) -> bool:
    """Whether the pixels show colours; those of CMYK and Lab are converted, few of them."""
    if not samples.space:
        return has_colors(samples.pixels)
    step = max(1, max(samples.pixels.shape[:2]) // SAMPLE_SIDE)
    few = samples.pixels[::step, ::step]
    if samples.space == CMYK:
        return has_colors(convert_cmyk_to_rgb(few))
    eight_bit = np.ascontiguousarray(few if few.dtype == np.uint8 else few >> 8, np.uint8)
    return has_colors(Image.frombytes("LAB", eight_bit.shape[1::-1], eight_bit.tobytes()))


def _check_metadata(samples: Samples, notes: list[str]) -> Any:
    """Returns the metadata, checked like that of a file that Pillow opens."""
    carrier = Image.new("RGB", (1, 1))
    blocks = {
        "exif": samples.exif and b"Exif\0\0" + samples.exif,
        "icc_profile": samples.icc,
        "xmp": samples.xmp,
        "dpi": samples.dpi,
    }
    carrier.info.update({name: block for name, block in blocks.items() if block})
    metadata, _ = read_metadata(carrier, notes)
    return replace(metadata, photoshop=samples.photoshop, iptc=samples.iptc, blocks=samples.blocks)
