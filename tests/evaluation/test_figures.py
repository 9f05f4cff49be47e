"""Sheets: what lies where, and that panels are the very pixels."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.comparison import figures
from batchcolor.evaluation.comparison import rendering as paint
from batchcolor.evaluation.comparison.panels import ComparisonRow, colourful, difference, fitted

SIDE = 96


def noise(seed: int, height: int = 64, width: int = 96) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def figure_row(name: str = "a.png", **outputs: Any) -> ComparisonRow:
    made = {(model, 1.0): output for model, output in outputs.items()} or {("m", 1.0): noise(2)}
    return ComparisonRow(name, (96, 64), noise(0), noise(1), made)


def contact_row(name: str = "a.png") -> ComparisonRow:
    outputs = {(m, s): noise(i) for i, (m, s) in enumerate([("m", 0.5), ("m", 1.0), ("n", 0.5)])}
    return ComparisonRow(name, (96, 64), noise(0), None, outputs)


def sheet(rows: list[ComparisonRow], title: str = "") -> paint.Page:
    (page,) = figures.pages(figures.sections(rows), title, SIDE)
    return page


def words(page: paint.Page) -> list[str]:
    return [item.text for item in page.items if isinstance(item, paint.TextLine)]


def panels(page: paint.Page) -> list[paint.Panel]:
    return [item for item in page.items if isinstance(item, paint.Panel)]


def boxes(page: paint.Page) -> list[tuple[int, int, int, int]]:
    """Left, top, right, bottom of everything."""
    found = []
    for item in page.items:
        if isinstance(item, paint.Panel):
            height, width = item.rgb.shape[:2]
            found.append((item.x, item.y, item.x + width, item.y + height))
        elif isinstance(item, paint.TextLine):
            width = paint.measure_text_width(item.text, item.face)
            found.append((item.x, item.y - item.face.height, item.x + width, item.y))
        else:
            found.append((item.x, item.y, item.x + item.width, item.y + item.height))
    return found


def overlap(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_a_figure_has_grey_output_true_and_difference_pixel_by_pixel():
    row = figure_row()
    page = sheet([row])
    image = np.asarray(Image.open(io.BytesIO(paint.raster(page, "PNG"))))
    apart = np.abs(row.outputs["m", 1.0].astype(int) - row.true.astype(int)) * 2
    expected = [row.grey, row.outputs["m", 1.0], row.true, apart.clip(0, 255)]
    found = sorted(panels(page), key=lambda panel: panel.x)
    assert len(found) == 4
    for panel, pixels in zip(found, expected, strict=True):
        assert np.array_equal(image[panel.y : panel.y + 64, panel.x : panel.x + 96], pixels)
    assert [w for w in words(page) if w in ("grey", "m", "true", "difference × 2")] == [
        *("grey", "m", "true", "difference × 2", "m")
    ]


def test_several_models_have_their_outputs_together_and_their_differences_together():
    (part,) = figures.sections([figure_row(m=noise(2), n=noise(3))])
    heads = [(column.head, column.under) for column in part.columns]
    assert heads == [
        ("grey", "source"),
        ("m", "output"),
        ("n", "output"),
        ("true", "source in colour"),
        ("difference × 2", "m"),
        ("difference × 2", "n"),
    ]


def test_without_a_truth_every_model_is_shown_at_every_strength():
    (part,) = figures.sections([contact_row()])
    heads = [(column.head, column.under) for column in part.columns]
    assert heads == [
        ("grey", "source"),
        ("m", "strength 0.5"),
        ("m", "strength 1"),
        ("n", "strength 0.5"),
    ]


def test_pictures_with_and_without_a_truth_have_their_own_columns_on_one_sheet():
    page = sheet([figure_row("a.png"), contact_row("b.png"), figure_row("c.png")])
    assert len(panels(page)) == 4 + 4 + 4
    assert words(page).count("grey") == 2


@pytest.mark.parametrize("title", ["", "A title " * 40])
@pytest.mark.parametrize("reason", ["short", "a long reason with many words " * 20, "x" * 500])
def test_nothing_overlaps_and_nothing_is_cut_off(title, reason):
    error = ProcessingError("chroma", reason)
    rows = [
        figure_row("a" * 400 + ".png"),
        figure_row("b.png", m=error, n=noise(4)),
        ComparisonRow("c.png", (1, 400), noise(0, 96, 1), None, {("m", 1.0): noise(1, 96, 1)}),
        ComparisonRow("d.png", failure=reason),
    ]
    page = sheet(rows, title)
    found = boxes(page)
    for left, top, right, bottom in found:
        assert left >= 12
        assert top >= 12
        assert right <= page.width - 12
        assert bottom <= page.height - 12
    fields = [box for box, it in zip(found, page.items, strict=True) if isinstance(it, paint.Box)]
    others = [box for box, it in zip(found, page.items, strict=True) if isinstance(it, paint.Panel)]
    lines = [
        box for box, it in zip(found, page.items, strict=True) if isinstance(it, paint.TextLine)
    ]
    for group in (
        fields + others,
        lines,
    ):
        for index, box in enumerate(group):
            assert not any(overlap(box, other) for other in group[index + 1 :])
    for line in lines:
        assert not any(overlap(line, panel) for panel in others)
        within = [b for b in fields if overlap(line, b)]
        for field in within:
            assert field[0] <= line[0]
            assert line[2] <= field[2]
            assert line[3] <= field[3]


def test_a_long_name_keeps_its_beginning_and_its_suffix():
    face = paint.FontStyle(12)
    short = paint.elide_text("holiday-" + "x" * 300 + "-0042.tif", face, 150)
    assert short.startswith("holiday-")
    assert short.endswith("0042.tif")
    assert paint.measure_text_width(short, face) <= 150


def test_characters_that_the_font_lacks_are_written_as_numbers():
    assert paint.drawable("Ärger Ж 家.png") == "Ärger Ж \\u5bb6.png"


def test_a_pdf_has_even_pages_of_six_lines_at_most_and_its_text_as_text():
    rows = [figure_row(f"{n}.png") for n in range(8)]
    pages = figures.pages(figures.sections(rows), "On $paper$", SIDE, rows_a_page=6)
    assert [len(panels(page)) for page in pages] == [16, 16]
    assert len({(page.width, page.height) for page in pages}) == 1
    content = paint.render_pdf(pages)
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) == 2
    assert len(re.findall(rb"/Subtype /Image", content)) == 32
    assert re.findall(rb"/Width 96\b", content)
    assert b"DejaVuSans" in content


def test_small_pictures_are_enlarged_by_whole_pixels_and_large_ones_shrunk():
    small = noise(0, 3, 4)
    assert np.array_equal(fitted(small, 13)[::3, ::3], small)
    assert fitted(small, 13).shape == (9, 12, 3)
    assert fitted(noise(0, 50, 200), 96).shape == (24, 96, 3)
    assert fitted(noise(0, 2000, 1), 96).shape == (96, 1, 3)
    assert np.array_equal(fitted(noise(1), 96), noise(1))


def test_the_difference_is_doubled_without_wrapping_round():
    one, other = np.array([[[10, 200, 0]]], np.uint8), np.array([[[15, 20, 0]]], np.uint8)
    assert difference(one, other).tolist() == [[[10, 255, 0]]]


def test_a_sepia_print_is_no_picture_in_colour():
    luma = np.tile(np.arange(256, dtype=np.float32)[None], (128, 1))
    sepia = np.stack([np.clip(luma * k, 0, 255) for k in (1.07, 0.98, 0.82)], axis=2)
    assert not colourful(sepia.astype(np.uint8))
    two = sepia.copy()
    two[:64] = two[:64, :, ::-1]
    assert colourful(two.astype(np.uint8))
    assert not colourful(np.repeat(luma[..., None], 3, axis=2).astype(np.uint8))
