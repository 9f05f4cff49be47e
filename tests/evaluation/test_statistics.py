"""How sure a mean is, and what a change has changed."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from batchcolor.errors import UsageError
from batchcolor.evaluation import statistics


def test_the_interval_is_about_that_of_the_normal_law_and_always_the_same():
    values = np.random.default_rng(1).normal(5, 2, (400, 1))
    (low, high), again = statistics.intervals(values)[0], statistics.intervals(values)[0]
    assert (low, high) == tuple(again)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    chance, held = np.random.default_rng(2), 0
    for _ in range(200):
        ((low, high),) = statistics.intervals(chance.exponential(1.0, (80, 1)))
        held += low <= 1 <= high
    assert 0.88 < held / 200 < 0.99


def test_a_paired_difference_is_found_where_the_means_alone_show_nothing():
    chance = np.random.default_rng(3)
    hard = chance.exponential(1.0, 100)  # pictures differ far more than models do
    old, new = {"rgb_mse": hard}, {"rgb_mse": hard * 0.97 + chance.normal(0, 0.002, 100)}
    count, (found,) = statistics.differences(new, old, 40.0)
    assert (count, found.verdict) == (100, "better")
    assert found.low < found.mean < found.high < 0
    apart = statistics.intervals(np.stack([new["rgb_mse"], hard], axis=1))
    assert apart[0][1] > apart[1][0]  # the two intervals overlap


def test_what_is_no_difference_is_not_called_one():
    values = np.random.default_rng(4).normal(1, 0.1, 50)
    noise = np.random.default_rng(5).normal(0, 0.1, 50)
    _, (found,) = statistics.differences(
        {"ssim": values + noise - noise.mean()}, {"ssim": values}, 40
    )
    assert found.verdict == ""


def test_more_colour_is_better_only_towards_the_truth():
    base = np.full(20, 30.0) + np.arange(20) / 10
    for made, verdict in ((base + 5, "better"), (base + 30, "worse"), (base - 5, "worse")):
        _, (found,) = statistics.differences({"colorfulness": made}, {"colorfulness": base}, 40.0)
        assert found.verdict == verdict


def test_pictures_without_a_result_are_left_out_of_both_sides():
    new, old = np.array([1.0, np.nan, 3.0, 4.0]), np.array([1.0, 2.0, np.nan, 5.0])
    count, (found,) = statistics.differences({"psnr_db": new}, {"psnr_db": old}, 40.0)
    assert (count, found.mean) == (2, -0.5)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[1]", "not what batchcolor evaluate --json wrote"),
        (json.dumps({"pictures": ["a"], "size": None, "rows": [{"name": "x"}]}), "not what"),
        (
            json.dumps(
                {
                    "pictures": ["a"],
                    "size": None,
                    "rows": [{"name": "grey", "per_picture": {"rgb_mse": [1, 2]}}],
                }
            ),
            "not what",
        ),
    ],
)
def test_a_baseline_that_is_none_is_said_in_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=sentence):
        statistics.read_baseline(path)
