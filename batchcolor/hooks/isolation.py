"""Guards around hook implementations: one that fails is reported and costs only itself.

pluggy stops a hook call at the first exception. Each implementation is therefore wrapped in a
guard before it is registered; pluggy then calls the guards in its own order. The guard knows
its plugin, so that an error is attributed without looking at its text.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Generator, Iterable
from typing import Any

from batchcolor.errors import ProcessingError
from batchcolor.hooks.failures import Origin, find_definition
from batchcolor.hooks.hook_guards import CAUGHT, Function, HookGuard, InvalidResultError


def guard_implementation(
    function: Function, options: Any, origin: Origin, guard: HookGuard
) -> Function:
    """Returns the implementation in its guard, with the signature that pluggy reads."""
    guard.definitions[origin] = find_definition(function)
    is_wrapper = options.get("wrapper") or options.get("hookwrapper")
    if is_wrapper and not inspect.isgeneratorfunction(function):
        return function  # pluggy itself refuses it when it is registered
    if options.get("hookwrapper"):
        return _guard_hookwrapper(function, origin, guard)
    if is_wrapper:
        return _guard_wrapper(function, origin, guard)
    names = _list_parameters(function)

    @functools.wraps(function)
    def guarded(*values: Any) -> Any:
        try:
            result = function(*guard.select_arguments(names, values))
            return None if result is None else guard.check_result(origin, result)
        except CAUGHT as error:
            return guard.fail(origin, error)
        finally:
            guard.after_call(origin)

    return guarded


def _guard_wrapper(function: Function, origin: Origin, guard: HookGuard) -> Function:
    """Guards a `wrapper=True` implementation; if it fails, the results are unchanged."""
    names = _list_parameters(function)

    @functools.wraps(function)
    def guarded(*values: Any) -> Generator[None, Any, Any]:
        wrapper = _start_wrapper(function, guard.select_arguments(names, values), origin, guard)
        failure: BaseException | None = None
        results: Any = None
        try:
            results = yield
        except CAUGHT as error:
            failure = error
        if wrapper is None:
            return _return_or_raise(results, failure)
        try:
            _ = wrapper.throw(failure) if failure is not None else wrapper.send(results)
            wrapper.close()
            raise InvalidResultError("its wrapper has a second yield")
        except StopIteration as stop:
            try:
                return guard.check_results(origin, stop.value)
            except CAUGHT as error:
                guard.fail(origin, error)
        except CAUGHT as error:
            if error is failure:
                raise
            guard.fail(origin, error)
        return _return_or_raise(results, failure)

    return guarded


def _guard_hookwrapper(function: Function, origin: Origin, guard: HookGuard) -> Function:
    """Guards a `hookwrapper=True` implementation, which gets a `pluggy.Result`."""
    names = _list_parameters(function)

    @functools.wraps(function)
    def guarded(*values: Any) -> Generator[None, Any, None]:
        wrapper = _start_wrapper(function, guard.select_arguments(names, values), origin, guard)
        outcome: Any = yield
        if wrapper is None:
            return
        before = outcome.exception
        try:
            try:
                wrapper.send(outcome)
            except StopIteration:
                pass
            else:
                wrapper.close()
                raise InvalidResultError("its wrapper has a second yield")
            if outcome.exception is None:
                outcome.force_result(guard.check_results(origin, outcome.get_result()))
        except CAUGHT as error:
            if error is not before:
                try:
                    guard.fail(origin, error)
                except ProcessingError as failure:
                    outcome.force_exception(failure)

    return guarded


def _start_wrapper(
    function: Function, values: Iterable[Any], origin: Origin, guard: HookGuard
) -> Generator[Any, Any, Any] | None:
    """Returns the wrapper's generator at its yield, or None if it failed before."""
    generator: Generator[Any, Any, Any] = function(*values)
    try:
        next(generator)
    except StopIteration:
        guard.fail(origin, InvalidResultError("its wrapper did not yield"))
    except CAUGHT as error:
        guard.fail(origin, error)
    else:
        return generator
    return None


def _return_or_raise(results: Any, failure: BaseException | None) -> Any:
    if failure is not None:
        raise failure
    return results


def _list_parameters(function: Function) -> list[str]:
    """Returns the names of the arguments that pluggy passes: those without a default."""
    parameters = inspect.signature(function).parameters.values()
    return [item.name for item in parameters if item.default is inspect.Parameter.empty]
