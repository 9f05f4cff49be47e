"""Command-line parameters from a settings model: each field with an `Option` becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import BaseModel

from batchcolor.cli.common_options import parse_location, parse_path
from batchcolor.pipeline.options.option import DeclaredOption, declared_options


def with_settings(
    model: type[BaseModel],
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Decorate a command whose first parameter is a dict of the options given by the user.

    Defaults are not in the dict, so that a configuration file can stand between the two.
    """

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        declared = declared_options(model)

        def command(context: typer.Context, **values: Any) -> int:
            given = {}
            for name in declared:
                value = values.pop(name)
                source = context.get_parameter_source(name)
                if source is not None and source.name != "DEFAULT":
                    given[name] = value
            return function(given, **values)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        kind = inspect.Parameter.KEYWORD_ONLY
        context = inspect.Parameter("context", kind, annotation=typer.Context)
        made = [_make_parameter(option) for option in declared.values()]
        parameters = [context, *made, *(each.replace(kind=kind) for each in own)]
        command.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        return command

    return decorate


def _make_parameter(declared: DeclaredOption) -> inspect.Parameter:
    option = declared.option
    kind: Any = str if option.is_text else declared.type
    default = declared.default
    more: dict[str, Any] = {"help": option.help, "metavar": option.metavar}
    if option.values is not None:
        more["autocompletion"] = _completion(option.values)
    if declared.is_repeated:
        is_path = get_args(declared.type)[:1] == (Path,)
        kind, default = list[Path] if is_path else list[str], None
        if is_path:
            more["parser"] = parse_location if option.takes_url else parse_path
    elif option.is_pair:
        kind = tuple[str, str]
    elif declared.type is Path:
        more["parser"] = parse_location if option.takes_url else parse_path
    if default is None:
        kind = kind | None
    more["rich_help_panel"] = option.panel
    make: Any = typer.Argument if option.is_argument else typer.Option
    info = make(*(() if option.is_argument else declared.flags), **more)
    return inspect.Parameter(
        *(declared.name, inspect.Parameter.KEYWORD_ONLY),
        default=default,
        annotation=Annotated[kind, info],
    )


def _completion(values: Callable[[], Any]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [value for value in values() if value.startswith(incomplete)]

    return complete
