"""The two published models look at a picture and at its mirror image."""

import numpy as np
import pytest
import torch

from batchcolor.colorizers.builtin import ALPHA, BETA
from batchcolor.colorizers.loading import Loading
from batchcolor.colorizers.runner import load_runner
from batchcolor.hooks.manager import Origin, Owned


@pytest.mark.parametrize("spec", [ALPHA, BETA], ids=lambda spec: spec.name)
def test_the_mirror_image_of_a_picture_has_its_colours_mirrored(spec):
    owned = Owned(spec, Origin("builtin", "batchcolor", "1"))
    runner = load_runner(owned, Loading(device="cpu", batch_size=2))
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
