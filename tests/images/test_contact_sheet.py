"""Contact sheets: positions, labels, and pictures copied pixel by pixel."""

from __future__ import annotations

import io
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchcolor.images.sheets import sheet_text
from batchcolor.images.sheets.contact_sheet import (
    SheetCell,
    SheetColumn,
    SheetRow,
    SheetSection,
    layout_sheet,
)
from batchcolor.images.sheets.sheet_page import (
    DARK,
    LIGHT,
    Box,
    PlacedImage,
    SheetPage,
    TextLine,
    encode_page,
)
from batchcolor.images.sheets.sheet_text import FontStyle, measure_text_width

SIDE = 96


def noise(seed: int, height: int = 64, width: int = 96) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def labelled_row(*pictures: Any, caption: str = "a.png", **more: Any) -> SheetRow:
    return SheetRow(tuple(map(SheetCell, pictures)), caption, "96 × 64", **more)


def section(*rows: SheetRow, columns: int = 3) -> SheetSection:
    headings = [SheetColumn(f"model {n}", f"strength {n}", str(n // 2)) for n in range(columns)]
    return SheetSection(tuple(headings), rows)


def one_page(*sections: SheetSection, **options: Any) -> SheetPage:
    (page,) = layout_sheet(sections, options.pop("side", SIDE), **options)
    return page


def items(page: SheetPage, kind: type[Any]) -> list[Any]:
    return [item for item in page.items if isinstance(item, kind)]


def bounds(item: Any) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of an item."""
    if isinstance(item, PlacedImage):
        height, width = item.rgb.shape[:2]
        return item.x, item.y, item.x + width, item.y + height
    if isinstance(item, TextLine):
        width = measure_text_width(item.text, item.style)
        return item.x, item.y - item.style.height, item.x + width, item.y
    return item.x, item.y, item.x + item.width, item.y + item.height


def overlap(one: Any, other: Any) -> bool:
    (left, top, right, bottom), (x, y, x_end, y_end) = bounds(one), bounds(other)
    return left < x_end and x < right and top < y_end and y < bottom


def assert_nothing_overlaps_or_is_clipped(page: SheetPage) -> None:
    for item in page.items:
        left, top, right, bottom = bounds(item)
        assert left >= 12
        assert top >= 12
        assert right <= page.width - 12
        assert bottom <= page.height - 12
    images, boxes, lines = items(page, PlacedImage), items(page, Box), items(page, TextLine)
    for group in (images + boxes, lines):
        assert not any(overlap(one, other) for one, other in combinations(group, 2))
    for line in lines:
        assert not any(overlap(line, image) for image in images)
        for box in boxes:
            if overlap(line, box):
                (left, _, right, bottom), inner = bounds(box), bounds(line)
                assert left <= inner[0]
                assert inner[2] <= right
                assert inner[3] <= bottom


def test_pictures_are_copied_pixel_by_pixel_in_the_order_of_the_columns():
    pictures = [noise(seed) for seed in range(3)]
    page = one_page(section(labelled_row(*pictures)))
    image = np.asarray(Image.open(io.BytesIO(encode_page(page, "PNG"))))
    placed = sorted(items(page, PlacedImage), key=lambda item: item.x)
    assert len(placed) == 3
    for item, pixels in zip(placed, pictures, strict=True):
        left, top, right, bottom = bounds(item)
        assert np.array_equal(image[top:bottom, left:right], pixels)


def test_every_heading_starts_at_the_left_of_its_column():
    page = one_page(section(labelled_row(noise(0), noise(1), noise(2))))
    images = {item.x for item in items(page, PlacedImage)}
    headings = [line for line in items(page, TextLine) if line.text.startswith("model")]
    assert {line.x for line in headings} == images


def test_the_gap_within_a_group_is_narrower_than_between_groups():
    page = one_page(section(labelled_row(*map(noise, range(3)))))
    first, second, third = sorted(item.x for item in items(page, PlacedImage))
    assert second - first < third - second


def test_a_cell_caption_is_below_its_picture():
    cells = (SheetCell(noise(0), caption="0:00:07"), SheetCell(noise(1, 40), caption="0:01:00"))
    page = one_page(SheetSection((SheetColumn(),) * 2, (SheetRow(cells),)), theme=DARK)
    images, lines = items(page, PlacedImage), items(page, TextLine)
    assert [line.text for line in lines] == ["0:00:07", "0:01:00"]
    assert [line.x for line in lines] == [image.x for image in images]
    assert lines[0].y == lines[1].y > images[0].y + 64
    assert_nothing_overlaps_or_is_clipped(page)


def test_a_last_row_may_have_fewer_cells_than_columns():
    rows = [SheetRow(tuple(map(SheetCell, map(noise, range(n))))) for n in (3, 1)]
    page = one_page(SheetSection((SheetColumn(),) * 3, tuple(rows)))
    assert len(items(page, PlacedImage)) == 4


@pytest.mark.parametrize("side", [16, 96, 320, 800])
@pytest.mark.parametrize("title", ["", "A title " * 40])
@pytest.mark.parametrize("reason", ["short", "a long reason with many words " * 20, "x" * 500])
def test_nothing_overlaps_and_nothing_is_clipped(side, title, reason):
    portrait, landscape, panorama = (side * 3 // 2, side), (side * 2 // 3, side), (side // 8, side)
    rows = [
        labelled_row(*(noise(seed, *landscape) for seed in range(3)), caption="a" * 400 + ".png"),
        labelled_row(*(noise(seed, *portrait) for seed in range(3)), caption="家族の写真.png"),
        labelled_row(*(noise(seed, *panorama) for seed in range(3)), caption="Ж$^2$.png"),
        labelled_row(noise(0, 1, 1), noise(1, 1, 1), noise(2, 1, 1), caption="b.png"),
        SheetRow((SheetCell(noise(0, *landscape)), SheetCell(failure=reason)), "c.png"),
        SheetRow(caption="d.png", failure=reason),
    ]
    page = one_page(section(*rows), section(rows[0], columns=5), title=title, side=side)
    assert_nothing_overlaps_or_is_clipped(page)


def test_pages_have_one_size_and_evenly_many_rows():
    rows = [labelled_row(*map(noise, range(3)), caption=f"{n}.png") for n in range(8)]
    pages = layout_sheet([section(*rows)], SIDE, title="Eight", rows_per_page=6)
    assert [len(items(page, PlacedImage)) for page in pages] == [12, 12]
    assert len({(page.width, page.height) for page in pages}) == 1


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_text_has_enough_contrast_to_be_read(theme):
    def luminance(color: str) -> float:
        shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for text in (theme.text, theme.muted_text, theme.error_text):
        for background in (theme.background, theme.box):
            levels = sorted((luminance(text), luminance(background)))
            assert (levels[1] + 0.05) / (levels[0] + 0.05) >= 4.5  # WCAG 2.1, level AA


def test_a_long_name_keeps_its_beginning_and_its_suffix():
    style = FontStyle(12)
    elided = sheet_text.elide_text("holiday-" + "x" * 300 + "-0042.tif", style, 150)
    assert elided.startswith("holiday-")
    assert elided.endswith("0042.tif")
    assert measure_text_width(elided, style) <= 150


def test_characters_that_the_font_lacks_are_escaped():
    assert sheet_text.escape_missing_glyphs("Ärger Ж 家.png") == "Ärger Ж \\u5bb6.png"
    assert sheet_text.escape_missing_glyphs("two\nlines") == "two\\nlines"
