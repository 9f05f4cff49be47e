"""TrainSettings: the options of `batchcolor train`, and the training plan they become."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field

from batchcolor.errors import UsageError
from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.settings_model import SettingsModel
from batchcolor.storage.remote.input_location import read_data_copy, read_local_copy

if TYPE_CHECKING:
    from batchcolor.hooks.types import Recipe
    from batchcolor.training.plan import TrainingPlan


class TrainSettings(SettingsModel):
    """The options of one training run; None stands for the value of the model's recipe."""

    model: Annotated[
        str | None,
        Option(
            *("Data", "The model to train: alpha, beta, delta or a plugin's."),
            metavar="MODEL",
            is_argument=True,
        ),
    ] = None
    data: Annotated[
        str | None,
        BeforeValidator(read_data_copy),
        Option(
            "Data",
            "cifar10, flowers102, a folder or a URL (default: the recipe's; delta has none).",
            metavar="NAME|DIR",
        ),
    ] = None
    validation: Annotated[
        str | None,
        BeforeValidator(read_data_copy),
        Option(
            *("Data", "Folder or URL of held-out pictures (default: an eighth of --data)."),
            metavar="DIR",
        ),
    ] = None
    data_root: Annotated[
        Path,
        Option(
            *("Data", "Folder of cifar10 and flowers102; they are downloaded to it."),
            metavar="DIR",
        ),
    ] = Path("data")
    limit: Annotated[int | None, Option("Data", "Use at most this number of pictures.")] = None
    output: Annotated[
        Path | None,
        Option(
            *("Where", "Folder of the run (default: runs/MODEL).", ("--output", "-o")),
            metavar="DIR",
        ),
    ] = None
    resume: Annotated[bool, Option("Where", "Continue from the checkpoint.")] = False
    weights: Annotated[
        Path | None,
        BeforeValidator(read_local_copy),
        Option(
            *("Where", "Start from these weights instead of random initialization."),
            takes_url=True,
            metavar="FILE",
        ),
    ] = None
    checkpoint_minutes: Annotated[
        float, Option("Where", "Minutes between checkpoints within an epoch.")
    ] = 2.0
    samples_every: Annotated[int, Field(ge=1), Option("Where", "Epochs between sample sheets.")] = 3
    epochs: Annotated[int | None, Option("Recipe", "Number of passes over the pictures.")] = None
    batch_size: Annotated[int | None, Option("Recipe", "Pictures in each step.")] = None
    size: Annotated[int | None, Option("Recipe", "Side of the training crops, in pixels.")] = None
    optimizer: Annotated[
        Literal["adam", "adamw", "rmsprop", "sgd"] | None,
        Option("Recipe", "Default: the recipe's (Alpha adam, Beta rmsprop, Delta adamw)."),
    ] = None
    learning_rate: Annotated[float | None, Option("Recipe", "Highest learning rate.")] = None
    encoder_rate: Annotated[
        float | None,
        Option("Recipe", "Learning rate of the encoder, as a share of --learning-rate."),
    ] = None
    weight_decay: Annotated[float | None, Option("Recipe", "Weight decay (L2 penalty).")] = None
    momentum: Annotated[float | None, Option("Recipe", "Momentum of rmsprop and sgd.")] = None
    ema: Annotated[
        float | None,
        Option("Recipe", "Decay of the moving average of the weights; 0: off."),
    ] = None
    loss: Annotated[
        Literal["rgb-mse", "chroma-huber", "model", "own"] | None,
        Option("Recipe", "Loss; model: the loss that the network defines (own: the same)."),
    ] = None
    seed: Annotated[
        int,
        Option("Recipe", "Random seed: the same seed and device give the same weights."),
    ] = 0
    random_crop: Annotated[
        float | None,
        Option("Augmentation", "Smallest crop, as a share of the picture's area; 1: no crop."),
    ] = None
    scale_jitter: Annotated[
        float | None,
        Option("Augmentation", "Share of --size by which the crop size of a step varies."),
    ] = None
    rotation: Annotated[
        float | None, Option("Augmentation", "Largest rotation of a crop, in degrees.")
    ] = None
    shift: Annotated[
        int | None, Option("Augmentation", "Largest shift of an uncropped picture, in pixels.")
    ] = None
    erase: Annotated[
        float | None,
        Option("Augmentation", "Share of the pictures in which a square is erased."),
    ] = None
    degrade: Annotated[
        float | None,
        Option("Augmentation", "Share of the pictures with simulated degradations."),
    ] = None
    device: Annotated[str, Option("Machine", "auto, cpu, cuda or cuda:N.")] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Option("Machine", "auto: mixed bfloat16 on a GPU that supports it, else float32."),
    ] = "auto"
    compile: Annotated[
        bool, Option("Machine", "Compile the network first, which takes half a minute.")
    ] = False
    workers: Annotated[int | None, Option("Machine", "Threads that decode pictures.")] = None

    def _check_combinations(self) -> None:
        if not self.model:
            raise UsageError("no MODEL: name the model to train")

    def make_plan(self, recipe: Recipe, command: str) -> TrainingPlan:
        """Returns the plan with the options above the recipe. Raises UsageError."""
        from batchcolor.training.plan import TrainingPlan

        assert self.model is not None
        given = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(recipe)
            if getattr(self, field.name, None) is not None
        }
        own = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(TrainingPlan)
            if field.name not in ("model", "data", "output", "recipe", "command")
        }
        recipe = dataclasses.replace(recipe, **given)
        return TrainingPlan(
            model=self.model,
            data=recipe.data,
            output=self.output or Path("runs") / self.model,
            recipe=recipe,
            command=command,
            **own,
        )
