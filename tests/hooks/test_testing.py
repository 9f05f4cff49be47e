"""`batchcolor.testing.check_colorizer` finds each breach of the contract."""

import pytest
import torch

import batchcolor
from batchcolor import ColorizerSpec
from batchcolor.models.builtin import ALPHA, BETA
from batchcolor.testing import check_colorizer


def spec(colorizer, **more):
    return ColorizerSpec("made", "for a test", 16, lambda options: colorizer, **more)


def flat(luma):
    return torch.full((len(luma), 2, 4, 4), 0.1)


class Memory:
    """Returns the mean of the frames since the last reset."""

    def __init__(self, forgets):
        self.forgets, self.seen = forgets, []

    def reset(self):
        self.seen = [] if self.forgets else self.seen

    def __call__(self, luma):
        self.seen.append(float(luma.mean()))
        return flat(luma) * sum(self.seen) / len(self.seen)


@pytest.mark.parametrize("good", [ALPHA, BETA, spec(flat), spec(Memory(True), temporal=True)])
def test_a_good_colorizer_passes(good):
    check_colorizer(good)


BAD = {
    "not a tensor": lambda luma: None,
    "shape": lambda luma: flat(luma)[:, :, :2],
    "(4, 2, s, s)": lambda luma: flat(luma[:1]),
    "NaN": lambda luma: flat(luma) * float("nan"),
    "outside": lambda luma: flat(luma) * 9,
    "floating": lambda luma: flat(luma).int(),
    "changed its input": lambda luma: flat(luma.add_(1)),
    "for the same luma": lambda luma: flat(luma) * torch.rand(()),
    "alone than in a batch": lambda luma: flat(luma) / len(luma),
}


@pytest.mark.parametrize(("message", "colorizer"), BAD.items(), ids=BAD)
def test_a_fault_is_reported_with_the_model(message, colorizer):
    with pytest.raises(AssertionError) as caught:
        batchcolor.testing.check_colorizer(spec(colorizer))
    assert message in str(caught.value)
    assert "made" in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (spec(Memory(False), temporal=True), "after reset"),
        (spec(flat, temporal=True), "no reset"),
        (ColorizerSpec("made", "-", 0, lambda options: flat), "working_size 0"),
    ],
)
def test_a_wrong_spec_or_temporal_colorizer_is_reported(bad, message):
    with pytest.raises(AssertionError, match=message):
        check_colorizer(bad)


def test_every_public_name_is_importable_and_listed():
    assert set(dir(batchcolor)) == set(batchcolor.__all__)
    for name in batchcolor.__all__:
        assert getattr(batchcolor, name) is not None
    for error in vars(batchcolor.errors).values():
        if isinstance(error, type) and issubclass(error, batchcolor.BatchcolorError):
            assert error.__name__ in batchcolor.__all__
    with pytest.raises(AttributeError, match="nonsense"):
        _ = batchcolor.nonsense
