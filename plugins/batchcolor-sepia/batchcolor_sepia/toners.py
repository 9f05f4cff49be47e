"""The toners: functions of luma in torch, per pixel except for the washes of the hand-tint.

All toners take luma `(N, 1, S, S)` in 0..1 and return chroma `(N, 2, s, s)`: Cb, Cr in
-0.5..0.5 (BT.601 full range), with s = S except for the hand-tint. The curves were chosen by eye.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch.nn import functional

from batchcolor_sepia import CyanotypeOptions, HandTintOptions, SeleniumOptions, SepiaOptions

Stop = tuple[float, float, float]
"""A luma in 0..1, and its Cb and Cr."""


def smoothstep(luma: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Computes the smoothstep function: 0 below `low`, 1 above `high`; any shape."""
    x = ((luma - low) / (high - low)).clamp(0, 1)
    return x * x * (3 - 2 * x)


def interpolate_chroma(luma: torch.Tensor, stops: Sequence[Stop]) -> torch.Tensor:
    """Returns chroma `(N, 2, S, S)` interpolated between the stops, which are in order of luma."""
    chroma = luma.new_tensor(stops[0][1:]).view(1, 2, 1, 1)
    for (low, *before), (high, *after) in pairwise(stops):
        step = luma.new_tensor(after) - luma.new_tensor(before)
        chroma = chroma + smoothstep(luma, low, high) * step.view(1, 2, 1, 1)
    return chroma


def rotate_hue(chroma: torch.Tensor, degrees: float) -> torch.Tensor:
    """Rotates the hue in the plane of Cb and Cr; the saturation is unchanged, same shape."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cb, cr = chroma[:, :1], chroma[:, 1:]
    return torch.cat([cosine * cb - sine * cr, sine * cb + cosine * cr], dim=1)


def sepia(luma: torch.Tensor, options: SepiaOptions) -> torch.Tensor:
    """Returns brown that reaches the deepest shadows last, on slightly cream paper."""
    silver = interpolate_chroma(
        luma.float(),
        [
            (0.00, -0.018, 0.016),
            (0.20, -0.066, 0.062),
            (0.50, -0.084, 0.074),
            (0.80, -0.062, 0.044),
            (1.00, 0.0, 0.0),
        ],
    )
    # The bleach acts on highlights first: a weak bath leaves shadows neutral.
    reached = smoothstep(luma.float(), 0.6 * (1 - options.depth) - 0.25, 0.9 - 0.6 * options.depth)
    tone = silver * (0.35 + 0.65 * options.depth) * reached
    paper = smoothstep(luma.float(), 0.55, 1.0) * luma.new_tensor([-0.050, 0.012]).view(1, 2, 1, 1)
    # A rotation towards more Cr looks redder.
    return rotate_hue(tone, -16 * options.tint).add(options.highlight * paper).to(luma.dtype)


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
    """Returns blue that is deepest in the shadows, and absent in the highlights."""
    blue = interpolate_chroma(luma.float(), BLUES[options.tint]) * (0.25 + 1.1 * options.depth)
    stain = (-0.060, 0.022) if options.tint == "tea" else (0.030, -0.022)
    sheet = smoothstep(luma.float(), 0.5, 1.0) * luma.new_tensor(stain).view(1, 2, 1, 1)
    return (blue + options.highlight * sheet).clamp(-0.5, 0.5).to(luma.dtype)


def selenium(luma: torch.Tensor, options: SeleniumOptions) -> torch.Tensor:
    """Returns aubergine in the shadows; `highlight` sets the brightest tones that are toned."""
    shadow = luma.new_tensor([0.006, 0.028]).view(1, 2, 1, 1)
    hue = rotate_hue(shadow.float(), -55 * options.tint if options.tint < 0 else 45 * options.tint)
    reach = 0.35 + 0.65 * options.highlight
    held = 1 - smoothstep(luma.float(), 0.35 * reach, reach)
    return (hue * held * (0.2 + 1.3 * options.depth)).to(luma.dtype)


def blur(field: torch.Tensor, width: float) -> torch.Tensor:
    """Blurs twice with a box of `width`, a share of the side; same shape."""
    radius = round(width * field.shape[-1] / 2)
    if radius < 1:
        return field
    for _ in range(2):
        wide = functional.pad(field, (radius,) * 4, mode="replicate")
        field = functional.avg_pool2d(wide, 2 * radius + 1, stride=1)
    return field


def open_mask(mask: torch.Tensor, width: float) -> torch.Tensor:
    """Opens a mask morphologically: removes parts thinner than `width`, a share of the side."""
    size = 2 * max(1, round(width * mask.shape[-1] / 2)) + 1
    less = -functional.max_pool2d(-mask, size, stride=1, padding=size // 2)
    return functional.max_pool2d(less, size, stride=1, padding=size // 2)


def hand_tint(luma: torch.Tensor, options: HandTintOptions) -> torch.Tensor:
    """Returns three transparent washes with soft edges, on a warm ground."""
    cell = max(1, luma.shape[-1] // 128)
    grey = functional.avg_pool2d(luma.float(), cell)  # washes are soft: 128 pixels are enough
    side = grey.shape[-1]
    tone = blur(grey, 0.02)
    uneven = functional.avg_pool2d(luma.float() ** 2, cell) - 2 * grey * tone + tone**2
    texture = blur(uneven.clamp(min=0), 0.03).sqrt()  # 0 smooth, 0.1 leaves or hair
    height = torch.linspace(0, 1, side, device=grey.device).view(1, 1, side, 1)  # 0 on top
    across = torch.linspace(-1, 1, side, device=grey.device).view(1, 1, 1, side).abs()

    high = 1 - smoothstep(height, 0.25, 0.65)
    sky = (1 - smoothstep(texture, 0.03, 0.12)) * smoothstep(grey, 0.35, 0.65) * high
    green = (
        smoothstep(texture, 0.02, 0.07)
        * smoothstep(tone, 0.05, 0.2)
        * (1 - smoothstep(tone, 0.4, 0.7))
        * smoothstep(height, 0.2, 0.7)
    )
    # Leaves and skin are patches; the opening removes edges of a coat or of hair.
    centre = (1 - smoothstep(across, 0.4, 0.9)) * (1 - smoothstep(height, 0.6, 1.0))
    even = 1 - smoothstep(texture, 0.06, 0.14)
    lights = smoothstep(grey, 0.35, 0.55) * (1 - smoothstep(tone, 0.78, 0.92))
    peach = lights * even * centre * (1 - smoothstep(blur(sky, 0.08), 0.1, 0.5))
    green, peach = open_mask(green, 0.07), open_mask(peach, 0.03)

    washes = [
        (options.sky * sky, (0.075, -0.055)),
        (options.foliage * green, (-0.075, -0.030)),
        (options.skin * peach, (-0.055, 0.070)),
    ]
    ground = (
        luma.new_tensor([-0.022, 0.012]).view(1, 2, 1, 1).float()
    )  # the brown of a gelatin print
    chroma = ground * smoothstep(grey, 0.02, 0.3)
    for mask, pigment in washes:
        chroma = chroma + blur(mask, options.wash) * chroma.new_tensor(pigment).view(1, 2, 1, 1)
    return chroma.to(luma.dtype)
