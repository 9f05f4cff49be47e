"""Runs colorization networks of other projects in batchcolor, from TorchScript or ONNX files.

    batchcolor run scans --model foreign --set path=net.onnx --set space=lab

`network` opens the files, `spaces` converts colour; both are imported when the model is built.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from batchcolor import Colorizer, ColorizerSpec, hookimpl

Input = Literal["l100", "l", "l-50", "l50", "grey", "signed", "rgb", "rgb-signed", "imagenet"]
Space = Literal["lab", "rgb", "cbcr"]
Scale = Literal["plain", "110", "128", "signed", "255"]


@dataclass(frozen=True)
class ForeignOptions:
    """Describes the file. The defaults fit a network that maps L*/100 to a*, b*."""

    path: Path | None = field(
        default=None, metadata={"help": "the network: TorchScript (.pt) or ONNX (.onnx)"}
    )
    space: Space = field(
        default="lab",
        metadata={"help": "output: lab (a*, b*; or L*, a*, b*), rgb, cbcr"},
    )
    scale: Scale = field(
        default="plain",
        metadata={
            "help": "unit of the output. plain: a*, b* unscaled, RGB 0..1, CbCr -0.5..0.5; "
            "110, 128: a*, b* divided by that; signed: RGB or CbCr in -1..1; 255: 0..255"
        },
    )
    input: Input = field(
        default="l100",
        metadata={
            "help": "input. One channel: l100 (L*/100), l (L*), l-50 (L*-50), "
            "l50 (L*/50-1), grey (0..1), signed (-1..1). Three: rgb (three equal channels, 0..1), "
            "rgb-signed (-1..1), imagenet (ImageNet mean and deviation)"
        },
    )
    size: int = field(
        default=0,
        metadata={
            "help": "side of the input in pixels, 16 or more; 0: as the file states, else 256",
            "ge": 0,
            "le": 4096,
        },
    )

    def __post_init__(self) -> None:
        if 0 < self.size < 16:
            raise ValueError(f"size={self.size} is below 16")
        allowed = {
            "lab": ("plain", "110", "128"),
            "rgb": ("plain", "signed", "255"),
            "cbcr": ("plain", "signed", "255"),
        }[self.space]
        if self.scale not in allowed:
            raise ValueError(
                f"scale={self.scale} does not fit space={self.space}; "
                f"use one of {', '.join(allowed)}"
            )


def _build(options: ForeignOptions) -> Colorizer:
    from batchcolor_foreign.network import Foreign

    return Foreign(options)


@hookimpl
def batchcolor_colorizers() -> Iterable[ColorizerSpec]:
    """Returns one colorizer, whose network is a file of the user."""
    return [
        ColorizerSpec(
            name="foreign",
            summary="a network of another project: --set path=net.onnx or net.pt (TorchScript)",
            working_size=512,
            build=_build,
            options=ForeignOptions,
            licence="that of the file",
        )
    ]
