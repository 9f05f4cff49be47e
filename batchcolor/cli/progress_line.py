"""The line of progress: counts, rate and time left, fitted to the width of the terminal."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from rich.cells import cell_len

from batchcolor.errors import make_printable

if TYPE_CHECKING:
    from batchcolor.pipeline.report import NodeStatus, Report

BAR_WIDTH = 20
SPINNER_WIDTH = 2
"""Columns of the spinner and the space after it."""
MIN_NAME = 12
"""Columns below which a name is not shown in part."""


def fit_line(report: Report, name: str, width: int) -> tuple[str, bool, str]:
    """Returns counts, whether there is a bar, and a name, for a line of `width` columns.

    What does not fit is omitted: first the name, then the number of frames, then the bar.
    """
    text, space = counts(report), width - SPINNER_WIDTH - 1  # the last column wraps some terminals
    if cell_len(text) + 1 + BAR_WIDTH > space:
        text = counts(report, with_frames=False)
    free = space - cell_len(text) - 1 - BAR_WIDTH
    return text, free >= 0, _shorten(name, free - 1)


def counts(report: Report, *, with_frames: bool = True) -> str:
    """Done of the total, skipped, failed, rate and time left on one line."""
    total = "" if report.total is None else f" of {report.total}"
    parts = [f"{report.done + report.copied + report.skipped}{total} done"]
    if report.skipped:
        parts.append(f"{report.skipped} skipped")
    if report.failed:
        parts.append(f"{report.failed} failed")
    rate, left = describe_rate(report, with_frames=with_frames), seconds_left(report)
    if rate:
        parts.append(rate)
    if left is not None:
        parts.append(f"{timedelta(seconds=round(left))} left")
    return ", ".join(parts)


def describe_node(node: NodeStatus) -> str:
    """What a node of a cluster has done, and its state where it does not work."""
    parts = [f"{node.finished + node.in_work} done"]
    if node.failed:
        parts.append(f"{node.failed} failed")
    if node.state == "not used":
        parts.append(f"not used: {node.reason}")
    elif node.state != "working":
        parts.append(node.state)
    elif node.workers > 1:
        parts.append(f"{node.workers} workers")
    return f"{make_printable(node.name)}: {', '.join(parts)}"


def describe_rate(report: Report, *, with_frames: bool = True) -> str:
    """Frames per second where there are films, else pictures per second; empty before the first."""
    if report.frames:
        frames = f"{report.frames} frames, " if with_frames else ""
        return f"{frames}{report.frame_rate:.1f} frames/s"
    return f"{report.rate:.1f}/s" if report.done else ""


def seconds_left(report: Report) -> float | None:
    """Time for the remaining frames of films, else for the remaining pictures; None: unknown."""
    if not report.frames:
        return report.seconds_left
    frames = report.frames_expected + report.frames_waiting - report.frames
    return frames / max(report.frame_rate, 1e-3) if frames > 0 else None


def _shorten(name: str, width: int) -> str:
    """The end of a name that is too long, after dots; nothing where that would say little."""
    if cell_len(name) <= width:
        return name
    if width < MIN_NAME:
        return ""
    while cell_len(name) > width - 3:
        name = name[1:]
    return f"...{name}"
