"""Bootstrap confidence intervals, and paired differences to an earlier measurement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from batchcolor.errors import UsageError
from batchcolor.evaluation.metrics import FloatArray

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 2003
"""Fixed, so that the same values always give the same interval."""
BATCH_VALUES = 500_000
"""Resampled values in memory at once, 8 bytes each."""
LOWER_IS_BETTER = frozenset({"rgb_mse", "ab_mse", "delta_e_2000", "specks", "lpips"})
RELATIVE_TOLERANCE = 1e-4
"""Relative difference between two measurements of one grey picture, due to rounding decoders."""


def bootstrap_intervals(values: FloatArray) -> FloatArray:
    """Returns 95 % percentile bootstrap intervals of the mean of each column: `(n, k)` to `(k, 2)`.

    Rows are resampled with replacement, the same rows for every column. The interval of a single
    row has no width. Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
    """
    if len(values) == 1:
        return np.repeat(values.T, 2, axis=1)
    # Imported here, as scipy.stats takes half a second to load.
    from scipy.stats import bootstrap

    result: Any = bootstrap(
        (values,),
        np.mean,
        axis=0,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, BATCH_VALUES // values.size),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    intervals: FloatArray = np.stack(result.confidence_interval, axis=1)
    return intervals


@dataclass(frozen=True)
class PairedDifference:
    """Mean over pictures of new minus baseline, with its interval from `low` to `high`.

    `verdict` is `better` or `worse`, and empty where the interval includes 0.
    """

    metric: str
    mean: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class RowComparison:
    """A row compared with a baseline's row, over the pictures that both measured."""

    row: str
    baseline: str
    pictures: int
    differences: tuple[PairedDifference, ...]


def compare_paired(
    new: Mapping[str, FloatArray],
    old: Mapping[str, FloatArray],
    reference_colorfulness: FloatArray | float,
) -> tuple[int, tuple[PairedDifference, ...]]:
    """Returns the number of pictures that both measured, and the difference of each common metric.

    Arrays are aligned picture by picture, NaN where a picture has no result. Colorfulness is
    better where its mean is nearer to that of the references, which are given for each picture or
    as their mean; without a reference it has no verdict.
    """
    metrics = [metric for metric in new if metric in old]
    both = np.stack([np.stack([new[metric], old[metric]]) for metric in metrics])  # (k, 2, n)
    is_measured = np.isfinite(both).all(axis=(0, 1))
    both = both[..., is_measured]
    pictures = both.shape[2]
    if not pictures:
        return 0, ()
    reference = np.broadcast_to(reference_colorfulness, is_measured.shape)[is_measured].mean()
    differences = (both[:, 0] - both[:, 1]).T  # (n, k)
    compared = []
    for metric, (new_mean, old_mean), mean, (low, high) in zip(
        metrics,
        both.mean(axis=2),
        differences.mean(axis=0),
        bootstrap_intervals(differences),
        strict=True,
    ):
        gain = float(mean)
        if metric in LOWER_IS_BETTER:
            gain = -gain
        elif metric == "colorfulness":
            gain = float(abs(old_mean - reference) - abs(new_mean - reference))
        is_significant = (low > 0 or high < 0) and np.isfinite(gain) and gain != 0
        verdict = ("better" if gain > 0 else "worse") if is_significant else ""
        compared.append(PairedDifference(metric, float(mean), float(low), float(high), verdict))
    return pictures, tuple(compared)


@dataclass(frozen=True)
class Baseline:
    """An earlier JSON document: rows by name, each with one number per picture and metric."""

    path: Path
    size: int | None
    names: tuple[str, ...]
    rows: dict[str, dict[str, FloatArray]]

    def check_pictures(self, names: Sequence[str], size: int | None) -> None:
        """Raises UsageError where a measurement of these pictures at `size` cannot be compared."""
        if self.size != size:
            raise UsageError(
                f"--against {self.path}: measured {_describe_size(self.size)}, but this one would "
                f"be {_describe_size(size)}; use the same --size"
            )
        if not set(names) & set(self.names):
            raise UsageError(
                f"--against {self.path}: measured on other pictures; "
                f"measure the baseline on the folder of --data"
            )

    def find_changed(self, names: Sequence[str], gray_errors: FloatArray) -> list[str]:
        """Returns the pictures that have the same name as in the baseline, but other content.

        `gray_errors` is `rgb_mse` of the row "grey": it follows from the reference alone, so it
        identifies it. NaN, of a picture that could not be read on either side, says nothing.
        """
        old_errors = dict(zip(self.names, self.rows["grey"]["rgb_mse"], strict=True))
        old = np.array([old_errors.get(name, np.nan) for name in names])
        is_known = np.isfinite(gray_errors) & np.isfinite(old)
        is_changed = is_known & ~np.isclose(gray_errors, old, rtol=RELATIVE_TOLERANCE, atol=1e-9)
        return [name for name, changed in zip(names, is_changed, strict=True) if changed]

    def compare(
        self,
        names: Sequence[str],
        rows: Mapping[str, Mapping[str, FloatArray]],
        reference_colorfulness: FloatArray,
    ) -> list[RowComparison]:
        """Compares rows of the same name; also the only model of each side under another name.

        `names` are the pictures of the new measurement, in the order of the arrays. Pictures whose
        content has changed are omitted.
        """
        changed = {*self.find_changed(names, rows["grey"]["rgb_mse"])}
        old_index_by_name = {
            name: index for index, name in enumerate(self.names) if name not in changed
        }
        new_indices = [index for index, name in enumerate(names) if name in old_index_by_name]
        old_indices = [old_index_by_name[names[index]] for index in new_indices]
        comparisons = []
        for new, old in self._pair_rows(list(rows)):
            pictures, differences = compare_paired(
                {metric: values[new_indices] for metric, values in rows[new].items()},
                {metric: values[old_indices] for metric, values in self.rows[old].items()},
                reference_colorfulness[new_indices],
            )
            comparisons.append(RowComparison(new, old, pictures, differences))
        return comparisons

    def _pair_rows(self, rows: Sequence[str]) -> list[tuple[str, str]]:
        pairs = [(name, name) for name in rows if name in self.rows]
        new, old = (
            [name for name in side if name not in ("grey", "mean")] for side in (rows, self.rows)
        )
        if len(new) == len(old) == 1 and new != old:
            pairs.append((new[0], old[0]))
        return pairs


def _describe_size(size: int | None) -> str:
    return "at full size" if size is None else f"with --size {size}"


def read_baseline(path: Path) -> Baseline:
    """Reads a document that `evaluate --json` wrote. Raises UsageError for anything else."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--against {path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--against {path}: not JSON, or truncated") from error
    try:
        names = tuple(map(str, document["pictures"]))
        rows = {
            str(row["name"]): _parse_metrics(row["per_picture"], len(names))
            for row in document["rows"]
        }
        rows["grey"]["rgb_mse"]
        return Baseline(path, document["size"], names, rows)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UsageError(
            f"--against {path}: not a document of batchcolor evaluate --json"
        ) from error


def _parse_metrics(metrics: Mapping[str, Any], count: int) -> dict[str, FloatArray]:
    parsed = {}
    for metric, values in metrics.items():
        parsed[metric] = np.array(values, np.float64)  # None becomes NaN
        if parsed[metric].shape != (count,):
            raise ValueError(metric)
    return parsed
