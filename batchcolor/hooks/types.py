"""The contract of a model: what a colorizer takes and gives, and how it is described.

A colorizer is a `torch.nn.Module`, or any callable of the same form:

    luma    float tensor (N, 1, S, S), 0..1: BT.601 full-range luma, gamma-encoded as stored,
            on the device and in the precision that the runner chose; S is the working size
    returns chroma, float tensor (N, 2, s, s), Cb and Cr in -0.5..0.5 (BT.601 full range),
            with any s

It keeps no state between calls unless its spec says `temporal=True`; then it gets the frames of
one film in order, one a call (N is 1), and a `reset()` before the first frame of each shot and
before each still. A film that is resumed is shown to it again from the beginning of the shot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

DEFAULT_MODEL = "delta"
"""What every command and function uses unless told otherwise."""

CONTRACT_VERSION = 1
"""Raised when a plugin written for an older batchcolor would no longer work."""


class Colorizer(Protocol):
    """Small luma in, small chroma out; shapes and ranges are on top of this file."""

    def __call__(self, luma: torch.Tensor, /) -> torch.Tensor:
        """Chroma `(N, 2, s, s)` in -0.5..0.5 for luma `(N, 1, S, S)` in 0..1."""
        ...


@runtime_checkable
class TemporalColorizer(Colorizer, Protocol):
    """A colorizer that remembers the frames of a shot; its spec says `temporal=True`."""

    def reset(self) -> None:
        """Forget them: the next frame begins a shot."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How `batchcolor train` makes a model's weights; each value is a default of the command."""

    data: str
    """`cifar10`, `flowers102` or a folder."""
    size: int
    """Side of the training crop, in pixels."""
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"]
    learning_rate: float
    batch_size: int
    epochs: int
    weight_decay: float = 0.0
    momentum: float = 0.0
    """Share of the former step that is taken again, by `rmsprop` and `sgd`."""
    ema: float = 0.999
    """Decay per step of the averaged weights that are measured and kept; 0 switches it off."""
    loss: Literal["rgb-mse", "chroma-huber", "own"] = "rgb-mse"
    """`own`: the network's own, which it gives when it is called with luma and true chroma."""
    random_crop: float = 1.0
    """Least part of the picture's area that a training crop shows; 1 takes it whole."""
    scale_jitter: float = 0.0
    """Share of `size` by which the crops of a step may be smaller or larger, in steps of 32 px."""
    rotation: float = 0.0
    """Degrees by which a training crop is turned at most, to either side."""
    shift: int = 0
    """Pixels by which a picture that is not cropped is moved at most, its edge mirrored."""
    erase: float = 0.0
    """Share of the pictures in which a square is hidden from the network, but not from the loss."""
    degrade: float = 0.0
    """Share of the pictures whose luma is made as an old camera and time would have left it."""
    encoder_rate: float = 1.0
    """Share of the learning rate for parameters below `encoder`, which have learnt before."""


@dataclass(frozen=True)
class ColorizerSpec:
    """One colorizer, as a plugin registers it with `batchcolor_colorizers`.

    `build(options)` returns the colorizer without weights; `options` there is an instance of
    the spec's `options` dataclass, or None where it has none.
    """

    name: str
    summary: str
    """One line, shown by `batchcolor models`."""
    working_size: int
    """S, the side in pixels of the square of luma that it is given."""
    build: Callable[[Any], Colorizer]
    weights: str | Path | None = None
    """A safetensors file: a bare name is looked for (see the plugin guide), a path is used as
    it is; None for a colorizer that needs none."""
    options: type[Any] | None = None
    """A dataclass whose fields become `--set` keys; `field(metadata={"help": ...})` explains."""
    recipe: Recipe | None = None
    """What `batchcolor train` follows; None for a model that is not trained here."""
    licence: str = "unstated"
    temporal: bool = False
    """Whether it remembers what it has seen of a shot; then it has a `reset()`."""


class PictureInfo(Protocol):
    """The picture or film that hooks get. Other attributes of the object are private."""

    @property
    def path(self) -> Path:
        """The source file."""
        ...

    @property
    def width(self) -> int:
        """Pixels a row, upright."""
        ...

    @property
    def height(self) -> int:
        """Rows, upright."""
        ...


@dataclass(frozen=True)
class ReadImage:
    """A picture as a reader returns it, upright, with its alpha channel and metadata.

    The orientation in `exif` and `xmp` is set to 1 before they are written to the result.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    """Grey `(H, W)` or RGB `(H, W, 3)`, over the full range of its type."""
    alpha: NDArray[np.uint8] | NDArray[np.uint16] | None = None
    """`(H, W)`, of the same type as the pixels; 0 is transparent."""
    exif: bytes = b""
    """A TIFF structure, with or without `Exif\\0\\0` before it."""
    icc_profile: bytes = b""
    """An RGB profile."""
    xmp: bytes = b""
    """An XMP packet."""
    dpi: tuple[float, float] | None = None
    """Horizontal and vertical pixels an inch."""


@dataclass(frozen=True)
class Reader:
    """One more still format that batchcolor can read.

    `sniff` gets the first 64 bytes of a file and returns whether it is of this format.
    `decode` gets the path and returns a `ReadImage`, or its pixels alone. The result is written
    as PNG where batchcolor cannot write the format.
    """

    name: str
    suffixes: tuple[str, ...]
    """Lower-case, with the dot."""
    sniff: Callable[[bytes], bool]
    decode: Callable[[Path], ReadImage | NDArray[np.uint8] | NDArray[np.uint16]]


@dataclass(frozen=True)
class Outcome:
    """What became of one picture."""

    source: Path
    target: Path | None
    status: Literal["done", "skipped", "failed"]
    step: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
