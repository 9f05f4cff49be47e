"""The guard of each hook: what an implementation gets, what it may return, what an error costs."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from batchcolor.errors import ProcessingError
from batchcolor.hooks.failures import Origin, PluginFailure, find_location, format_error

if TYPE_CHECKING:
    import numpy as np
    import typer
    from numpy.typing import NDArray

CAUGHT = (Exception, SystemExit)
Function = Callable[..., Any]
Record = Callable[[PluginFailure], None]


class InvalidResultError(Exception):
    """A hook returned something of the wrong form; the message says what."""


class HookGuard:
    """Isolates the implementations of one hook. Failures are recorded and the result dropped."""

    def __init__(self, hook: str, record: Record) -> None:
        self.hook, self.record = hook, record
        self.definitions: dict[Origin, str] = {}
        """Where each plugin defines its implementation: the location of a wrong result."""

    def select_arguments(self, names: list[str], values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the values that the implementation gets."""
        return values

    def check_result(self, origin: Origin, result: Any) -> Any:
        """Returns the usable part of one result. Raises InvalidResultError."""
        return result

    def check_results(self, origin: Origin, results: Any) -> Any:
        """Returns the usable part of a list of results. Raises InvalidResultError."""
        if not isinstance(results, list):
            raise InvalidResultError(
                f"its wrapper returned {type(results).__name__}, not the list of results"
            )
        return results

    def after_call(self, origin: Origin) -> None:
        """Is called after each implementation, also after one that failed."""

    def fail(self, origin: Origin, error: BaseException) -> None:
        """Records the failure of one implementation; the hook call continues."""
        self.record_failure(origin, error)

    def record_failure(self, origin: Origin, error: BaseException, model: str = "") -> None:
        """Records an error under this hook, with its location in the plugin's code."""
        text = str(error) if isinstance(error, InvalidResultError) else format_error(error)
        location = find_location(error) or self.definitions.get(origin, "")
        failure = PluginFailure(origin, f"{self.hook}: {text}", location, self.hook, model)
        self.record(failure)


class ListGuard(HookGuard):
    """For hooks that return objects of one type. A wrong object costs only itself."""

    def __init__(
        self, hook: str, record: Record, kind: type[Any], check: Callable[[Any], str]
    ) -> None:
        super().__init__(hook, record)
        self.kind, self.check = kind, check
        self._owners: dict[int, tuple[Any, Origin]] = {}

    def check_result(self, origin: Origin, result: Any) -> list[Any]:
        """Returns the valid objects of one implementation, and stores their owner."""
        try:
            items = list(result)
        except TypeError as error:
            raise InvalidResultError(
                f"returned {type(result).__name__}, not a list of {self.kind.__name__}"
            ) from error
        valid = []
        for item in items:
            fault = f"returned {type(item).__name__}, not {self.kind.__name__}"
            fault = self.check(item) if isinstance(item, self.kind) else fault
            if fault:
                name = str(getattr(item, "name", ""))
                self.record_failure(origin, InvalidResultError(fault), name)
            else:
                # The object is kept as well, so that its id stays its own.
                self._owners.setdefault(id(item), (item, origin))
                valid.append(item)
        return valid

    def check_results(self, origin: Origin, results: Any) -> list[Any]:
        """Returns the lists of a wrapper, which owns the objects that it created."""
        return [
            self.check_result(origin, items) for items in super().check_results(origin, results)
        ]

    def find_owner(self, item: Any) -> Origin:
        """Returns the plugin that returned this object first."""
        return self._owners[id(item)][1]

    def list_owned_by(self, origin: Origin) -> list[Any]:
        """Returns the valid objects of one plugin, in its order."""
        return [item for item, owner in self._owners.values() if owner == origin]


class CommandGuard(HookGuard):
    """For plugins' commands: a command does not replace one that is there already."""

    app: typer.Typer

    def after_call(self, origin: Origin) -> None:
        """Removes the commands whose names are taken, and records them."""
        for registered in (self.app.registered_commands, self.app.registered_groups):
            names: set[str] = set()
            kept = []
            for command in registered:
                name = _get_command_name(command)
                if name in names:
                    error = InvalidResultError(f"there is a command {name} already")
                    self.record_failure(origin, error)
                else:
                    kept.append(command)
                    names.add(name)
            registered[:] = kept  # type: ignore[assignment]


class ChromaGuard(HookGuard):
    """For chroma filters: each gets the field that the one before returned.

    A failure raises ProcessingError, as a picture with half of its filters is not a result.
    """

    def __init__(self, hook: str, record: Record) -> None:
        super().__init__(hook, record)
        self._field: ContextVar[NDArray[np.float32]] = ContextVar(hook)

    def filter(self, call: Function, chroma: NDArray[np.float32], **rest: Any) -> Any:
        """Returns the field `(2, s, s)` after all filters of the hook `call`."""
        token = self._field.set(chroma)
        try:
            results = call(chroma=chroma, **rest)
            return results[-1] if results else chroma
        finally:
            self._field.reset(token)

    def select_arguments(self, names: list[str], values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the values with a copy of the current field instead of the first one."""
        pairs = zip(names, values, strict=True)
        return tuple(self._field.get().copy() if n == "chroma" else v for n, v in pairs)

    def check_result(self, origin: Origin, result: Any) -> NDArray[np.float32]:
        """Returns the field of a filter, which becomes the current one."""
        field = check_chroma_field(result)
        self._field.set(field)
        return field

    def check_results(self, origin: Origin, results: Any) -> list[Any]:
        """Returns the list of a wrapper, whose last field becomes the current one."""
        fields = super().check_results(origin, results)
        return [*fields[:-1], self.check_result(origin, fields[-1])] if fields else []

    def fail(self, origin: Origin, error: BaseException) -> None:
        """Raises ProcessingError that names the plugin."""
        self.record_failure(origin, error)
        text = str(error) if isinstance(error, InvalidResultError) else format_error(error)
        raise ProcessingError("chroma", f"filter of {origin}: {text}") from error


def _get_command_name(command: Any) -> str:
    """Returns the name of a typer command or group, as typer forms it."""
    callback = getattr(command, "callback", None)
    name = getattr(command, "name", None) or getattr(callback, "__name__", "")
    return str(name).lower().replace("_", "-")


def check_chroma_field(given: Any) -> NDArray[np.float32]:
    """Returns a chroma field `(2, s, s)` as float32.

    Raises InvalidResultError for a wrong shape, NaN, or values outside -0.5..0.5.
    """
    import numpy as np

    field = np.asarray(given, np.float32)
    if field.ndim != 3 or field.shape[0] != 2 or field.shape[1] != field.shape[2] or not field.size:
        raise InvalidResultError(f"returned shape {field.shape}, not (2, s, s)")
    if not np.isfinite(field).all():
        raise InvalidResultError("returned NaN or infinite chroma")
    largest = float(np.abs(field).max())
    if largest > 0.5001:
        raise InvalidResultError(f"returned chroma up to {largest:.3g}, outside -0.5..0.5")
    return field
