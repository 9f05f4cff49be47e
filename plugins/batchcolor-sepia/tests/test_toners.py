from __future__ import annotations

import dataclasses

import pytest
import torch
from batchcolor_sepia import batchcolor_colorizers

from batchcolor import ALGORITHMICALLY_ENHANCED, ColorizerSpec, UsageError
from batchcolor.testing import check_colorizer

SPECS = {spec.name: spec for spec in batchcolor_colorizers()}


def ramp(side: int = 128) -> torch.Tensor:
    """Black on the left to white on the right, with grain on the lower half."""
    luma = torch.linspace(0, 1, side).expand(1, 1, side, side).clone()
    grain = torch.rand(side // 2, side, generator=torch.Generator().manual_seed(1)) - 0.5
    luma[0, 0, side // 2 :] += 0.4 * grain
    return luma.clamp(0, 1)


def toned(name: str, luma: torch.Tensor, **options: object) -> torch.Tensor:
    spec = SPECS[name]
    assert spec.options is not None
    return spec.build(spec.options(**options))(luma)


def test_results_are_marked_as_enhanced_by_an_algorithm_and_not_as_generated():
    assert {spec.digital_source_type for spec in SPECS.values()} == {ALGORITHMICALLY_ENHANCED}


def test_the_package_offers_four_toners_that_need_no_weights() -> None:
    assert set(SPECS) == {"sepia", "cyanotype", "selenium", "hand-tint"}
    assert all(spec.weights is None for spec in SPECS.values())


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_toner_keeps_the_contract(spec: ColorizerSpec) -> None:
    check_colorizer(spec)


@pytest.mark.parametrize("name", SPECS)
def test_the_chroma_of_a_toner_is_weak(name: str) -> None:
    assert toned(name, ramp()).abs().max() <= 0.3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", SPECS)
def test_chroma_has_the_precision_of_the_luma(name: str, dtype: torch.dtype) -> None:
    chroma = toned(name, ramp().to(dtype))
    assert chroma.dtype == dtype
    torch.testing.assert_close(chroma.float(), toned(name, ramp()), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("name", "option"),
    [(n, f.name) for n, s in SPECS.items() for f in dataclasses.fields(s.options or object)],
)
def test_every_option_changes_the_chroma(name: str, option: str) -> None:
    field = {f.name: f for f in dataclasses.fields(SPECS[name].options or object)}[option]
    other = "tea" if isinstance(field.default, str) else field.metadata["le"]
    before, after = toned(name, ramp()), toned(name, ramp(), **{option: other})
    assert (after - before).abs().max() > 0.005


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_number_out_of_its_range_is_refused(spec: ColorizerSpec) -> None:
    first = dataclasses.fields(spec.options or object)[0].name
    with pytest.raises(UsageError, match="must be a number from 0 to 1"):
        check_colorizer(spec, **{first: 1.5})


def test_sepia_is_brown_and_cyanotype_is_blue() -> None:
    middle = torch.full((1, 1, 8, 8), 0.5)
    cb, cr = toned("sepia", middle)[0, :, 0, 0]
    assert cb < -0.03
    assert cr > 0.03
    cb, cr = toned("cyanotype", middle)[0, :, 0, 0]
    assert cb > 0.03
    assert cr < -0.03


def test_sepia_of_low_depth_leaves_the_shadows_neutral() -> None:
    shadow, light = torch.full((1, 1, 8, 8), 0.15), torch.full((1, 1, 8, 8), 0.75)
    shallow, deep = toned("sepia", shadow, depth=0.1), toned("sepia", shadow, depth=1.0)
    assert shallow.abs().max() < 0.2 * deep.abs().max()
    assert toned("sepia", light, depth=0.1).abs().max() > 2 * shallow.abs().max()


def test_selenium_turns_shadows_and_keeps_whites() -> None:
    shadow, white = torch.full((1, 1, 8, 8), 0.1), torch.ones(1, 1, 8, 8)
    assert toned("selenium", shadow).abs().max() > 0.01
    assert toned("selenium", white).abs().max() == 0


def test_the_hand_tint_colours_a_bright_smooth_top_blue() -> None:
    chroma = toned("hand-tint", torch.full((1, 1, 512, 512), 0.7))
    side = chroma.shape[-1]
    assert chroma[0, 0, side // 16].mean() > 0.01
    assert chroma[0, 0, -side // 16].mean() < 0
