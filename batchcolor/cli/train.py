"""`batchcolor train MODEL --data NAME|DIR`: trains a model and writes its weights."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchcolor.cli.settings_options import with_settings
from batchcolor.cli.train_settings import TrainSettings
from batchcolor.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from batchcolor.hooks.manager import RegisteredColorizer


@with_settings(TrainSettings)
def train(
    given: dict[str, Any],
    verbose: Annotated[
        int,
        typer.Option(
            *("--verbose", "-v"),
            count=True,
            show_default=False,
            help="Show file and line of a plugin's error.",
            rich_help_panel="Machine",
        ),
    ] = 0,  # used by `app.main`, which prints the error
) -> int:
    """Train a model: writes NAME.safetensors, its card, log.csv, loss.png and sample sheets."""
    from batchcolor.cli.training_display import TrainingView
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.training.datasets import check_source

    settings = TrainSettings(**given)
    registered = load_plugins().find(settings.model or "")
    spec = registered.spec
    if spec.recipe is None:
        raise UsageError(f"{spec.name} has no training recipe, so batchcolor cannot train it")
    command = shlex.join(["batchcolor", *(a for a in sys.argv[1:] if a != "--resume")])
    plan = settings.make_plan(spec.recipe, command)
    check_source(plan.data)  # before torch is imported, which takes seconds

    from batchcolor.training.training_run import train as run

    with TrainingView(_installed_weights(registered)) as view:
        path = run(plan, spec, view.callbacks(), resume=settings.resume)
    view.report_end(path)
    return ExitCode.DONE


def _installed_weights(registered: RegisteredColorizer) -> Path | None:
    from batchcolor.errors import WeightsError
    from batchcolor.inference import weights

    try:
        return weights.find(registered, None)
    except WeightsError:
        return None
