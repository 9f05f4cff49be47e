"""Isolates the readers of plugins: `sniff` and `decode` run for every file of a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from batchcolor.errors import ProcessingError
from batchcolor.hooks.failures import Origin, PluginFailure, find_location, format_error
from batchcolor.hooks.hook_guards import CAUGHT, Record
from batchcolor.hooks.types import Reader

HOOK = "batchcolor_readers"


def guard_reader(reader: Reader, origin: Origin, record: Record) -> Reader:
    """Returns the reader with its functions in guards.

    A `sniff` that raises does not know the file. A `decode` that raises fails its picture with a
    ProcessingError that names the plugin. The first error of each plugin is recorded.
    """

    def note(function: str, error: BaseException) -> str:
        text = f"{function} of reader {reader.name}: {format_error(error)}"
        record(PluginFailure(origin, text, find_location(error), HOOK))
        return text

    def sniff(head: bytes) -> bool:
        try:
            return bool(reader.sniff(head))
        except CAUGHT as error:
            note("sniff", error)
            return False

    def decode(path: Path) -> Any:
        try:
            return reader.decode(path)
        except ProcessingError:
            raise
        except CAUGHT as error:
            raise ProcessingError("decode", f"plugin {origin}: {note('decode', error)}") from error

    return replace(reader, sniff=sniff, decode=decode)
