"""The ways in which colour became an old grey picture, on a batch, on the device.

A network that has only seen clean luma of today's cameras reads grain as texture and a faded
print as fog. Each way is drawn by chance for each picture, so that most are touched by a few
and some by none. Pictures are `(N, 3, S, S)`, luma `(N, 1, S, S)`, all in 0..1; the random
numbers are torch's global ones.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch.nn import functional

from batchcolor.color import KB, KG, KR

SHARE = 0.4
"""Chance of each way, for a picture that is degraded at all."""


def aged(pictures: torch.Tensor, share: float) -> torch.Tensor:
    """Luma `(N, 1, S, S)` of RGB pictures, that share of them as an old camera and time left it."""
    count, device = len(pictures), pictures.device
    old = torch.rand(count, device=device) < share
    luma = _mixed(pictures, _drawn(old))
    luma = _blurred(luma, _drawn(old))
    luma = _toned(luma, _drawn(old))
    luma = _unevenly_lit(luma, _drawn(old))
    luma = _scratched(luma, _drawn(old))
    luma = _grained(luma, _drawn(old))
    return _compressed(luma.clamp(0, 1), _drawn(old)).clamp(0, 1)


def _drawn(old: torch.Tensor) -> torch.Tensor:
    """Which pictures a way befalls: `(N, 1, 1, 1)` of 0 or 1."""
    return (old & (torch.rand(len(old), device=old.device) < SHARE)).float()[:, None, None, None]


def _between(low: float, high: float, count: int, device: torch.device) -> torch.Tensor:
    """One number a picture, `(N, 1, 1, 1)`."""
    return low + (high - low) * torch.rand(count, 1, 1, 1, device=device)


def _mixed(pictures: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Another mix of red, green and blue than luma: orthochromatic emulsions saw hardly any
    red and much blue, single channels are what some scanners keep."""
    count, device = len(pictures), pictures.device
    mix = torch.rand(count, 3, device=device) ** 2 + 0.05
    mix = mix / mix.sum(dim=1, keepdim=True)
    own = torch.tensor([KR, KG, KB], device=device).expand(count, 3)
    weights = torch.where(drawn[:, :, 0, 0] > 0, mix, own)
    return (pictures * weights[:, :, None, None]).sum(dim=1, keepdim=True)


def _blurred(luma: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Soft lenses and small scans: made smaller and larger again, alike for the whole batch."""
    side = luma.shape[-1]
    small = max(8, round(side / (1 + float(torch.rand(())))))
    soft = functional.interpolate(luma, size=(small, small), mode="area")
    soft = functional.interpolate(soft, size=(side, side), mode="bilinear", align_corners=False)
    return torch.lerp(luma, soft, drawn)


def _toned(luma: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Contrast and exposure of another film, blacks and whites faded."""
    count, device = len(luma), luma.device
    power = torch.exp2(_between(-0.8, 0.8, count, device))
    black, white = _between(0, 0.25, count, device), _between(0.7, 1.1, count, device)
    toned = black + (white - black) * luma.clamp(0, 1) ** power
    return torch.lerp(luma, toned, drawn)


def _unevenly_lit(luma: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Vignettes, stains and fading that differ across the print."""
    count, side, device = len(luma), luma.shape[-1], luma.device
    coarse = torch.randn(count, 1, 4, 4, device=device) * _between(0.02, 0.12, count, device)
    light = functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    return luma * (1 + drawn * light)


def _scratched(luma: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """A few lines, light or dark, from edge to edge, and a crease."""
    count, side, device = len(luma), luma.shape[-1], luma.device
    place = torch.linspace(-1, 1, side, device=device)
    for _ in range(2):
        angle = math.pi * torch.rand(count, 1, 1, 1, device=device)
        offset = _between(-0.9, 0.9, count, device)
        away = place * torch.cos(angle) + place[:, None] * torch.sin(angle) - offset
        width = _between(0.5, 2.0, count, device) / side
        line = torch.exp(-((away / width) ** 2))
        luma = luma + drawn * line * _between(-0.6, 0.6, count, device)
    return luma


def _grained(luma: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Grain, fine and coarse, strongest in the middle tones."""
    count, side, device = len(luma), luma.shape[-1], luma.device
    fine = torch.randn_like(luma)
    coarse = functional.interpolate(
        torch.randn(count, 1, side // 2, side // 2, device=device), size=(side, side)
    )
    mixed = torch.lerp(fine, coarse, _between(0, 0.8, count, device))
    strength = _between(0.01, 0.1, count, device) * (0.5 + 2 * luma * (1 - luma))
    return luma + drawn * strength * mixed


def _compressed(luma: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """JPEG's blocks: the cosine transform of 8 x 8 blocks, rounded (ITU-T T.81, annex K)."""
    count, side, device = len(luma), luma.shape[-1], luma.device
    if side % 8:
        return luma
    cosines, steps = _cosines().to(device), _steps().to(device)
    coarse = steps * _between(0.5, 2.5, count, device)[..., None, None] / 255
    blocks = luma.unfold(2, 8, 8).unfold(3, 8, 8)  # (N, 1, S/8, S/8, 8, 8)
    coded = cosines @ blocks @ cosines.t()
    coded = torch.round(coded / coarse) * coarse
    blocks = cosines.t() @ coded @ cosines
    whole = blocks.permute(0, 1, 2, 4, 3, 5).reshape(luma.shape)
    return torch.lerp(luma, whole, drawn)


@cache
def _cosines() -> torch.Tensor:
    """The orthonormal DCT-II matrix of 8 samples."""
    k = torch.arange(8)
    matrix = torch.cos(math.pi / 8 * (k[None, :] + 0.5) * k[:, None]) * math.sqrt(2 / 8)
    matrix[0] /= math.sqrt(2)
    return matrix


@cache
def _steps() -> torch.Tensor:
    """Steps by frequency at quality 50, near enough to table K.1: they rise with frequency."""
    k = torch.arange(8.0)
    return 10 + 8 * (k[:, None] + k[None, :])
