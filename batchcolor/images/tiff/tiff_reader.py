"""Reads TIFF: every photometric interpretation, layout, sample type and compression.

tifffile reads the structure and imagecodecs decompresses; libtiff, through imagecodecs, reads the
few compressions that they do not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.color_detection import has_colors
from batchcolor.images.color_profiles.icc import (
    CMYK,
    GREY,
    LAB,
    RGB,
    convert_cmyk_to_rgb,
    plan_conversion,
)
from batchcolor.images.decode_errors import describe_salvage
from batchcolor.images.decode_options import DEFAULT_OPTIONS, DecodeOptions
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.metadata.read import read_tiff_page
from batchcolor.images.picture import Picture, check_size
from batchcolor.images.pixel_modes import turn_upright
from batchcolor.images.scan import ScannedFile
from batchcolor.images.tiff.tiff_codes import CCITT
from batchcolor.images.tiff.tiff_file import ORIENTATION, list_pages, open_tiff, read_page_at
from batchcolor.images.tiff.tiff_salvage import salvage_samples
from batchcolor.images.tiff.tiff_samples import ColorSamples, interpret_samples
from batchcolor.images.tiff.tiff_segments import describe_damaged_lines, read_samples

if TYPE_CHECKING:
    import tifffile

SPACES = {"grey": GREY, "rgb": RGB, "cmyk": CMYK, "lab": LAB}
"""The colour spaces of samples, as profiles state them."""
SAMPLE_SIDE = 512
"""Pixels that colour detection looks at, along the longer side."""


def decode_tiff(
    found: ScannedFile,
    max_pixels: int,
    options: DecodeOptions = DEFAULT_OPTIONS,
) -> Picture:
    """Returns the page of the options, upright: 8 bits stay 8, more become 16.

    Raises ProcessingError for more than `max_pixels` and for what is not readable, and errors of
    tifffile and imagecodecs for damaged data.
    """
    assert found.format is not None
    notes = [found.note] if found.note else []
    with open_tiff(found.path, notes) as file:
        page = _find_page(file, options, notes)
        check_size(page.imagewidth, page.imagelength, max_pixels)
        samples = interpret_samples(_read_samples(page, options, notes), page, notes)
        metadata, orientation = _read_page_metadata(found.path, page, notes)
    is_colored = samples.space != "grey" and has_colors(_thin_out_rgb(samples))
    conversion = plan_conversion(metadata.icc, SPACES[samples.space], options.profile, notes)
    stored: NDArray[Any] = np.ascontiguousarray(conversion.to_luma(samples.color))
    luma, alpha = turn_upright((stored, samples.alpha), orientation)
    metadata = replace(metadata, icc=conversion.target)
    return Picture(found.path, luma, alpha, found.format, metadata, notes, is_colored)


def _find_page(
    file: tifffile.TiffFile, options: DecodeOptions, notes: list[str]
) -> tifffile.TiffPage:
    """Returns the page of the options; notes where others are not coloured."""
    if options.page_offset is not None:
        return read_page_at(file, options.page or 0, options.page_offset)
    pages = list_pages(file)
    if options.page is None and len(pages) > 1:
        notes.append(f"only the first of its {len(pages)} pages is coloured (--pages all)")
    return pages[options.page or 0]


def _read_samples(
    page: tifffile.TiffPage, options: DecodeOptions, notes: list[str]
) -> NDArray[Any]:
    """Returns the samples as stored; with `options.salvage` also those of a damaged page."""
    try:
        samples = read_samples(page)
        if page.compression in CCITT and (note := describe_damaged_lines(page)):
            notes.append(note)
        return samples
    except Exception as error:  # decoders raise any type of error
        salvaged = salvage_samples(page) if options.salvage else None
        if salvaged is None:
            raise
        notes.append(describe_salvage(error))
        return salvaged


def convert_to_rgb(color: NDArray[Any], space: str) -> NDArray[Any]:
    """Returns sRGB `(h, w, 3)` of grey, RGB, CMYK or Lab samples, as `ColorSamples` has them."""
    if space == "cmyk":
        return convert_cmyk_to_rgb(color)
    if space == "lab":
        return _lab_to_rgb(color)
    return color if space == "rgb" else color.repeat(3, axis=2)


def _lab_to_rgb(color: NDArray[Any]) -> NDArray[Any]:
    """Returns sRGB of Lab relative to D50, converted by LittleCMS."""
    import imagecodecs

    rgb: NDArray[Any] = imagecodecs.cms_transform(
        np.ascontiguousarray(color),
        imagecodecs.cms_profile("lab4"),
        imagecodecs.cms_profile("srgb"),
        colorspace="lab",
        outcolorspace="rgb",
        outdtype=str(color.dtype),
    )
    return rgb


def _thin_out_rgb(samples: ColorSamples) -> Image.Image | NDArray[Any]:
    """Returns what decides whether a page is in colour: 8-bit RGB whole, else every n-th pixel."""
    color = samples.color
    if samples.space == "rgb" and color.dtype == np.uint8 and color.flags.c_contiguous:
        return Image.fromarray(color)
    step = max(1, max(color.shape[:2]) // SAMPLE_SIDE)
    return convert_to_rgb(color[::step, ::step], samples.space)


def _read_page_metadata(
    path: Path, page: tifffile.TiffPage, notes: list[str]
) -> tuple[Metadata, int]:
    """Returns the metadata of a page for its upright pixels, and its orientation, 1 to 8."""
    metadata, orientation = read_tiff_page(path, notes, page.offset)
    stored = page.tags.valueof(ORIENTATION)
    return metadata, stored if isinstance(stored, int) and 1 <= stored <= 8 else orientation
