"""Rows of a comparison: which columns they have, how panels are scaled, the PDF."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.comparison.panels import (
    ComparisonRow,
    fit_panel,
    has_colour,
    render_difference,
)
from batchcolor.evaluation.comparison.pdf import encode_pdf
from batchcolor.evaluation.comparison.sections import make_sections
from batchcolor.images.sheets.contact_sheet import layout_sheet


def noise(seed: int, height: int = 64, width: int = 96) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def figure_row(name: str = "a.png", **outputs: Any) -> ComparisonRow:
    panels = {(model, 1.0): output for model, output in outputs.items()} or {("m", 1.0): noise(2)}
    return ComparisonRow(name, (96, 64), noise(0), noise(1), panels)


def grey_row(name: str = "a.png") -> ComparisonRow:
    outputs = {(m, s): noise(i) for i, (m, s) in enumerate([("m", 0.5), ("m", 1.0), ("n", 0.5)])}
    return ComparisonRow(name, (96, 64), noise(0), None, outputs)


def headings(rows: list[ComparisonRow]) -> list[list[tuple[str, str]]]:
    return [
        [(column.heading, column.subheading) for column in section.columns]
        for section in make_sections(rows)
    ]


def test_a_figure_has_grey_output_true_and_difference():
    row = figure_row()
    (section,) = make_sections([row])
    assert row.true is not None
    difference = np.abs(row.outputs["m", 1.0].astype(int) - row.true.astype(int)) * 2
    expected = [row.grey, row.outputs["m", 1.0], row.true, difference.clip(0, 255)]
    (sheet_row,) = section.rows
    for cell, pixels in zip(sheet_row.cells, expected, strict=True):
        assert np.array_equal(cell.rgb, pixels)
    assert (sheet_row.caption, sheet_row.detail) == ("a.png", "96 × 64")


def test_outputs_of_several_models_are_adjacent_and_so_are_their_differences():
    assert headings([figure_row(m=noise(2), n=noise(3))]) == [
        [
            ("grey", "source"),
            ("m", "output"),
            ("n", "output"),
            ("true", "source in colour"),
            ("difference × 2", "m"),
            ("difference × 2", "n"),
        ]
    ]


def test_without_true_colours_every_model_is_shown_at_every_strength():
    assert headings([grey_row()]) == [
        [
            ("grey", "source"),
            ("m", "strength 0.5"),
            ("m", "strength 1"),
            ("n", "strength 0.5"),
        ]
    ]


def test_pictures_with_and_without_true_colours_are_in_separate_sections():
    rows = [figure_row("a.png"), grey_row("b.png"), figure_row("c.png")]
    sections = make_sections(rows)
    names = [[row.caption for row in section.rows] for section in sections]
    assert names == [["a.png", "c.png"], ["b.png"]]


def test_an_unreadable_picture_is_in_the_section_of_the_picture_before_it():
    rows = [
        ComparisonRow("0.png", failure="damaged"),
        grey_row("b.png"),
        ComparisonRow("c.png", failure="truncated"),
        figure_row("d.png"),
    ]
    first, second = make_sections(rows)
    assert [row.caption for row in first.rows] == ["0.png", "b.png", "c.png"]
    assert [row.failure for row in first.rows] == ["damaged", "", "truncated"]
    assert len(second.rows) == 1


def test_a_failed_output_has_its_reason_in_its_own_column_and_its_difference():
    error = ProcessingError("chroma", "not finite")
    (section,) = make_sections([figure_row(m=error, n=noise(4))])
    (row,) = section.rows
    assert [cell.failure for cell in row.cells] == [
        *("", "not finite", "", ""),
        *("not finite", ""),
    ]


def test_a_pdf_has_its_text_as_text_and_lossless_pictures():
    rows = [figure_row(f"{n}.png") for n in range(8)]
    pages = layout_sheet(make_sections(rows), 96, title="On $paper$", rows_per_page=6)
    content = encode_pdf(pages)
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) == 2
    assert len(re.findall(rb"/Subtype /Image", content)) == 32
    assert re.findall(rb"/Width 96\b", content)
    assert b"DejaVuSans" in content


def test_small_pictures_are_enlarged_by_an_integer_factor_and_large_ones_reduced():
    small = noise(0, 3, 4)
    assert np.array_equal(fit_panel(small, 13)[::3, ::3], small)
    assert fit_panel(small, 13).shape == (9, 12, 3)
    assert fit_panel(noise(0, 50, 200), 96).shape == (24, 96, 3)
    assert fit_panel(noise(0, 2000, 1), 96).shape == (96, 1, 3)
    assert np.array_equal(fit_panel(noise(1), 96), noise(1))


def test_the_difference_is_doubled_without_overflow():
    one, other = np.array([[[10, 200, 0]]], np.uint8), np.array([[[15, 20, 0]]], np.uint8)
    assert render_difference(one, other).tolist() == [[[10, 255, 0]]]


def test_a_sepia_print_has_no_true_colours():
    luma = np.tile(np.arange(256, dtype=np.float32)[None], (128, 1))
    sepia = np.stack([np.clip(luma * k, 0, 255) for k in (1.07, 0.98, 0.82)], axis=2)
    assert not has_colour(sepia.astype(np.uint8))
    two = sepia.copy()
    two[:64] = two[:64, :, ::-1]
    assert has_colour(two.astype(np.uint8))
    assert not has_colour(np.repeat(luma[..., None], 3, axis=2).astype(np.uint8))
