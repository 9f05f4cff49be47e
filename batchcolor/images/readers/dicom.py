"""Decodes DICOM with pydicom (DICOM PS3.3, section C.7.6.3)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.codec_samples import FileHeader, Samples, scale_to_full_range
from batchcolor.images.picture import Plane
from batchcolor.images.pixel_modes import stretch_to_16_bits

INVERTED, PALETTE = "MONOCHROME1", "PALETTE COLOR"
TAGS = ("Rows", "Columns", "NumberOfFrames", "BitsStored", "BitsAllocated", "SamplesPerPixel")
PIXEL_DATA = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
FIRST_GROUPS = (b"\x02\0", b"\x08\0", b"\0\x08")
"""The beginning of a file without the preamble."""
_registration = threading.Lock()


def read_header(path: Path) -> FileHeader:
    """Returns the size.

    Raises ProcessingError for a file without a picture, and what pydicom raises for damage.
    """
    import pydicom

    data = pydicom.dcmread(
        path, stop_before_pixels=True, specific_tags=list(TAGS), force=_lacks_preamble(path)
    )
    if "Rows" not in data or "Columns" not in data:
        raise ProcessingError("decode", "holds no picture: a DICOM report, plan or directory")
    width, height = int(data.Columns), int(data.Rows)
    if not (width and height):
        raise ValueError(f"damaged: {width} x {height} pixels in its header")
    frames = int(data.get("NumberOfFrames") or 1)
    bits = int(data.get("BitsAllocated") or 16)
    return FileHeader(width, height, max(1, frames), is_deep=bits > 8)


def decode(path: Path) -> Samples:
    """Returns the first frame: bytes as they are, others stretched to 16 bits.

    Rescale slope, window and palette of the file are applied, and MONOCHROME1 is inverted. Raises
    what pydicom raises.
    """
    import pydicom
    from pydicom.pixels.processing import apply_color_lut, apply_rescale, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    from batchcolor.images.readers import dicom_codecs

    with _registration:
        dicom_codecs.register()
    data = pydicom.dcmread(path, force=_lacks_preamble(path))
    if not any(name in data for name in PIXEL_DATA):
        raise ProcessingError("decode", "holds no picture: it has no pixel data")
    stored: Any = pixel_array(data, index=0)
    photometric = data.PhotometricInterpretation
    notes: list[str] = []
    if photometric == PALETTE:
        return Samples(_narrow_palette(apply_color_lut(stored, data)))
    values: NDArray[Any] = np.asarray(stored)
    bits = int(data.get("BitsStored") or 8)
    if values.dtype == np.uint8 and bits < 8:  # a mask, or a picture of few levels
        values = scale_to_full_range(values, (1 << bits) - 1)
    if values.ndim == 2:
        if "WindowWidth" in data or "VOILUTSequence" in data:
            plane: Plane = _apply_window(values, data)
            return Samples(~plane if photometric == INVERTED else plane, notes=notes)
        shown = np.asarray(apply_voi_lut(apply_rescale(values, data), data))
        is_same = values.dtype == np.uint8 and np.array_equal(shown, values)
        values = values if is_same else shown  # rescaling by 1 makes 64-bit numbers of bytes
    plane = _to_plane(values, notes)
    return Samples(~plane if photometric == INVERTED else plane, notes=notes)


def _lacks_preamble(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) in FIRST_GROUPS


def _narrow_palette(colours: NDArray[Any]) -> Plane:
    """Returns the colours of a palette, whose 16 bits have their value in the upper 8."""
    return colours if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)


def _apply_window(values: NDArray[Any], data: Any) -> NDArray[np.uint16]:
    """Returns samples as the window of the file shows them, 16 bits over the full range.

    pydicom returns windowed values in the range that the stored bits have after rescaling, and
    those of a lookup table in the range of its entries (PS3.3, C.11.2).
    """
    from pydicom.pixels.processing import apply_rescale, apply_voi_lut

    shown = np.asarray(apply_voi_lut(apply_rescale(values, data), data), np.float64)
    if "VOILUTSequence" in data:
        low, high = 0.0, float(2 ** data.VOILUTSequence[0].LUTDescriptor[2] - 1)
    else:
        bits, is_signed = int(data.BitsStored), bool(data.get("PixelRepresentation", 0))
        ends = np.array(
            [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if is_signed else [0, 2**bits - 1]
        )
        low, high = ends * float(data.get("RescaleSlope", 1)) + float(
            data.get("RescaleIntercept", 0)
        )
    scaled = (shown - low) * (65535 / ((high - low) or 1.0))
    plane: NDArray[np.uint16] = np.clip(scaled + 0.5, 0, 65535).astype(np.uint16)
    return plane


def _to_plane(values: NDArray[Any], notes: list[str]) -> Plane:
    """Returns bytes as they are, and others over the full range of 16 bits, with a note."""
    if values.dtype == np.uint8:
        return values
    return stretch_to_16_bits(values.astype(np.float64), notes)
