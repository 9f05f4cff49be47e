"""Doubt: how unsure a model is of a picture."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import Prediction, load_runner

UNSURE = """
    import batchcolor

    class Unsure:
        def __call__(self, luma):
            return self.colorize_with_doubt(luma)[:, :2]

        def colorize_with_doubt(self, luma):
            import torch
            result = torch.full((len(luma), 3, 4, 4), 0.1)
            result[:, 2] = luma.mean(dim=(1, 2, 3))[:, None, None] / 2
            return result

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("unsure", "doubts light", 16, lambda options: Unsure())]
"""


def predict(model: str, backend: str, squares: list[np.ndarray]) -> list[Prediction]:
    loading = LoadOptions(device="cpu", batch_size=len(squares), backend=backend)
    runner = load_runner(load_plugins().find(model), loading)
    found = runner.predict_frames(squares, [True] * len(squares))
    assert all(isinstance(it, Prediction) for it in found), found
    return [it for it in found if isinstance(it, Prediction)]


def load_delta():
    from batchcolor.inference.backends.torch import TorchBackend
    from batchcolor.models.delta import Delta

    loading = LoadOptions(device="cpu", backend="torch", batch_size=1)
    backend = load_runner(load_plugins().find("delta"), loading).backend
    assert isinstance(backend, TorchBackend)
    network = backend.colorizer
    assert isinstance(network, Delta)
    return network


def test_delta_states_a_finite_error_also_for_what_is_no_photograph():
    noise = np.random.default_rng(0).random((256, 256), np.float32)
    found = predict("delta", "torch", [noise, np.full((256, 256), 0.5, np.float32)])
    assert all(it.chroma.shape == (2, 64, 64) for it in found)
    assert all(1 < it.doubt < 40 for it in found)


def test_doubt_of_delta_is_the_calibrated_function_of_its_statistics():
    import torch

    network = load_delta()
    luma = torch.linspace(0.1, 0.9, 256).expand(1, 1, 256, 256).contiguous()
    with torch.inference_mode():
        doubt = network.colorize_with_doubt(luma)[0, 2]
        statistics = network.describe_picture(luma)[0].double()
        expected = (statistics @ network.doubt.weight.double() + network.doubt.bias).exp()
    assert 100 * float(doubt.mean()) == pytest.approx(float(expected), rel=1e-3)


def test_weights_without_calibration_state_the_expected_error_of_the_distribution():
    import torch

    network = load_delta()
    state = {name: it for name, it in network.state_dict().items() if "doubt" not in name}
    from batchcolor.models.delta import Delta

    former = Delta(network.vividness).eval()
    former.load_state_dict(state)
    luma = torch.linspace(0.1, 0.9, 256).expand(1, 1, 256, 256).contiguous()
    with torch.inference_mode():
        found = former.colorize_with_doubt(luma)
        error = former.expected_error(former.multi_scale_logits(luma)).amin(dim=1)
        calibrated = network.colorize_with_doubt(luma)
    assert 100 * float(found[:, 2].mean()) == pytest.approx(float(error.mean()), abs=0.01)
    assert (found[:, :2] - calibrated[:, :2]).abs().max() < 1e-3


def test_exported_delta_has_the_same_doubt():
    pytest.importorskip("openvino")
    square = np.random.default_rng(0).random((256, 256), np.float32)
    exported, in_torch = (predict("delta", name, [square])[0] for name in ("openvino", "torch"))
    assert exported.doubt == pytest.approx(in_torch.doubt, rel=0.05)


def test_doubt_of_other_models_is_a_statistic_of_chroma(flat):
    (found,) = predict(flat, "auto", [np.full((16, 16), 0.5, np.float32)])
    assert found.doubt == pytest.approx(100 * np.hypot(0.1, 0.1), abs=0.01)


def test_doubt_is_in_journal_and_report_most_doubtful_first(plugin, command, tmp_path: Path):
    from PIL import Image

    plugin("unsurepack", UNSURE)
    folder = tmp_path / "album"
    folder.mkdir()
    for name, level in (("dark.png", 40), ("light.png", 220), ("middle.png", 120)):
        Image.fromarray(np.full((20, 30), level, np.uint8)).save(folder / name)
    done = command("run", folder, "-o", tmp_path / "out", "-m", "unsure", "--json")
    assert done.returncode == 0, done.stderr
    doubtful = json.loads(done.stdout)["doubtful"]
    assert [Path(it["source"]).name for it in doubtful] == ["light.png", "middle.png", "dark.png"]
    lines = (tmp_path / "out" / ".batchcolor" / "journal.jsonl").read_text().splitlines()
    journal = {Path(e["source"]).name: e["doubt"] for e in map(json.loads, lines)}
    assert journal["light.png"] == pytest.approx(50 * 220 / 255, abs=0.1)
    assert doubtful[0]["doubt"] == journal["light.png"]


@pytest.mark.parametrize(
    ("result", "reason"),
    [("[:, :2]", r"returned shape \(8, 2, 4, 4\), not \(8, 3"), (" * 20", "outside -0.5..0.5")],
)
def test_wrong_doubt_fails_the_picture(plugin, command, album, tmp_path, result, reason):
    plugin("unsurepack", UNSURE.replace("return result\n", f"return result{result}\n"))
    done = command(
        "run", album(1), "-o", tmp_path / "out", "-m", "unsure", "--batch-size", "8", "--json"
    )
    (failure,) = json.loads(done.stdout)["failures"]
    assert re.search(reason, failure["reason"])
