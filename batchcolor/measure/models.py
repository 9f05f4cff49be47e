"""Several models loaded at once, to be held beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from batchcolor.colorizers.runner import Runner, load_runner
from batchcolor.errors import ImpossiblePlanError
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.options import describe


def load_runners(
    names: Sequence[str],
    plugins: Plugins,
    *,
    options: Mapping[str, str],
    weights: Path | None,
    device: str,
    precision: str,
    batch_size: int | None,
) -> list[Runner]:
    """Each model once, in order. A `--set` goes to the models that know it, or fails if none does.

    Raises ImpossiblePlanError, ModelError.
    """
    if weights is not None and len(set(names)) > 1:
        raise ImpossiblePlanError("--weights are those of one model: name one --model")
    owned = [plugins.find(name) for name in dict.fromkeys(names)]
    known = [{row.key for row in describe(model.spec.options)} for model in owned]
    runners = []
    for number, (model, keys) in enumerate(zip(owned, known, strict=True)):
        others = set().union(*known[:number], *known[number + 1 :])
        own = {
            key: value
            for key, value in options.items()
            if key.replace("_", "-") in keys or key.replace("_", "-") not in others
        }
        runners.append(
            load_runner(
                model,
                options=own,
                weights=weights,
                device=device,
                precision=precision,
                batch_size=batch_size,
            )
        )
    return runners
