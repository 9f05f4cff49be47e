"""The option reference of every command as Markdown, generated from the commands themselves.

`python -m batchcolor.cli.option_table > docs/options.md` writes the page; a test compares them.
"""

from __future__ import annotations

from typing import Any

import typer

from batchcolor.cli.app import build_app

INTRODUCTION = """# Options

This page is generated from the commands: `python -m batchcolor.cli.option_table > docs/options.md`.
`batchcolor COMMAND --help` prints the same.
"""


def render_options() -> str:
    """Return the page: one section with a table for each command, built-in commands only."""
    group: Any = typer.main.get_command(build_app(with_plugins=False))
    sections = [_render_command("batchcolor", group)]
    sections += [_render_command(name, command) for name, command in group.commands.items()]
    return "\n".join([INTRODUCTION, *sections])


def _render_command(name: str, command: Any) -> str:
    lines = [f"## {name}", ""]
    if command.help:
        lines += [command.help.strip().splitlines()[0], ""]
    lines += ["| option | default | meaning |", "|---|---|---|"]
    lines += [_render_row(parameter) for parameter in command.params]
    return "\n".join([*lines, ""])


def _render_row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        flags, meaning = f"`{parameter.metavar or parameter.name.upper()}`", parameter.help or ""
    else:
        names = [*parameter.opts, *parameter.secondary_opts]
        flags = ", ".join(f"`{name}`" for name in sorted(names, key=len, reverse=True))
        meaning = parameter.help or ""
    return f"| {flags} | {_render_default(parameter)} | {meaning.replace('|', '/')} |"


def _render_default(parameter: Any) -> str:
    default = parameter.default
    if getattr(parameter, "is_flag", False) or getattr(parameter, "count", False):
        return "off"
    if default is None or default == () or callable(default) or default == "":
        return ""
    return f"`{default}`"


if __name__ == "__main__":
    print(render_options(), end="")
