"""Test-time augmentation of the published models."""

import numpy as np
import pytest
import torch

from batchcolor.hooks.manager import Origin, RegisteredColorizer
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.models.builtin import ALPHA, BETA


@pytest.mark.parametrize("spec", [ALPHA, BETA], ids=lambda spec: spec.name)
def test_mirroring_the_input_mirrors_the_chroma(spec):
    owned = RegisteredColorizer(spec, Origin("builtin", "batchcolor", "1"))
    runner = load_runner(owned, LoadOptions(device="cpu", batch_size=2))
    square = np.random.default_rng(0).random((spec.working_size,) * 2, np.float32)
    chroma, mirrored = runner.run([square, np.ascontiguousarray(square[:, ::-1])])
    assert np.abs(chroma).max() > 0.01
    assert np.abs(mirrored[:, :, ::-1] - chroma).max() < 1e-5


@pytest.mark.parametrize("spec", [ALPHA, BETA], ids=lambda spec: spec.name)
def test_training_mode_uses_one_forward_pass_without_mirroring(spec):
    network = spec.build(None)
    batch_sizes = []
    network.encode.register_forward_hook(
        lambda layer, inputs, output: batch_sizes.append(len(inputs[0]))
    )
    network.train()(torch.rand(3, 1, 32, 32))
    network.eval()(torch.rand(3, 1, 32, 32))
    assert batch_sizes == [3, 6]
