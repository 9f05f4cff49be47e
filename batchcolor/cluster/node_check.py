"""What a node must have in common with the driver, so that its results are those of the driver."""

from __future__ import annotations

import contextlib
import importlib.metadata
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchcolor.hooks.manager import Plugins, RegisteredColorizer
from batchcolor.inference import weights
from batchcolor.version import __version__

LIBRARIES = (
    *("torch", "numpy", "scipy", "scikit-image", "pillow", "simplejpeg", "imagecodecs"),
    *("tifffile", "imageio", "av", "pillow-heif", "pillow-jxl-plugin", "rawpy", "jpeglib"),
    *("pydicom", "astropy", "c2pa-python"),
)
"""Packages that decode, compute or encode pictures: another version may give other bytes. Ray
compares the versions of Python and of itself when a node or a driver connects."""
CHOSEN_BACKEND = "openvino"
"""Runs the model on a CPU wherever it is installed, with other last bits than torch."""


@dataclass(frozen=True)
class Installation:
    """Versions of a process that colours: `plugins` and `libraries` by the name of the package."""

    batchcolor: str
    plugins: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)


def describe_installation(plugins: Plugins) -> Installation:
    """Returns the versions of this process."""
    packages = {origin.package: origin.version for origin in plugins.origins}
    packages.pop("batchcolor", None)
    libraries = {}
    for name in (*LIBRARIES, CHOSEN_BACKEND):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            libraries[name] = importlib.metadata.version(name).partition("+")[0]  # +cpu, +cu128
    return Installation(__version__, packages, libraries)


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


def find_library_mismatch(
    driver: Installation, node: Installation, *, may_choose_backend: bool
) -> str:
    """Returns which library would make a node's results differ in their bytes, and what to do
    about it; empty where none would.

    `may_choose_backend`: whether the node runs the model with OpenVINO if it is installed there.
    """
    for name in LIBRARIES:
        if name in driver.libraries and (found := _compare(name, driver, node)):
            return found
    return _compare(CHOSEN_BACKEND, driver, node) if may_choose_backend else ""


def _compare(name: str, driver: Installation, node: Installation) -> str:
    wanted, found = driver.libraries.get(name), node.libraries.get(name)
    if wanted == found:
        return ""
    if wanted is None:
        return f"it has {name} {found}, which the driver lacks; install it on both or neither"
    has = f"has {name} {found}" if found else f"lacks {name}"
    return (
        f"it {has}, and the driver has {wanted}, so its results could differ; "
        f"pip install {name}=={wanted} there"
    )


def find_missing_path(paths: Iterable[Path]) -> str:
    """Returns which folder or file is not there on this node; empty where all are."""
    for path in paths:
        if not path.exists():
            return f"it does not see {path}; mount it there under the same path"
    return ""


def find_write_obstacle(folder: Path) -> str:
    """Returns why this node cannot write to a folder that it sees; empty where it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return (
            f"it cannot write to {folder} ({error.strerror or error}); "
            f"mount it there for writing, with a user that may"
        )
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
