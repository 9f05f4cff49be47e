"""How sure a mean is: bootstrap intervals, and differences to an earlier measurement, paired."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import UsageError

Numbers = NDArray[np.float64]

RESAMPLES = 2000
SEED = 2003
"""Fixed: the same figures give the same interval."""
AT_ONCE = 4_000_000
"""Indices drawn at once, 8 bytes each."""
LOWER_IS_BETTER = frozenset({"rgb_mse", "ab_mse", "delta_e_2000", "lpips"})
SAME = 1e-4
"""Share by which two measurements of one grey picture may differ: decoders round."""


def intervals(values: Numbers) -> Numbers:
    """95 % percentile bootstrap intervals of the mean of each column: `(n, k)` to `(k, 2)`.

    Pictures (rows) are drawn again with replacement. One picture alone gives an interval
    without width. Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
    """
    count = len(values)
    chance = np.random.default_rng(SEED)
    means = []
    for start in range(0, RESAMPLES, step := max(1, AT_ONCE // count)):
        rows = min(step, RESAMPLES - start)
        drawn = chance.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        means.append(times @ values / count)
    low_high: Numbers = np.percentile(np.concatenate(means), [2.5, 97.5], axis=0).T
    return low_high


@dataclass(frozen=True)
class Difference:
    """New minus baseline, mean over pictures; `verdict` is better, worse or, unsure, empty."""

    metric: str
    mean: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Paired:
    """A row against a baseline's row, over the pictures that both have."""

    row: str
    baseline: str
    pictures: int
    differences: tuple[Difference, ...]


def differences(
    new: Mapping[str, Numbers], old: Mapping[str, Numbers], truth_colorfulness: float
) -> tuple[int, tuple[Difference, ...]]:
    """Number of pictures and the differences of each metric that both have.

    Arrays are aligned picture by picture, NaN where a picture has no result. A difference is
    better or worse only where its 95 % interval excludes 0; colorfulness is better where its
    mean is nearer the truth's.
    """
    metrics = [metric for metric in new if metric in old]
    both = np.stack([np.stack([new[metric], old[metric]]) for metric in metrics])  # (k, 2, n)
    kept = both[..., np.isfinite(both).all(axis=(0, 1))]
    if not kept.shape[2]:
        return 0, ()
    apart = (kept[:, 0] - kept[:, 1]).T  # (n, k)
    made = []
    for metric, pair, mean, (low, high) in zip(
        metrics, kept.mean(axis=2), apart.mean(axis=0), intervals(apart), strict=True
    ):
        gain = float(mean)
        if metric in LOWER_IS_BETTER:
            gain = -gain
        elif metric == "colorfulness":
            gain = abs(pair[1] - truth_colorfulness) - abs(pair[0] - truth_colorfulness)
        sure = low > 0 or high < 0
        verdict = ("better" if gain > 0 else "worse") if sure and gain else ""
        made.append(Difference(metric, float(mean), float(low), float(high), verdict))
    return kept.shape[2], tuple(made)


@dataclass(frozen=True)
class Baseline:
    """An earlier JSON document: rows by name, each with its metrics, one number a picture."""

    path: Path
    size: int | None
    names: tuple[str, ...]
    rows: dict[str, dict[str, Numbers]]

    def against(
        self, names: Sequence[str], rows: Mapping[str, Mapping[str, Numbers]], truth: Numbers
    ) -> list[Paired]:
        """Rows of one name paired; and the models, where each side has one, by another name.

        Raises UsageError where the pictures are not the same.
        """
        place = {name: index for index, name in enumerate(self.names)}
        here = [index for index, name in enumerate(names) if name in place]
        there = [place[names[index]] for index in here]
        if not here:
            raise UsageError(f"--against {self.path}: measured on other pictures")
        self._check_truths(rows["grey"]["rgb_mse"][here], there)
        made = []
        for new, old in self._pairs(list(rows)):
            count, found = differences(
                {metric: values[here] for metric, values in rows[new].items()},
                {metric: values[there] for metric, values in self.rows[old].items()},
                float(truth[here].mean()),
            )
            made.append(Paired(new, old, count, found))
        return made

    def _pairs(self, rows: Sequence[str]) -> list[tuple[str, str]]:
        pairs = [(name, name) for name in rows if name in self.rows]
        new, old = (
            [name for name in side if name not in ("grey", "mean")] for side in (rows, self.rows)
        )
        if len(new) == len(old) == 1 and new != old:
            pairs.append((new[0], old[0]))
        return pairs

    def _check_truths(self, new: Numbers, there: Sequence[int]) -> None:
        """What leaving a picture grey costs follows from its truth alone, so it tells truths."""
        old = self.rows["grey"]["rgb_mse"][there]
        odd = np.flatnonzero(~np.isclose(new, old, rtol=SAME, atol=1e-9, equal_nan=True))
        if len(odd):
            name = self.names[there[odd[0]]]
            raise UsageError(
                f"--against {self.path}: {len(odd)} pictures of the same name are others there "
                f"(first: {name})"
            )


def read_baseline(path: Path) -> Baseline:
    """A document that `evaluate --json` wrote. Raises UsageError for anything else."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--against {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--against {path}: not JSON, or only a part of it") from error
    try:
        names = tuple(map(str, document["pictures"]))
        rows = {
            str(row["name"]): _numbers(row["per_picture"], len(names)) for row in _rows(document)
        }
        rows["grey"]["rgb_mse"]
        return Baseline(path, document["size"], names, rows)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UsageError(f"--against {path}: not what batchcolor evaluate --json wrote") from error


def _rows(document: Any) -> Sequence[Any]:
    rows: Sequence[Any] = document["rows"]
    return rows


def _numbers(metrics: Mapping[str, Any], count: int) -> dict[str, Numbers]:
    made = {}
    for metric, values in metrics.items():
        made[metric] = np.array(values, np.float64)  # None becomes NaN
        if made[metric].shape != (count,):
            raise ValueError(metric)
    return made
