"""Colorizers that take colour hints themselves: `hints=True` in their spec."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.hooks.testing import check_colorizer
from batchcolor.hooks.types import ColorizerSpec
from batchcolor.hooks.validation import find_spec_fault
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.store import DecisionStore

HINTED = """
    import batchcolor

    def hinted(luma, hints):
        # The mean chroma of the hints in the half of the picture where they are; else nothing.
        import torch
        chroma = torch.zeros((len(luma), 2, 2, 2))
        for half, columns in enumerate((slice(0, 8), slice(8, 16))):
            weight = hints[:, :1, :, columns].sum(dim=(2, 3)).clamp(min=1)
            chroma[:, :, :, half] = (hints[:, 1:, :, columns].sum(dim=(2, 3)) / weight)[..., None]
        return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        spec = batchcolor.ColorizerSpec("hinted", "takes hints", 16, lambda o: hinted, hints=True)
        return [spec]
"""


@pytest.fixture
def folder(plugin, tmp_path: Path) -> Path:
    plugin("hintedpack", HINTED)
    folder = tmp_path / "album"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((40, 80), 128, np.uint8)).save(folder / name)
    return folder


def read_chroma(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("YCbCr"), float)[..., 1:] / 255 - 0.5


@pytest.mark.parametrize("is_model_of_the_job", [True, False])
def test_hints_are_passed_to_the_colorizer_and_not_propagated(
    command, flat, folder, tmp_path, is_model_of_the_job
):
    hint = {"points": [[20, 20]], "color": "#a06060", "width": 8}
    model = {} if is_model_of_the_job else {"model": "hinted"}
    decided = Decision.from_values({"source": "a.png", "hints": [hint], **model})
    DecisionStore(tmp_path / "out").append(decided)
    name = "hinted" if is_model_of_the_job else flat
    done = command("run", folder, "-o", tmp_path / "out", "-m", name, "--json")
    assert json.loads(done.stdout)["done"] == 2, done.stderr
    chroma = read_chroma(tmp_path / "out" / "a.png")
    expected = np.array([(0x60 - 0x73) / 255 / 1.772, (0xA0 - 0x73) / 255 / 1.402])
    assert chroma[:, :15].mean(axis=(0, 1)) == pytest.approx(expected, abs=0.01)
    assert np.abs(chroma[:, 65:]).max() < 0.01
    if is_model_of_the_job:
        assert np.abs(read_chroma(tmp_path / "out" / "b.png")).max() < 0.01


def test_check_colorizer_passes_a_hint():
    def build(options: None):
        def colorizer(luma, hints):
            assert hints.shape == (len(luma), 3, 8, 8)
            assert (hints[:, 0].sum(dim=(1, 2)) == 1).all()
            return hints[:, 1:]

        return colorizer

    check_colorizer(ColorizerSpec("h", "s", 8, build, hints=True))
    with pytest.raises(AssertionError, match="hints 1 is not True or False"):
        check_colorizer(ColorizerSpec("h", "s", 8, build, hints=1))


OPTIONAL = """
    import batchcolor

    def colorizer(luma, hints=None):
        # 0.1 of Cb without hints, in batches; Cr with hints, alone.
        import torch
        chroma = torch.zeros((len(luma), 2, 2, 2))
        if hints is None:
            chroma[:, 0] = 0.1
            return chroma
        assert len(luma) == 1 and hints.shape[1] == 3 and hints[:, 0].sum() > 0
        chroma[:, 1] = 0.1
        return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        flags = {"hints": True, "hints_optional": True, "hints_propagated": %s}
        return [batchcolor.ColorizerSpec("optional", "hints", 16, lambda o: colorizer, **flags)]
"""


@pytest.mark.parametrize("is_propagated", [True, False])
def test_pictures_without_optional_hints_are_coloured_from_luma_alone(
    plugin, command, tmp_path, is_propagated
):
    plugin("optionalpack", OPTIONAL % is_propagated)
    (tmp_path / "album").mkdir()
    luma = np.full((40, 80), 128, np.uint8)
    luma[:, 40:] = 200
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(luma).save(tmp_path / "album" / name)
    hint = {"points": [[20, 20]], "color": "#606060", "width": 8}
    DecisionStore(tmp_path / "out").append(
        Decision.from_values({"source": "b.png", "hints": [hint]})
    )
    arguments = ("-o", tmp_path / "out", "-m", "optional", "--json")
    done = command("run", tmp_path / "album", *arguments)
    assert json.loads(done.stdout)["done"] == 3, done.stderr
    for name in ("a.png", "c.png"):
        chroma = read_chroma(tmp_path / "out" / name)
        assert chroma.mean(axis=(0, 1)) == pytest.approx([0.1, 0], abs=0.01)
    chroma = read_chroma(tmp_path / "out" / "b.png")
    assert chroma[:, 50:].mean(axis=(0, 1)) == pytest.approx([0, 0.1], abs=0.01)
    expected = [0, 0] if is_propagated else [0, 0.1]
    assert chroma[:, :30].mean(axis=(0, 1)) == pytest.approx(expected, abs=0.01)


def test_fields_about_hints_are_for_colorizers_with_hints():
    spec = ColorizerSpec("h", "s", 8, lambda options: None, hints_optional=True)
    assert "are for colorizers with hints" in find_spec_fault(spec)
