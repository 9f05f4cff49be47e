"""The configuration file `batchcolor.toml`: options of `run` by name, below the command line."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batchcolor.errors import UsageError
from batchcolor.pipeline.options.option import DeclaredOption, declared_options
from batchcolor.pipeline.options.settings import RunSettings

FILE_NAME = "batchcolor.toml"


def find_config(sources: Iterable[str]) -> Path | None:
    """The configuration file in the first source folder that has one."""
    for source in sources:
        path = Path(source) / FILE_NAME
        if source and os.path.isfile(path):  # noqa: PTH113  (no error for folders without access)
            return path
    return None


def read_config(path: Path) -> dict[str, Any]:
    """The options in a configuration file, by field name of RunSettings.

    Keys are option names without dashes at the start (`max-memory = "2G"`); `set` is a table.
    Relative paths start at the file's folder. Raises UsageError for a file that cannot be read
    and for unknown keys.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise UsageError(f"{path}: not a TOML file ({error})") from error
    declared = {
        option.key: option
        for option in declared_options(RunSettings).values()
        if not option.option.is_argument
    }
    values = {}
    for key, value in document.items():
        option = declared.get(key)
        if option is None:
            near = difflib.get_close_matches(key, declared, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{path}: there is no option {key}{hint}")
        values[option.name] = _read_value(path, option, value)
    return values


def _read_value(path: Path, option: DeclaredOption, value: Any) -> Any:
    if option.option.is_pair:
        if not isinstance(value, list) or len(value) != 2 or not all(map(_is_text, value)):
            raise UsageError(f'{path}: {option.key} is a list, as {option.key} = ["A", "B"]')
        return tuple(path.parent / part for part in value)
    is_table = isinstance(value, dict)
    if is_table != option.is_repeated or isinstance(value, list):
        form = f"a table, as {option.key} = {{ KEY = VALUE }}" if option.is_repeated else "a value"
        raise UsageError(f"{path}: {option.key} is {form}")
    if option.option.has_path_values:
        if not all(map(_is_text, value.values())):
            raise UsageError(f"{path}: the values of {option.key} are paths")
        return {name: str(path.parent / item) for name, item in value.items()}
    if isinstance(value, bool) != (option.type is bool) and not is_table:
        raise UsageError(f"{path}: {option.key} = {str(value).lower()}: {option.expected}")
    if option.type is Path:
        if not isinstance(value, str) or not value:
            raise UsageError(f"{path}: {option.key} is a path")
        return path.parent / value
    return str(value) if option.option.is_text and not is_table else value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
