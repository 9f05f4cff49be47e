"""Color transfer from a reference photograph (`--like`), separately for each band of luma.

The chroma of a result gets the mean and, in part, the covariance of the reference's chroma in each
band of luma. Works on the chroma of any model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from batchcolor.color import rgb_to_ycbcr
from batchcolor.errors import UsageError
from batchcolor.hooks.thread_warnings import silence_warnings
from batchcolor.images.chroma_moments import MomentTransfer, measure_moments
from batchcolor.images.color_detection import has_colors

Field = NDArray[np.float32]

FRAME_SIDE = 64
"""Side of the squares in which motion in films is estimated."""
REFERENCE_SIDE = 256
"""Longer side, in pixels, to which the reference is reduced."""
MIN_REFERENCE_CHROMA = 0.004
"""Mean distance from grey below which a reference has no colour to transfer."""
NO_COLOUR = "has no colour, so it is not used: results keep the colours of the model"


class ColorTransfer:
    """Transfers the colours of one reference picture to chroma."""

    def __init__(
        self, luma: Field, chroma: Field, note: str = "", *, has_color: bool = True
    ) -> None:
        self.has_color = has_color
        """Whether there are colours to transfer; else chroma stays as it is."""
        self.note = note
        """What to tell the user about the reference; empty where it is as expected."""
        self.moments = measure_moments(luma.ravel(), chroma.reshape(2, -1))
        planes = [_resize(plane, (FRAME_SIDE, FRAME_SIDE)) for plane in (luma, *chroma)]
        self.frame: tuple[Field, Field] = planes[0], np.stack(planes[1:])
        """The reference as a frame of a film: luma `(64, 64)` and chroma `(2, 64, 64)`."""

    @classmethod
    def from_picture(cls, path: Path) -> ColorTransfer:
        """Reads the reference. Raises UsageError if it cannot be read.

        One that is toned, as a sepia print, is used with a note; one in grey is noted and not used.
        """
        if not path.is_file():
            raise UsageError(f"--like {path}: cannot be read, there is no such file")
        try:
            with silence_warnings(), Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened).convert("RGB")
        except Exception as error:  # a decoder may raise anything
            raise UsageError(f"--like {path}: cannot be read as a picture") from error
        image.thumbnail((REFERENCE_SIDE, REFERENCE_SIDE))
        red, green, blue = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
        luma, cb, cr = rgb_to_ycbcr(red, green, blue)
        has_color = float(np.hypot(cb, cr).mean()) >= MIN_REFERENCE_CHROMA
        note = ""
        if not has_color:
            note = f"reference {path}: {NO_COLOUR}"
        elif not has_colors(image):
            note = f"reference {path}: is toned or nearly grey; results get its tone"
        return cls(luma, np.stack([cb, cr]), note, has_color=has_color)

    def apply(self, chroma: Field, square: Field) -> Field:
        """Returns chroma `(2, s, s)` with the reference's colours; `square` is luma `(S, S)`."""
        if not self.has_color:
            return chroma
        side = chroma.shape[1:]
        luma = _resize(square, side)
        own = measure_moments(luma.ravel(), chroma.reshape(2, -1).astype(np.float64))
        return MomentTransfer(own, self.moments).apply(luma, chroma)


def _resize(plane: Field, shape: tuple[int, ...]) -> Field:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BOX))
