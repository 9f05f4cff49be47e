"""What each toner makes of luma: pure torch, pixel by pixel but for the hand-tint's washes.

All toners take luma `(N, 1, S, S)` in 0..1 and give chroma `(N, 2, s, s)`: Cb, Cr in
-0.5..0.5 (BT.601 full range), with s = S but for the hand-tint. The curves were chosen by eye.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch.nn import functional

from batchcolor_sepia import CyanotypeOptions, HandTintOptions, SeleniumOptions, SepiaOptions

Stop = tuple[float, float, float]
"""A luma in 0..1, and the Cb and Cr that a toner gives it."""


def smooth(luma: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 below `low`, 1 above `high`, an S-curve between; any shape."""
    x = ((luma - low) / (high - low)).clamp(0, 1)
    return x * x * (3 - 2 * x)


def along(luma: torch.Tensor, stops: Sequence[Stop]) -> torch.Tensor:
    """Chroma `(N, 2, S, S)` that passes smoothly through the stops, in order of luma."""
    chroma = luma.new_tensor(stops[0][1:]).view(1, 2, 1, 1)
    for (low, *before), (high, *after) in pairwise(stops):
        step = luma.new_tensor(after) - luma.new_tensor(before)
        chroma = chroma + smooth(luma, low, high) * step.view(1, 2, 1, 1)
    return chroma


def turned(chroma: torch.Tensor, degrees: float) -> torch.Tensor:
    """The same saturation with its hue turned in the plane of Cb and Cr; same shape."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cb, cr = chroma[:, :1], chroma[:, 1:]
    return torch.cat([cosine * cb - sine * cr, sine * cb + cosine * cr], dim=1)


def sepia(luma: torch.Tensor, options: SepiaOptions) -> torch.Tensor:
    """Brown that leaves the deepest shadows last, on paper of a little cream."""
    silver = along(
        luma.float(),
        [
            (0.00, -0.018, 0.016),
            (0.20, -0.066, 0.062),
            (0.50, -0.084, 0.074),
            (0.80, -0.062, 0.044),
            (1.00, 0.0, 0.0),
        ],
    )
    # The bleach reaches the lights first: a shallow bath leaves shadows neutral.
    reached = smooth(luma.float(), 0.6 * (1 - options.depth) - 0.25, 0.9 - 0.6 * options.depth)
    tone = silver * (0.35 + 0.65 * options.depth) * reached
    paper = smooth(luma.float(), 0.55, 1.0) * luma.new_tensor([-0.050, 0.012]).view(1, 2, 1, 1)
    # A turn towards more Cr and less blueness is what reads as redder.
    return turned(tone, -16 * options.tint).add(options.highlight * paper).to(luma.dtype)


BLUES: dict[str, list[Stop]] = {
    "prussian": [
        (0.00, 0.060, -0.040),
        (0.18, 0.112, -0.092),
        (0.45, 0.112, -0.108),
        (0.75, 0.050, -0.056),
        (1.00, 0.0, 0.0),
    ],
    "washed": [
        (0.00, 0.030, -0.030),
        (0.25, 0.058, -0.078),
        (0.55, 0.042, -0.072),
        (0.80, 0.012, -0.035),
        (1.00, 0.0, 0.0),
    ],
    "tea": [
        (0.00, 0.030, -0.004),
        (0.20, 0.050, -0.012),
        (0.50, 0.004, 0.008),
        (0.80, -0.046, 0.032),
        (1.00, -0.054, 0.030),
    ],
}


def cyanotype(luma: torch.Tensor, options: CyanotypeOptions) -> torch.Tensor:
    """Blue that is deepest in the shadows and leaves the paper in the lights."""
    blue = along(luma.float(), BLUES[options.tint]) * (0.25 + 1.1 * options.depth)
    stain = (-0.060, 0.022) if options.tint == "tea" else (0.030, -0.022)
    sheet = smooth(luma.float(), 0.5, 1.0) * luma.new_tensor(stain).view(1, 2, 1, 1)
    return (blue + options.highlight * sheet).clamp(-0.5, 0.5).to(luma.dtype)


def selenium(luma: torch.Tensor, options: SeleniumOptions) -> torch.Tensor:
    """Aubergine in the shadows; how far it reaches into the lights is the bath's time."""
    shadow = luma.new_tensor([0.006, 0.028]).view(1, 2, 1, 1)
    hue = turned(shadow.float(), -55 * options.tint if options.tint < 0 else 45 * options.tint)
    reach = 0.35 + 0.65 * options.highlight
    held = 1 - smooth(luma.float(), 0.35 * reach, reach)
    return (hue * held * (0.2 + 1.3 * options.depth)).to(luma.dtype)


def blurred(field: torch.Tensor, width: float) -> torch.Tensor:
    """The field after two box blurs of `width`, a share of its side; same shape."""
    radius = round(width * field.shape[-1] / 2)
    if radius < 1:
        return field
    for _ in range(2):
        wide = functional.pad(field, (radius,) * 4, mode="replicate")
        field = functional.avg_pool2d(wide, 2 * radius + 1, stride=1)
    return field


def opened(mask: torch.Tensor, width: float) -> torch.Tensor:
    """The mask without what is thinner than `width`, a share of its side; same shape."""
    size = 2 * max(1, round(width * mask.shape[-1] / 2)) + 1
    less = -functional.max_pool2d(-mask, size, stride=1, padding=size // 2)
    return functional.max_pool2d(less, size, stride=1, padding=size // 2)


def hand_tint(luma: torch.Tensor, options: HandTintOptions) -> torch.Tensor:
    """Three transparent washes and a warm ground, soft at their edges."""
    cell = max(1, luma.shape[-1] // 128)
    grey = functional.avg_pool2d(luma.float(), cell)  # washes are soft: 128 pixels hold them
    side = grey.shape[-1]
    tone = blurred(grey, 0.02)
    uneven = functional.avg_pool2d(luma.float() ** 2, cell) - 2 * grey * tone + tone**2
    texture = blurred(uneven.clamp(min=0), 0.03).sqrt()  # 0 smooth, 0.1 leaves or hair
    height = torch.linspace(0, 1, side, device=grey.device).view(1, 1, side, 1)  # 0 on top
    across = torch.linspace(-1, 1, side, device=grey.device).view(1, 1, 1, side).abs()

    high = 1 - smooth(height, 0.25, 0.65)
    sky = (1 - smooth(texture, 0.03, 0.12)) * smooth(grey, 0.35, 0.65) * high
    green = (
        smooth(texture, 0.02, 0.07)
        * smooth(tone, 0.05, 0.2)
        * (1 - smooth(tone, 0.4, 0.7))
        * smooth(height, 0.2, 0.7)
    )
    # Leaves and skin are patches; the rim of a coat or of hair against the sky is not.
    centre = (1 - smooth(across, 0.4, 0.9)) * (1 - smooth(height, 0.6, 1.0))
    even = 1 - smooth(texture, 0.06, 0.14)
    lights = smooth(grey, 0.35, 0.55) * (1 - smooth(tone, 0.78, 0.92))
    peach = lights * even * centre * (1 - smooth(blurred(sky, 0.08), 0.1, 0.5))
    green, peach = opened(green, 0.07), opened(peach, 0.03)

    washes = [
        (options.sky * sky, (0.075, -0.055)),
        (options.foliage * green, (-0.075, -0.030)),
        (options.skin * peach, (-0.055, 0.070)),
    ]
    ground = luma.new_tensor([-0.022, 0.012]).view(1, 2, 1, 1).float()  # a gelatine print's brown
    chroma = ground * smooth(grey, 0.02, 0.3)
    for mask, pigment in washes:
        chroma = chroma + blurred(mask, options.wash) * chroma.new_tensor(pigment).view(1, 2, 1, 1)
    return chroma.to(luma.dtype)
