"""Finds weights, verifies them against their card, loads them.

Nothing is downloaded, and no pickle is executed.
"""

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

WEIGHTS_VARIABLE = "BATCHCOLOR_WEIGHTS"
"""Environment variable with folders of weights, separated as in PATH."""
PACKAGE = Path(__file__).parent.parent


def find(registered: RegisteredColorizer, override: Path | None) -> Path | None:
    """Returns the weights file of a colorizer; None for a colorizer without weights.

    Search order: `override` (--weights), the folders of BATCHCOLOR_WEIGHTS, the package, the
    plugin's package. Raises WeightsError where the file is in none of them.
    """
    if override is not None:
        if not override.is_file():
            raise WeightsError(override, "no such weights file")
        return override
    name = registered.spec.weights
    if name is None:
        return None
    if Path(name).is_absolute():
        candidates = [Path(name)]
    else:
        candidates = [folder / name for folder in _search_folders(registered)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise WeightsError(
        name,
        f"weights of {registered.spec.name} not found in "
        f"{', '.join(str(path.parent) for path in candidates)}; reinstall, or set a file with "
        f"--weights or a folder with {WEIGHTS_VARIABLE}",
    )


def _search_folders(registered: RegisteredColorizer) -> Iterator[Path]:
    for folder in os.environ.get(WEIGHTS_VARIABLE, "").split(os.pathsep):
        if folder:
            yield Path(folder)
    yield PACKAGE / "_weights"  # in a wheel
    yield PACKAGE.parent / "weights"  # in a checkout or an editable installation
    if registered.origin.folder is not None:
        yield registered.origin.folder
        yield registered.origin.folder / "weights"


def read_card(path: Path) -> dict[str, Any] | None:
    """Returns the card (metadata, NAME.json) of a weights file, or None where it has none.

    Raises WeightsError for a card that cannot be read.
    """
    card = path.with_suffix(".json")
    if not card.is_file():
        return None
    try:
        content = json.loads(card.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(card, f"the card of the weights cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise WeightsError(card, "the card of the weights is not a JSON object")
    return content


def hash_file(path: Path) -> str:
    """Returns the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path) -> str:
    """Returns the sha256 of a weights file after comparing it with the card, if there is one.

    Raises WeightsError for a file that differs from its card or cannot be read.
    """
    try:
        found = hash_file(path)
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror})") from error
    stated = (read_card(path) or {}).get("sha256", found)
    if stated != found:
        raise WeightsError(path, "is altered or truncated: its sha256 differs from its card")
    return found


def load(network: nn.Module, path: Path) -> None:
    """Loads the weights of a verified safetensors (or .pt) file into a network.

    Raises WeightsError for a file that is damaged, belongs to another network or another version
    of this one, or would execute code when it is unpickled.
    """
    stated = (read_card(path) or {}).get("architecture")
    expected = getattr(sys.modules.get(type(network).__module__), "ARCHITECTURE", None)
    if stated is not None and expected is not None and stated != expected:
        raise WeightsError(
            path, f"is for version {stated} of the network, version {expected} is installed"
        )
    try:
        network.load_state_dict(_read_state_dict(path))
    except (RuntimeError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise WeightsError(path, f"belongs to another network ({first})") from error


def _read_state_dict(path: Path) -> dict[str, Any]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix in (".pt", ".pth"):
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            if "fingerprint" in state:
                advice = "use the .safetensors file in the same folder"
                raise WeightsError(path, f"is a training checkpoint; {advice}")
            return state
        return load_file(path)
    except pickle.UnpicklingError as error:
        raise WeightsError(path, "contains objects other than weights and is not loaded") from error
    except (SafetensorError, OSError, EOFError, ValueError, RuntimeError) as error:
        raise WeightsError(path, f"cannot be read as weights ({error})") from error
