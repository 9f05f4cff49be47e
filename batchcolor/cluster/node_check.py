"""What a node must have in common with the driver, so that its results are those of the driver."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from batchcolor.hooks.manager import Plugins, RegisteredColorizer
from batchcolor.inference import weights
from batchcolor.version import __version__


@dataclass(frozen=True)
class Installation:
    """Versions of a process that colours; `plugins` are packages and their versions."""

    batchcolor: str
    python: str
    plugins: Mapping[str, str]


def describe_installation(plugins: Plugins) -> Installation:
    """Returns the versions of this process."""
    packages = {origin.package: origin.version for origin in plugins.origins}
    packages.pop("batchcolor", None)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Installation(__version__, python, packages)


def find_version_mismatch(driver: Installation, node: Installation) -> str:
    """Returns what differs on a node and what to do about it; empty where nothing does."""
    if node.batchcolor != driver.batchcolor:
        return (
            f"it has batchcolor {node.batchcolor}, and the driver {driver.batchcolor}; "
            f"pip install batchcolor=={driver.batchcolor} there"
        )
    for package, version in driver.plugins.items():
        found = node.plugins.get(package)
        if found != version:
            has = f"has {package} {found}" if found else f"lacks the plugin {package}"
            return f"it {has}, and the driver has {version}; pip install {package}=={version} there"
    more = sorted(node.plugins.keys() - driver.plugins.keys())
    if more:
        return f"it has the plugin {more[0]}, which the driver lacks; install it on both or neither"
    return ""


def find_missing_path(paths: Iterable[Path]) -> str:
    """Returns which folder or file is not there on this node; empty where all are."""
    for path in paths:
        if not path.exists():
            return f"it does not see {path}; mount it there under the same path"
    return ""


def hash_weights(registered: RegisteredColorizer, override: Path | None) -> str:
    """Returns the digest of a model's weights, which are not loaded; empty where it has none.

    Raises WeightsError.
    """
    path = weights.find(registered, override)
    return weights.verify(path) if path else ""


def find_weights_mismatch(driver: str, node: str, model: str) -> str:
    """Returns how the weights of a node differ, given both digests; empty where they do not."""
    if driver == node:
        return ""
    return (
        f"its weights of {model} ({node[:12] or 'none'}) are not those of the driver "
        f"({driver[:12] or 'none'}); copy the weights file, or reinstall the package that has it"
    )
