"""Checks a colorizer against the contract on top of `types.py`, for the tests of plugins."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from batchcolor.hooks.guard import InvalidChromaError, validate_chroma
from batchcolor.hooks.options import describe_options, parse_options
from batchcolor.hooks.types import Colorizer, ColorizerSpec, TemporalColorizer
from batchcolor.hooks.validation import find_spec_fault

TOLERANCE = 1e-4
"""How far chroma may differ between two calls: the last bits depend on the batch's shape."""


def check_colorizer(spec: ColorizerSpec, **options: object) -> None:
    """Builds the colorizer on the CPU and checks what it returns.

    It checks the spec, the shape, type and range of the chroma, that it is finite, that the
    input is unchanged, that the same luma gives the same chroma, alone and in a batch, and for
    a temporal colorizer that `reset()` forgets the frames before. A colorizer with `hints=True`
    gets a hint in each square. `options` are values of the spec's options dataclass. Weights are
    not loaded.

    Raises AssertionError that names the model and the fault, and UsageError for wrong options.
    """
    fault = find_spec_fault(spec)
    assert not fault, fault
    describe_options(spec.options)
    colorizer = spec.build(parse_options(spec, options))
    if isinstance(colorizer, nn.Module):
        colorizer.eval()
    if spec.hints:
        colorizer = _WithHints(colorizer)
    luma = _make_test_luma(spec.working_size)
    with torch.inference_mode():
        if spec.temporal:
            _check_temporal(spec.name, colorizer, luma)
        else:
            _check_batches(spec.name, colorizer, luma)


class _WithHints:
    """Calls a colorizer that takes hints with one hint in the middle of each square."""

    def __init__(self, colorizer: Any) -> None:
        self._colorizer = colorizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._colorizer, name)

    def __call__(self, luma: torch.Tensor) -> torch.Tensor:
        hints = luma.new_zeros((len(luma), 3, *luma.shape[2:]))
        middle = luma.shape[-1] // 2
        hints[:, :, middle, middle] = luma.new_tensor([1.0, 0.1, -0.1])
        chroma: torch.Tensor = self._colorizer(luma, hints)
        return chroma


def _make_test_luma(size: int) -> torch.Tensor:
    """Returns luma `(4, 1, size, size)`: black, white, a gradient, noise."""
    gradient = torch.linspace(0, 1, size).expand(size, size)
    noise = torch.rand(size, size, generator=torch.Generator().manual_seed(0))
    flat = torch.ones(size, size)
    return torch.stack([flat * 0, flat, gradient, noise])[:, None]


def _check_batches(name: str, colorizer: Colorizer, luma: torch.Tensor) -> None:
    together = _call(name, colorizer, luma)
    repeated = _call(name, colorizer, luma)
    _check_equal(together, repeated, f"{name} returns other chroma for the same luma")
    for number, square in enumerate(luma):
        alone = _call(name, colorizer, square[None])
        _check_equal(
            alone[0], together[number], f"{name} returns other chroma alone than in a batch"
        )


def _check_temporal(name: str, colorizer: Colorizer, luma: torch.Tensor) -> None:
    assert isinstance(colorizer, TemporalColorizer), f"{name} is temporal and has no reset()"
    shots = []
    for _ in range(2):
        colorizer.reset()
        shots.append([_call(name, colorizer, frame[None]) for frame in luma])
    for first, second in zip(*shots, strict=True):
        _check_equal(first, second, f"{name} returns other chroma for the same shot after reset()")
    for first, second in pairwise(shots[0]):
        assert first.shape == second.shape, f"{name} changes the size of its chroma in a shot"


def _call(name: str, colorizer: Colorizer, luma: torch.Tensor) -> torch.Tensor:
    given = luma.clone()
    chroma: Any = colorizer(given)
    assert torch.equal(given, luma), f"{name} changed its input"
    try:
        return validate_chroma(chroma, len(luma), luma.device)
    except InvalidChromaError as error:
        raise AssertionError(f"{name} {error}") from error


def _check_equal(first: torch.Tensor, second: torch.Tensor, message: str) -> None:
    assert first.shape == second.shape, f"{message}: shapes {first.shape}, {second.shape}"
    difference = float((first - second).abs().max())
    assert difference <= TOLERANCE, f"{message}: a difference of {difference:.2g}"
