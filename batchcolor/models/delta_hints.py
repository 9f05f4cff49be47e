"""Colour hints in delta: positions take the colours of the hints that lie on the like.

Every position of the field is compared with the positions of the hints, by an embedding of the
network's features, of luma and of chroma, and by distance. Attention over the hints gives the mean
colour of those that are alike, and the mean of their corrections; a small network chooses between
them. Where no hint is alike, an empty key takes the attention, and the chroma stays as it is.

Source: iColoriT (J. Yun et al., "iColoriT: Towards Propagating Local Hints to the Right Region in
Interactive Colorization by Leveraging Vision Transformer", WACV 2023), for attention to hints; here
beside a trained network, so that it costs nothing without hints. The parameters are part of the
weights; `python -m benchmarks hint-head --fit` trains them. Weights without them take no hints.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

HEADS = 4
DIMENSIONS = 12
"""Of the embedding of each head."""
HIDDEN = 64
STATISTICS = 5
"""Values of a position beside its features: luma, its mean and deviation around it, chroma."""
NEIGHBOURHOOD = 9
"""Side of the square around a position whose luma is described, in positions."""
LUMA_GAIN, DEVIATION_GAIN, CHROMA_GAIN = 4.0, 16.0, 8.0
"""Bring the values to about the variance of the features."""
FIELD = 64
"""Side of the field at Delta's working size, in positions."""
HINT_RADIUS = 1.5
"""Positions of that field; hints within this distance share the weight of one: a stroke counts as
several."""
MIN_INFLUENCE = (0.1, 0.6)
"""Influence up to which hints change nothing, for a small and for a large change: a hint must not
tint a whole picture, and photographs have few of the strong colours that people give."""
LARGE_CHANGE = 0.2
"""Of chroma, in the CbCr plane."""
FADED_LUMA_STD = (0.06, 0.12)
"""Standard deviation of luma up to which the network takes no hints, and from which it takes them
in full: features of faded pictures do not tell their parts apart. Hints are still propagated."""
MAX_HINTS = 1024
"""Positions of hints that are compared; of more, some are taken evenly."""


class Positions(NamedTuple):
    """Some positions of a batch of pictures."""

    values: torch.Tensor
    """`(N, P, F + STATISTICS)`: what the network knows of them."""
    chroma: torch.Tensor
    """`(N, P, 2)`: that of the network, without hints."""
    places: torch.Tensor
    """`(N, P, 2)`: y and x in 0..1."""

    def take(self, index: torch.Tensor) -> Positions:
        """Returns the positions with these indices `(N, Q)`."""
        return Positions(*(torch.take_along_dim(it, index[..., None], dim=1) for it in self))


class HintHead(nn.Module):
    """Spreads colour hints over the chroma of a picture."""

    mean: torch.Tensor  # (F + STATISTICS,)
    deviation: torch.Tensor  # (F + STATISTICS,)
    is_trained: torch.Tensor  # (), 0 or 1

    def __init__(self, features: int) -> None:
        super().__init__()
        inputs = features + STATISTICS
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.register_buffer("is_trained", torch.zeros(()))
        self.describe = _make_linear(inputs, HIDDEN)
        self.embed = _make_linear(HIDDEN, HEADS * DIMENSIONS)
        self.empty = _make_linear(HIDDEN, HEADS)
        self.distance = nn.Parameter(torch.zeros(HEADS))
        self.mix = _make_linear(HIDDEN + 4 + 5 * HEADS, HIDDEN)
        self.choose = _make_linear(HIDDEN, 2 * HEADS + 1)
        self.requires_grad_(False)

    def forward(
        self,
        features: torch.Tensor,
        luma: torch.Tensor,
        chroma: torch.Tensor,
        hints: torch.Tensor,
    ) -> torch.Tensor:
        """Returns the chroma `(N, 2, s, s)` with hints `(N, 3, S, S)`; as it was without them.

        features `(N, F, s, s)`, luma `(N, 1, S, S)`, chroma `(N, 2, s, s)` of the network. The
        first channel of the hints is 1 where a hint is; the others are Cb and Cr.
        """
        result = chroma.clone()
        if not bool(self.is_trained):
            return result
        side = chroma.shape[-1]
        given = reduce_hints(hints.float(), side)
        for number in range(len(chroma)):
            one = slice(number, number + 1)
            index = given[number, 0].flatten().nonzero()[:, 0]
            if len(index) == 0:
                continue
            index = index[:: -(-len(index) // MAX_HINTS)]
            every = make_positions(features[one], luma[one], chroma[one])
            colors = given[one, 1:].flatten(2)[..., index].transpose(1, 2)
            found = self.spread(every, every.take(index[None]), colors)
            result[one] = found.transpose(1, 2).reshape(1, 2, side, side).to(result.dtype)
        return result

    def spread(self, every: Positions, hinted: Positions, colors: torch.Tensor) -> torch.Tensor:
        """Returns the chroma `(N, P, 2)` of positions, from hints of the chroma `(N, M, 2)`."""
        hidden, keys = (self._describe(it) for it in (every, hinted))
        weights = self._attend(every, hinted, hidden, keys)  # (N, H, P, M)
        confidence = weights.sum(dim=-1)  # (N, H, P)
        corrections = torch.cat([colors, colors - hinted.chroma], dim=-1)[:, None]
        mean = (weights @ corrections) / confidence[..., None].clamp(min=1e-6)  # (N, H, P, 4)
        nearest = torch.cat([mean[..., :2] - every.chroma[:, None], mean[..., 2:]], dim=-1)
        options = nearest.permute(0, 2, 1, 3).flatten(2)  # (N, P, H 4)
        confidence = confidence.transpose(1, 2)  # (N, P, H)
        number = count_hints(hinted.places).log1p() / 4
        columns = [
            *(hidden, CHROMA_GAIN * every.chroma, every.values[..., -STATISTICS, None]),
            *(number.expand(-1, hidden.shape[1], 1), confidence, CHROMA_GAIN * options),
        ]
        chosen = _apply(self.choose, functional.relu(_apply(self.mix, torch.cat(columns, dim=-1))))
        shares = chosen[..., :-1].softmax(dim=-1)  # (N, P, 2 H)
        influence = (shares * confidence.repeat_interleave(2, dim=-1)).sum(dim=-1, keepdim=True)
        influence = influence * chosen[..., -1:].sigmoid()
        correction = (shares[..., None] * options.reshape(*shares.shape, 2)).sum(dim=2)
        influence = limit_influence(influence, correction) * measure_contrast(every)
        result: torch.Tensor = (every.chroma + influence * correction).clamp(-0.5, 0.5)
        return result

    def _describe(self, positions: Positions) -> torch.Tensor:
        normal = (positions.values - self.mean.float()) / self.deviation.float()
        return functional.relu(_apply(self.describe, normal))

    def _attend(
        self, every: Positions, hinted: Positions, hidden: torch.Tensor, keys: torch.Tensor
    ) -> torch.Tensor:
        """Returns the weight of each hint at each position `(N, H, P, M)`, their sum below 1."""
        query, key = (
            _apply(self.embed, it).reshape(*it.shape[:2], HEADS, DIMENSIONS).transpose(1, 2)
            for it in (hidden, keys)
        )  # (N, H, P, D), (N, H, M, D)
        unlike = torch.cdist(query, key).square()
        distance = torch.cdist(every.places, hinted.places).square()[:, None]
        unlike = unlike + distance * self.distance.float().exp()[:, None, None]
        logits = weigh_hints(hinted.places).log()[:, None, None] - unlike
        empty = _apply(self.empty, hidden).transpose(1, 2)[..., None]  # (N, H, P, 1)
        return torch.cat([empty, logits], dim=-1).softmax(dim=-1)[..., 1:]

    def start_training(self, values: torch.Tensor) -> None:
        """Draws initial parameters; `values` `(P, F + STATISTICS)` are those of some positions."""
        self.requires_grad_(True)
        for layer in (self.describe, self.embed, self.empty, self.mix, self.choose):
            layer.reset_parameters()
        with torch.no_grad():
            self.mean.copy_(values.mean(dim=0))
            self.deviation.copy_(values.std(dim=0) + 1e-3)
            self.is_trained.fill_(1)
            self.empty.bias.fill_(-3.0)
            self.choose.bias[-1] = 2.0
            self.distance.copy_(torch.linspace(0, 4, HEADS))


def limit_influence(influence: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Returns the influence of hints `(N, P, 1)` in 0..1 for changes of chroma `(N, P, 2)`."""
    lowest, highest = MIN_INFLUENCE
    size = (change.norm(dim=-1, keepdim=True) / LARGE_CHANGE).clamp(max=1)
    least = lowest + (highest - lowest) * size
    counted: torch.Tensor = (influence - least).clamp(min=0) / (1 - least)
    return counted


def measure_contrast(every: Positions) -> torch.Tensor:
    """Returns `(N, 1, 1)`: 0 for faded pictures, 1 for those of normal contrast."""
    luma = every.values[..., -STATISTICS] / LUMA_GAIN
    lowest, highest = FADED_LUMA_STD
    share: torch.Tensor = (luma.std(dim=1) - lowest) / (highest - lowest)
    return share.clamp(0, 1)[:, None, None]


def make_positions(features: torch.Tensor, luma: torch.Tensor, chroma: torch.Tensor) -> Positions:
    """Returns all positions of pictures, see `HintHead.forward`."""
    side = chroma.shape[-1]
    small = functional.interpolate(luma.float(), size=(side, side), mode="area")
    mean, square = (
        functional.avg_pool2d(it, NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2, count_include_pad=False)
        for it in (small, small.square())
    )
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    planes = [LUMA_GAIN * small, LUMA_GAIN * mean, DEVIATION_GAIN * deviation]
    planes.append(CHROMA_GAIN * chroma.float())
    values = torch.cat([features.float(), *planes], dim=1).flatten(2).transpose(1, 2)
    axis = (torch.arange(side, device=chroma.device) + 0.5) / side
    places = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(1, -1, 2)
    flat = chroma.float().flatten(2).transpose(1, 2)
    return Positions(values, flat, places.expand(len(chroma), -1, -1))


def reduce_hints(hints: torch.Tensor, side: int) -> torch.Tensor:
    """Returns hints `(N, 3, S, S)` as `(N, 3, s, s)`: the mean colour of those in a position."""
    given = functional.interpolate(hints, size=(side, side), mode="area")
    mask = given[:, :1]
    mean = given[:, 1:] / mask.clamp(min=1e-6)
    return torch.cat([(mask > 0).to(mean.dtype), mean * (mask > 0)], dim=1)


def weigh_hints(hinted: torch.Tensor) -> torch.Tensor:
    """Returns the weight `(N, M)` in 0..1 of hints at places `(N, M, 2)`: less where they crowd."""
    radius = HINT_RADIUS / FIELD
    near = torch.exp(-torch.cdist(hinted, hinted).square() / (2 * radius**2))
    return 1 / near.sum(dim=-1)


def count_hints(hinted: torch.Tensor) -> torch.Tensor:
    """Returns how many hints there are `(N, 1, 1)`, as `weigh_hints` counts them."""
    return weigh_hints(hinted).sum(dim=-1)[:, None, None]


def _make_linear(inputs: int, outputs: int) -> nn.Linear:
    """Returns a layer of zeros.

    Made on the device `meta` it draws no random numbers. `nn.utils.skip_init` does the same, but
    imports sympy, which takes longer than to build the network.
    """
    layer = nn.Linear(inputs, outputs, device="meta")
    layer.weight = nn.Parameter(torch.zeros(outputs, inputs))
    layer.bias = nn.Parameter(torch.zeros(outputs))
    return layer


def _apply(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """Applies a layer in float32, whatever the precision of the network."""
    return functional.linear(x, layer.weight.float(), layer.bias.float())


def add_untrained_hints(
    module: nn.Module, state: dict[str, Any], prefix: str, *unused: object
) -> None:
    """Accepts weights of a network that was not trained with colour hints."""
    for name, value in module.state_dict().items():
        if name.startswith("hints."):
            state.setdefault(f"{prefix}{name}", value.detach().clone())
