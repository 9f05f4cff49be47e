"""batchcolor from Python: one picture, many pictures with one model, or a whole job."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError, UsageError
from batchcolor.hooks.manager import load_plugins
from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.images.decode import decode, make_picture
from batchcolor.images.formats import CRASH_PRONE_FORMATS, PNG
from batchcolor.images.isolation.isolated_decoder import IsolatedDecoder
from batchcolor.images.join import join
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.picture import Picture, array_to_luma, reduce_to_8_bits, resize_luma
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.inference.runner import Runner, load_runner
from batchcolor.pipeline.options.arguments import (
    ModelArguments,
    RunArguments,
    StrPath,
    make_load_options,
    make_run_settings,
)
from batchcolor.pipeline.options.settings import MAX_PIXELS, check_strength, default_memory
from batchcolor.pipeline.report import Report

if TYPE_CHECKING:
    import torch

Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
ImageInput: TypeAlias = StrPath | Image.Image | Pixels
ColorizedImage: TypeAlias = Image.Image | Pixels


class LoadedColorizer:
    """A model on its device, for any number of pictures. Not for several threads at once."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.name, self.working_size = runner.name, runner.working_size

    def __repr__(self) -> str:
        backend = self._runner.backend
        return (
            f"<LoadedColorizer {self.name!r} on {backend.device_name} ({backend.precision}), "
            f"working size {self.working_size}>"
        )

    def __call__(self, luma: torch.Tensor | NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns chroma `(N, 2, s, s)` in -0.5..0.5 for luma squares `(N, 1, S, S)` in 0..1.

        S is `working_size`. Raises UsageError for another shape, ProcessingError where the model
        fails.
        """
        squares = np.asarray(luma, np.float32)
        expected = (1, self.working_size, self.working_size)
        if squares.ndim != 4 or squares.shape[1:] != expected:
            raise UsageError(f"luma has shape {squares.shape}, not (N, {expected})")
        fields = self._runner.run([square[0] for square in squares])
        for field in fields:
            if isinstance(field, ProcessingError):
                raise field
        return np.stack([field for field in fields if not isinstance(field, ProcessingError)])

    @overload
    def colorize(self, image: StrPath | Image.Image, strength: float = 1.0) -> Image.Image: ...

    @overload
    def colorize(self, image: Pixels, strength: float = 1.0) -> Pixels: ...

    def colorize(self, image: ImageInput, strength: float = 1.0) -> ColorizedImage:
        """Returns the picture in colour, its luma unchanged.

        A path or a Pillow image of any mode gives a Pillow image: upright, RGB, or RGBA for a
        picture with transparency, with EXIF, ICC profile and resolution in its `info`. An array
        `(H, W)` or `(H, W, 3)`, uint8 or uint16, gives an array `(H, W, 3)` of its type. Raises
        UsageError for another type, ProcessingError for a picture that cannot be read or coloured.
        """
        _check_strength(strength)
        picture = _read_picture(image)
        chroma = self._runner.run([resize_luma(picture.luma, self.working_size)])[0]
        if isinstance(chroma, ProcessingError):
            raise chroma
        return _join(picture, chroma, strength, as_array=isinstance(image, np.ndarray))

    def colorize_many(
        self, images: Iterable[ImageInput], strength: float = 1.0
    ) -> Iterator[ColorizedImage | ProcessingError]:
        """Yields the result of each image, in order; they run on the device in batches.

        Results are those of `colorize`. A picture that cannot be read or coloured yields its
        ProcessingError in its place, and the next ones follow; a value of a wrong type raises
        UsageError. One batch of pictures is in memory at a time.
        """
        _check_strength(strength)
        if isinstance(images, str | os.PathLike | Image.Image | np.ndarray) or not isinstance(
            images, Iterable
        ):
            raise UsageError("colorize_many takes several images; colorize takes a single one")
        return self._colorize_batches(iter(images), strength)

    def _colorize_batches(
        self, images: Iterator[ImageInput], strength: float
    ) -> Iterator[ColorizedImage | ProcessingError]:
        while batch := list(islice(images, self._runner.squares_at_once)):
            pictures = [_read_or_error(image) for image in batch]
            squares = [
                resize_luma(picture.luma, self.working_size)
                for picture in pictures
                if isinstance(picture, Picture)
            ]
            fields = iter(self._runner.run(squares))
            for image, picture in zip(batch, pictures, strict=True):
                chroma = next(fields) if isinstance(picture, Picture) else picture
                if isinstance(picture, ProcessingError):
                    yield picture
                elif isinstance(chroma, ProcessingError):
                    yield chroma
                else:
                    is_array = isinstance(image, np.ndarray)
                    yield _join(picture, chroma, strength, as_array=is_array)


def load_colorizer(
    name: str = DEFAULT_MODEL, **arguments: Unpack[ModelArguments]
) -> LoadedColorizer:
    """Loads an installed model with its weights on a device; see `ModelArguments`.

    Raises UnknownModelError, WeightsError, PluginError, UsageError.
    """
    arguments.setdefault("batch_size", 1)
    loading = make_load_options(arguments)
    return LoadedColorizer(load_runner(load_plugins().find(_model_name(name)), loading))


_LOADED: dict[str, LoadedColorizer] = {}


@overload
def colorize(
    image: StrPath | Image.Image, model: str = DEFAULT_MODEL, strength: float = 1.0
) -> Image.Image: ...


@overload
def colorize(image: Pixels, model: str = DEFAULT_MODEL, strength: float = 1.0) -> Pixels: ...


def colorize(
    image: ImageInput, model: str = DEFAULT_MODEL, strength: float = 1.0
) -> ColorizedImage:
    """Returns a picture in colour: see `LoadedColorizer.colorize`.

    The model stays loaded between calls.
    """
    if _model_name(model) not in _LOADED:
        _LOADED[model] = load_colorizer(model)
    return _LOADED[model].colorize(image, strength)


def colorize_many(
    images: Iterable[ImageInput],
    model: str = DEFAULT_MODEL,
    strength: float = 1.0,
    **arguments: Unpack[ModelArguments],
) -> Iterator[ColorizedImage | ProcessingError]:
    """Yields each image in colour, in order: see `LoadedColorizer.colorize_many`.

    Raises what `load_colorizer` raises, before the first result.
    """
    arguments.setdefault("batch_size", None)
    loaded = load_colorizer(model, **arguments)
    return loaded.colorize_many(images, strength)


def run(
    sources: StrPath | Iterable[StrPath],
    *,
    progress: Callable[[Report], None] | None = None,
    **arguments: Unpack[RunArguments],
) -> Report:
    """Runs a whole job, as `batchcolor run` does, and returns its report.

    `sources` are folders, files and globs, pictures and films; `arguments` are described by
    `RunArguments`. `progress` is called about ten times a second with the report so far, in
    this thread; an exception in it ends the job and is raised: with `watch`, which else stays until
    a signal, also the way to end it. Failed pictures, a full disk and
    signals do not raise: they are in the report's `failures`, `message` and `exit_code`. Raises
    UsageError or ModelError where the job cannot begin.
    """
    from batchcolor.pipeline.job import run as run_job

    if progress is not None and not callable(progress):
        raise UsageError(f"progress is a function that takes the report, not {progress!r}")
    settings, observe = make_run_settings(sources, arguments), progress or (lambda report: None)
    if settings.watch:
        from batchcolor.pipeline.watch.watch_job import ProgressView, run_watch

        return run_watch(settings, load_plugins(), ProgressView(observe))
    if settings.cluster is not None:
        from batchcolor.cluster.run_on_cluster import run_on_cluster

        return run_on_cluster(settings, load_plugins(), observe)
    return run_job(settings, load_plugins(), observe)


def _model_name(model: object) -> str:
    if not isinstance(model, str):
        raise UsageError(f"model={model!r}: the name of a model, such as {DEFAULT_MODEL!r}")
    return model


def _check_strength(strength: object) -> None:
    if isinstance(strength, bool) or not isinstance(strength, int | float | np.number):
        raise UsageError(f"strength={strength!r}: a number from 0 to 2")
    check_strength(float(strength))


def _read_or_error(image: ImageInput) -> Picture | ProcessingError:
    try:
        return _read_picture(image)
    except ProcessingError as error:
        return error


def _read_picture(image: ImageInput) -> Picture:
    if isinstance(image, str | os.PathLike):
        return _read_file(Path(image))
    if isinstance(image, Image.Image):
        return make_picture(image)
    if isinstance(image, np.ndarray):
        is_grey_or_rgb = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
        if image.dtype not in (np.uint8, np.uint16) or not is_grey_or_rgb or not image.size:
            raise UsageError(
                f"an array of {image.dtype} {image.shape}: "
                f"give uint8 or uint16, (H, W) or (H, W, 3)"
            )
        return Picture(Path("array"), array_to_luma(image), None, PNG)
    raise UsageError(f"cannot colour a {type(image).__name__}")


def _read_file(path: Path) -> Picture:
    if path.is_dir():
        raise UsageError(f"{path} is a folder: colour it with batchcolor.run")
    if not path.exists():
        raise ProcessingError("scan", f"{path}: no such file")
    found = next(iter(scan(path)), None)
    if not isinstance(found, ScannedFile):
        raise ProcessingError("scan", f"{path}: {found.reason if found else 'not a picture'}")
    if found.is_film:
        raise ProcessingError("scan", f"{path} is a film: colour it with batchcolor.run")
    if found.format in CRASH_PRONE_FORMATS:
        return _child.decode(found)
    return decode(found, MAX_PIXELS)


class _Child:
    """The child process for files that may crash their decoder. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoder: IsolatedDecoder | None = None

    def decode(self, found: ScannedFile) -> Picture:
        """As `decode.decode`. Raises ProcessingError, also where the decoder crashes."""
        with self._lock:
            if self._decoder is None:
                self._decoder = IsolatedDecoder(default_memory(), with_plugins=False)
                atexit.register(self._decoder.close)
            return self._decoder.decode(found, MAX_PIXELS)


_child = _Child()


def _join(
    picture: Picture, chroma: NDArray[np.float32], strength: float, *, as_array: bool
) -> ColorizedImage:
    rgb = join(picture, chroma, strength, PNG).rgb
    assert rgb is not None
    if as_array:
        return rgb
    if rgb.dtype == np.uint16:
        rgb = reduce_to_8_bits(rgb)  # Pillow has no 16-bit colour
    result = Image.fromarray(rgb)
    result.info.update(_image_info(picture.metadata))
    return result


def _image_info(metadata: Metadata) -> dict[str, Any]:
    """Metadata under the keys of Pillow's `Image.info`."""
    info = {
        "exif": b"Exif\0\0" + metadata.exif if metadata.exif else b"",
        "icc_profile": metadata.icc,
        "xmp": metadata.xmp,
        "comment": metadata.comments[0] if metadata.comments else b"",
        "dpi": metadata.dpi,
    }
    return {key: value for key, value in info.items() if value}
