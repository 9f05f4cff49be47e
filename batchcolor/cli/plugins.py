"""`batchcolor plugins`: what is installed beside the built-in models, and what is broken."""

from __future__ import annotations

from batchcolor.cli import common_options as options
from batchcolor.cli.console import only_json, print_json, say, screen, table


def plugins(as_json: options.AsJson = False, no_plugins: options.NoPlugins = False) -> None:
    """List the plugins: name, package, version, what they give, and whether they work."""
    from batchcolor.hooks.manager import load_plugins

    with only_json(as_json) as stdout:
        loaded = load_plugins(not no_plugins)
        loaded.colorizers()
        loaded.readers()
        errors: dict[str, str] = {}
        for broken in loaded.broken:
            errors.setdefault(broken.origin.name, broken.error)
        origins = {broken.origin.name: broken.origin for broken in loaded.broken}
        origins = {**loaded.origins, **origins}
        rows = [
            {
                "name": name,
                "package": origin.package,
                "version": origin.version,
                "hooks": loaded.hooks_of(name),
                "state": "broken" if name in errors else "works",
                "error": errors.get(name, ""),
            }
            for name, origin in origins.items()
        ]
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
