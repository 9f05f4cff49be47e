"""`batchcolor compare`: selects pictures, colours them with every model, and writes the outputs.

One picture is in memory at full size at a time; only its panels are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.comparison.compare_settings import DEFAULT_STRENGTHS, CompareSettings
from batchcolor.evaluation.comparison.found_pictures import FoundPicture, open_pictures
from batchcolor.evaluation.comparison.panels import (
    ComparisonRow,
    Panel,
    load_picture,
    luma_to_rgb,
)
from batchcolor.evaluation.comparison.sheet_files import (
    check_outputs,
    check_size,
    check_sources,
    choose_sides,
    render_output,
    write_sheet,
)
from batchcolor.evaluation.inference import colorize_batches
from batchcolor.evaluation.runners import load_runners
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.thread_warnings import silence_warnings
from batchcolor.inference.runner import Result, Runner, Square

T = TypeVar("T")


@dataclass
class Comparison:
    """The result: the files written, and names of pictures that failed with the reason."""

    written: list[Path] = field(default_factory=list)
    shown_count: int = 0
    found_count: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare(
    settings: CompareSettings,
    plugins: Plugins,
    report_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Colours the pictures with every model and writes each output.

    `report_progress(done, total)` is called after each picture. A picture that cannot be read,
    or that a model fails on, is shown with its reason and listed in `failures`.
    Raises UsageError and ModelError before anything is written; OutputError.
    """
    check_outputs(settings)
    with open_pictures(settings.sources, plugins) as pictures:
        files = [picture.file for picture in pictures if picture.file is not None]
        check_sources(settings.outputs, files)
        return _compare(settings, pictures, plugins, report_progress)


def _compare(
    settings: CompareSettings,
    pictures: Sequence[FoundPicture],
    plugins: Plugins,
    report_progress: Callable[[int, int], None],
) -> Comparison:
    selected = select_evenly(pictures, settings.limit)
    sides = choose_sides(settings)
    for side, outputs in sides.items():
        check_size(settings, len(selected), side, outputs)
    runners = load_runners(settings.models, plugins, settings.loading)
    result = Comparison(shown_count=len(selected), found_count=len(pictures))
    rows: dict[int, list[ComparisonRow]] = {side: [] for side in sides}
    for done, picture in enumerate(selected, 1):
        row = _make_row(picture, max(sides), runners, plugins, settings.strengths)
        result.failures += row.list_failures()
        for side in sides:
            rows[side].append(row.resize_panels(side))
        report_progress(done, len(selected))
    for side, outputs in sides.items():
        for output in outputs:
            content = render_output(output, rows[side], settings.title, side)
            write_sheet(content, output, replace=settings.if_exists == "overwrite")
            result.written.append(output)
    result.notes = [note for runner in runners for note in runner.notes]
    return result


def select_evenly(items: Sequence[T], count: int) -> list[T]:
    """Returns at most `count` items, evenly spread, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    if count == 1:
        return [items[0]]
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _make_row(
    found: FoundPicture,
    side: int,
    runners: Sequence[Runner],
    plugins: Plugins,
    strengths: tuple[float, ...] | None,
) -> ComparisonRow:
    """Returns the row of a picture; its panels are at least `side` pixels long, if it is."""
    try:
        # Warnings of decoders are reported by `run`.
        with silence_warnings(), found.open(plugins.readers()) as source:
            min_short_side = 2 * max(runner.working_size for runner in runners)
            picture, true, size = load_picture(source, side, min_short_side, plugins)
    except ProcessingError as error:
        return ComparisonRow(found.name, failure=error.reason)
    shown_strengths = strengths or (DEFAULT_STRENGTHS if true is None else (1.0,))
    outputs: dict[tuple[str, float], Panel] = {}
    for runner in runners:
        cached = cast(Runner, _CachedRunner(runner))
        for strength in shown_strengths:
            (output,) = colorize_batches([picture], cached, plugins, strength)
            outputs[runner.name, strength] = output
    return ComparisonRow(found.name, size, luma_to_rgb(picture), true, outputs)


class _CachedRunner:
    """Runs a model on one picture once, and returns the same chroma for every strength."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.squares_at_once = runner, runner.squares_at_once
        self.working_size = runner.working_size
        self._results: list[Result] | None = None

    def run(self, squares: Sequence[Square]) -> list[Result]:
        """Returns what `Runner.run` returned for the first call."""
        if self._results is None:
            self._results = self.runner.run(squares)
        return self._results
