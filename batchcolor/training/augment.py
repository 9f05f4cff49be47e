"""Converts packed RGB pictures to luma and target chroma, with augmentation, on the device."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from batchcolor.color import rgb_to_ycbcr
from batchcolor.hooks.types import Recipe
from batchcolor.training.degrade import degrade_luma

CROP_STEP = 32
"""Crop sides of `scale_jitter` are multiples of this, because encoders halve five times."""


def to_luma_and_chroma(rgb: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Converts uint8 `(N, side, side, 3)` to luma `(N, 1, size, size)` and chroma `(N, 2, ...)`.

    Without augmentation, area-averaged to `size`: the input of validation.
    """
    pictures = rgb.permute(0, 3, 1, 2).float() / 255
    if pictures.shape[-1] != size:
        pictures = functional.interpolate(pictures, size=(size, size), mode="area")
    return _split_planes(pictures)


def augment(rgb: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Converts uint8 `(N, side, side, 3)` to augmented luma and chroma, as the recipe says.

    Pictures are flipped, then shifted, or cropped and rotated; luma is then degraded and partly
    erased. With `scale_jitter` all pictures of a step have one size of several, for objects at
    several scales. Uses torch's global random generator, on the device of the pictures.
    """
    luma, chroma = _split_planes(_transform(rgb, recipe), recipe.degrade)
    return (_random_erase(luma, recipe.erase) if recipe.erase else luma), chroma


def _transform(rgb: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Returns `(N, 3, size, size)` in 0..1, randomly flipped, shifted, cropped, rotated."""
    pictures = rgb.permute(0, 3, 1, 2).float() / 255
    mirrored = torch.rand(len(pictures), device=rgb.device) < 0.5
    if not needs_resampling(recipe) and pictures.shape[-1] == recipe.size:
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(3), pictures)
        return _random_shift(pictures, recipe.shift) if recipe.shift else pictures
    return _random_crop(pictures, mirrored, recipe)


def needs_resampling(recipe: Recipe) -> bool:
    """Returns whether pictures are cropped or rotated, and are packed larger than `recipe.size`."""
    return recipe.random_crop < 1 or recipe.rotation > 0 or recipe.scale_jitter > 0


def draw_crop_side(recipe: Recipe) -> int:
    """Returns the side of this step's crops: `size`, or a random multiple of 32 px within
    `scale_jitter` of it, uniformly distributed."""
    least = math.ceil(recipe.size * (1 - recipe.scale_jitter) / CROP_STEP)
    most = math.floor(recipe.size * (1 + recipe.scale_jitter) / CROP_STEP)
    if not recipe.scale_jitter or most < max(1, least):
        return recipe.size
    return CROP_STEP * int(torch.randint(max(1, least), most + 1, ()))


def _random_crop(pictures: torch.Tensor, mirrored: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Crops at least `random_crop` of the area, rotated by up to `rotation` degrees.

    Width and height of a crop are drawn independently, so the aspect ratio varies, as it does in
    the square that a colorizer gets of any photograph.
    """
    count, device = len(pictures), pictures.device
    least = math.sqrt(recipe.random_crop)
    sides = least + (1 - least) * torch.rand(count, 2, device=device)
    offsets = (1 - sides) * (2 * torch.rand(count, 2, device=device) - 1)
    angle = math.radians(recipe.rotation) * (2 * torch.rand(count, device=device) - 1)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    across, down = sides[:, 0] * torch.where(mirrored, -1.0, 1.0), sides[:, 1]
    theta = torch.zeros(count, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 0, 1] = across * cosine, -down * sine
    theta[:, 1, 0], theta[:, 1, 1] = across * sine, down * cosine
    theta[:, :, 2] = offsets
    side = draw_crop_side(recipe)
    grid = functional.affine_grid(theta, [count, 3, side, side], align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def _random_shift(pictures: torch.Tensor, shift: int) -> torch.Tensor:
    """Shifts by up to `shift` whole pixels, with mirrored edges.

    Resampling would blur pictures that are as small as the crop.
    """
    size, device = pictures.shape[-1], pictures.device
    padded = functional.pad(pictures, [shift] * 4, mode="reflect")
    offset = torch.randint(0, 2 * shift + 1, (2, len(pictures), 1), device=device)
    position = torch.arange(size, device=device)
    picture = torch.arange(len(pictures), device=device)[:, None, None]
    down, across = offset[0] + position, offset[1] + position  # (N, size) each
    return padded[picture, :, down[:, :, None], across[:, None, :]].permute(0, 3, 1, 2)


def _random_erase(luma: torch.Tensor, share: float) -> torch.Tensor:
    """Fills a random square in this share of the pictures with the mean luma of the picture.

    The side is a quarter to a half of the picture's, so its colour must be inferred from the
    surroundings. Source: T. DeVries and G. Taylor, "Cutout", arXiv:1708.04552, 2017.
    """
    count, _, size, _ = luma.shape
    device = luma.device
    side = torch.randint(size // 4, size // 2 + 1, (count, 1), device=device)
    middle = torch.rand(2, count, 1, device=device) * size
    position = torch.arange(size, device=device)
    rows, columns = ((position - axis).abs() * 2 < side for axis in middle)
    chosen = torch.rand(count, 1, 1, device=device) < share
    hidden = (rows[:, :, None] & columns[:, None, :] & chosen)[:, None]
    return torch.where(hidden, luma.mean((2, 3), keepdim=True), luma)


def _split_planes(
    pictures: torch.Tensor, degrade: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    luma, cb, cr = rgb_to_ycbcr(pictures[:, :1], pictures[:, 1:2], pictures[:, 2:])
    if degrade:
        luma = degrade_luma(pictures, degrade)
    return luma, torch.cat([cb, cr], dim=1)
