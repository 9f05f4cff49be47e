"""`info`, `models`, `plugins`, `--version`, completion, `python -m batchcolor`."""

import importlib.metadata
import json
import tomllib
from pathlib import Path

import pytest

import batchcolor


def test_info_shows_versions_devices_codecs_plugins_and_weights(command):
    result = command("info", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["versions"]["batchcolor"] == batchcolor.__version__
    assert document["versions"]["torch"][0].isdigit()
    assert "cores" in document["devices"]["cpu"]
    assert {"jpeg", "png", "webp", "tiff", "bmp"} <= set(document["codecs"])
    assert document["codecs"]["h264 (films)"] == "FFmpeg's libx264"
    nvenc = document["codecs"]["h264_nvenc (films)"]
    assert nvenc == "FFmpeg's h264_nvenc" or nvenc.startswith("not available: ")
    assert document["weights"]["beta"].startswith("complete: ")
    shown = command("info").stdout
    assert all(word in shown for word in ("versions", "devices", "codecs", "weights", "beta"))


def test_info_reports_a_torchvision_that_does_not_fit_torch(plugin, process, site):
    """The real message of a CPU-only torch beside a full torchvision, at the real import."""
    (site / "torchvision.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    result = process("info", "--json")
    assert result.returncode == 0, result.stderr
    state = json.loads(result.stdout)["versions"]["torchvision"]
    assert "do not fit" in state
    assert "Traceback" not in result.stderr


def test_models_are_listed_with_package_weights_and_options(plugin, command, flat):
    rows = {row["name"]: row for row in json.loads(command("models", "--json").stdout)}
    assert rows["beta"]["weights"].endswith("beta.safetensors")
    assert rows["flat"]["weights"] is None
    assert rows["flat"]["package"] == "flatpack 1.0"
    assert all({"name", "summary", "package", "weights"} <= set(row) for row in rows.values())
    assert "flat" in command("models").stdout


PLUGIN_WITH_PATH = """
    import batchcolor
    from dataclasses import dataclass, field

    @dataclass
    class Options:
        depth: float = field(default=0.5, metadata={"help": "how deep", "ge": 0, "le": 1})

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [
            batchcolor.ColorizerSpec(
                "long", "a summary of many words that is longer than a line of a terminal " * 2,
                16, lambda options: None, weights="no/such/weights.safetensors", options=Options,
            ),
            7,
        ]
"""


@pytest.mark.parametrize("name", ["models", "plugins", "info"])
def test_the_lists_fit_80_columns_and_show_paths_only_with_v(plugin, command, name):
    module = plugin("longpack", PLUGIN_WITH_PATH)
    short, long = command(name, COLUMNS="80"), command(name, "-v", COLUMNS="500")
    assert short.returncode == long.returncode == 0, short.stderr + long.stderr
    tables = [line for line in short.stdout.splitlines() if not line.startswith("plugin longpack")]
    assert max(map(len, tables)) <= 80
    path = "beta.safetensors" if name != "plugins" else str(module)
    assert path not in short.stdout + short.stderr
    assert path in long.stdout + long.stderr
    if name != "info":
        assert "returned int, not ColorizerSpec" in short.stdout + short.stderr


def test_models_show_what_each_is_good_for_and_the_range_of_its_options(plugin, command):
    plugin("longpack", PLUGIN_WITH_PATH)
    shown = command("models", COLUMNS="120").stdout
    assert "good for" in shown
    assert "how deep (float from 0 to 1)" in shown
    assert "(weights missing)" in " ".join(shown.replace("│", " ").split())
    rows = {row["name"]: row for row in json.loads(command("models", "--json").stdout)}
    (option,) = rows["long"]["options"]
    assert option["range"] == "from 0 to 1"
    assert rows["long"]["weights"] == "missing"


def test_version_and_help_are_shown(command):
    assert command("--version").stdout == f"batchcolor {batchcolor.__version__}\n"
    assert "SOURCE" in command("run", "--help").stdout
    assert "Usage" in command().stdout
    assert command("nonsense").returncode == 2


def test_the_shell_completes_commands(process):
    completion = process(
        _BATCHCOLOR_COMPLETE="complete_bash", COMP_WORDS="batchcolor r", COMP_CWORD="1"
    )
    assert "run" in completion.stdout.split()


def test_info_names_every_extra_with_its_version_or_how_to_install_it(command, monkeypatch):
    def find(name: str, find_version=importlib.metadata.version) -> str:
        if name == "rawpy":
            raise importlib.metadata.PackageNotFoundError(name)
        return find_version(name)

    monkeypatch.setattr(importlib.metadata, "version", find)
    extras = json.loads(command("info", "--json").stdout)["extras"]
    assert extras["raw (camera raw)"] == "not installed: pip install 'batchcolor[raw]'"
    project = Path(batchcolor.__file__).parent.parent / "pyproject.toml"
    if project.is_file():  # else the tests run against an installed package
        declared = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
        assert {name.split(" ")[0] for name in extras} == declared.keys() - {"test"}
