"""Plugins found, loaded one by one, and kept from breaking each other or the job."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from batchcolor.errors import PluginError, ProcessingError, UnknownModelError
from batchcolor.hooks import hookspecs
from batchcolor.hooks.types import CONTRACT_VERSION, ColorizerSpec, Outcome, Reader

if TYPE_CHECKING:
    import numpy as np
    import typer
    from numpy.typing import NDArray

GROUP = "batchcolor"
DISABLE = "BATCHCOLOR_DISABLE_PLUGINS"
BUILTIN = "batchcolor.models.builtin"


@dataclass(frozen=True)
class Origin:
    """Whose a plugin is: its entry point's name, its package and version, its folder."""

    name: str
    package: str
    version: str
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.package} {self.version})"


@dataclass(frozen=True)
class PluginFailure:
    """A plugin, or a part of one, that is left out, and why."""

    origin: Origin
    error: str


@dataclass(frozen=True)
class RegisteredColorizer:
    """A colorizer's spec and whose it is."""

    spec: ColorizerSpec
    origin: Origin


@dataclass
class Plugins:
    """The plugins of this process; every call to one of them is guarded here."""

    manager: pluggy.PluginManager
    origins: dict[str, Origin] = field(default_factory=dict)
    broken: list[PluginFailure] = field(default_factory=list)
    disabled: list[Origin] = field(default_factory=list)
    clashes: dict[str, list[Origin]] = field(default_factory=dict)
    _colorizers: dict[str, RegisteredColorizer] | None = None
    _readers: list[Reader] | None = None

    def colorizers(self) -> dict[str, RegisteredColorizer]:
        """The colorizers by name. A name that two plugins claim is in `clashes` instead."""
        if self._colorizers is None:
            found: dict[str, list[RegisteredColorizer]] = {}
            for origin, specs in self._each("batchcolor_colorizers"):
                for spec in self._checked(origin, specs):
                    found.setdefault(spec.name, []).append(RegisteredColorizer(spec, origin))
            self.clashes = {
                name: [owned.origin for owned in owners]
                for name, owners in found.items()
                if len(owners) > 1
            }
            self._colorizers = {n: owners[0] for n, owners in found.items() if len(owners) == 1}
        return self._colorizers

    def readers(self) -> list[Reader]:
        """Readers of more still formats, in registration order."""
        if self._readers is None:
            self._readers = [
                reader
                for origin, readers in self._each("batchcolor_readers")
                for reader in self._listed(origin, readers, Reader)
            ]
        return self._readers

    def add_commands(self, app: typer.Typer) -> None:
        """Let plugins add their sub-commands."""
        for _ in self._each("batchcolor_commands", app=app):
            pass

    @property
    def filters_chroma(self) -> bool:
        """Whether any plugin filters chroma."""
        return bool(self._implementations("batchcolor_chroma"))

    def filter_chroma(
        self, chroma: NDArray[np.float32], luma: NDArray[np.float32], picture: Any
    ) -> NDArray[np.float32]:
        """Chroma `(2, s, s)` after every plugin's filter, in registration order.

        Raises ProcessingError that names the plugin whose filter raised or gave a wrong field.
        """
        import numpy as np

        for origin, call in self._implementations("batchcolor_chroma"):
            try:
                given = call(chroma=chroma.copy(), luma=luma, picture=picture)
            except (Exception, SystemExit) as error:
                raise ProcessingError(
                    "chroma", f"filter of {origin}: {format_error(error)}"
                ) from error
            if given is None:
                continue
            result = np.asarray(given, np.float32)
            if result.ndim != 3 or result.shape[0] != 2 or not np.isfinite(result).all():
                raise ProcessingError("chroma", f"filter of {origin} gave no field of chroma")
            if np.abs(result).max(initial=0) > 0.5001:
                raise ProcessingError("chroma", f"filter of {origin} gave chroma outside -0.5..0.5")
            chroma = result
        return chroma

    def done(self, outcome: Outcome) -> None:
        """Tell every plugin of a finished picture; one that raises is named once."""
        for _ in self._each("batchcolor_done", once=True, outcome=outcome):
            pass

    def find(self, name: str) -> RegisteredColorizer:
        """The colorizer of that name. Raises UnknownModelError, or PluginError where the plugin
        that should have it is broken or two claim it."""
        found = self.colorizers().get(name)
        if found is not None:
            return found
        if name in self.clashes:
            owners = " and ".join(map(str, self.clashes[name]))
            raise PluginError(
                f"{name} is claimed by {owners}; remove one, or disable it: {DISABLE}"
            )
        for broken in self.broken:
            if name in (broken.origin.name, broken.origin.package) or name in broken.error:
                raise PluginError(f"plugin {broken.origin} is broken: {broken.error}")
        near = difflib.get_close_matches(name, self.colorizers(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "see: batchcolor models"
        if ":" in name:
            hint = "options of a model go with --set KEY=VALUE here"
        also = "".join(f"; broken plugin {broken.origin}" for broken in self.broken)
        raise UnknownModelError(f"no model is called {name}; {hint}{also}")

    def hooks_of(self, name: str) -> list[str]:
        """The hooks that a plugin implements."""
        plugin = self.manager.get_plugin(name)
        callers = self.manager.get_hookcallers(plugin) if plugin is not None else None
        return sorted(caller.name for caller in callers or [])

    def _implementations(self, hook: str) -> list[tuple[Origin, Callable[..., Any]]]:
        """Each plugin's implementation, in registration order."""
        calls = []
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():

            def call(*, _it: Any = implementation, **arguments: Any) -> Any:
                return _it.function(*(arguments[name] for name in _it.argnames))

            calls.append((self.origins[implementation.plugin_name], call))
        return calls

    def _each(
        self, hook: str, once: bool = False, **arguments: Any
    ) -> Iterator[tuple[Origin, Any]]:
        """What each plugin's hook gives; one that raises is broken, and the next is asked."""
        for origin, call in self._implementations(hook):
            try:
                given = call(**arguments)
            except (Exception, SystemExit) as error:
                self._break(origin, f"{hook}: {format_error(error)}", once)
            else:
                yield origin, given

    def _break(self, origin: Origin, error: str, once: bool = False) -> None:
        if not once or not any(b.origin == origin and b.error == error for b in self.broken):
            self.broken.append(PluginFailure(origin, error))

    def _listed(self, origin: Origin, given: Any, kind: type[Any]) -> list[Any]:
        try:
            items = list(given)
        except (Exception, SystemExit) as error:
            self._break(origin, f"gave no list of {kind.__name__}s: {format_error(error)}")
            return []
        for item in items:
            if not isinstance(item, kind):
                self._break(origin, f"gave {type(item).__name__}, not {kind.__name__}")
        return [item for item in items if isinstance(item, kind)]

    def _checked(self, origin: Origin, given: Any) -> list[ColorizerSpec]:
        good = []
        for spec in self._listed(origin, given, ColorizerSpec):
            if not (isinstance(spec.working_size, int) and 1 <= spec.working_size <= 4096):
                self._break(origin, f"{spec.name}: working_size {spec.working_size!r}")
            elif not spec.name or not callable(spec.build):
                self._break(origin, f"{spec.name!r} has no name or nothing to build it")
            else:
                good.append(spec)
        return good


def load_plugins(enabled: bool = True) -> Plugins:
    """Every plugin that is installed and not switched off; broken ones are listed, not raised.

    `enabled=False` (`--no-plugins`) leaves the built-in ones; the environment variable
    BATCHCOLOR_DISABLE_PLUGINS names single ones, by entry point or package, with commas.
    """
    from batchcolor import __version__

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager)
    # By name, as every plugin's module is: this floor knows no model.
    builtin = importlib.import_module(BUILTIN)
    _register(plugins, builtin, Origin("builtin", "batchcolor", __version__))
    off = {name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()}
    for entry in importlib.metadata.entry_points(group=GROUP):
        package = entry.dist.name if entry.dist else entry.module
        origin = Origin(entry.name, package, entry.dist.version if entry.dist else "?")
        if not enabled or off & {entry.name, package}:
            plugins.disabled.append(origin)
            continue
        try:
            module = entry.load()
        except (Exception, SystemExit) as error:
            plugins.broken.append(
                PluginFailure(origin, f"cannot be imported: {format_error(error)}")
            )
            continue
        file = getattr(sys.modules.get(entry.module), "__file__", None)
        folder = Path(file).parent if file else None
        _register(plugins, module, Origin(origin.name, package, origin.version, folder))
    return plugins


def _register(plugins: Plugins, module: object, origin: Origin) -> None:
    version = getattr(module, "BATCHCOLOR_CONTRACT", CONTRACT_VERSION)
    if version != CONTRACT_VERSION:
        error = f"written for contract {version}, this is {CONTRACT_VERSION}; update one of them"
        plugins.broken.append(PluginFailure(origin, error))
        return
    try:
        plugins.origins[origin.name] = origin
        plugins.manager.register(module, name=origin.name)
    except (Exception, SystemExit) as error:  # a wrong signature, or one name twice
        if plugins.manager.get_plugin(origin.name) is module:
            plugins.manager.unregister(name=origin.name)
        plugins.broken.append(PluginFailure(origin, f"cannot be registered: {format_error(error)}"))


def format_error(error: BaseException) -> str:
    """An error on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
