"""The typer app. Translates every error to one line on standard error and an exit code."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from batchcolor.cli import (
    compare,
    decisions,
    evaluate,
    info,
    models,
    plugins,
    report,
    restore,
    review,
    run,
    train,
    verify,
)
from batchcolor.cli.console import discard_stdout, flush_stdout
from batchcolor.cli.help_format import PanelCommand, SummaryGroup
from batchcolor.cli.mistyped_option import describe_mistyped_option
from batchcolor.errors import (
    BatchcolorError,
    ExitCode,
    PluginError,
    StandardOutputError,
    make_printable,
    translate_os_error,
)
from batchcolor.version import __version__

LONG_MESSAGES = {
    "Value error, ": "",
    "Input should be a valid number, unable to parse string as a number": "not a number",
    "Input should be a valid integer, unable to parse string as an integer": "not a whole number",
}
"""Parts of typer's messages, and what is printed instead."""


def _version(wanted: bool) -> None:
    if wanted:
        print(f"batchcolor {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Colour folders of black-and-white photographs in batches, with any installed colorizer."""


def build_app(with_plugins: bool = True) -> typer.Typer:
    """The command with its sub-commands, including those of plugins."""
    app = typer.Typer(
        name="batchcolor",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        cls=SummaryGroup,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.command(cls=PanelCommand, epilog=run.EXAMPLES)(run.run)
    commands: tuple[Callable[..., int | None], ...] = (
        *(review.review, decisions.decisions),
        *(evaluate.evaluate, compare.compare, train.train),
        *(report.report, verify.verify, restore.restore),
        *(models.models, plugins.plugins, info.info),
    )
    for command in commands:
        app.command(cls=PanelCommand)(command)
    if with_plugins:
        from batchcolor.hooks.manager import load_plugins

        load_plugins().add_commands(app)
    return app


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code. Raises nothing."""
    given = sys.argv[1:] if arguments is None else arguments
    print_error = _log_error if "--log-json" in given else _print_error
    _open_closed_streams()
    try:
        with_plugins = "--no-plugins" not in given and given[:1] != ["--version"]
        command = typer.main.get_command(build_app(with_plugins))
        result = command.main(
            args=given or ["--help"], prog_name="batchcolor", standalone_mode=False
        )
        flush_stdout()
        is_own = isinstance(result, ExitCode)
        if result == ExitCode.SIGINT and not is_own:  # typer caught Ctrl-C and printed nothing
            return print_error("stopped", ExitCode.SIGINT)
        return int(result) if isinstance(result, int) else ExitCode.DONE
    except StandardOutputError as error:
        discard_stdout()
        return print_error(str(error), error.exit_code)
    except BatchcolorError as error:
        return _report(error, given, print_error)
    except BrokenPipeError:
        discard_stdout()  # the reader has closed the pipe (`| head`)
        return ExitCode.DONE
    except OSError as error:
        translated = translate_os_error(error)
        if translated is None:
            return print_error(_describe_internal_error(error), ExitCode.INTERNAL_ERROR)
        return _report(translated, given, print_error)
    except SystemExit as error:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # click, where a pipe is closed
            discard_stdout()
            return ExitCode.DONE
        return error.code if isinstance(error.code, int) else ExitCode.DONE
    except (KeyboardInterrupt, typer.Abort):
        return print_error("stopped; run the same command again to resume", ExitCode.SIGINT)
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):  # click's usage errors
            context = getattr(error, "ctx", None)
            where = context.command_path if context is not None else "batchcolor"
            hints = [
                f"write ./{name}" for name in given if name[:1] == "-" and os.path.lexists(name)
            ]
            hint = "; ".join([*hints, f"see: {where} --help"])
            message = describe_mistyped_option(error, given) or _shorten(error.format_message())
            return print_error(f"{message} ({hint})", ExitCode.USAGE)
        return print_error(_describe_internal_error(error), ExitCode.INTERNAL_ERROR)


def _report(
    error: BatchcolorError, given: list[str], print_error: Callable[[str, ExitCode], int]
) -> int:
    """Prints the error, with --json also as a document. Returns its exit code."""
    if "--json" in given:
        print(json.dumps({"exit_code": int(error.exit_code), "error": str(error)}, indent=2))
    return print_error(_describe_error(error, given), error.exit_code)


def _shorten(message: str) -> str:
    """A message of typer in fewer words."""
    for long, short in LONG_MESSAGES.items():
        message = message.replace(long, short)
    return message


def _open_closed_streams() -> None:
    """Opens the null device for closed standard streams (`>&-`), which are None in Python."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  (open until exit)


def _print_error(message: str, code: ExitCode) -> int:
    print(f"batchcolor: {make_printable(message)}", file=sys.stderr)
    return code


def _log_error(message: str, code: ExitCode) -> int:
    """As `_print_error`, for a program that reads the log."""
    from batchcolor.cli.json_log import JsonLog

    JsonLog().write("error", "error", reason=message, exit_code=int(code))
    return code


def _describe_error(error: BatchcolorError, arguments: list[str]) -> str:
    """The message; with -v also the place in a plugin's code."""
    location = error.location if isinstance(error, PluginError) else ""
    is_verbose = any(re.fullmatch("-v+|--verbose", word) for word in arguments)
    return f"{error} ({location})" if location and is_verbose else str(error)


def _describe_internal_error(error: Exception) -> str:
    try:
        log = f"the traceback is in {_write_log()}"
    except OSError as problem:  # no writable folder for temporary files
        log = f"the traceback cannot be written ({problem.strerror})"
    return f"internal error: {error!r}; {log}; please report it"


def _write_log() -> Path:
    """Writes the traceback to a file, so that the screen shows one line."""
    name = f"batchcolor-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    path = Path(tempfile.gettempdir()) / name
    path.write_text(f"batchcolor {__version__}, Python {sys.version}\n{traceback.format_exc()}")
    return path
