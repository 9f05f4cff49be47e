"""Registers one plugin: contract version, misspelt hooks, guards around its implementations."""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pluggy

from batchcolor.hooks.failures import (
    Origin,
    PluginFailure,
    find_definition,
    find_location,
    format_error,
)
from batchcolor.hooks.hook_guards import CAUGHT, HookGuard, Record
from batchcolor.hooks.isolation import guard_implementation
from batchcolor.hooks.types import CONTRACT_VERSION

PREFIX = "batchcolor_"
"""The names of hooks begin with it."""
FIRST_CONTRACT = 1
"""The contract version of a plugin that states none."""


def register_plugin(
    manager: pluggy.PluginManager,
    plugin: object,
    origin: Origin,
    guards: Mapping[str, HookGuard],
    record: Record,
) -> bool:
    """Registers the plugin's hook implementations, each in its guard.

    Returns whether the plugin is registered. What is refused is passed to `record`.
    """
    version = getattr(plugin, "BATCHCOLOR_CONTRACT", FIRST_CONTRACT)
    if version != CONTRACT_VERSION:
        error = (
            f"written for contract version {version}, this batchcolor has version "
            f"{CONTRACT_VERSION}; update the older one"
        )
        record(PluginFailure(origin, error))
        return False
    # A module, as pluggy does not bind the functions of a module to it.
    guarded = types.ModuleType(origin.plugin_id)
    for name, function, options in _find_implementations(manager, plugin):
        hook = options.get("specname") or name
        if hook in guards:
            setattr(guarded, name, guard_implementation(function, options, origin, guards[hook]))
        elif not options.get("optionalhook"):
            error = f"{hook} is not a hook{_suggest_hook(hook, guards)}"
            record(PluginFailure(origin, error, find_definition(function), hook))
    for name, function in _find_undecorated(manager, plugin):
        error = f"{name} is not decorated with @batchcolor.hookimpl"
        error += "" if name in guards else f", and not a hook{_suggest_hook(name, guards)}"
        record(PluginFailure(origin, error, find_definition(function), name))
    try:
        manager.register(guarded, name=origin.plugin_id)
    except CAUGHT as error:  # a wrong signature, or a wrapper that is not a generator
        if manager.get_plugin(origin.plugin_id) is guarded:
            manager.unregister(name=origin.plugin_id)
        text = f"cannot be registered: {format_error(error)}"
        record(PluginFailure(origin, text, find_location(error)))
        return False
    return True


def _find_implementations(
    manager: pluggy.PluginManager, plugin: object
) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yields name, function and pluggy's options of each decorated function."""
    for name in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is not None:
            yield name, getattr(plugin, name), dict(options)


def _find_undecorated(manager: pluggy.PluginManager, plugin: object) -> Iterator[tuple[str, Any]]:
    """Yields the plugin's own functions with the name of a hook and without its decorator."""
    home = getattr(plugin, "__name__", type(plugin).__module__)
    for name in dir(plugin):
        if name.startswith(PREFIX) and manager.parse_hookimpl_opts(plugin, name) is None:
            function = inspect.getattr_static(plugin, name)
            if inspect.isfunction(function) and function.__module__ == home:
                yield name, function


def _suggest_hook(name: str, hooks: Mapping[str, HookGuard]) -> str:
    short_names = [hook.removeprefix(PREFIX) for hook in hooks]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), short_names, n=1)
    return f"; did you mean {PREFIX}{near[0]}?" if near else f"; the hooks are {', '.join(hooks)}"
