"""`batchcolor compare`: which pictures are shown, what each model makes of them, what is written.

One picture is in memory at full size at a time; what is kept of it are its panels.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from batchcolor.errors import OutputError, ProcessingError, UsageError, make_printable
from batchcolor.evaluation.comparison.html_page import render_html
from batchcolor.evaluation.comparison.panels import ComparisonRow, Output, grey_of, load
from batchcolor.evaluation.comparison.pdf import encode_pdf
from batchcolor.evaluation.comparison.sections import make_sections
from batchcolor.evaluation.inference import colorize_batches
from batchcolor.evaluation.runners import load_runners
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.images.contact_sheet import layout_sheet
from batchcolor.images.scan import ScannedFile, scan
from batchcolor.images.sheet_page import encode_page
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import Result, Runner, Square
from batchcolor.pipeline.planner import make_plan
from batchcolor.pipeline.settings import RunSettings
from batchcolor.storage.atomic import write_atomic

Thing = TypeVar("Thing")

STRENGTHS = (0.5, 1.0, 1.5)
"""Shown of a picture without a truth, unless others are asked for."""
SHEET_SIDE, PAGE_SIDE = 320, 800
"""Long side of a panel, in pixels: on a sheet, and on a page where one picture is looked at."""
MOST_PIXELS = 200_000_000
"""Of all panels together: they are held in memory, three bytes each."""
LONGEST_SIDE = 60_000
"""Of a sheet's panels: JPEG ends at 65,535, many viewers earlier; labels take the rest."""
PDF_ROWS = 6
"""Pictures on a page of a PDF, at most."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".pdf", ".html", ".htm")


@dataclass(frozen=True)
class CompareSettings:
    """One comparison. `strengths` None: 1 where there is a truth, `STRENGTHS` where not."""

    sources: tuple[str, ...]
    outputs: tuple[Path, ...] = (Path("compare.png"),)
    models: tuple[str, ...] = (DEFAULT_MODEL,)
    strengths: tuple[float, ...] | None = None
    limit: int = 12
    size: int | None = None
    loading: LoadOptions = field(default_factory=lambda: LoadOptions(batch_size=1))
    title: str = ""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise UsageError(f"--limit {self.limit}: at least 1")
        if self.size is not None and not 16 <= self.size <= 4096:
            raise UsageError(f"--size {self.size}: 16 to 4096 pixels")
        for strength in self.strengths or ():
            if not (math.isfinite(strength) and 0 <= strength <= 2):
                raise UsageError(f"--strengths {strength:g}: numbers from 0 to 2")
        for output in self.outputs:
            _check_output(output, self.overwrite)


@dataclass
class Comparison:
    """What was made. `failures` are names of pictures with why, one for each model at most."""

    written: list[Path] = field(default_factory=list)
    shown: int = 0
    found: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse_strengths(text: str | None) -> tuple[float, ...] | None:
    """`0.5,1,1.5` as numbers, each once. Raises UsageError for anything else."""
    if text is None:
        return None
    try:
        return tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(f"--strengths {text}: write it as 0.5,1,1.5") from None


def compare(
    settings: CompareSettings,
    plugins: Plugins,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Colour the pictures with every model and write each output; `watch(done, total)` is called
    after each picture.

    A picture or a model's result that fails is shown as such and is in `failures`.
    Raises UsageError, ModelError (nothing was written then), OutputError.
    """
    everything = _found(settings.sources, plugins)
    _check_sources(settings.outputs, [found for _, found in everything])
    chosen = select_evenly(everything, settings.limit)
    sides: dict[int, list[Path]] = {}
    for output in settings.outputs:
        side = settings.size or (PAGE_SIDE if _is_page(output) else SHEET_SIDE)
        sides.setdefault(side, []).append(output)
    for side, outputs in sides.items():
        _check_size(settings, len(chosen), side, outputs)
    runners = load_runners(settings.models, plugins, settings.loading)
    made = Comparison(shown=len(chosen), found=len(everything))
    rows: dict[int, list[ComparisonRow]] = {side: [] for side in sides}
    for done, (name, found) in enumerate(chosen, 1):
        whole = _row(name, found, max(sides), runners, plugins, settings.strengths)
        made.failures += whole.failures()
        for side in sides:
            rows[side].append(whole.fitted(side))
        watch(done, len(chosen))
    for side, outputs in sides.items():
        for output in outputs:
            content = _content(output, rows[side], settings, side)
            write_sheet(content, output, replace=settings.overwrite)
            made.written.append(output)
    made.notes = [note for runner in runners for note in runner.notes]
    return made


def select_evenly(things: Sequence[Thing], count: int) -> list[Thing]:
    """At most `count` of them, evenly spread, the first and the last among them."""
    if len(things) <= count:
        return list(things)
    if count == 1:
        return [things[0]]
    return [things[round(i * (len(things) - 1) / (count - 1))] for i in range(count)]


def _found(sources: Sequence[str], plugins: Plugins) -> list[tuple[str, ScannedFile]]:
    """Every picture once, with the name that it is shown by."""
    chosen: dict[Path, tuple[str, ScannedFile]] = {}
    for root in make_plan(RunSettings(sources=tuple(sources))).roots:
        for found in scan(root.path, readers=plugins.readers()):
            if isinstance(found, ScannedFile) and not found.film:
                name = make_printable(root.below / found.relative)
                chosen.setdefault(found.path, (name, found))
    if not chosen:
        raise UsageError(f"no pictures found in {', '.join(sources)}")
    return list(chosen.values())


def _row(
    name: str,
    found: ScannedFile,
    side: int,
    runners: Sequence[Runner],
    plugins: Plugins,
    strengths: tuple[float, ...] | None,
) -> ComparisonRow:
    """A picture's row before it is fitted to the size of its panels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a decoder's remarks; `run` notes them
            least = 2 * max(runner.working_size for runner in runners)
            picture, true, size = load(found, side, least, plugins)
    except ProcessingError as error:
        return ComparisonRow(name, failure=error.reason)
    wanted = strengths or (STRENGTHS if true is None else (1.0,))
    outputs: dict[tuple[str, float], Output] = {}
    for runner in runners:
        once = cast(Runner, _Once(runner))
        for strength in wanted:
            (outputs[runner.name, strength],) = colorize_batches([picture], once, plugins, strength)
    return ComparisonRow(name, size, grey_of(picture), true, outputs)


class _Once:
    """A runner that runs for the first strength and remembers for the others."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.batch_size = runner, runner.batch_size
        self.working_size = runner.working_size
        self.results: list[Result] | None = None

    def run(self, squares: Sequence[Square]) -> list[Result]:
        """As `Runner.run`, of one and the same picture."""
        if self.results is None:
            self.results = self.runner.run(squares)
        return self.results


def _is_page(output: Path) -> bool:
    return output.suffix.lower() in (".html", ".htm")


def _content(
    output: Path, rows: list[ComparisonRow], settings: CompareSettings, side: int
) -> bytes:
    if _is_page(output):
        return render_html(rows, settings.title)
    sections = make_sections(rows)
    if output.suffix.lower() == ".pdf":
        pages = layout_sheet(sections, side, title=settings.title, rows_per_page=PDF_ROWS)
        return encode_pdf(pages)
    (page,) = layout_sheet(sections, side, title=settings.title)
    return encode_page(page, "PNG" if output.suffix.lower() == ".png" else "JPEG")


def _check_output(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise UsageError(f"--output {output} is a folder; name a file, as compare.png")
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"--output {output}: its suffix says what is made; one of {', '.join(SUFFIXES)}"
        )
    if os.path.lexists(output) and not overwrite:
        raise _taken(output)


def _check_sources(outputs: Sequence[Path], sources: Sequence[ScannedFile]) -> None:
    """No sheet takes a photograph's place, whatever --if-exists says."""
    for output in outputs:
        for found in sources if output.exists() else ():
            if found.path.samefile(output):
                raise UsageError(f"--output {output} is one of the pictures; name another file")


def _taken(output: Path) -> UsageError:
    return UsageError(f"{output} exists already; --if-exists overwrite replaces it")


def _check_size(settings: CompareSettings, count: int, side: int, outputs: Sequence[Path]) -> None:
    """Refuse what could not be held or opened, before any model is loaded."""
    models = len(set(settings.models))
    columns = 1 + max(models * len(settings.strengths or STRENGTHS), 2 * models + 1)
    pixels, height = count * columns * side * side, count * side
    sheets = [output for output in outputs if output.suffix.lower() in (".png", ".jpg", ".jpeg")]
    too_tall = bool(sheets) and max(height, columns * side) > LONGEST_SIDE
    if pixels > MOST_PIXELS or too_tall:
        raise UsageError(
            f"{count} pictures x {columns} panels of {side} px are too large for one file; "
            f"give a smaller --limit or --size"
        )


def write_sheet(data: bytes, target: Path, *, replace: bool) -> None:
    """Write a sheet. Raises UsageError where the name is taken, and OutputError."""
    try:
        write_atomic(target, data, replace=replace)
    except FileExistsError as error:
        if os.path.lexists(target):
            raise _taken(target) from error
        raise OutputError(f"{target} cannot be written ({error.strerror})") from error
