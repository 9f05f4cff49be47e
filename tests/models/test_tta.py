"""The two published models look at a picture and at its mirror image."""

import numpy as np
import pytest
import torch

from batchcolor.hooks.manager import Origin, RegisteredColorizer
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.models.builtin import ALPHA, BETA


@pytest.mark.parametrize("spec", [ALPHA, BETA], ids=lambda spec: spec.name)
def test_the_mirror_image_of_a_picture_has_its_colours_mirrored(spec):
    owned = RegisteredColorizer(spec, Origin("builtin", "batchcolor", "1"))
    runner = load_runner(owned, LoadOptions(device="cpu", batch_size=2))
    square = np.random.default_rng(0).random((spec.working_size,) * 2, np.float32)
    chroma, mirrored = runner.run([square, np.ascontiguousarray(square[:, ::-1])])
    assert np.abs(chroma).max() > 0.01
    assert np.abs(mirrored[:, :, ::-1] - chroma).max() < 1e-5


@pytest.mark.parametrize("spec", [ALPHA, BETA], ids=lambda spec: spec.name)
def test_while_a_network_learns_it_looks_once(spec):
    network = spec.build(None)
    seen = []
    network.encode.register_forward_hook(lambda layer, given, made: seen.append(len(given[0])))
    network.train()(torch.rand(3, 1, 32, 32))
    network.eval()(torch.rand(3, 1, 32, 32))
    assert seen == [3, 6]
