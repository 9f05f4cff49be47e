"""Several models loaded at once, to be held beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchcolor.errors import UsageError
from batchcolor.hooks.manager import Plugins, RegisteredColorizer
from batchcolor.hooks.options import describe_options, parse_key_values
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import Runner, load_runner


@dataclass(frozen=True)
class _Asked:
    """A model as it was named, `delta` or `delta:vividness=1`, and the options in that name."""

    label: str
    owned: RegisteredColorizer
    options: tuple[tuple[str, str], ...]

    @property
    def keys(self) -> set[str]:
        return {row.key for row in describe_options(self.owned.spec.options)}


def load_runners(names: Sequence[str], plugins: Plugins, loading: LoadOptions) -> list[Runner]:
    """Each model once, in order; `NAME:KEY=VALUE` is that model with an option of its own.

    A `--set` goes to the models that know it, or fails if none does. Runners are named as asked.
    Raises UsageError, ModelError.
    """
    asked = [_asked(name, plugins) for name in dict.fromkeys(names)]
    if loading.weights is not None and len({it.owned.spec.name for it in asked}) > 1:
        raise UsageError("--weights are those of one model: name one --model")
    runners = []
    for one in asked:
        others = set().union(*(it.keys for it in asked if it is not one))
        shared = (
            (key, value)
            for key, value in loading.options
            if key.replace("_", "-") in one.keys or key.replace("_", "-") not in others
        )
        runner = load_runner(one.owned, replace(loading, options=(*shared, *one.options)))
        runner.name = one.label
        runners.append(runner)
    return runners


def _asked(name: str, plugins: Plugins) -> _Asked:
    base, *own = name.split(":")
    return _Asked(name, plugins.find(base), tuple(parse_key_values(own).items()))
