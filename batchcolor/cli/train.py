"""`batchcolor train MODEL --data NAME|DIR`: make weights."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def train(
    model: Annotated[
        str, typer.Argument(help="The model to train: alpha, beta, delta or a plugin's.")
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="cifar10, flowers102 or a folder (default: the recipe's; delta has none)"
        ),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(help="A folder held out whole (default: an eighth of --data, by content)."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Start from these weights instead of from chance.")
    ] = None,
    data_root: Annotated[
        Path, typer.Option(help="Where cifar10 and flowers102 lie, or are downloaded to.")
    ] = Path("data"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run's folder (default: runs/MODEL).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Times that every picture is seen.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures in a step.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the training crop, pixels.")] = None,
    optimizer: Annotated[
        Literal["adam", "adamw", "rmsprop", "sgd"] | None,
        typer.Option(help="Default: the recipe's (Alpha adam, Beta rmsprop, Delta adamw)."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest rate per step.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="L2 penalty on the weights.")] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Share of the former step taken again (rmsprop, sgd).")
    ] = None,
    ema: Annotated[
        float | None, typer.Option(help="Decay of the averaged weights that are kept; 0: off.")
    ] = None,
    loss: Annotated[
        Literal["rgb-mse", "chroma-huber", "own"] | None,
        typer.Option(help="What is made small; own: what the network brings."),
    ] = None,
    random_crop: Annotated[
        float | None, typer.Option(help="Least share of a picture's area in a crop; 1: all.")
    ] = None,
    scale_jitter: Annotated[
        float | None, typer.Option(help="Share by which a step's crops may differ from --size.")
    ] = None,
    rotation: Annotated[
        float | None, typer.Option(help="Degrees that a crop is turned at most.")
    ] = None,
    shift: Annotated[
        int | None, typer.Option(help="Pixels that an uncropped picture is moved at most.")
    ] = None,
    erase: Annotated[
        float | None, typer.Option(help="Share of the pictures in which a square is hidden.")
    ] = None,
    degrade: Annotated[
        float | None, typer.Option(help="Share of the pictures whose luma is made to look old.")
    ] = None,
    encoder_rate: Annotated[
        float | None, typer.Option(help="Share of the rate for a pre-trained encoder.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use only so many pictures.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same device: same weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="auto: mixed bfloat16 where a GPU has it, else float32."),
    ] = "auto",
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the network first: half a minute, for a GPU.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Threads that decode pictures.")] = None,
    checkpoint_minutes: Annotated[
        float, typer.Option(help="Minutes between checkpoints within an epoch.")
    ] = 2.0,
    samples_every: Annotated[int, typer.Option(min=1, help="Epochs between sample sheets.")] = 3,
) -> None:
    """Make weights: NAME.safetensors and its card, with log.csv, loss.png and sample sheets."""
    from batchcolor.cli.training_display import TrainingView
    from batchcolor.errors import UsageError
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.training.run import train as run
    from batchcolor.training.settings import TrainingPlan

    spec = load_plugins().find(model).spec
    if spec.recipe is None:
        raise UsageError(f"{model} has no recipe: it is not trained by batchcolor")
    asked: dict[str, Any] = {
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
    recipe = dataclasses.replace(spec.recipe, **{k: v for k, v in asked.items() if v is not None})
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
    with TrainingView() as view:
        made = run(plan, spec, view.watcher(), resume=resume)
    view.say(f"weights: {made} (use them with --weights {made})")
