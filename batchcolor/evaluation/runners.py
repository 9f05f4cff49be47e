"""Loads several models, or one model with several sets of options, to compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchcolor.errors import UsageError
from batchcolor.hooks.manager import Plugins, RegisteredColorizer
from batchcolor.hooks.options import describe_options, parse_key_values
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import Runner, load_runner


@dataclass(frozen=True)
class _RequestedModel:
    """A model as given on the command line, `delta` or `delta:vividness=1`, with its options."""

    label: str
    registered: RegisteredColorizer
    options: tuple[tuple[str, str], ...]

    @property
    def option_keys(self) -> set[str]:
        return {option.key for option in describe_options(self.registered.spec.options)}


def load_runners(names: Sequence[str], plugins: Plugins, loading: LoadOptions) -> list[Runner]:
    """Loads each model once, in order; `NAME:KEY=VALUE` is a model with an option of its own.

    An option of `--set` is passed to the models that have it. The name of a runner is the name
    that was requested. Raises UsageError, also for an option that no model has; ModelError.
    """
    requested = [_parse_model(name, plugins) for name in dict.fromkeys(names)]
    if loading.weights is not None and len({it.registered.spec.name for it in requested}) > 1:
        raise UsageError("--weights are those of one model: name one --model")
    runners = []
    for model in requested:
        others = set().union(*(it.option_keys for it in requested if it is not model))
        shared = (
            (key, value)
            for key, value in loading.options
            if key.replace("_", "-") in model.option_keys or key.replace("_", "-") not in others
        )
        runner = load_runner(model.registered, replace(loading, options=(*shared, *model.options)))
        runner.name = model.label
        runners.append(runner)
    return runners


def _parse_model(text: str, plugins: Plugins) -> _RequestedModel:
    name, *options = text.split(":")
    return _RequestedModel(text, plugins.find(name), tuple(parse_key_values(options).items()))
