"""Models of plugins that fail: their pictures are reported, and the rest works."""

import json
import re

import pytest
from PIL import Image

CHROMA = "torch.full((len(luma), 2, 4, 4), 0.1)"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "not a tensor"),
        ("return torch.zeros(len(luma), 3, 4, 4)", "shape"),
        ("return torch.zeros(len(luma), 2, 4, 5)", "shape"),
        ("return torch.full((len(luma), 2, 4, 4), float('nan'))", "NaN"),
        ("return torch.full((len(luma), 2, 4, 4), 3.0)", "outside"),
        ("raise ValueError('no luck')", "no luck"),
        ("import sys; sys.exit(9)", "SystemExit"),
        (f"luma += 1; return {CHROMA}", "changed its input|Inplace|inplace"),
    ],
)
def test_a_model_with_wrong_results_fails_its_pictures_and_is_reported(
    install_model, command, folder, tmp_path, body, message
):
    install_model(body)
    result = command("run", folder, "-o", tmp_path / "out", "-m", "odd", "--json")
    assert result.returncode == 3, result.stderr
    failures = json.loads(result.stdout)["failures"]
    assert len(failures) == 3
    assert all(failure["step"] == "chroma" for failure in failures)
    assert all("oddpack 2.5" in failure["reason"] for failure in failures)
    assert re.search(message, failures[0]["reason"])
    assert not list((tmp_path / "out").glob("*.png"))


BROKEN_MODEL = """
    import batchcolor, torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d({channels}, 2, 3)
            {build}

        def forward(self, luma):
            return {result}

    RECIPE = batchcolor.Recipe("-", 16, "sgd", 0.1, 2, 1)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        build = lambda options: Model()
        return [batchcolor.ColorizerSpec("odd", "made for a test", 16, build, recipe=RECIPE)]
"""


BROKEN_MODELS = {
    "build": (9, {"channels": 1, "build": "[].pop()", "result": "None"}),
    "weights": (9, {"channels": 1, "build": "torch.load(__file__)", "result": "None"}),
    "forward": (12, {"channels": 5, "build": "pass", "result": "self.layer(luma)"}),
    "result": (11, {"channels": 1, "build": "pass", "result": "None"}),
}
"""The line that is shown for each fault: the last of the plugin's code, not that of torch."""


@pytest.mark.parametrize("fault", BROKEN_MODELS)
def test_an_error_in_a_model_is_shown_with_file_and_line_when_verbose(
    plugin, command, folder, tmp_path, fault
):
    line, code = BROKEN_MODELS[fault]
    path = plugin("oddpack", BROKEN_MODEL.format(**code), version="2.5")
    arguments = ("run", folder, "-o", tmp_path / "out", "-m", "odd")
    brief = command(*arguments)
    assert brief.returncode == (5 if fault in ("build", "weights") else 3), brief.stderr
    assert "oddpack 2.5" in brief.stderr
    assert "oddpack.py" not in brief.stderr
    verbose = command(*arguments, "-v", "--retry-failed")
    assert verbose.returncode == brief.returncode
    assert verbose.stderr.count(f"({path}:{line})") == 1
    assert "Traceback" not in verbose.stderr


@pytest.mark.parametrize("fault", ["build", "forward", "result"])
def test_an_error_in_a_network_that_is_trained_is_shown_with_file_and_line_when_verbose(
    plugin, command, tmp_path, fault
):
    line, code = BROKEN_MODELS[fault]
    path = plugin("oddpack", BROKEN_MODEL.format(**code))
    colours = tmp_path / "colours"
    colours.mkdir()
    for number in range(8):
        picture = Image.new("RGB", (32, 32), (200, 20 * number, 40))
        picture.paste((10, 120, 20 * number), (8, 8, 8 + number, 24))
        picture.save(colours / f"{number}.png")
    arguments = ("train", "odd", "--data", colours, "-o", tmp_path / "run", "--device", "cpu", "-v")
    result = command(*arguments, BATCHCOLOR_CACHE=str(tmp_path / "cache"))
    assert result.returncode == 5, result.stderr
    assert "odd cannot be" in result.stderr
    assert result.stderr.strip().endswith(f"({path}:{line})")


def test_a_picture_that_a_model_cannot_process_fails_alone_in_its_batch(
    install_model, command, folder, tmp_path
):
    install_model(f"assert float(luma.max()) < 0.7, 'too bright'; return {CHROMA}")
    result = command("run", folder, "-o", tmp_path / "out", "-m", "odd", "--json")
    assert result.returncode == 3
    (failure,) = json.loads(result.stdout)["failures"]
    assert failure["source"].endswith("200.png")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["120.png", "40.png"]


def test_a_model_that_prints_and_sets_global_state_does_not_affect_the_job(
    install_model, command, folder, tmp_path
):
    install_model(
        "print('output'); torch.manual_seed(1); torch.set_default_dtype(torch.float64); "
        f"torch.set_num_threads(1); return {CHROMA}.float()",
    )
    result = command("run", folder, "-o", tmp_path / "out", "-m", "odd", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["done"] == 3
