"""Delta: an ImageNet-pretrained encoder and a decoder that classifies quantized chroma.

Encoder: EfficientNet-lite0, see `delta_encoder.py`.

Decoder: a U-Net-like path up to a quarter of the working size. It predicts a distribution over a
palette of chroma values at each position (R. Zhang, P. Isola, A. Efros, "Colorful Image
Colorization", ECCV 2016; here in CbCr), because regressing one chroma gives the desaturated mean
of all plausible colours. The output is the chroma with the least expected CIEDE2000 error; the
`vividness` option shifts it towards saturated colours.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from batchcolor.color import rgb_mse
from batchcolor.models.delta_doubt import DoubtHead, add_uncalibrated_doubt, describe_picture
from batchcolor.models.delta_encoder import FROZEN_STAGES, Encoder, load_pretrained
from batchcolor.models.delta_hints import HintHead, add_untrained_hints
from batchcolor.models.delta_palette import load_pairwise_ciede2000, make_palette
from batchcolor.models.layers import conv_bn_relu
from batchcolor.models.luma_gates import low_contrast_gate, noise_gate
from batchcolor.models.speck_removal import remove_specks

ARCHITECTURE = 1
"""Version of the layers below; weights of another version are refused."""

SATURATION_RADIUS = 0.15
"""Distance from grey in the CbCr plane from which a colour counts as fully saturated."""
STRETCH_RADIUS = 0.1
"""Distance from grey in the CbCr plane from which `CHROMA_GAIN` applies in full."""
REBALANCE_GAIN = 5
"""At vividness 1, the probability of fully saturated colours is multiplied by this."""
SHARPENING = 0.5
"""At vividness 1, logits are multiplied by 1 plus this."""
CHROMA_GAIN = 0.33
"""At vividness 1, saturated chroma is multiplied by 1 plus this."""
FEATURE_SCALE = 32
"""Divisor of the deepest features, whose variance does not fit half precision."""
COARSE_SCALE = 3 / 7
"""Input size of the second forward pass, as a share of the first."""
TWO_SCALE_SIDE = 192
"""Side of the training crops from which both input scales are trained together. Of smaller crops
the coarse scale would show less than 96 px."""
SCALE_HEAD_CHANNELS = 64
"""Hidden units of the correction of the mean of both scales."""
SOFT_ENCODING_STD = 0.02
"""Standard deviation, in the CbCr plane, of the Gaussian that spreads a target chroma over the
palette."""


def reduce_luma(luma: torch.Tensor) -> torch.Tensor:
    """Returns luma `(N, 1, c, c)` at the coarse scale; c is divisible by 32."""
    side = max(32, 32 * round(luma.shape[-1] * COARSE_SCALE / 32))
    return functional.interpolate(luma, size=(side, side), mode="area")


def resize_bilinear(x: torch.Tensor, side: int) -> torch.Tensor:
    """Resizes `(N, C, s, s)` to `(N, C, side, side)`."""
    return functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


class Delta(nn.Module):
    """Maps luma `(N, 1, S, S)` in 0..1 to chroma `(N, 2, S/4, S/4)`; S divisible by 32.

    Called with a target chroma `(N, 2, S, S)` as well, it returns the training loss.
    """

    palette: torch.Tensor  # (K, 2)
    pairwise_ciede2000: torch.Tensor  # (K, K)
    saturation: torch.Tensor  # (K,), 0..1

    def __init__(self, vividness: float = 0.5) -> None:
        super().__init__()
        self.vividness = vividness
        self.register_buffer("palette", make_palette(), persistent=False)
        self.register_buffer("pairwise_ciede2000", load_pairwise_ciede2000(), persistent=False)
        saturation = (self.palette.norm(dim=1) / SATURATION_RADIUS).clamp(max=1)
        self.register_buffer("saturation", saturation, persistent=False)
        colours = len(self.palette)
        self.encoder = Encoder()
        for part in (self.encoder.stem, *self.encoder.stages[:FROZEN_STAGES]):
            part.requires_grad_(False)
        self.deep = conv_bn_relu(320, 192)  # (N, 192, S/32, S/32)
        self.up16 = conv_bn_relu(192 + 112, 160)  # (N, 160, S/16, S/16)
        self.up8 = conv_bn_relu(160 + 40, 112)  # (N, 112, S/8, S/8)
        self.up4 = conv_bn_relu(112 + 24, 80)  # (N, 80, S/4, S/4)
        self.classifier = nn.Conv2d(80, colours, 1)  # (N, K, S/4, S/4)
        self.scale_head = make_scale_head(80, colours)
        self.doubt = DoubtHead(80)
        self.hints = HintHead(80)
        self.register_load_state_dict_pre_hook(_accept_old_keys)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(add_uncalibrated_doubt)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(add_untrained_hints)  # type: ignore[no-untyped-call]

    def forward(self, luma: torch.Tensor, more: torch.Tensor | None = None) -> torch.Tensor:
        """Returns chroma `(N, 2, S/4, S/4)` in -0.5..0.5.

        `more` is colour hints `(N, 3, S, S)`, or a target chroma `(N, 2, S, S)`, for which the loss
        is returned.
        """
        if more is not None and more.shape[1] == 2:
            two_scales = luma.shape[-1] >= TWO_SCALE_SIDE
            logits = self.multi_scale_logits(luma) if two_scales else self.forward_once(luma)
            return self.loss(logits, more)
        return self.colorize_with_doubt(luma, more)[:, :2]

    def colorize_with_doubt(
        self, luma: torch.Tensor, hints: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Returns chroma and doubt `(N, 3, S/4, S/4)`, see `hooks/types.py`.

        Doubt is how wrong the best single colour is on average, calibrated on photographs; it is
        that without the colour hints `(N, 3, S, S)`.
        """
        features, chroma, least_error = self.decode_features(luma)
        doubt = self.doubt(features, chroma, least_error, luma)
        if hints is not None:
            chroma = self.hints(features, luma, chroma, hints)
        return torch.cat([chroma, doubt], dim=1)

    def describe_picture(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns the statistics `(N, F)` from which doubt is predicted."""
        return describe_picture(*self.decode_features(luma), luma)

    def decode_features(
        self, luma: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns mean features, chroma, and the least expected error of each position."""
        fine, coarse = self.multi_scale_features(luma)
        error = self.expected_error(self.average_logits(fine, coarse))
        chroma = self.finish_chroma(self.decode_chroma(error), luma, error.permute(0, 2, 3, 1))
        features = (fine + resize_bilinear(coarse, fine.shape[-1])) / 2
        return features, chroma, error.amin(dim=1, keepdim=True)

    def finish_chroma(
        self, chroma: torch.Tensor, luma: torch.Tensor, expected_error: torch.Tensor
    ) -> torch.Tensor:
        """Returns decoded chroma `(N, 2, s, s)` without specks; grey for uniform luma and noise.

        luma `(N, 1, S, S)`; expected error of each palette colour, `(N, s, s, K)`.
        """
        cleaned = remove_specks(chroma, luma, expected_error, self.palette)
        return cleaned * low_contrast_gate(luma) * noise_gate(luma)

    def compute_features(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns the features `(N, 80, S/4, S/4)` that the classifier takes."""
        at4, at8, at16, at32 = self.encoder(luma)
        x: torch.Tensor = self.deep(at32 / FEATURE_SCALE)
        for block, skip in ((self.up16, at16), (self.up8, at8), (self.up4, at4)):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        return x

    def forward_once(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns logits `(N, K, S/4, S/4)` over the palette, from one forward pass."""
        logits: torch.Tensor = self.classifier(self.compute_features(luma))
        return logits

    def multi_scale_features(self, luma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the features of two input scales, `(N, 80, S/4, S/4)` and `(N, 80, c/4, c/4)`.

        The full size gives detail. The coarse size is near the size of the training crops, at
        which objects are recognized best.
        """
        return self.compute_features(luma), self.compute_features(reduce_luma(luma))

    def multi_scale_logits(self, luma: torch.Tensor) -> torch.Tensor:
        """Returns the logits `(N, K, S/4, S/4)` of two input scales together."""
        return self.average_logits(*self.multi_scale_features(luma))

    def average_logits(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Returns the logits `(N, K, S/4, S/4)` of the features of two scales together.

        They are the mean log-probabilities of both, and a correction that tells where one of the
        scales is right.
        """
        at_full = self.classifier(fine).float().log_softmax(dim=1)
        at_coarse = self.classifier(coarse).float().log_softmax(dim=1)
        mean: torch.Tensor = (at_full + resize_bilinear(at_coarse, at_full.shape[-1])) / 2
        both = torch.cat([fine, resize_bilinear(coarse, fine.shape[-1])], dim=1)
        correction: torch.Tensor = self.scale_head(both)
        return mean + correction.float()

    def decode_chroma(self, expected_error: torch.Tensor) -> torch.Tensor:
        """Returns the chroma `(N, 2, s, s)` with the least expected CIEDE2000 error `(N, K, s, s)`.

        Vividness raises the logits of saturated colours, sharpens the distribution, and scales
        chroma that is saturated already. A soft minimum over the palette keeps the result
        continuous where two colours have about the same expected error.
        """
        return self.stretch_chroma(self.expected_chroma(-expected_error))

    def expected_error(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the expected CIEDE2000 error of each palette colour, `(N, K, s, s)`."""
        boost = self.saturation_boost()[:, None, None]
        logits = logits.float() * (1 + SHARPENING * self.vividness) + self.vividness * boost
        differences = self.pairwise_ciede2000.float()[:, :, None, None]
        error: torch.Tensor = functional.conv2d(logits.softmax(dim=1), differences)
        return error

    def saturation_boost(self) -> torch.Tensor:
        """Returns what vividness 1 adds to the logits, `(K,)`."""
        return torch.log1p((REBALANCE_GAIN - 1) * self.saturation.float())

    def stretch_chroma(self, chroma: torch.Tensor) -> torch.Tensor:
        """Returns chroma `(N, 2, s, s)` with saturated values scaled according to vividness."""
        stretch = (chroma.norm(dim=1, keepdim=True) / STRETCH_RADIUS).clamp(max=1)
        stretched: torch.Tensor = chroma * (1 + CHROMA_GAIN * self.vividness * stretch)
        return stretched.clamp(-0.5, 0.5)

    def expected_chroma(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the mean `(N, 2, s, s)` of the palette under the softmax of the logits."""
        probabilities = logits.float().softmax(dim=1)
        return functional.conv2d(probabilities, self.palette.float().t()[:, :, None, None])

    def loss(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Returns the weighted sum of RGB MSE of the expected chroma and soft cross-entropy.

        logits `(N, K, s, s)`; target chroma `(N, 2, S, S)`, area-averaged to `(N, 2, s, s)`.
        """
        target = functional.interpolate(target.float(), size=logits.shape[-2:], mode="area")
        # The palette as last dimension: softmax then reads consecutive values of channels_last.
        log_probabilities = logits.float().permute(0, 2, 3, 1).log_softmax(dim=-1)
        expected = (log_probabilities.exp() @ self.palette.float()).permute(0, 3, 1, 2)
        labels = self.soft_encode(target)
        cross_entropy = -(labels * log_probabilities).sum(dim=-1).mean()
        loss: torch.Tensor = 100 * rgb_mse(expected, target) + 0.3 * cross_entropy
        return loss

    def soft_encode(self, target: torch.Tensor) -> torch.Tensor:
        """Returns soft labels `(N, s, s, K)`, sum 1 over K, of a target chroma `(N, 2, s, s)`."""
        palette = self.palette.float()
        positions = target.permute(0, 2, 3, 1)  # (N, s, s, 2)
        squares = (positions**2).sum(dim=-1, keepdim=True) + (palette**2).sum(dim=1)
        products = positions @ palette.t()
        return ((2 * products - squares) / (2 * SOFT_ENCODING_STD**2)).softmax(dim=-1)

    def pretrain(self) -> None:
        """Loads the ImageNet weights of the encoder, before the first step of training.

        Raises UsageError where the package with those weights is not installed.
        """
        load_pretrained(self.encoder)


def make_scale_head(features: int, colours: int) -> nn.Sequential:
    """Returns the correction of the mean of two scales, `(N, 2 * features, s, s)` to logits.

    It is zero before training.
    """
    last = nn.Conv2d(SCALE_HEAD_CHANNELS, colours, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(cast(torch.Tensor, last.bias))
    return nn.Sequential(nn.Conv2d(2 * features, SCALE_HEAD_CHANNELS, 1), nn.ReLU(), last)


def _accept_old_keys(
    module: nn.Module, state: dict[str, Any], prefix: str, *unused: object
) -> None:
    """Accepts weights without `scale_head`, or with the classifier under its old name `likely`."""
    for name in ("weight", "bias"):
        if f"{prefix}likely.{name}" in state:
            state[f"{prefix}classifier.{name}"] = state.pop(f"{prefix}likely.{name}")
    for name, value in module.named_parameters():
        if name.startswith("scale_head."):
            state.setdefault(f"{prefix}{name}", value.detach().clone())
