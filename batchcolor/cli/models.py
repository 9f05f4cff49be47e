"""`batchcolor models`: the colorizers that are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, make_table, only_json, print_json
from batchcolor.cli.plugins import print_failures

if TYPE_CHECKING:
    from batchcolor.hooks.manager import RegisteredColorizer

MISSING = "missing"


def models(
    as_json: options.AsJson = False,
    no_plugins: options.NoPlugins = False,
    verbose: options.Verbose = 0,
) -> None:
    """List the models: what each is good for and its own options; -v shows weights and licence."""
    from batchcolor.hooks.manager import load_plugins

    with only_json(as_json) as stdout:
        plugins = load_plugins(not no_plugins)
        rows = [_describe(registered) for registered in plugins.colorizers().values()]
        if as_json:
            print_json(rows, stdout)
            return
        console = make_console(stderr=False)
        cells = [(row["name"], _summary(row), row["package"]) for row in rows]
        console.print(make_table("model", "good for", "package", rows=cells))
        settings = [setting for row in rows for setting in _settings(row)]
        if settings:
            console.print(make_table("model", "--set", "default", "meaning", rows=settings))
        if verbose:
            files = [
                (row["name"], row["weights"] or "none needed", row["working_size"], row["licence"])
                for row in rows
            ]
            console.print(make_table("model", "weights", "size", "licence", rows=files))
        print_failures(make_console(), plugins, verbose)


def _summary(row: dict[str, Any]) -> str:
    return f"{row['summary']} (weights missing)" if row["weights"] == MISSING else row["summary"]


def _settings(row: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Rows of a model's options, its name on the first."""
    settings = []
    for number, option in enumerate(row["options"]):
        name = "" if number else row["name"]
        kind = f"{option['type']} {option['range']}".strip()
        meaning = f"{option['help']} ({kind})" if option["help"] else kind
        settings.append((name, option["key"], option["default"], meaning))
    return settings


def _describe(registered: RegisteredColorizer) -> dict[str, Any]:
    from batchcolor.errors import WeightsError
    from batchcolor.hooks.options import describe_options
    from batchcolor.inference import weights

    try:
        path = weights.find(registered, None)
        state = str(path) if path else None
    except WeightsError:
        state = MISSING
    spec = registered.spec
    return {
        "name": spec.name,
        "summary": spec.summary,
        "package": f"{registered.origin.package} {registered.origin.version}",
        "weights": state,
        "working_size": spec.working_size,
        "licence": spec.licence,
        "trainable": spec.recipe is not None,
        "options": [vars(option) for option in describe_options(spec.options)],
    }
