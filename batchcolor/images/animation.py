"""Reads the frames of animated PNG, WebP and AVIF in order, each as a whole picture."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from batchcolor.images.color_detection import has_colors
from batchcolor.images.color_profiles.icc import plan_conversion
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.formats import AVIF, PNG, WEBP, Format
from batchcolor.images.metadata.read import read_file_metadata
from batchcolor.images.picture import Picture
from batchcolor.images.pixel_modes import find_color_space, split_luma_and_alpha
from batchcolor.images.png.png_chunks import keep_pixel_chunks, read_png_header
from batchcolor.images.png.png_color import (
    PngColor,
    read_png_color,
    replace_color_blocks,
    select_output,
)
from batchcolor.images.readers.heif_depth import note_hdr, read_heif_bits, read_heif_profile
from batchcolor.images.scan import ScannedFile

ANIMATION_FLAG = 0x02
"""Flag of the chunk VP8X."""
SEQUENCE_BRAND, MAX_BRANDS = b"avis", 1024


@dataclass(frozen=True)
class AnimationHeader:
    """Canvas and number of frames; a file that is no animation has one frame."""

    width: int
    height: int
    frames: int
    has_default_image: bool = False
    """Whether the first one is a picture for viewers without animation, and no frame."""


def read_animation_header(path: Path, kind: Format | None) -> AnimationHeader | None:
    """Returns the header of an animated PNG, WebP or AVIF; None for others and damaged ones."""
    try:
        if kind == PNG:
            png = read_png_header(path)
            header = AnimationHeader(png.width, png.height, png.frames, png.has_default_image)
        elif kind == WEBP:
            header = _read_webp_header(path)
        elif kind == AVIF:
            header = _read_avif_header(path)
        else:
            return None
    except Exception:  # the reader of single pictures reports the damage
        return None
    return header if header.frames > 1 else None


def _read_webp_header(path: Path) -> AnimationHeader:
    """Counts the chunks ANMF (RFC 9649, section 2.7.1.1)."""
    with path.open("rb") as file:
        head = file.read(30)
        if head[12:16] != b"VP8X" or not head[20] & ANIMATION_FLAG:
            return AnimationHeader(1, 1, 1)
        width, height = (int.from_bytes(head[i : i + 3], "little") + 1 for i in (24, 27))
        frames = 0
        while len(chunk := file.read(8)) == 8:
            frames += chunk[:4] == b"ANMF"
            size = struct.unpack_from("<I", chunk, 4)[0]
            file.seek(size + size % 2, 1)
    return AnimationHeader(width, height, frames)


def _read_avif_header(path: Path) -> AnimationHeader:
    """Asks libavif for the frames of a file that has the brand of image sequences."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(4), "big")
        if SEQUENCE_BRAND not in file.read(min(size, MAX_BRANDS)):
            return AnimationHeader(1, 1, 1)
    with Image.open(path) as image:
        return AnimationHeader(*image.size, int(getattr(image, "n_frames", 1)))


class AnimationReader:
    """Decodes frames one after another.

    `loop` is how often the animation is shown, 0 where it never ends; `size` is its canvas.
    """

    def __init__(self, found: ScannedFile, options: DecodeOptions) -> None:
        assert found.format is not None
        self._found, self._kind, self._options = found, found.format, options
        self._data = found.path.read_bytes()
        pixels = keep_pixel_chunks(self._data) if self._kind == PNG else self._data
        self._image: Any = Image.open(io.BytesIO(pixels))
        self.loop = int(self._image.info.get("loop", 0))
        self.frames = int(getattr(self._image, "n_frames", 1))
        self.has_alpha = self._image.has_transparency_data
        self.size: tuple[int, int] = self._image.size
        self._notes: list[str] = [found.note] if found.note else []
        metadata, _ = read_file_metadata(self._data, self._image, self._kind.name, self._notes)
        if self._kind == AVIF:
            icc = metadata.icc or read_heif_profile(self._data, AVIF)
            metadata = replace(metadata, icc=icc)
            bits = read_heif_bits(self._data, AVIF)
            note_hdr(self._data, self._notes)
            self._notes += [f"{bits} bits reduced to 8: it is an animation"] if bits > 8 else []
        self._metadata = metadata
        self._color: PngColor | None = None
        if self._kind == PNG:
            self._color = read_png_color(self._data, metadata, self._notes)

    @property
    def metadata_names(self) -> list[str]:
        """Kinds of metadata beside pixels and profile that the file has."""
        found = self._metadata
        names = {
            "EXIF": found.exif,
            "XMP": found.xmp,
            "IPTC": found.iptc,
            "comments": found.comments,
        }
        return [name for name, content in names.items() if content]

    def read(self, number: int) -> tuple[Picture, float]:
        """Returns a frame, composited on those before it, and its duration in milliseconds.

        All frames of an animation have transparency, or none. The first one has the metadata.
        Raises whatever Pillow raises.
        """
        self._image.seek(number)
        self._image.load()
        duration = float(self._image.info.get("duration", 0) or 0)
        image = self._image.convert("RGBA" if self.has_alpha else "RGB")
        notes = list(self._notes)
        profile = self._color.profile if self._color else self._metadata.icc
        output = self._options.profile
        output = select_output(self._color, output) if self._color else output
        space = find_color_space(image, profile)
        conversion = plan_conversion(profile, space, output, notes)
        luma, alpha = split_luma_and_alpha(image, notes, conversion)
        if self.has_alpha and alpha is None:
            alpha = np.full_like(luma, 255)
        metadata = replace(self._metadata, icc=conversion.target)
        if self._color:
            metadata = replace_color_blocks(self._metadata, self._color, conversion.target)
        picture = Picture(
            self._found.path, luma, alpha, self._kind, metadata, notes, has_colors(image)
        )
        return picture, duration

    def close(self) -> None:
        """Frees the decoder."""
        self._image.close()
