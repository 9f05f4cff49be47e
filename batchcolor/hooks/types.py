"""The types of the plugin contract: what a colorizer takes and returns, and its description.

A colorizer is a `torch.nn.Module`, or any callable of the same form:

    luma    float tensor (N, 1, S, S), 0..1: BT.601 full-range luma, gamma-encoded as stored,
            on the device and in the precision of the runner; S is the working size
    returns chroma, float tensor (N, 2, s, s), Cb and Cr in -0.5..0.5 (BT.601 full range),
            with any s

It has no state between calls unless its spec has `temporal=True`; then it gets the frames of
one film in order, one a call (N is 1), and a `reset()` before the first frame of each shot and
before each still image. A film that is resumed starts again at the first frame of its shot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

DEFAULT_MODEL = "delta"
"""The model of every command and function if none is given."""

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""The IPTC vocabulary that states where a picture comes from."""
COMPOSITE_WITH_AI = f"{SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
"""A photograph to which a trained network has added colours."""
ALGORITHMICALLY_ENHANCED = f"{SOURCE_TYPES}algorithmicallyEnhanced"
"""A photograph that an algorithm without training has changed: a toner."""

CONTRACT_VERSION = 1
"""It is increased when plugins for an older batchcolor no longer work."""


class Colorizer(Protocol):
    """Predicts chroma from luma; shapes and ranges are on top of this file."""

    def __call__(self, luma: torch.Tensor, /) -> torch.Tensor:
        """Returns chroma `(N, 2, s, s)` in -0.5..0.5 for luma `(N, 1, S, S)` in 0..1."""
        ...


@runtime_checkable
class TemporalColorizer(Colorizer, Protocol):
    """A colorizer with a state for each shot of a film; its spec has `temporal=True`."""

    def reset(self) -> None:
        """Clears the state: the next frame is the first of a shot."""
        ...


class HintedColorizer(Protocol):
    """A colorizer that takes the colour hints of a person; its spec has `hints=True`."""

    def __call__(self, luma: torch.Tensor, hints: torch.Tensor, /) -> torch.Tensor:
        """Returns chroma `(N, 2, s, s)` for luma `(N, 1, S, S)` and hints `(N, 3, S, S)`.

        The first channel of the hints is 1 where a hint is and 0 elsewhere; the others are its Cb
        and Cr in -0.5..0.5, and 0 elsewhere. Pictures without hints have zeros.
        """
        ...


@runtime_checkable
class DoubtfulColorizer(Colorizer, Protocol):
    """A colorizer that knows how unsure it is. The method is optional."""

    def colorize_with_doubt(self, luma: torch.Tensor, /) -> torch.Tensor:
        """Returns `(N, 3, s, s)` for luma `(N, 1, S, S)`: the chroma of a call, and the expected
        CIEDE2000 error of the predicted distribution, divided by 100, in 0..0.5.

        With `hints=True` in the spec it takes the hints as well.
        """
        ...


@dataclass(frozen=True)
class Recipe:
    """How `batchcolor train` trains a model; each value is the default of an option."""

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
    """Momentum of `rmsprop` and `sgd`."""
    ema: float = 0.999
    """Decay per step of the averaged weights, which are evaluated and saved; 0 disables them."""
    loss: Literal["rgb-mse", "chroma-huber", "model", "own"] = "rgb-mse"
    """`model`: the network returns its loss when it is called with luma and target chroma.
    `own` is an alias of it."""
    random_crop: float = 1.0
    """Smallest part of the picture's area in a training crop; 1 disables cropping."""
    scale_jitter: float = 0.0
    """Largest change of the crop size between steps, as a share of `size`, in steps of 32 px."""
    rotation: float = 0.0
    """Largest rotation of a training crop, in degrees, in both directions."""
    shift: int = 0
    """Largest shift of an uncropped picture, in pixels; its edge is mirrored."""
    erase: float = 0.0
    """Share of the pictures with a square erased from the input, and not from the target."""
    degrade: float = 0.0
    """Share of the pictures whose luma is degraded like that of an old photograph."""
    encoder_rate: float = 1.0
    """Factor on the learning rate of the parameters of `encoder`, which are pre-trained."""


@dataclass(frozen=True)
class ColorizerSpec:
    """One colorizer, as a plugin registers it with `batchcolor_colorizers`.

    `build(options)` returns the colorizer without weights; `options` there is an instance of
    the spec's `options` dataclass, or None where it has none.
    """

    name: str
    summary: str
    """One line, shown by `batchcolor models`: what the model is good for, then what it is."""
    working_size: int
    """S, the side of the luma square, in pixels."""
    build: Callable[[Any], Colorizer]
    weights: str | Path | None = None
    """A safetensors file: a name is searched for (see the plugin guide), an absolute path is
    used as it is; None for a colorizer without weights."""
    options: type[Any] | None = None
    """A dataclass whose fields are the `--set` keys, see `options.py`."""
    recipe: Recipe | None = None
    """Defaults of `batchcolor train`; None for a model that it cannot train."""
    licence: str = "unstated"
    temporal: bool = False
    """Whether the colorizer has a state for each shot, and a `reset()`."""
    digital_source_type: str = COMPOSITE_WITH_AI
    """What results are marked as in their metadata: a URI of the IPTC vocabulary
    `digitalsourcetype`; `ALGORITHMICALLY_ENHANCED` for a colorizer that is not trained."""
    rearrange_for_inference: Callable[[Any], torch.nn.Module] | None = None
    """Returns a module with the results of the colorizer, but for rounding, and fewer operations.
    It is exported in place of the colorizer, which still runs in torch."""
    hints: bool = False
    """Whether the colorizer takes colour hints as its second argument, see HintedColorizer; those
    of other colorizers are propagated over their chroma."""
    hints_optional: bool = False
    """With `hints`: pictures without hints are coloured by a call with luma alone, which has the
    same result and need not run in torch. One picture with hints is a batch of its own."""
    hints_propagated: bool = False
    """With `hints`: hints are propagated over the chroma of the colorizer as well, as it follows
    them only in part."""


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
    """The profile of the pixels, grey or RGB; a grey one is converted to sRGB."""
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


Status: TypeAlias = Literal["done", "copied", "skipped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """The result of one picture or film, as `batchcolor_done` gets it."""

    source: Path
    target: Path | None
    status: Status
    """`copied`: it is in colour already, and the result is a copy of the source."""
    step: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
