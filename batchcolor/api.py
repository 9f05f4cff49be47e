"""batchcolor from Python: one picture, or many with one loaded model; the command's own engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError, UsageError
from batchcolor.hooks.manager import load_plugins
from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.images.decode import decode
from batchcolor.images.encode import join
from batchcolor.images.formats import PNG
from batchcolor.images.picture import Picture, luma_from_array, resize_luma
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import Runner, load_runner
from batchcolor.pipeline.settings import MAX_PIXELS

if TYPE_CHECKING:
    import torch


class LoadedColorizer:
    """A model on its device, for as many pictures as you like. Not for several threads at once."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.name, self.working_size = runner.name, runner.working_size

    def __call__(self, luma: torch.Tensor | NDArray[np.float32]) -> NDArray[np.float32]:
        """Chroma `(N, 2, s, s)` in -0.5..0.5 for luma squares `(N, 1, S, S)` in 0..1.

        S is `working_size`. Raises ProcessingError where the model fails.
        """
        squares = np.asarray(luma, np.float32)
        wanted = (1, self.working_size, self.working_size)
        if squares.ndim != 4 or squares.shape[1:] != wanted:
            raise UsageError(f"luma has shape {squares.shape}, not (N, {wanted})")
        fields = self._runner.run([square[0] for square in squares])
        for field in fields:
            if isinstance(field, ProcessingError):
                raise field
        return np.stack([field for field in fields if not isinstance(field, ProcessingError)])

    def colorize(self, image: Any, strength: float = 1.0) -> Any:
        """The picture in colour, its luma kept.

        A Pillow image or a path gives a Pillow image (RGB, or RGBA where it had transparency);
        an array `(H, W)` or `(H, W, 3)`, uint8 or uint16, gives an array `(H, W, 3)` of its type.
        Raises ProcessingError for a picture that cannot be read or coloured.
        """
        if not 0 <= strength <= 2:
            raise UsageError(f"strength {strength}: a number from 0 to 2")
        picture = _picture(image)
        square = resize_luma(picture.luma, self.working_size)
        chroma = self._runner.run([square])[0]
        if isinstance(chroma, ProcessingError):
            raise chroma
        rgb = join(picture, chroma, strength, PNG).rgb
        if isinstance(image, np.ndarray):
            return rgb
        if rgb is not None and rgb.dtype == np.uint16:
            rgb = (rgb >> 8).astype(np.uint8)  # Pillow has no 16-bit colour
        return Image.fromarray(np.asarray(rgb))


def load_colorizer(
    name: str = DEFAULT_MODEL,
    *,
    device: str = "auto",
    precision: str = "auto",
    weights: str | os.PathLike[str] | None = None,
    options: Mapping[str, str] | None = None,
    like: str | os.PathLike[str] | None = None,
) -> LoadedColorizer:
    """The installed model of that name, with its weights, on a device.

    `options` are the model's own, as `--set` takes them; `like` is a colour picture whose palette
    the results are moved toward. Raises UnknownModelError, WeightsError,
    PluginError, UsageError.
    """
    return LoadedColorizer(
        load_runner(
            load_plugins().find(name),
            LoadOptions(
                options=tuple((options or {}).items()),
                weights=Path(weights) if weights is not None else None,
                device=device,
                precision=precision,
                batch_size=1,
                like=Path(like) if like is not None else None,
            ),
        )
    )


_LOADED: dict[str, LoadedColorizer] = {}


def colorize(image: Any, model: str = DEFAULT_MODEL, strength: float = 1.0) -> Any:
    """A picture in colour: see `LoadedColorizer.colorize`. The model stays loaded between calls."""
    if model not in _LOADED:
        _LOADED[model] = load_colorizer(model)
    return _LOADED[model].colorize(image, strength)


def _picture(image: Any) -> Picture:
    if isinstance(image, str | os.PathLike):
        if not Path(image).exists():
            raise ProcessingError("scan", f"{image}: no such file")
        found = next(iter(scan(Path(image))), None)
        if not isinstance(found, ScannedFile):
            reason = found.reason if found else "not a picture"
            raise ProcessingError("scan", f"{image}: {reason}")
        if found.film:
            raise ProcessingError("scan", f"{image}: is a film; `batchcolor run` colours it")
        return decode(found, MAX_PIXELS)
    if isinstance(image, Image.Image):
        alpha = None
        if "A" in image.getbands() or "transparency" in image.info:
            alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if image.mode.startswith("I;16"):
            return Picture(Path("image"), np.asarray(image).astype(np.uint16), None, PNG)
        return Picture(Path("image"), np.asarray(image.convert("L")), alpha, PNG)
    if isinstance(image, np.ndarray):
        if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or not image.size:
            raise UsageError(
                f"an array of {image.dtype} {image.shape}: "
                f"give uint8 or uint16, (H, W) or (H, W, 3)"
            )
        return Picture(Path("array"), luma_from_array(image), None, PNG)
    raise UsageError(f"cannot colour a {type(image).__name__}")
