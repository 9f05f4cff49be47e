"""`batchcolor evaluate`: truths made grey, coloured by the real steps, and compared with truth.

Pictures pass in small groups: neither their number nor their size decides the memory.
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
from batchcolor.evaluation.inference import RGB, apply_constant_chroma, colorize_batches, make_gray
from batchcolor.evaluation.metrics import METRICS, Numbers
from batchcolor.evaluation.references import Reference, ReferenceSet, chunks, read, scan_references
from batchcolor.evaluation.runners import load_runners
from batchcolor.hooks.manager import Plugins, format_error
from batchcolor.images.picture import Picture
from batchcolor.inference.runner import Runner

GROUP = 64
"""Pictures of a group."""
GROUP_PIXELS = 16_000_000
"""Pixels of a group, unless one picture alone has more."""


@dataclass
class ModelScores:
    """A row of the table: one number a picture and metric, NaN where there is no result."""

    name: str
    values: dict[str, Numbers]
    seconds: float = 0.0
    fid: float | None = None

    @property
    def measured(self) -> int:
        """Pictures with a result."""
        return int(np.isfinite(self.values["rgb_mse"]).sum())

    @property
    def images_per_second(self) -> float:
        """From luma in memory to RGB in memory."""
        return self.measured / max(self.seconds, 1e-9)

    def mean(self, metric: str) -> float:
        """Over the pictures that have a result; NaN where none has."""
        kept = self.values[metric][np.isfinite(self.values[metric])]
        return float(kept.mean()) if len(kept) else float("nan")

    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % bootstrap interval of each metric's mean."""
        made = {}
        for metric, values in self.values.items():
            kept = values[np.isfinite(values)]
            low, high = (
                statistics.bootstrap_intervals(kept[:, None])[0] if len(kept) else (np.nan, np.nan)
            )
            made[metric] = (float(low), float(high))
        return made


@dataclass
class Evaluation:
    """What was measured. Every array has one number a picture, in the order of `survey.truths`."""

    settings: EvaluateSettings
    survey: ReferenceSet
    truth_colorfulness: Numbers
    rows: dict[str, ModelScores]
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    paired: list[statistics.RowComparison] = field(default_factory=list)


def evaluate(
    settings: EvaluateSettings,
    plugins: Plugins,
    watch: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Evaluation:
    """Measure every model on the colour photographs of a folder; `watch` gets the progress.

    A picture that a model fails on is in `failures`, and the others go on.
    Raises EvaluationDataError, UsageError, ModelError before anything is coloured.
    """
    assert settings.data is not None
    baseline = statistics.read_baseline(settings.against) if settings.against else None
    runners = load_runners(settings.models, plugins, settings.loading)
    with ThreadPoolExecutor(thread_name_prefix="measure") as pool:
        found = scan_references(
            settings.data,
            pool,
            limit=settings.limit,
            size=settings.size,
            advance=lambda done, total: watch("looking", done, total),
        )
        made = _Measuring(settings, plugins, found, runners, pool)
        made.run(watch)
    result = made.result
    for runner in runners:
        result.notes += [note for note in runner.notes if note not in result.notes]
    if baseline is not None:
        names = [truth.name for truth in found.truths]
        values = {name: row.values for name, row in result.rows.items()}
        result.paired = baseline.compare(names, values, result.truth_colorfulness)
    return result


class _Measuring:
    """One measurement in progress."""

    def __init__(
        self,
        settings: EvaluateSettings,
        plugins: Plugins,
        found: ReferenceSet,
        runners: Sequence[Runner],
        pool: Executor,
    ) -> None:
        self.settings, self.plugins, self.runners, self.pool = settings, plugins, runners, pool
        names = (*CONSTANT_ROWS, *(runner.name for runner in runners))
        count = len(found.truths)
        rows = {
            name: ModelScores(name, {m: np.full(count, np.nan) for m in METRICS}) for name in names
        }
        self.result = Evaluation(settings, found, np.full(count, np.nan), rows)
        device = str(runners[0].device.torch_device)
        self.lpips, self.fids = perceptual.load_perceptual_metrics(
            names, device, self.result.notes.append
        )
        if self.lpips:
            for row in rows.values():
                row.values["lpips"] = np.full(count, np.nan)

    def run(self, watch: Callable[[str, int, int], None]) -> None:
        """Every group of pictures through every row."""
        truths, first = self.result.survey.truths, 0
        for group in chunks(truths, GROUP, GROUP_PIXELS):
            self._group(group, first)
            first += len(group)
            watch("measuring", first, len(truths))
        for name, fid in self.fids.items():
            self.result.rows[name].fid = fid.value()

    def _group(self, group: Sequence[Reference], first: int) -> None:
        rgbs, places = [], []
        for place, truth, rgb in zip(
            range(first, first + len(group)), group, self.pool.map(self._read, group), strict=True
        ):
            if isinstance(rgb, str):
                self.result.failures.append((truth.name, rgb))
            else:
                rgbs.append(rgb)
                places.append(place)
        pictures = [make_gray(rgb) for rgb in rgbs]
        for row in self.result.rows.values():
            self._row(row, rgbs, pictures, places)
        for places_of, stack in _stacks(rgbs, places):
            self.result.truth_colorfulness[places_of] = metrics.colorfulness(stack)

    def _read(self, truth: Reference) -> RGB | str:
        """The truth, or why it cannot be had any more."""
        try:
            rgb = read(truth.path, self.settings.size)
        except Exception as error:  # a decoder may raise anything; one picture is not the set
            return format_error(error)
        return rgb if rgb.shape[:2] == (truth.height, truth.width) else "changed while measuring"

    def _row(
        self, row: ModelScores, rgbs: list[RGB], pictures: list[Picture], places: list[int]
    ) -> None:
        begun = time.perf_counter()
        outputs = list(self._outputs(row.name, pictures))
        row.seconds += time.perf_counter() - begun
        kept = []
        for index, output in enumerate(outputs):
            if isinstance(output, ProcessingError):
                name = self.result.survey.truths[places[index]].name
                self.result.failures.append((name, f"{row.name}: {output.reason}"))
            else:
                kept.append((rgbs[index], output, places[index]))
        if not kept:
            return
        truths, made, at = zip(*kept, strict=True)
        pairs = zip(_stacks(list(truths), list(at)), _stacks(list(made), list(at)), strict=True)
        work = self.pool.map(lambda pair: self._measure(row, *pair), pairs)
        for _ in work:  # what a thread raised is raised here
            pass
        if row.name in self.fids:
            for one, other in zip(truths, made, strict=True):
                self.fids[row.name].add(one[None], other[None])

    def _measure(
        self, row: ModelScores, truth: tuple[list[int], RGB], made: tuple[list[int], RGB]
    ) -> None:
        places, one, other = truth[0], truth[1], made[1]
        for metric, numbers in zip(METRICS, metrics.measured(one, other).T, strict=True):
            row.values[metric][places] = numbers
        if self.lpips:
            row.values["lpips"][places] = self.lpips(one, other)

    def _outputs(self, name: str, pictures: list[Picture]) -> Iterator[RGB | ProcessingError]:
        if name == "grey":
            return apply_constant_chroma(pictures, (0.0, 0.0))
        if name == "mean":
            return apply_constant_chroma(pictures, self.result.survey.mean_chroma)
        (runner,) = (runner for runner in self.runners if runner.name == name)
        return colorize_batches(pictures, runner, self.plugins, self.settings.strength)


def _stacks(rgbs: list[RGB], places: list[int]) -> list[tuple[list[int], RGB]]:
    """Pictures of one size stacked, with their places; neighbours need not have one size."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, rgb in enumerate(rgbs):
        by_size.setdefault(rgb.shape, []).append(index)
    return [
        ([places[index] for index in part], np.stack([rgbs[index] for index in part]))
        for part in by_size.values()
    ]
