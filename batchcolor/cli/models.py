"""`batchcolor models`: the colorizers that are installed."""

from __future__ import annotations

from typing import Any

from batchcolor.cli import common_options as options
from batchcolor.cli.console import only_json, print_json, say, screen, table


def models(as_json: options.AsJson = False, no_plugins: options.NoPlugins = False) -> None:
    """List the models: name, what it is, whose, its weights, its own options."""
    from batchcolor.hooks.manager import load_plugins

    with only_json(as_json) as stdout:
        plugins = load_plugins(not no_plugins)
        rows = [_described(owned) for owned in plugins.colorizers().values()]
        if as_json:
            print_json(rows, stdout)
            return
        console = screen(stderr=False)
        shown = [
            (r["name"], r["summary"], r["package"], r["weights"] or "none needed") for r in rows
        ]
        console.print(table("model", "what it is", "package", "weights", rows=shown))
        own = [
            (row["name"], f"{o['key']}={o['type']}", o["default"], o["help"])
            for row in rows
            for o in row["options"]
        ]
        if own:
            console.print(table("model", "--set", "default", "what it does", rows=own))
        errors = screen()
        for broken in plugins.broken:
            say(errors, f"plugin {broken.origin}: {broken.error}; left out")
        for name, owners in plugins.clashes.items():
            say(errors, f"{name} is claimed by {' and '.join(map(str, owners))}; left out")


def _described(owned: Any) -> dict[str, Any]:
    from batchcolor.errors import WeightsError
    from batchcolor.hooks.options import describe_options
    from batchcolor.inference import weights

    try:
        path = weights.find(owned, None)
        state = str(path) if path else None
    except WeightsError:
        state = "missing"
    spec = owned.spec
    return {
        "name": spec.name,
        "summary": spec.summary,
        "package": f"{owned.origin.package} {owned.origin.version}",
        "weights": state,
        "working_size": spec.working_size,
        "licence": spec.licence,
        "trainable": spec.recipe is not None,
        "options": [vars(option) for option in describe_options(spec.options)],
    }
