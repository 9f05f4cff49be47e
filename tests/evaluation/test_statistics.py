"""Confidence intervals of means, and paired differences to a baseline."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from batchcolor.errors import UsageError
from batchcolor.evaluation import statistics


def test_the_interval_is_near_the_normal_one_and_reproducible():
    values = np.random.default_rng(1).normal(5, 2, (400, 1))
    (low, high), again = (
        statistics.bootstrap_intervals(values)[0],
        statistics.bootstrap_intervals(values)[0],
    )
    assert (low, high) == tuple(again)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_the_interval_of_one_picture_has_no_width():
    assert statistics.bootstrap_intervals(np.array([[3.0, 5.0]])).tolist() == [[3, 3], [5, 5]]


def test_columns_are_resampled_together_in_batches_of_any_size(monkeypatch):
    values = np.random.default_rng(6).normal(0, 1, (50, 3))
    whole = statistics.bootstrap_intervals(values)
    monkeypatch.setattr(statistics, "BATCH_VALUES", 1)
    assert np.array_equal(statistics.bootstrap_intervals(values), whole)
    for column, interval in zip(values.T, whole, strict=True):
        (alone,) = statistics.bootstrap_intervals(column[:, None])
        assert alone == pytest.approx(interval)


def test_about_95_percent_of_the_intervals_contain_the_true_mean():
    rng, contained = np.random.default_rng(2), 0
    for _ in range(200):
        ((low, high),) = statistics.bootstrap_intervals(rng.exponential(1.0, (80, 1)))
        contained += low <= 1 <= high
    assert 0.88 < contained / 200 < 0.99


def test_a_paired_difference_is_found_where_the_means_alone_show_nothing():
    rng = np.random.default_rng(3)
    hard = rng.exponential(1.0, 100)  # pictures differ far more than models do
    old, new = {"rgb_mse": hard}, {"rgb_mse": hard * 0.97 + rng.normal(0, 0.002, 100)}
    count, (difference,) = statistics.compare_paired(new, old, 40.0)
    assert (count, difference.verdict) == (100, "better")
    assert difference.low < difference.mean < difference.high < 0
    intervals = statistics.bootstrap_intervals(np.stack([new["rgb_mse"], hard], axis=1))
    assert intervals[0][1] > intervals[1][0]  # the two intervals overlap


def test_a_difference_within_the_noise_has_no_verdict():
    values = np.random.default_rng(4).normal(1, 0.1, 50)
    noise = np.random.default_rng(5).normal(0, 0.1, 50)
    _, (difference,) = statistics.compare_paired(
        {"ssim": values + noise - noise.mean()}, {"ssim": values}, 40
    )
    assert difference.verdict == ""


def test_more_colour_is_better_only_towards_the_colorfulness_of_the_references():
    base = np.full(20, 30.0) + np.arange(20) / 10
    for new, verdict in ((base + 5, "better"), (base + 30, "worse"), (base - 5, "worse")):
        _, (difference,) = statistics.compare_paired(
            {"colorfulness": new}, {"colorfulness": base}, 40.0
        )
        assert difference.verdict == verdict


def test_colorfulness_has_no_verdict_without_references_and_counts_those_that_were_read():
    base = np.full(20, 30.0) + np.arange(20) / 10
    references = np.full(20, 40.0)
    for reference, verdict in ((float("nan"), ""), (references, "better")):
        _, (difference,) = statistics.compare_paired(
            {"colorfulness": base + 5}, {"colorfulness": base}, reference
        )
        assert difference.verdict == verdict
    base[0] = references[0] = np.nan  # a picture that could not be read
    _, (difference,) = statistics.compare_paired(
        {"colorfulness": base + 5}, {"colorfulness": base}, references
    )
    assert difference.verdict == "better"


def test_pictures_without_a_result_are_omitted_from_both_sides():
    new, old = np.array([1.0, np.nan, 3.0, 4.0]), np.array([1.0, 2.0, np.nan, 5.0])
    count, (difference,) = statistics.compare_paired({"psnr_db": new}, {"psnr_db": old}, 40.0)
    assert (count, difference.mean) == (2, -0.5)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        ("{", "not JSON"),
        ("[1]", "not a document of batchcolor evaluate --json"),
        (json.dumps({"pictures": ["a"], "size": None, "rows": [{"name": "x"}]}), "not a document"),
        (
            json.dumps(
                {
                    "pictures": ["a"],
                    "size": None,
                    "rows": [{"name": "grey", "per_picture": {"rgb_mse": [1, 2]}}],
                }
            ),
            "not a document",
        ),
    ],
)
def test_a_file_that_is_no_baseline_is_reported_in_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=sentence):
        statistics.read_baseline(path)
