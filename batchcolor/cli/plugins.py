"""`batchcolor plugins`: what is installed beside the built-in models, and what is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchcolor.cli import common_options as options
from batchcolor.cli.console import only_json, print_json, say, screen, table

if TYPE_CHECKING:
    from batchcolor.hooks.failures import Origin
    from batchcolor.hooks.manager import Plugins


def plugins(as_json: options.AsJson = False, no_plugins: options.NoPlugins = False) -> None:
    """List the plugins: name, package, version, what they give, and whether they work."""
    from batchcolor.hooks.manager import load_plugins

    with only_json(as_json) as stdout:
        loaded = load_plugins(not no_plugins)
        loaded.colorizers()
        loaded.readers()
        origins = dict.fromkeys([*loaded.origins, *(broken.origin for broken in loaded.broken)])
        rows = [_row(loaded, origin) for origin in origins]
        rows += [
            {
                "name": origin.name,
                "package": origin.package,
                "version": origin.version,
                "hooks": [],
                "state": "switched off",
                "error": "",
            }
            for origin in loaded.disabled
        ]
        if as_json:
            print_json(rows, stdout)
            return
        shown = [
            (
                row["name"],
                f"{row['package']} {row['version']}",
                ", ".join(row["hooks"]),
                row["state"],
                row["error"],
            )
            for row in rows
        ]
        console = screen(stderr=False)
        console.print(table("plugin", "package", "hooks", "state", "error", rows=shown))
        for name, owners in loaded.clashes.items():
            say(console, f"{name} is claimed by {' and '.join(map(str, owners))}; left out")


def _row(loaded: Plugins, origin: Origin) -> dict[str, Any]:
    failures = [broken for broken in loaded.broken if broken.origin == origin]
    return {
        "name": origin.name,
        "package": origin.package,
        "version": origin.version,
        "hooks": loaded.hooks_of(origin),
        "state": "broken" if failures else "works",
        "error": "; ".join(failure.error for failure in failures),
    }
