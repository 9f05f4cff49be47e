"""Weights: found, verified against their card, loaded. Nothing is downloaded or unpickled."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchcolor.errors import WeightsError
from batchcolor.hooks.manager import RegisteredColorizer

if TYPE_CHECKING:
    from torch import nn

PLACES = "BATCHCOLOR_WEIGHTS"
PACKAGE = Path(__file__).parent.parent


def find(owned: RegisteredColorizer, override: Path | None) -> Path | None:
    """The weights file of a colorizer; None for one that needs none.

    Looked for in: `override` (--weights), the folders of BATCHCOLOR_WEIGHTS, the package, the
    plugin's package. Raises WeightsError where it is nowhere.
    """
    if override is not None:
        if not override.is_file():
            raise WeightsError(override, "no such weights file")
        return override
    wanted = owned.spec.weights
    if wanted is None:
        return None
    if Path(wanted).is_absolute():
        places = [Path(wanted)]
    else:
        places = [folder / wanted for folder in _folders(owned)]
    for place in places:
        if place.is_file():
            return place
    raise WeightsError(
        wanted,
        f"weights of {owned.spec.name} not found in "
        f"{', '.join(str(place.parent) for place in places)}; install again, or name a file with "
        f"--weights or a folder in {PLACES}",
    )


def _folders(owned: RegisteredColorizer) -> Iterator[Path]:
    for folder in os.environ.get(PLACES, "").split(os.pathsep):
        if folder:
            yield Path(folder)
    yield PACKAGE / "_weights"  # in a wheel
    yield PACKAGE.parent / "weights"  # in a checkout, also installed as editable
    if owned.origin.folder is not None:
        yield owned.origin.folder
        yield owned.origin.folder / "weights"


def card(path: Path) -> dict[str, Any] | None:
    """The card beside a weights file, or None where there is none.

    Raises WeightsError for a card that cannot be read.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    try:
        content = json.loads(beside.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(beside, f"its card cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise WeightsError(beside, "its card is no card")
    return content


def sha256(path: Path) -> str:
    """The file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verified(path: Path) -> str:
    """The file's sha256, which is the one that its card states, where it has a card.

    Raises WeightsError for a file that was altered or cannot be read.
    """
    try:
        found = sha256(path)
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror})") from error
    stated = (card(path) or {}).get("sha256", found)
    if stated != found:
        raise WeightsError(path, "is altered or truncated: its sha256 is not its card's")
    return found


def load(network: nn.Module, path: Path) -> None:
    """Fill the network with the weights of a verified safetensors (or .pt) file.

    Raises WeightsError for files that are damaged, of another network or of another version
    of it, or that would run code when read.
    """
    stated = (card(path) or {}).get("architecture")
    ours = getattr(sys.modules.get(type(network).__module__), "ARCHITECTURE", None)
    if stated is not None and ours is not None and stated != ours:
        raise WeightsError(path, f"is for version {stated} of the network, this is {ours}")
    try:
        network.load_state_dict(_state(path))
    except (RuntimeError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise WeightsError(path, f"is of another network ({first})") from error


def _state(path: Path) -> dict[str, Any]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix in (".pt", ".pth"):
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            if "fingerprint" in state:
                beside = "the .safetensors file beside it has the weights"
                raise WeightsError(path, f"is a checkpoint, for train --resume; {beside}")
            return state
        return load_file(path)
    except pickle.UnpicklingError as error:
        raise WeightsError(path, "holds more than weights and is not opened") from error
    except (SafetensorError, OSError, EOFError, ValueError, RuntimeError) as error:
        raise WeightsError(path, f"cannot be read as weights ({error})") from error
