"""`batchcolor evaluate --data`: converts references to grey, colours them and measures the results.

Pictures are processed in groups: memory depends neither on their number nor on their size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from batchcolor.errors import ProcessingError
from batchcolor.evaluation import metrics, perceptual, statistics
from batchcolor.evaluation.evaluate_settings import CONSTANT_ROWS, EvaluateSettings
from batchcolor.evaluation.inference import apply_constant_chroma, colorize_batches, make_gray
from batchcolor.evaluation.metrics import METRICS, FloatArray
from batchcolor.evaluation.references import (
    Reference,
    ReferenceSet,
    group_references,
    read_reference,
    scan_references,
)
from batchcolor.evaluation.runners import load_runners
from batchcolor.hooks.manager import Plugins, format_error
from batchcolor.images.picture import Picture, RgbArray
from batchcolor.inference.runner import Runner

GROUP_PICTURES = 64
"""Pictures in a group, at most."""
GROUP_PIXELS = 16_000_000
"""Pixels in a group, at most, unless a single picture has more."""


@dataclass
class ModelScores:
    """A row of the table: one number for each picture and metric, NaN where there is no result."""

    name: str
    values: dict[str, FloatArray]
    seconds: float = 0.0
    fid: float | None = None

    @property
    def measured(self) -> int:
        """Number of pictures with a result."""
        return int(np.isfinite(self.values["rgb_mse"]).sum())

    @property
    def images_per_second(self) -> float:
        """From luma in memory to RGB in memory."""
        return self.measured / max(self.seconds, 1e-9)

    def mean(self, metric: str) -> float:
        """Returns the mean over the pictures that have a result; NaN if none has."""
        finite = self.values[metric][np.isfinite(self.values[metric])]
        return float(finite.mean()) if len(finite) else float("nan")

    def compute_intervals(self) -> dict[str, tuple[float, float]]:
        """Returns the 95 % bootstrap interval of the mean of each metric."""
        intervals = {}
        for metric, values in self.values.items():
            finite = values[np.isfinite(values)]
            low, high = (
                statistics.bootstrap_intervals(finite[:, None])[0]
                if len(finite)
                else (np.nan, np.nan)
            )
            intervals[metric] = (float(low), float(high))
        return intervals


@dataclass
class Evaluation:
    """The result. Every array has one number for each picture, in the order of the references."""

    settings: EvaluateSettings
    reference_set: ReferenceSet
    reference_colorfulness: FloatArray
    rows: dict[str, ModelScores]
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    comparisons: list[statistics.RowComparison] = field(default_factory=list)


def evaluate(
    settings: EvaluateSettings,
    plugins: Plugins,
    report_progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Evaluation:
    """Measures every model on the colour photographs of `settings.data`.

    A picture that a model fails on is listed in `failures`; the others are measured. So is one
    whose content differs from that in the baseline; it is measured, and not compared.
    Raises EvaluationDataError, UsageError and ModelError before any picture is coloured.
    """
    assert settings.data is not None
    baseline = statistics.read_baseline(settings.against) if settings.against else None
    runners = load_runners(settings.models, plugins, settings.loading)
    with ThreadPoolExecutor(thread_name_prefix="measure") as pool:
        reference_set = scan_references(
            settings.data,
            pool,
            limit=settings.limit,
            size=settings.size,
            report_progress=lambda done, total: report_progress("scanning", done, total),
        )
        names = [reference.name for reference in reference_set.references]
        if baseline is not None:
            baseline.check_pictures(names, settings.size)
        evaluator = _Evaluator(settings, plugins, reference_set, runners, pool)
        evaluator.run(report_progress)
    result = evaluator.result
    for runner in runners:
        result.notes += [note for note in runner.notes if note not in result.notes]
    if baseline is not None:
        values = {name: row.values for name, row in result.rows.items()}
        reason = f"not compared: other content than in {baseline.path}; measure that one again"
        changed = baseline.find_changed(names, values["grey"]["rgb_mse"])
        result.failures += [(name, reason) for name in changed]
        result.comparisons = baseline.compare(names, values, result.reference_colorfulness)
    return result


class _Evaluator:
    """One measurement in progress."""

    def __init__(
        self,
        settings: EvaluateSettings,
        plugins: Plugins,
        reference_set: ReferenceSet,
        runners: Sequence[Runner],
        pool: Executor,
    ) -> None:
        self.settings, self.plugins, self.runners, self.pool = settings, plugins, runners, pool
        names = (*CONSTANT_ROWS, *(runner.name for runner in runners))
        count = len(reference_set.references)
        rows = {
            name: ModelScores(name, {metric: np.full(count, np.nan) for metric in METRICS})
            for name in names
        }
        self.result = Evaluation(settings, reference_set, np.full(count, np.nan), rows)
        device = runners[0].backend.torch_device
        self.lpips, self.fids = perceptual.load_perceptual_metrics(
            names, device, self.result.notes.append
        )
        if self.lpips:
            for row in rows.values():
                row.values["lpips"] = np.full(count, np.nan)

    def run(self, report_progress: Callable[[str, int, int], None]) -> None:
        """Measures every group of pictures for every row."""
        references, first = self.result.reference_set.references, 0
        for group in group_references(references, GROUP_PICTURES, GROUP_PIXELS):
            self._measure_group(group, first)
            first += len(group)
            report_progress("measuring", first, len(references))
        for name, fid in self.fids.items():
            self.result.rows[name].fid = fid.compute()

    def _measure_group(self, group: Sequence[Reference], first: int) -> None:
        """Measures pictures whose index starts at `first`."""
        rgbs, indices = [], []
        for index, reference, rgb in zip(
            range(first, first + len(group)), group, self.pool.map(self._read, group), strict=True
        ):
            if isinstance(rgb, str):
                self.result.failures.append((reference.name, rgb))
            else:
                rgbs.append(rgb)
                indices.append(index)
        pictures = [make_gray(rgb) for rgb in rgbs]
        for row in self.result.rows.values():
            self._measure_row(row, rgbs, pictures, indices)
        for stack_indices, stack in _stack_by_size(rgbs, indices):
            self.result.reference_colorfulness[stack_indices] = metrics.colorfulness(stack)

    def _read(self, reference: Reference) -> RgbArray | str:
        """Returns the pixels, or the reason why they can no longer be read."""
        try:
            rgb = read_reference(reference.path, self.settings.size)
        except Exception as error:  # a decoder may raise any error; only this picture fails
            return format_error(error)
        is_same = rgb.shape[:2] == (reference.height, reference.width)
        return rgb if is_same else "the file changed during the measurement"

    def _measure_row(
        self, row: ModelScores, rgbs: list[RgbArray], pictures: list[Picture], indices: list[int]
    ) -> None:
        """Colours the pictures with the model of a row and measures the outputs."""
        start = time.perf_counter()
        outputs = list(self._colorize(row.name, pictures))
        row.seconds += time.perf_counter() - start
        finished: list[tuple[RgbArray, RgbArray, int]] = []
        for rgb, output, index in zip(rgbs, outputs, indices, strict=True):
            if isinstance(output, ProcessingError):
                name = self.result.reference_set.references[index].name
                self.result.failures.append((name, f"{row.name}: {output.reason}"))
            else:
                finished.append((rgb, output, index))
        if not finished:
            return
        true_rgbs, output_rgbs, done = (list(column) for column in zip(*finished, strict=True))
        pairs = zip(_stack_by_size(true_rgbs, done), _stack_by_size(output_rgbs, done), strict=True)
        work = self.pool.map(lambda pair: self._measure_stack(row, *pair), pairs)
        for _ in work:  # raises what a thread raised
            pass
        if row.name in self.fids:
            for rgb, output, _ in finished:
                self.fids[row.name].add(rgb[None], output[None])

    def _measure_stack(
        self,
        row: ModelScores,
        references: tuple[list[int], RgbArray],
        outputs: tuple[list[int], RgbArray],
    ) -> None:
        """Measures pictures of one size, given as indices and pixels `(N, H, W, 3)`."""
        indices = references[0]
        values = metrics.measure_all(references[1], outputs[1])
        for metric, column in zip(METRICS, values.T, strict=True):
            row.values[metric][indices] = column
        if self.lpips:
            row.values["lpips"][indices] = self.lpips(references[1], outputs[1])

    def _colorize(self, name: str, pictures: list[Picture]) -> Iterator[RgbArray | ProcessingError]:
        if name == "grey":
            return apply_constant_chroma(pictures, (0.0, 0.0))
        if name == "mean":
            return apply_constant_chroma(pictures, self.result.reference_set.mean_chroma)
        (runner,) = (runner for runner in self.runners if runner.name == name)
        return colorize_batches(pictures, runner, self.plugins, self.settings.strength)


def _stack_by_size(rgbs: list[RgbArray], indices: list[int]) -> list[tuple[list[int], RgbArray]]:
    """Returns pictures of equal size as one array, with their indices."""
    positions: dict[tuple[int, ...], list[int]] = {}
    for position, rgb in enumerate(rgbs):
        positions.setdefault(rgb.shape, []).append(position)
    return [
        ([indices[p] for p in same_size], np.stack([rgbs[p] for p in same_size]))
        for same_size in positions.values()
    ]
