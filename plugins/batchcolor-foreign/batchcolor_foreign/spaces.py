"""Converts luma to the input of a foreign network, and its output to Cb, Cr; all in float32."""

from __future__ import annotations

import torch
from torch.nn import functional

from batchcolor.color import lab_to_cbcr, luma_to_lightness, rgb_to_ycbcr
from batchcolor_foreign import Input, Scale, Space

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CHANNELS: dict[Input, int] = {
    "l100": 1,
    "l": 1,
    "l-50": 1,
    "l50": 1,
    "grey": 1,
    "signed": 1,
    "rgb": 3,
    "rgb-signed": 3,
    "imagenet": 3,
}
"""Channels of each kind of input."""


def resize(field: torch.Tensor, side: int) -> torch.Tensor:
    """Resizes `(N, C, S, S)` to `(N, C, side, side)`, with antialiasing."""
    if field.shape[-1] == side:
        return field
    return functional.interpolate(
        field, (side, side), mode="bilinear", align_corners=False, antialias=True
    )


def prepare_input(luma: torch.Tensor, kind: Input) -> torch.Tensor:
    """Converts luma `(N, 1, s, s)` in 0..1 to the network's input `(N, 1 or 3, s, s)`."""
    if kind in ("grey", "signed"):
        return luma if kind == "grey" else 2 * luma - 1
    if CHANNELS[kind] == 3:
        thrice = luma.expand(-1, 3, -1, -1)
        if kind == "rgb-signed":
            return 2 * thrice - 1
        if kind == "imagenet":
            mean = luma.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
            return (thrice - mean) / luma.new_tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1)
        return thrice
    lightness = luma_to_lightness(luma)
    return {
        "l100": lambda: lightness / 100,
        "l": lambda: lightness,
        "l-50": lambda: lightness - 50,
        "l50": lambda: lightness / 50 - 1,
    }[kind]()


def convert_output(
    given: torch.Tensor, luma: torch.Tensor, space: Space, scale: Scale
) -> torch.Tensor:
    """Converts the network's output for luma `(N, 1, S, S)` to Cb, Cr `(N, 2, s, s)`.

    The lightness of the output (L*, a*, b* or RGB) is ignored: the picture keeps its own. Raises
    ValueError for a wrong number of channels.
    """
    wanted = {"lab": (2, 3), "rgb": (3,), "cbcr": (2,)}[space]
    if given.shape[1] not in wanted:
        kinds = " or ".join(map(str, wanted))
        raise ValueError(
            f"the network returns {given.shape[1]} channels; space={space} has {kinds}"
        )
    if space == "lab":
        ab = given[:, -2:] * {"plain": 1.0, "110": 110.0, "128": 128.0}[scale]
        return lab_to_cbcr(luma_to_lightness(resize(luma, ab.shape[-1])), ab)
    if space == "rgb":
        rgb = {
            "plain": lambda: given,
            "signed": lambda: (given + 1) / 2,
            "255": lambda: given / 255,
        }[scale]().clamp(0, 1)
        _, cb, cr = rgb_to_ycbcr(rgb[:, :1], rgb[:, 1:2], rgb[:, 2:])
        return torch.cat([cb, cr], dim=1)
    return {
        "plain": lambda: given,
        "signed": lambda: given / 2,
        "255": lambda: (given - 128) / 255,
    }[scale]()
