"""`batchcolor run --dry-run`: the plan of a job; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from batchcolor.cli.console import make_console, print_json, print_line
from batchcolor.errors import make_printable

if TYPE_CHECKING:
    from batchcolor.hooks.manager import Plugins
    from batchcolor.images.scan import SkippedEntry
    from batchcolor.pipeline.options.settings import RunSettings
    from batchcolor.pipeline.planning.planner import Plan
    from batchcolor.pipeline.planning.task import Task


def show_plan(
    settings: RunSettings,
    plugins: Plugins,
    as_json: bool,
    stdout: TextIO,
    missing: Sequence[SkippedEntry] = (),
) -> None:
    """Print what a job would do with each source. Raises what the job itself would raise."""
    from batchcolor.images.scan import SkippedEntry
    from batchcolor.pipeline.job import preview
    from batchcolor.storage.mounts import name_of

    plan, tasks = preview(settings, plugins, missing)
    rows: list[tuple[object, ...]] = []
    skipped: list[tuple[object, ...]] = []
    for task in tasks:
        if isinstance(task, SkippedEntry) and task.failed:  # the job counts it as a failure
            rows.append((name_of(task.path), "", "refused", task.reason))
        elif isinstance(task, SkippedEntry):
            skipped.append((name_of(task.path), task.reason))
        else:
            names = name_of(task.source.path), name_of(task.target)
            rows.append((*names, *_expected_action(task, plan)))
    if as_json:
        planned = [
            dict(zip(("source", "target", "action", "reason"), map(str, row), strict=True))
            for row in rows
        ]
        entries = [{"source": str(path), "reason": reason} for path, reason in skipped]
        key = "passed_over"  # the public key of skipped entries
        print_json({"output": name_of(plan.output), "planned": planned, key: entries}, stdout)
        return
    console = make_console(stderr=False)
    for source, target, action, reason in rows:
        place = f" -> {target}" if action == "colour" else ""
        print_line(
            console, make_printable(f"{action}: {source}{place}{f' ({reason})' if reason else ''}")
        )
    for path, reason in skipped:
        print_line(console, make_printable(f"skipped: {path} ({reason})"))
    count = sum(action == "colour" for _, _, action, _ in rows)
    print_line(console, f"{count} of {len(rows)} pictures and films would be coloured")
    print_line(console, f"Results would be in {make_printable(name_of(plan.output.absolute()))}")
    print_line(console, "Nothing was written. Next: run the same command without --dry-run")


def _expected_action(task: Task, plan: Plan) -> tuple[str, str]:
    """The action and its reason; a file whose content is no picture is refused."""
    found = task.source
    is_opened = not plan.has_remote_sources  # else only names are known
    if task.action == "colour" and found.format is None and is_opened:
        return "refused", "the file is empty" if not found.size else "not a known picture or film"
    return task.action, task.reason
