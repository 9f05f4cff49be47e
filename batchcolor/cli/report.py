"""`batchcolor report OUT`: how far a job and its shards are, and what failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, only_json, plain_text, print_json, print_line
from batchcolor.errors import make_printable
from batchcolor.storage.locations import Url, is_url

if TYPE_CHECKING:
    from batchcolor.cluster.shard_report import FailedSource, MergedReport, ShardProgress

MAX_ROWS = 24
"""Shards that are listed without -v; more are reduced to those that are not complete."""
MAX_NAMES = 5
"""Failures of each step that are listed without -v."""
NARROW = 76
"""Columns below which the table has fewer columns."""


def report(
    output: options.OutputLocation,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Show how far a job and its shards are: done, failed, missing, rate, time, failures."""
    with only_json(as_json) as stdout:
        if is_url(output):
            from batchcolor.cluster.remote_report import merge_remote_reports

            merged = merge_remote_reports(Url(output))
        else:
            from batchcolor.cluster.shard_report import merge_reports

            merged = merge_reports(output)
        if as_json:
            print_json(merged.as_json(), stdout)
            return merged.exit_code
        console = make_console(stderr=False)
        if not quiet:
            _print_table(console, merged, is_verbose=bool(verbose))
        _print_failures(console, merged, is_verbose=bool(verbose))
        if not quiet:
            _print_next_steps(console, merged)
    return merged.exit_code


def _print_table(console: Console, merged: MergedReport, *, is_verbose: bool) -> None:
    shards = list(merged.shards)
    hidden = 0
    if len(shards) > MAX_ROWS and not is_verbose:
        listed = [one for one in shards if one.state != "complete" or one.failed or one.missing]
        hidden = len(shards) - len(listed[:MAX_ROWS])
        shards = listed[:MAX_ROWS]
    is_narrow = console.width < NARROW
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("" if merged.shards[0].shard == "" else "shard", no_wrap=True)
    if not is_narrow:
        table.add_column("state", no_wrap=True)
    for heading in _headings(is_narrow=is_narrow):
        table.add_column(heading, justify="right", no_wrap=True)
    for shard in shards:
        table.add_row(*map(plain_text, _cells(shard, is_narrow=is_narrow)))
    if len(merged.shards) > 1:
        table.add_section()
        table.add_row(*map(plain_text, _cells(merged.total, "total", is_narrow=is_narrow)))
    console.print(table)
    if hidden:
        print_line(console, f"{_count(hidden, 'shard')} more (-v lists all)")
    if not merged.total.is_exact and merged.total.planned is not None:
        print_line(console, "Planned is an estimate by file names where a scan is not complete")


def _headings(*, is_narrow: bool) -> Sequence[str]:
    if is_narrow:
        return ("done", "failed", "missing", "time")
    return ("planned", "done", "failed", "skipped", "missing", "rate", "time")


def _cells(shard: ShardProgress, name: str = "", *, is_narrow: bool) -> Iterator[str]:
    is_known = shard.state != "not started" or bool(name)
    yield name or shard.shard or "job"
    if not is_narrow:
        yield shard.state
        yield _number(shard.planned)
    yield str(shard.done) if is_known else "-"
    yield str(shard.failed) if is_known else "-"
    if not is_narrow:
        yield str(shard.skipped) if is_known else "-"
    yield _number(shard.missing)
    if not is_narrow:
        yield "-" if shard.rate is None else f"{shard.rate:.1f}/s"
    yield str(timedelta(seconds=round(shard.seconds))) if is_known else "-"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _print_failures(console: Console, merged: MergedReport, *, is_verbose: bool) -> None:
    for step, failures in merged.failures_by_step.items():
        print_line(console, f"{_count(len(failures), 'failure')} at {make_printable(step)}")
        listed = failures if is_verbose else failures[:MAX_NAMES]
        for failure in listed:
            print_line(console, f"  {_describe(failure)}")
        if len(listed) < len(failures):
            print_line(console, f"  and {len(failures) - len(listed)} more (-v lists all)")


def _describe(failure: FailedSource) -> str:
    return make_printable(f"{failure.source}: {failure.reason}")


def _print_next_steps(console: Console, merged: MergedReport) -> None:
    """What to do about shards that did not end."""
    for states, what in (
        (("interrupted", "stopped"), "run {} again to resume"),
        (("not started",), "start {}"),
    ):
        names = [shard.shard for shard in merged.shards if shard.state in states]
        if names == [""]:
            print_line(console, "Next: run the same command again to resume")
        elif names:
            listed = ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
            parts = f"shard {listed}" if len(names) == 1 else f"shards {listed}"
            print_line(console, f"Next: {what.format(parts)}")


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
