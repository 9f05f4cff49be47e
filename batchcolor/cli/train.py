"""`batchcolor train MODEL --data NAME|DIR`: trains a model and writes its weights."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from batchcolor.hooks.manager import RegisteredColorizer


def train(
    model: Annotated[
        str, typer.Argument(help="The model to train: alpha, beta, delta or a plugin's.")
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="cifar10, flowers102 or a folder (default: the recipe's; delta has none)."
        ),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(help="Folder of held-out pictures (default: an eighth of --data)."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Start from these weights instead of random initialization.")
    ] = None,
    data_root: Annotated[
        Path, typer.Option(help="Folder of cifar10 and flowers102; they are downloaded to it.")
    ] = Path("data"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run (default: runs/MODEL).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Number of passes over the pictures.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in each step.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the training crops, in pixels.")] = None,
    optimizer: Annotated[
        Literal["adam", "adamw", "rmsprop", "sgd"] | None,
        typer.Option(help="Default: the recipe's (Alpha adam, Beta rmsprop, Delta adamw)."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay (L2 penalty).")] = None,
    momentum: Annotated[float | None, typer.Option(help="Momentum of rmsprop and sgd.")] = None,
    ema: Annotated[
        float | None, typer.Option(help="Decay of the moving average of the weights; 0: off.")
    ] = None,
    loss: Annotated[
        Literal["rgb-mse", "chroma-huber", "model", "own"] | None,
        typer.Option(help="Loss; model: the loss that the network defines (own: the same)."),
    ] = None,
    random_crop: Annotated[
        float | None,
        typer.Option(help="Smallest crop, as a share of the picture's area; 1: no crop."),
    ] = None,
    scale_jitter: Annotated[
        float | None, typer.Option(help="Share of --size by which the crop size of a step varies.")
    ] = None,
    rotation: Annotated[
        float | None, typer.Option(help="Largest rotation of a crop, in degrees.")
    ] = None,
    shift: Annotated[
        int | None, typer.Option(help="Largest shift of an uncropped picture, in pixels.")
    ] = None,
    erase: Annotated[
        float | None, typer.Option(help="Share of the pictures in which a square is erased.")
    ] = None,
    degrade: Annotated[
        float | None, typer.Option(help="Share of the pictures with simulated degradations.")
    ] = None,
    encoder_rate: Annotated[
        float | None,
        typer.Option(help="Learning rate of the encoder, as a share of --learning-rate."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use at most this number of pictures.")] = None,
    seed: Annotated[
        int, typer.Option(help="Random seed: the same seed and device give the same weights.")
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="auto: mixed bfloat16 on a GPU that supports it, else float32."),
    ] = "auto",
    compile: Annotated[
        bool,
        typer.Option("--compile", help="Compile the network first, which takes half a minute."),
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Threads that decode pictures.")] = None,
    checkpoint_minutes: Annotated[
        float, typer.Option(help="Minutes between checkpoints within an epoch.")
    ] = 2.0,
    samples_every: Annotated[int, typer.Option(min=1, help="Epochs between sample sheets.")] = 3,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", count=True, help="Show file and line of a plugin's error."),
    ] = 0,  # used by `app.main`, which prints the error
) -> None:
    """Train a model: writes NAME.safetensors, its card, log.csv, loss.png and sample sheets."""
    from batchcolor.cli.training_display import TrainingView
    from batchcolor.errors import UsageError
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.training.datasets import check_source
    from batchcolor.training.settings import TrainingPlan

    registered = load_plugins().find(model)
    spec = registered.spec
    if spec.recipe is None:
        raise UsageError(f"{model} has no training recipe, so batchcolor cannot train it")
    changes: dict[str, Any] = {
        "data": data,
        "size": size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "epochs": epochs,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "ema": ema,
        "loss": loss,
        "random_crop": random_crop,
        "scale_jitter": scale_jitter,
        "rotation": rotation,
        "shift": shift,
        "erase": erase,
        "degrade": degrade,
        "encoder_rate": encoder_rate,
    }
    recipe = dataclasses.replace(spec.recipe, **{k: v for k, v in changes.items() if v is not None})
    plan = TrainingPlan(
        model=model,
        data=recipe.data,
        output=output or Path("runs") / model,
        recipe=recipe,
        seed=seed,
        data_root=data_root,
        device=device,
        precision=precision,
        compile=compile,
        limit=limit,
        validation=validation,
        weights=weights,
        checkpoint_minutes=checkpoint_minutes,
        samples_every=samples_every,
        workers=workers,
        command=shlex.join(["batchcolor", *(a for a in sys.argv[1:] if a != "--resume")]),
    )
    check_source(plan.data)  # before torch is imported, which takes seconds

    from batchcolor.training.run import train as run

    with TrainingView(_installed_weights(registered)) as view:
        path = run(plan, spec, view.callbacks(), resume=resume)
    view.report_end(path)


def _installed_weights(registered: RegisteredColorizer) -> Path | None:
    from batchcolor.errors import WeightsError
    from batchcolor.inference import weights

    try:
        return weights.find(registered, None)
    except WeightsError:
        return None
