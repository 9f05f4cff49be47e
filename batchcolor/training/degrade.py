"""Simulates the degradations of old grey photographs, on a batch, on the device.

Without it, a network mistakes film grain for texture and faded prints for fog, because it is
trained on clean digital photographs. Each degradation is drawn independently for each picture.
Pictures are `(N, 3, S, S)`, luma `(N, 1, S, S)`, both in 0..1; masks are `(N, 1, 1, 1)` of 0 and 1.
Uses torch's global random generator.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch.nn import functional

from batchcolor.color import KB, KG, KR, rgb_to_ycbcr

PROBABILITY = 0.4
"""Probability of each degradation, for a picture that is degraded at all."""


def degrade_luma(pictures: torch.Tensor, share: float) -> torch.Tensor:
    """Returns luma `(N, 1, S, S)` of RGB pictures, degraded in this share of them."""
    old = torch.rand(len(pictures), device=pictures.device) < share
    luma = rgb_to_ycbcr(pictures[:, :1], pictures[:, 1:2], pictures[:, 2:])[0]
    luma[old] = _degrade(pictures[old])
    return luma


def _degrade(pictures: torch.Tensor) -> torch.Tensor:
    """Returns luma with a random selection of degradations for each picture."""
    luma = _remix_channels(pictures, _draw_mask(pictures))
    luma = _blur(luma, _draw_mask(pictures))
    luma = _adjust_tone(luma, _draw_mask(pictures))
    luma = _vary_illumination(luma, _draw_mask(pictures))
    luma = _add_scratches(luma, _draw_mask(pictures))
    luma = _add_grain(luma, _draw_mask(pictures))
    return _quantize_blocks(luma.clamp(0, 1), _draw_mask(pictures)).clamp(0, 1)


def _draw_mask(pictures: torch.Tensor) -> torch.Tensor:
    """Returns the mask of the pictures that get one degradation."""
    count, device = len(pictures), pictures.device
    return (torch.rand(count, 1, 1, 1, device=device) < PROBABILITY).float()


def _uniform(low: float, high: float, count: int, device: torch.device) -> torch.Tensor:
    """Returns one uniformly distributed number for each picture, `(N, 1, 1, 1)`."""
    return low + (high - low) * torch.rand(count, 1, 1, 1, device=device)


def _remix_channels(pictures: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Replaces luma by another mix of red, green and blue.

    Orthochromatic emulsions are insensitive to red, and some scanners keep a single channel.
    """
    count, device = len(pictures), pictures.device
    mix = torch.rand(count, 3, device=device) ** 2 + 0.05
    mix = mix / mix.sum(dim=1, keepdim=True)
    luma_weights = torch.tensor([KR, KG, KB], device=device).expand(count, 3)
    weights = torch.where(mask[:, :, 0, 0] > 0, mix, luma_weights)
    return (pictures * weights[:, :, None, None]).sum(dim=1, keepdim=True)


def _blur(luma: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Reduces and enlarges luma, by one factor for the whole batch: soft lenses, small scans."""
    side = luma.shape[-1]
    small = max(8, round(side / (1 + float(torch.rand(())))))
    soft = functional.interpolate(luma, size=(small, small), mode="area")
    soft = functional.interpolate(soft, size=(side, side), mode="bilinear", align_corners=False)
    return torch.lerp(luma, soft, mask)


def _adjust_tone(luma: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Changes gamma, black level and white level: exposure, contrast, fading."""
    count, device = len(luma), luma.device
    power = torch.exp2(_uniform(-0.8, 0.8, count, device))
    black, white = _uniform(0, 0.25, count, device), _uniform(0.7, 1.1, count, device)
    toned = black + (white - black) * luma.clamp(0, 1) ** power
    return torch.lerp(luma, toned, mask)


def _vary_illumination(luma: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Multiplies luma by a smooth random field: vignettes, stains, uneven fading."""
    count, side, device = len(luma), luma.shape[-1], luma.device
    coarse = torch.randn(count, 1, 4, 4, device=device) * _uniform(0.02, 0.12, count, device)
    light = functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    return luma * (1 + mask * light)


def _add_scratches(luma: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Adds two light or dark lines from edge to edge: scratches and creases."""
    count, side, device = len(luma), luma.shape[-1], luma.device
    place = torch.linspace(-1, 1, side, device=device)
    for _ in range(2):
        angle = math.pi * torch.rand(count, 1, 1, 1, device=device)
        offset = _uniform(-0.9, 0.9, count, device)
        away = place * torch.cos(angle) + place[:, None] * torch.sin(angle) - offset
        width = _uniform(0.5, 2.0, count, device) / side
        line = torch.exp(-((away / width) ** 2))
        luma = luma + mask * line * _uniform(-0.6, 0.6, count, device)
    return luma


def _add_grain(luma: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Adds fine and coarse noise, strongest in the midtones: film grain."""
    count, side, device = len(luma), luma.shape[-1], luma.device
    fine = torch.randn_like(luma)
    coarse = functional.interpolate(
        torch.randn(count, 1, side // 2, side // 2, device=device), size=(side, side)
    )
    mixed = torch.lerp(fine, coarse, _uniform(0, 0.8, count, device))
    strength = _uniform(0.01, 0.1, count, device) * (0.5 + 2 * luma * (1 - luma))
    return luma + mask * strength * mixed


def _quantize_blocks(luma: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Quantizes the DCT of 8x8 blocks: JPEG artefacts (ITU-T T.81, annex K)."""
    count, side, device = len(luma), luma.shape[-1], luma.device
    if side % 8:
        return luma
    cosines, steps = _dct_matrix().to(device), _quantization_steps().to(device)
    coarse = steps * _uniform(0.5, 2.5, count, device)[..., None, None] / 255
    blocks = luma.unfold(2, 8, 8).unfold(3, 8, 8)  # (N, 1, S/8, S/8, 8, 8)
    coded = cosines @ blocks @ cosines.t()
    coded = torch.round(coded / coarse) * coarse
    blocks = cosines.t() @ coded @ cosines
    whole = blocks.permute(0, 1, 2, 4, 3, 5).reshape(luma.shape)
    return torch.lerp(luma, whole, mask)


@cache
def _dct_matrix() -> torch.Tensor:
    """Returns the orthonormal DCT-II matrix of 8 samples."""
    k = torch.arange(8)
    matrix = torch.cos(math.pi / 8 * (k[None, :] + 0.5) * k[:, None]) * math.sqrt(2 / 8)
    matrix[0] /= math.sqrt(2)
    return matrix


@cache
def _quantization_steps() -> torch.Tensor:
    """Returns quantization steps that rise with frequency, an approximation of table K.1."""
    k = torch.arange(8.0)
    return 10 + 8 * (k[:, None] + k[None, :])
