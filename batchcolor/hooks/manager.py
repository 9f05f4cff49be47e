"""Finds and loads the plugins, and calls their hooks through pluggy."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from batchcolor.errors import PluginError, UnknownModelError
from batchcolor.hooks import hookspecs
from batchcolor.hooks.failures import Origin, PluginFailure, find_location, format_error
from batchcolor.hooks.hook_guards import (
    CAUGHT,
    ChromaGuard,
    CommandGuard,
    HookGuard,
    ListGuard,
    Record,
)
from batchcolor.hooks.readers import guard_reader
from batchcolor.hooks.registration import register_plugin
from batchcolor.hooks.types import ColorizerSpec, Outcome, PictureInfo, Reader
from batchcolor.hooks.validation import find_reader_fault, find_spec_fault

if TYPE_CHECKING:
    import numpy as np
    import typer
    from numpy.typing import NDArray

__all__ = ["Plugins", "RegisteredColorizer", "clear_plugin_cache", "format_error", "load_plugins"]

GROUP = "batchcolor"
DISABLE = "BATCHCOLOR_DISABLE_PLUGINS"
BUILTIN = "batchcolor.models.builtin"


@dataclass(frozen=True)
class RegisteredColorizer:
    """A colorizer's spec and the plugin that registered it."""

    spec: ColorizerSpec
    origin: Origin
    record: Record = field(default=lambda failure: None, compare=False, repr=False)
    """Records a failure of the colorizer's code, once a model."""


class Plugins:
    """The plugins of this process. A failure in one of them is recorded in `broken`."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.origins: list[Origin] = []
        self.broken: list[PluginFailure] = []
        self.disabled: list[Origin] = []
        self.clashes: dict[str, list[Origin]] = {}
        self._colorizers: dict[str, RegisteredColorizer] | None = None
        self._readers: list[Reader] | None = None
        self._recording = threading.Lock()
        self._specs = ListGuard(
            "batchcolor_colorizers", self.record, ColorizerSpec, find_spec_fault
        )
        self._chroma = ChromaGuard("batchcolor_chroma", self._record_once)
        self._reader_guard = ListGuard("batchcolor_readers", self.record, Reader, find_reader_fault)
        self._command_guard = CommandGuard("batchcolor_commands", self.record)
        guards = (
            self._specs,
            self._reader_guard,
            self._command_guard,
            self._chroma,
            HookGuard("batchcolor_done", self._record_once),
        )
        self._guards: dict[str, HookGuard] = {guard.hook: guard for guard in guards}

    def register(self, plugin: object, origin: Origin) -> None:
        """Registers one plugin, and records its faults."""
        if register_plugin(self.manager, plugin, origin, self._guards, self.record):
            self.origins.append(origin)

    def record(self, failure: PluginFailure) -> None:
        """Records a failure, once."""
        with self._recording:
            if failure not in self.broken:
                self.broken.append(failure)

    def _record_once(self, failure: PluginFailure) -> None:
        """Records the first failure of a hook or model that is called for every picture."""
        with self._recording:
            recorded = {(broken.origin, broken.hook, broken.model) for broken in self.broken}
            if (failure.origin, failure.hook, failure.model) not in recorded:
                self.broken.append(failure)

    def colorizers(self) -> dict[str, RegisteredColorizer]:
        """Returns the colorizers by name, the built-in ones first.

        A built-in name stays with its model, and the other claim is recorded in `broken`. A
        name that two plugins claim is in `clashes` instead.
        """
        if self._colorizers is None:
            lists = self.manager.hook.batchcolor_colorizers()
            builtin = self.origins[0]
            own = {spec.name: spec for spec in self._specs.list_owned_by(builtin)}
            found: dict[str, list[RegisteredColorizer]] = {
                name: [RegisteredColorizer(spec, builtin, self._record_once)]
                for name, spec in own.items()
            }
            for spec in (spec for specs in lists for spec in specs):
                owner = self._specs.find_owner(spec)
                if spec.name not in own:
                    claim = RegisteredColorizer(spec, owner, self._record_once)
                    found.setdefault(spec.name, []).append(claim)
                elif owner != builtin:
                    error = (
                        f"its model {spec.name} is not used: a built-in model has that name; "
                        "give the plugin's model another name"
                    )
                    hook = "batchcolor_colorizers"
                    self.record(PluginFailure(owner, error, hook=hook, model=spec.name))
            self.clashes = {
                name: [one.origin for one in claims]
                for name, claims in found.items()
                if len(claims) > 1
            }
            self._colorizers = {n: claims[0] for n, claims in found.items() if len(claims) == 1}
        return self._colorizers

    def readers(self) -> list[Reader]:
        """Returns the readers of more still formats, in pluggy's order."""
        if self._readers is None:
            lists = self.manager.hook.batchcolor_readers()
            self._readers = [
                guard_reader(reader, self._reader_guard.find_owner(reader), self._record_once)
                for readers in lists
                for reader in readers
            ]
        return self._readers

    def add_commands(self, app: typer.Typer) -> None:
        """Adds the plugins' sub-commands to the app."""
        self._command_guard.app = app
        self.manager.hook.batchcolor_commands(app=app)

    @property
    def filters_chroma(self) -> bool:
        """Whether any plugin filters chroma."""
        return bool(self.manager.hook.batchcolor_chroma.get_hookimpls())

    def filter_chroma(
        self, chroma: NDArray[np.float32], luma: NDArray[np.float32], picture: PictureInfo
    ) -> NDArray[np.float32]:
        """Returns chroma `(2, s, s)` after every plugin's filter, in pluggy's order.

        Raises ProcessingError that names the plugin whose filter raised or returned a wrong field.
        """
        call: Callable[..., Any] = self.manager.hook.batchcolor_chroma
        result: NDArray[np.float32] = self._chroma.filter(call, chroma, luma=luma, picture=picture)
        return result

    def done(self, outcome: Outcome) -> None:
        """Passes the result of a picture to every plugin."""
        self.manager.hook.batchcolor_done(outcome=outcome)

    def find(self, name: str) -> RegisteredColorizer:
        """Returns the colorizer of that name.

        Raises UnknownModelError, or PluginError where the plugin that should have it is broken
        or two plugins claim it.
        """
        found = self.colorizers().get(name)
        if found is not None:
            return found
        if name in self.clashes:
            owners = " and ".join(map(str, self.clashes[name]))
            raise PluginError(
                f"{name} is claimed by {owners}; remove one, or disable it: {DISABLE}"
            )
        for broken in self.broken:
            if name in (broken.origin.name, broken.origin.package, broken.model):
                text = f"plugin {broken.origin} is broken: {broken.error}"
                raise PluginError(text, broken.location)
        near = difflib.get_close_matches(name, self.colorizers(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "see: batchcolor models"
        if ":" in name:
            hint = "options of a model go with --set KEY=VALUE here"
        also = "".join(
            f"; broken plugin {origin}" for origin in dict.fromkeys(b.origin for b in self.broken)
        )
        raise UnknownModelError(f"no model is called {name}; {hint}{also}")

    def list_hooks(self, origin: Origin) -> list[str]:
        """Returns the names of the hooks that a plugin implements."""
        plugin = self.manager.get_plugin(origin.plugin_id)
        callers = self.manager.get_hookcallers(plugin) if plugin is not None else None
        return sorted(caller.name for caller in callers or [])


def load_plugins(enabled: bool = True) -> Plugins:
    """Loads every plugin that is installed and not disabled, once a process.

    `enabled=False` (`--no-plugins`) loads only the built-in models. The environment variable
    BATCHCOLOR_DISABLE_PLUGINS disables single plugins, by entry point or package, separated by
    commas. Broken plugins are listed in the result, not raised.
    """
    names = (name.strip() for name in os.environ.get(DISABLE, "").split(","))
    return _load(enabled, frozenset(name for name in names if name))


def clear_plugin_cache() -> None:
    """Makes the next `load_plugins` load them again, for tests that install some."""
    _load.cache_clear()


@functools.cache
def _load(enabled: bool, disabled: frozenset[str]) -> Plugins:
    from batchcolor.version import __version__

    plugins = Plugins()
    # Imported by name, as every plugin is: this layer is below the models.
    builtin = importlib.import_module(BUILTIN)
    plugins.register(builtin, Origin("builtin", "batchcolor", __version__))
    for entry in importlib.metadata.entry_points(group=GROUP):
        package = entry.dist.name if entry.dist else entry.module
        version = entry.dist.version if entry.dist else "?"
        origin = Origin(entry.name, package, version)
        if not enabled or disabled & {entry.name, package}:
            plugins.disabled.append(origin)
            continue
        try:
            plugin = entry.load()
        except CAUGHT as error:
            text = f"cannot be imported: {format_error(error)}"
            plugins.record(PluginFailure(origin, text, find_location(error)))
            continue
        file = getattr(sys.modules.get(entry.module), "__file__", None)
        folder = Path(file).parent if file else None
        plugins.register(plugin, Origin(origin.name, package, version, folder))
    return plugins
