"""What is wrong with an object that a plugin registers, as a phrase; empty where nothing is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batchcolor.hooks.types import ColorizerSpec, Reader

MAX_WORKING_SIZE = 4096


def find_spec_fault(spec: ColorizerSpec) -> str:
    """Describes what is wrong with a ColorizerSpec."""
    if not isinstance(spec.name, str) or not spec.name:
        return f"a ColorizerSpec has the name {spec.name!r}"
    size: Any = spec.working_size
    if not isinstance(size, int) or not 1 <= size <= MAX_WORKING_SIZE:
        return f"{spec.name}: working_size {size!r} is not from 1 to {MAX_WORKING_SIZE}"
    kind: Any = spec.digital_source_type
    if not isinstance(kind, str) or not kind.isprintable() or not kind:
        return f"{spec.name}: digital_source_type {kind!r} is not a URI"
    rearrange: Any = spec.rearrange_for_inference
    if rearrange is not None and not callable(rearrange):
        return f"{spec.name}: rearrange_for_inference is not callable"
    for field in ("hints", "hints_optional", "hints_propagated"):
        if not isinstance(value := getattr(spec, field), bool):
            return f"{spec.name}: {field} {value!r} is not True or False"
    if not spec.hints and (spec.hints_optional or spec.hints_propagated):
        return f"{spec.name}: hints_optional and hints_propagated are for colorizers with hints"
    return "" if callable(spec.build) else f"{spec.name}: build is not callable"


def find_reader_fault(reader: Reader) -> str:
    """Describes what is wrong with a Reader."""
    if not isinstance(reader.name, str) or not reader.name:
        return f"a Reader has the name {reader.name!r}"
    suffixes: Any = reader.suffixes
    is_sequence = isinstance(suffixes, Iterable) and not isinstance(suffixes, str)
    if not is_sequence or not all(isinstance(suffix, str) for suffix in suffixes):
        return f"{reader.name}: suffixes must be a tuple of strings"
    if not callable(reader.sniff) or not callable(reader.decode):
        return f"{reader.name}: sniff and decode must be functions"
    return ""
