"""`batchcolor plugins`: the plugins that are installed, and what failed in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, make_table, only_json, print_json, print_line
from batchcolor.errors import make_printable

if TYPE_CHECKING:
    from rich.console import Console

    from batchcolor.hooks.failures import Origin
    from batchcolor.hooks.manager import Plugins


def plugins(
    as_json: options.AsJson = False,
    no_plugins: options.NoPlugins = False,
    verbose: options.Verbose = 0,
) -> None:
    """List the plugins: package, version, hooks, and whether they work; -v shows file and line."""
    from batchcolor.hooks.manager import load_plugins

    with only_json(as_json) as stdout:
        loaded = load_plugins(not no_plugins)
        loaded.colorizers()
        loaded.readers()
        failed = [failure.origin for failure in loaded.broken]
        rows = [_describe(loaded, one) for one in dict.fromkeys([*loaded.origins, *failed])]
        rows += [_describe(loaded, origin) for origin in loaded.disabled]
        if as_json:
            print_json(rows, stdout)
            return
        console = make_console(stderr=False)
        cells = [
            (
                row["name"],
                f"{row['package']} {row['version']}",
                ", ".join(hook.removeprefix("batchcolor_") for hook in row["hooks"]),
                row["state"],
            )
            for row in rows
        ]
        console.print(make_table("plugin", "package", "hooks", "state", rows=cells))
        print_failures(console, loaded, verbose)


def print_failures(
    console: Console, loaded: Plugins, verbose: int = 0, reported: Iterable[str] = ()
) -> None:
    """Prints one line for each failure, and one for each model name that two plugins claim.

    Failures of models that one of the sentences in `reported` is about are skipped.
    """
    sentences = list(reported)
    for failure in loaded.broken:
        subject = f"model {failure.model} of {failure.origin}"
        if not any(subject in sentence for sentence in sentences):
            print_line(console, make_printable(failure.describe(with_location=bool(verbose))))
    for name, owners in loaded.clashes.items():
        claims = " and ".join(map(str, owners))
        print_line(console, f"model {name} is not used: {claims} claim its name")


def _describe(loaded: Plugins, origin: Origin) -> dict[str, Any]:
    failures = [failure for failure in loaded.broken if failure.origin == origin]
    state = "broken" if failures else "works"
    return {
        "name": origin.name,
        "package": origin.package,
        "version": origin.version,
        "hooks": loaded.list_hooks(origin),
        "state": "switched off" if origin in loaded.disabled else state,
        "error": "; ".join(failure.error for failure in failures),
        "location": next((failure.location for failure in failures if failure.location), ""),
    }
