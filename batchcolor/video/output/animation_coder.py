"""Codes the frames of an animated PNG or WebP: each the rectangle that has changed."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.encode import ENCODER_ERRORS, encode
from batchcolor.images.formats import WEBP
from batchcolor.images.join import JoinedImage
from batchcolor.images.metadata.model import Metadata
from batchcolor.video.output.changed_area import Area, find_area
from batchcolor.video.output.frame_coder import CodedFrame
from batchcolor.video.output.frame_pixels import render_pixels
from batchcolor.video.output.output_spec import OutputSpec

PLACE = struct.Struct("<II")
"""Precedes each picture: its left and top in the canvas."""
WEBP_STEP = 2
"""WebP stores halves of left and top."""
MAX_UNSEEN_CHANGE = {WEBP.name: 2}
"""Levels by which a pixel may differ from the one that is shown, in formats that are not lossless;
compression moves pixels by more."""


class AnimationCoder:
    """Codes the frames of one segment. The first is whole, so that segments are independent.

    Rectangles replace what is shown at their place, transparency included. `metadata` is written to
    the first picture.
    """

    def __init__(self, output: OutputSpec, metadata: Metadata, quality: int | None) -> None:
        still = output.container.still
        assert still is not None
        self._output, self._still, self._quality = output, still, quality
        self._metadata = metadata
        self._step = WEBP_STEP if still == WEBP else 1
        self._tolerance = MAX_UNSEEN_CHANGE.get(still.name, 0)
        self._shown: NDArray[Any] | None = None

    def encode(self, frame: VideoFrame | None) -> list[CodedFrame]:
        """As `FrameCoder.encode`."""
        if frame is None:
            return []
        assert frame.pts is not None
        pixels = render_pixels(frame, self._output.frame_format)
        is_first = self._shown is None
        if self._shown is None:
            area, self._shown = Area(0, 0, pixels.shape[1], pixels.shape[0]), pixels.copy()
        else:
            area = find_area(self._find_changes(pixels, self._shown), self._step)
            area.crop(self._shown)[...] = area.crop(pixels)
        metadata = self._metadata if is_first else Metadata()
        part = np.ascontiguousarray(area.crop(pixels))
        joined = JoinedImage(self._still, rgb=part, bits=self._output.frame_format.bits)
        try:
            picture = encode(joined, metadata, self._quality)
        except ENCODER_ERRORS as error:
            raise ProcessingError("encode", f"{self._still.name}: {error}") from error
        return [CodedFrame(frame.pts, PLACE.pack(area.left, area.top) + picture, is_first)]

    def _find_changes(self, pixels: NDArray[Any], shown: NDArray[Any]) -> NDArray[np.bool_]:
        """Returns where a frame differs visibly from what is shown; in alpha, at all."""
        change = np.maximum(pixels, shown) - np.minimum(pixels, shown)
        is_changed: NDArray[np.bool_] = (change[..., :3] > self._tolerance).any(axis=2)
        is_changed |= (change[..., 3:] > 0).any(axis=2)
        return is_changed
