"""`batchcolor info`: versions, devices, codecs, plugins and weights, in one look."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from typing import Any

from batchcolor.cli import common_options as options
from batchcolor.cli.console import only_json, print_json, screen, table

LIBRARIES = (
    *("torch", "torchvision", "pillow", "simplejpeg", "imagecodecs", "tifffile", "imageio", "av"),
    *("numpy", "safetensors", "pluggy", "typer", "rich", "filelock"),
)


def info(as_json: options.AsJson = False, no_plugins: options.NoPlugins = False) -> None:
    """Show what batchcolor has to work with: attach it to a question or a bug report."""
    with only_json(as_json) as stdout:
        document = gathered(not no_plugins)
        if as_json:
            print_json(document, stdout)
            return
        console = screen(stderr=False)
        rows: list[tuple[object, ...]] = []
        for section in ("versions", "devices", "codecs", "plugins", "weights"):
            for number, (name, state) in enumerate(document[section].items()):
                rows.append((section if number == 0 else "", name, state))
        console.print(table("", "what", "state", rows=rows))


def gathered(with_plugins: bool) -> dict[str, Any]:
    """Everything that `info` shows, by section; each section is names and what is said of them."""
    return {
        "versions": _versions(),
        "devices": _devices(),
        "codecs": _codecs(),
        **_models(with_plugins),
    }


def _versions() -> dict[str, str]:
    from batchcolor import __version__

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
        "tiff": pillow("libtiff") + "; 16-bit colour by tifffile",
        "bmp": "Pillow",
        "colour management": pillow("littlecms2"),
        **{f"{name} (films)": said for name, said in _film_codecs()},
    }


def _film_codecs() -> Iterator[tuple[str, str]]:
    from batchcolor.errors import UsageError
    from batchcolor.video.output.codecs import CODECS, VideoSettings
    from batchcolor.video.output.encoders import require

    for codec in CODECS:
        try:
            require(VideoSettings(codec.name))
            yield codec.name, f"FFmpeg's {codec.encoder}"
        except UsageError as error:
            yield codec.name, "not here: " + str(error).removeprefix(f"--codec {codec.name}: ")


def _models(with_plugins: bool) -> dict[str, dict[str, str]]:
    from batchcolor.errors import WeightsError
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.inference import weights

    loaded = load_plugins(with_plugins)
    states: dict[str, str] = {}
    for name, owned in loaded.colorizers().items():
        try:
            path = weights.find(owned, None)
            states[name] = (
                f"whole: {path} (sha256 {weights.verify(path)[:12]})" if path else "none needed"
            )
        except WeightsError as error:
            states[name] = f"unusable: {error}"
    plugins = {str(origin): "works" for origin in loaded.origins}
    plugins |= {str(broken.origin): f"broken: {broken.error}" for broken in loaded.broken}
    plugins |= {str(origin): "switched off" for origin in loaded.disabled}
    return {"plugins": plugins, "weights": states}


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
