"""Plain-text help: options grouped by panel, whole command summaries, readable without colour."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


class PanelCommand(TyperCommand):
    """A command whose help groups its options by `rich_help_panel`, in order of appearance."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each panel, options without a panel last."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None) or "Other"
                panels.setdefault(panel, []).append(record)
        other = panels.pop("Other", [])
        for panel, records in [*panels.items(), ("Other" if panels else "Options", other)]:
            with formatter.section(panel):
                formatter.write_dl(records)


class SummaryGroup(TyperGroup):
    """A group whose help shows the whole first line of each command."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands; click would cut summaries to one line."""
        rows = []
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                lines = (command.short_help or command.help or "").strip().splitlines()
                rows.append((name, lines[0] if lines else ""))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
