"""ModelSource: all that a colorizer is built from, and the digest that identifies it."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchcolor.hooks.manager import RegisteredColorizer
from batchcolor.inference.weights import read_card

BUILTIN_CODE = Path(__file__).parents[2] / "models"


@dataclass(frozen=True)
class ModelSource:
    """All that a colorizer is built from."""

    registered: RegisteredColorizer
    options: Any
    """An instance of the options dataclass of its spec, or None."""
    weights: Path | None
    weights_hash: str

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.registered.spec.name

    @property
    def is_builtin(self) -> bool:
        """Whether the model is included in batchcolor."""
        return self.registered.origin.package == "batchcolor"

    def compute_digest(self, *more: object) -> str:
        """Returns a hash of weights, options, code and versions, and of `more`.

        An export is used in place of the model while the digest is the same. It counts the code of
        the plugin and the versions of the packages that it requires, as a change of them may
        change the results.
        """
        origin = self.registered.origin
        values = {
            "model": [self.name, origin.package, origin.version],
            "weights": self.weights_hash,
            "architecture": self._read_architecture(),
            "options": _describe_options(self.options),
            "code": _hash_code(BUILTIN_CODE if self.is_builtin else origin.folder),
            "packages": [(name, _find_version(name)) for name in _list_packages(origin.package)],
            "more": more,
        }
        content = json.dumps(values, sort_keys=True, default=repr)
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def _read_architecture(self) -> object:
        """The version of the network in the card, which is compared when an export is made."""
        card = read_card(self.weights) if self.weights is not None else None
        return (card or {}).get("architecture")


def _describe_options(options: Any) -> dict[str, str]:
    if options is None:
        return {}
    return {
        field.name: _describe_value(getattr(options, field.name))
        for field in dataclasses.fields(options)
    }


def _describe_value(value: Any) -> str:
    if isinstance(value, Path) and value.is_file():
        with value.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return repr(value)


def _hash_code(folder: Path | None) -> str:
    """Returns a hash of the Python files of a package, or of the modules beside a single module."""
    digest = hashlib.sha256()
    if folder is not None:
        is_package = (folder / "__init__.py").exists()
        for file in sorted(folder.rglob("*.py") if is_package else folder.glob("*.py")):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _list_packages(package: str) -> Iterator[str]:
    """Yields torch, OpenVINO, NumPy, the plugin's package, and the packages that it requires."""
    yield from ("torch", "openvino", "numpy", "batchcolor")
    if package == "batchcolor":
        return
    try:
        required = importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for requirement in required:
        found = re.match(r"[\w.-]+", requirement)
        if found is not None and "extra ==" not in requirement:
            yield found[0]


def _find_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
