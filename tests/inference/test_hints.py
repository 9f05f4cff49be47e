"""Colour hints: gamut, propagation within regions, painted hints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.color import nearest_chroma_in_gamut, rgb_to_ycbcr, ycbcr_to_rgb
from batchcolor.errors import ProcessingError
from batchcolor.inference.hints.guide import make_guide
from batchcolor.inference.hints.hint import Hint
from batchcolor.inference.hints.picture_hints import prepare_hints

NO_CHROMA = np.zeros((2, 4, 4), np.float32)


def hint(x: float, y: float, color: str = "#c03030", **more: object) -> Hint:
    return Hint.model_validate({"points": [[x, y]], "color": color, **more})


def chroma_of(color: str) -> np.ndarray:
    rgb = np.array(list(bytes.fromhex(color[1:]))) / 255
    return np.array(rgb_to_ycbcr(*rgb)[1:])


@pytest.fixture
def two_regions() -> np.ndarray:
    """A picture of a dark half and a light half, with film grain."""
    luma = np.full((300, 400), 90.0)
    luma[:, 200:] = 170
    luma += np.random.default_rng(1).normal(0, 4, luma.shape)
    return luma.clip(0, 255).astype(np.uint8)


def test_nearest_chroma_in_gamut_is_inside_and_no_point_is_nearer():
    chance = np.random.default_rng(3)
    luma = chance.random(300).astype(np.float32)
    chroma = chance.uniform(-0.5, 0.5, (2, 300)).astype(np.float32)
    found = nearest_chroma_in_gamut(luma, chroma)
    rgb = np.stack(ycbcr_to_rgb(luma, *found))
    assert rgb.min() > -1e-5
    assert rgb.max() < 1 + 1e-5
    distance = np.hypot(*(found - chroma))
    axis = np.linspace(-0.5, 0.5, 61)
    for point in np.stack(np.meshgrid(axis, axis)).reshape(2, -1).T:
        colour = np.stack(ycbcr_to_rgb(luma, *np.broadcast_to(point[:, None], chroma.shape)))
        inside = (colour >= 0).all(axis=0) & (colour <= 1).all(axis=0)
        nearer = np.hypot(*(point[:, None] - chroma)) < distance - 1e-5
        assert not (inside & nearer).any()


def test_chroma_inside_the_gamut_stays():
    luma = np.full(3, 0.5, np.float32)
    chroma = np.array([[0.1, -0.1, 0.0], [0.05, 0.1, 0.0]], np.float32)
    assert nearest_chroma_in_gamut(luma, chroma) == pytest.approx(chroma)


def test_a_hint_changes_its_region_and_not_the_other(two_regions):
    hints = prepare_hints(two_regions, [hint(100, 150)])
    assert hints is not None
    result = hints.apply(NO_CHROMA)
    middle = result.shape[2] // 2
    expected = chroma_of("#c03030")
    left, right = result[:, :, : middle - 6], result[:, :, middle + 6 :]
    assert np.abs(left.mean(axis=(1, 2)) - expected).max() < 0.4 * np.abs(expected).max()
    assert np.abs(right).mean() < 0.1 * np.abs(left).mean()


def test_aspect_ratio_of_the_picture_is_kept():
    hints = prepare_hints(np.full((300, 1200), 128, np.uint8), [hint(10, 10)])
    assert hints is not None
    assert hints.apply(NO_CHROMA).shape == (2, 72, 288)


def test_luma_of_a_hint_is_ignored():
    luma = np.full((60, 80), 128, np.uint8)
    red = np.array(ycbcr_to_rgb(0.3, *chroma_of("#803030")))
    darker = "#" + "".join(f"{round(255 * value):02x}" for value in red)
    fields = [prepare_hints(luma, [hint(40, 30, color)]) for color in ("#803030", darker)]
    results = [field.apply(NO_CHROMA) for field in fields if field is not None]
    assert results[0] == pytest.approx(results[1], abs=0.006)


@pytest.mark.parametrize("count", [2, 50])
def test_contradictory_hints_give_finite_colours(count, two_regions):
    colors = ["#ff0000", "#00ff00", "#0000ff"]
    hints = [hint(100 + n % 2, 150, colors[n % 3], width=n % 40) for n in range(count)]
    found = prepare_hints(two_regions, hints)
    assert found is not None
    result = found.apply(np.full((2, 4, 4), 0.1, np.float32))
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 0.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_thin_and_tiny_pictures_take_hints(shape):
    luma = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    hints = prepare_hints(luma, [hint(0.5, 0.5, "#4060a0")])
    assert hints is not None
    assert np.isfinite(hints.apply(NO_CHROMA)).all()


@pytest.mark.parametrize("place", [(-1, 10), (10, 301), (401, 10)])
def test_hint_outside_the_picture_is_refused(place, two_regions):
    with pytest.raises(ProcessingError, match=r"colour hint 2 at .* lies outside the picture"):
        prepare_hints(two_regions, [hint(5, 5), hint(*place)])


def test_stroke_covers_the_line_between_its_points():
    luma = np.full((100, 100), 128, np.uint8)
    stroke = Hint(points=((10, 10), (90, 90)), color="#3050c0", width=6)
    hints = prepare_hints(luma, [stroke])
    assert hints is not None
    covered = hints.field.weight > 0
    assert covered[50, 50]
    assert not covered[20, 80]
    assert 300 < covered.sum() < 1200


def paint(path: Path, size: tuple[int, int], box: tuple[int, int, int, int], **options) -> Path:
    image = Image.new("RGBA", size)
    image.paste((40, 90, 200, 255), box)
    image.save(path, **options)
    return path


def test_painted_hints_are_those_of_a_list(tmp_path, two_regions):
    painted = paint(tmp_path / "a.hints.png", (400, 300), (90, 140, 111, 161))
    first = prepare_hints(two_regions, [], painted)
    second = prepare_hints(two_regions, [hint(100.5, 150.5, "#285ac8", width=21)])
    assert first is not None
    assert second is not None
    results = [hints.apply(NO_CHROMA) for hints in (first, second)]
    assert np.abs(results[0] - results[1]).mean() < 0.01


def test_painted_hints_at_another_resolution_fit(tmp_path, two_regions):
    whole = prepare_hints(
        two_regions, [], paint(tmp_path / "a.png", (400, 300), (80, 140, 120, 180))
    )
    half = prepare_hints(two_regions, [], paint(tmp_path / "b.png", (200, 150), (40, 70, 60, 90)))
    assert whole is not None
    assert half is not None
    assert whole.field.weight == pytest.approx(half.field.weight, abs=0.6)


def test_painted_hints_of_another_shape_or_without_transparency_are_refused(tmp_path, two_regions):
    paint(tmp_path / "a.hints.png", (300, 400), (1, 1, 9, 9))
    with pytest.raises(ProcessingError, match="their shapes differ"):
        prepare_hints(two_regions, [], tmp_path / "a.hints.png")
    Image.new("RGB", (400, 300)).save(tmp_path / "b.hints.png")
    with pytest.raises(ProcessingError, match="no transparent background"):
        prepare_hints(two_regions, [], tmp_path / "b.hints.png")
    (tmp_path / "c.hints.png").write_bytes(b"\x89PNG")
    with pytest.raises(ProcessingError, match="cannot be read"):
        prepare_hints(two_regions, [], tmp_path / "c.hints.png")


def test_hints_as_a_square_keep_place_and_chroma(two_regions):
    hints = prepare_hints(two_regions, [hint(300, 75, "#806040")])
    assert hints is not None
    square = hints.as_square(64)
    rows, columns = np.nonzero(square[0])
    assert (abs(rows - 16) <= 1).all()
    assert (abs(columns - 48) <= 1).all()
    assert square[1:, 16, 48] == pytest.approx(chroma_of("#806040"), abs=0.01)
    assert not square[1:, square[0] == 0].any()


def test_guide_of_16_bits_is_that_of_8_bits(two_regions):
    deep = two_regions.astype(np.uint16) * 257
    assert make_guide(deep) == pytest.approx(make_guide(two_regions), abs=0.01)


def test_a_strong_hint_does_not_tint_a_textured_picture():
    chance = np.random.default_rng(5)
    areas = chance.integers(30, 225, (6, 8), dtype=np.uint8)
    luma = np.asarray(Image.fromarray(areas).resize((400, 300), Image.Resampling.NEAREST), float)
    luma = (luma + chance.normal(0, 3, luma.shape)).clip(0, 255).astype(np.uint8)
    hints = prepare_hints(luma, [hint(225, 175, "#ff0000", width=10)])
    assert hints is not None
    change = np.hypot(*hints.apply(NO_CHROMA))
    assert (change > 0.01).mean() < 0.25
    own = change[110:140, 148:176]  # the area of the hint
    assert own.min() > 0.5 * own.max()


def test_a_strong_hint_does_not_tint_a_faded_picture():
    chance = np.random.default_rng(5)
    areas = chance.integers(30, 225, (6, 8), dtype=np.uint8)
    luma = np.asarray(Image.fromarray(areas).resize((400, 300), Image.Resampling.NEAREST), float)
    faded = (128 + (luma - 128) * 0.3 + chance.normal(0, 1, luma.shape)).astype(np.uint8)
    hints = prepare_hints(faded, [hint(225, 175, "#ff0000", width=10)])
    assert hints is not None
    change = np.hypot(*hints.apply(NO_CHROMA))
    assert (change > 0.01).mean() < 0.25
    own = change[110:140, 148:176]  # the area of the hint
    assert own.min() > 0.5 * own.max()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (hint(100, 100), hint(102, 101, "#3030c0"), "at the same place: the later one counts"),
        (hint(100, 100), hint(120, 100, "#3030c0"), "next to each other on one surface"),
        (hint(100, 100), hint(102, 101, "#b83838"), ""),
        (hint(190, 100), hint(210, 100, "#3030c0"), ""),
        (hint(30, 30), hint(150, 250, "#3030c0"), ""),
    ],
    ids=["same place", "same surface", "like colours", "over an edge", "far apart"],
)
def test_hints_that_contradict_each_other_are_reported(first, second, expected):
    luma = np.full((300, 400), 90, np.uint8)
    luma[:, 200:] = 170
    prepared = prepare_hints(luma, [first, second])
    assert prepared is not None
    assert [note for note in prepared.notes if expected in note] == list(prepared.notes)
    assert bool(prepared.notes) is bool(expected)
    chroma = prepared.apply(NO_CHROMA)
    assert np.isfinite(chroma).all()
    assert np.abs(chroma).max() > 0.1


def test_many_contradictions_are_counted():
    hints = [hint(100 + index, 100, ("#c03030", "#3030c0")[index % 2]) for index in range(40)]
    prepared = prepare_hints(np.full((300, 400), 90, np.uint8), hints)
    assert prepared is not None
    assert len(prepared.notes) == 4
    assert prepared.notes[-1].endswith("more pairs of colour hints contradict each other")
