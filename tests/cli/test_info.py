"""`info`, `models`, `plugins`, `--version`, completion, `python -m batchcolor`."""

import json

import batchcolor


def test_info_says_versions_devices_codecs_plugins_and_weights(command):
    result = command("info", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["versions"]["batchcolor"] == batchcolor.__version__
    assert document["versions"]["torch"][0].isdigit()
    assert "cores" in document["devices"]["cpu"]
    assert {"jpeg", "png", "webp", "tiff", "bmp"} <= set(document["codecs"])
    assert document["codecs"]["h264 (films)"] == "FFmpeg's libx264"
    nvenc = document["codecs"]["h264_nvenc (films)"]
    assert nvenc == "FFmpeg's h264_nvenc" or nvenc.startswith("not here: ")
    assert document["weights"]["beta"].startswith("whole")
    shown = command("info").stdout
    assert all(word in shown for word in ("versions", "devices", "codecs", "weights", "beta"))


def test_info_says_when_torch_and_torchvision_do_not_fit_together(plugin, process, site):
    """The real message of a CPU-only torch beside a full torchvision, at the real import."""
    (site / "torchvision.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    result = process("info", "--json")
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)["versions"]["torchvision"]
    assert "do not fit" in said
    assert "Traceback" not in result.stderr


def test_models_are_listed_with_package_weights_and_options(plugin, command, flat):
    rows = {row["name"]: row for row in json.loads(command("models", "--json").stdout)}
    assert rows["beta"]["weights"].endswith("beta.safetensors")
    assert rows["flat"]["weights"] is None
    assert rows["flat"]["package"] == "flatpack 1.0"
    assert all({"name", "summary", "package", "weights"} <= set(row) for row in rows.values())
    assert "flat" in command("models").stdout


def test_version_help_and_completion_answer(process):
    assert process("--version").stdout == f"batchcolor {batchcolor.__version__}\n"
    assert "SOURCE" in process("run", "--help").stdout
    assert "Usage" in process().stdout
    completion = process(
        _BATCHCOLOR_COMPLETE="complete_bash", COMP_WORDS="batchcolor r", COMP_CWORD="1"
    )
    assert completion.stdout.split() == ["run"]
    assert process("nonsense").returncode == 2
