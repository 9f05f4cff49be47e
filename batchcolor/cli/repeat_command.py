"""The command line that colours a source again in the same way, for a POSIX shell such as bash."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from batchcolor.images.provenance_marks.provenance import Provenance

ESCAPED_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")
"""How marks store a byte of a file name that is not UTF-8."""
ESCAPES = {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def make_command(provenance: Provenance) -> str:
    """Returns the command line. What it cannot state is in `list_missing`."""
    words = ["batchcolor", "run", _protect(provenance.source or "SOURCE"), "-m", provenance.model]
    for name, value in provenance.settings.items():
        if name == "set" and isinstance(value, Mapping):
            for key, option in value.items():
                words += ["--set", f"{key}={_format(option)}"]
        elif not _has_option(name):
            continue
        elif isinstance(value, bool):
            words += [_name_option(name)] if value else []
        else:
            given = _protect(str(value["file"])) if isinstance(value, Mapping) else str(value)
            words += [_name_option(name), given]
    return " ".join(map(quote, words))


def list_missing(provenance: Provenance) -> list[str]:
    """Returns the names of settings that no option states, as colour hints of a person."""
    return [name for name in provenance.settings if name != "set" and not _has_option(name)]


def quote(word: str) -> str:
    """Returns a word as the shell reads it, on one line and without odd bytes.

    Words with control characters or bytes that are not UTF-8 take the form `$'...'` (POSIX.1-2024).
    """
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_escape, word)) + "'"


def _escape(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _protect(name: str) -> str:
    """Returns a file name with its odd bytes, that the command line takes for no option."""
    name = ESCAPED_BYTE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), name)
    return f"./{name}" if name.startswith("-") else name


def _format(option: Any) -> str:
    return str(option).lower() if isinstance(option, bool) else str(option)


def _has_option(name: str) -> bool:
    from batchcolor.pipeline.options.settings import RunSettings

    return name in RunSettings.model_fields


def _name_option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
