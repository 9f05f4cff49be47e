"""Output files of a comparison: checked before, rendered and written after the models ran."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from batchcolor.errors import OutputError, UsageError
from batchcolor.evaluation.comparison.compare_settings import DEFAULT_STRENGTHS, CompareSettings
from batchcolor.evaluation.comparison.html_page import render_html
from batchcolor.evaluation.comparison.panels import ComparisonRow
from batchcolor.evaluation.comparison.pdf import encode_pdf
from batchcolor.evaluation.comparison.sections import make_sections
from batchcolor.images.scan import ScannedFile
from batchcolor.images.sheets.contact_sheet import layout_sheet
from batchcolor.images.sheets.sheet_page import encode_page
from batchcolor.storage.atomic import write_atomic

SHEET_SIDE, HTML_SIDE = 320, 800
"""Default long side of a panel in pixels, on a sheet and on the HTML page."""
MAX_PANEL_PIXELS = 200_000_000
"""Pixels of all panels together; they are in memory at once, three bytes each."""
MAX_SHEET_SIDE = 60_000
"""Side in pixels of all panels of a sheet. JPEG allows 65,535 with the labels."""
PDF_ROWS = 6
"""Pictures on a page of a PDF, at most."""
RASTER_SUFFIXES, HTML_SUFFIXES = (".png", ".jpg", ".jpeg"), (".html", ".htm")
SUFFIXES = (*RASTER_SUFFIXES, ".pdf", *HTML_SUFFIXES)


def check_outputs(settings: CompareSettings) -> None:
    """Raises UsageError for an output that cannot be written, or that exists."""
    for output in settings.outputs:
        if output.is_dir():
            raise UsageError(f"--output {output} is a folder; name a file, as compare.png")
        if output.suffix.lower() not in SUFFIXES:
            raise UsageError(f"--output {output}: the suffix must be one of {', '.join(SUFFIXES)}")
        if os.path.lexists(output) and settings.if_exists == "error":
            raise _make_exists_error(output)


def check_sources(outputs: Sequence[Path], sources: Sequence[ScannedFile]) -> None:
    """Raises UsageError for an output that is one of the sources, whatever --if-exists is."""
    for output in outputs:
        for source in sources if output.exists() else ():
            if source.path.samefile(output):
                raise UsageError(f"--output {output} is one of the pictures; name another file")


def choose_sides(settings: CompareSettings) -> dict[int, list[Path]]:
    """Returns the outputs by the long side of their panels in pixels."""
    sides: dict[int, list[Path]] = {}
    for output in settings.outputs:
        side = settings.size or (HTML_SIDE if _is_html(output) else SHEET_SIDE)
        sides.setdefault(side, []).append(output)
    return sides


def check_size(settings: CompareSettings, count: int, side: int, outputs: Sequence[Path]) -> None:
    """Raises UsageError for `count` pictures that would not fit in memory or in one file."""
    models = len(settings.models)
    strengths = len(settings.strengths or DEFAULT_STRENGTHS)
    columns = 1 + max(models * strengths, 2 * models + 1)
    has_raster = any(output.suffix.lower() in RASTER_SUFFIXES for output in outputs)
    is_too_tall = has_raster and max(count, columns) * side > MAX_SHEET_SIDE
    if count * columns * side * side > MAX_PANEL_PIXELS or is_too_tall:
        raise UsageError(
            f"{count} pictures x {columns} panels of {side} px are too large for one file; "
            f"give a smaller --limit or --size"
        )


def render_output(output: Path, rows: Sequence[ComparisonRow], title: str, side: int) -> bytes:
    """Returns the content of a file, in the format of its suffix."""
    if _is_html(output):
        return render_html(rows, title)
    sections = make_sections(rows)
    if output.suffix.lower() == ".pdf":
        return encode_pdf(layout_sheet(sections, side, title=title, rows_per_page=PDF_ROWS))
    (page,) = layout_sheet(sections, side, title=title)
    return encode_page(page, "PNG" if output.suffix.lower() == ".png" else "JPEG")


def write_sheet(content: bytes, target: Path, *, replace: bool) -> None:
    """Writes a sheet. Raises UsageError if the file exists and is not replaced; OutputError."""
    try:
        write_atomic(target, content, replace=replace)
    except FileExistsError as error:
        if os.path.lexists(target):
            raise _make_exists_error(target) from error
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from error


def _is_html(output: Path) -> bool:
    return output.suffix.lower() in HTML_SUFFIXES


def _make_exists_error(output: Path) -> UsageError:
    return UsageError(f"{output} exists already; --if-exists overwrite replaces it")
