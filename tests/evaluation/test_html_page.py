"""The HTML page in a browser, opened from a file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.comparison.html_page import render_html
from batchcolor.evaluation.comparison.panels import ComparisonRow

HOSTILE = "<img src=x onerror=document.title='taken'>\"'&.png"


def plain(red: int, green: int, blue: int, size: tuple[int, int] = (200, 300)) -> Any:
    return np.full((*size, 3), (red, green, blue), np.uint8)


def rows() -> list[ComparisonRow]:
    grey, true = plain(120, 120, 120), plain(40, 160, 90)
    outputs = {
        ("alpha", 0.5): plain(200, 0, 0),
        ("alpha", 1.0): plain(0, 200, 0),
        ("beta", 0.5): plain(0, 0, 200),
        ("beta", 1.0): ProcessingError("chroma", "model beta raised <ValueError> & more"),
    }
    return [
        ComparisonRow("river.png", (300, 200), grey, true, outputs),
        ComparisonRow(HOSTILE, (300, 200), grey, None, {("alpha", 1.0): plain(9, 9, 9)}),
        ComparisonRow("torn.jpg", failure="truncated: premature end"),
    ]


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    path = tmp_path / "page.html"
    path.write_bytes(render_html(rows(), "Two models"))
    browser.set_window_size(1000, 900)
    browser.get_log("performance")
    browser.get(path.as_uri())
    return browser


def divider(page: Any) -> float:
    """Position of the divider of the first picture, 0..100, by its clip and by its handle."""
    clip, line, width = page.execute_script(
        "const pair = document.querySelector('.pair');"
        "const shown = pair.querySelector('.right:not([hidden])');"
        "const box = pair.getBoundingClientRect();"
        "const line = pair.querySelector('.handle').getBoundingClientRect();"
        "return [getComputedStyle(shown).clipPath, line.left + line.width / 2 - box.left,"
        " box.width]"
    )
    clipped = float(clip.removeprefix("inset(").rstrip(")").split()[-1].rstrip("%px"))
    assert clipped == pytest.approx(100 * line / width, abs=0.5)
    return clipped


def bounding_box(page: Any) -> dict[str, float]:
    return page.execute_script(
        "const b = document.querySelector('.pair').getBoundingClientRect();"
        "return {x: b.left, y: b.top, width: b.width, height: b.height}"
    )


def select(page: Any, name: str, value: str) -> None:
    page.find_element("css selector", f"input[name={name}][value='{value}']").click()


def shown(page: Any, side: str, picture: int = 0) -> list[list[str]]:
    return page.execute_script(
        "const pair = document.querySelectorAll('.pair')[arguments[1]];"
        "return [...pair.querySelectorAll('.' + arguments[0])]"
        ".filter(layer => layer.offsetParent !== null)"
        ".map(layer => [layer.dataset.kind, layer.dataset.strength])",
        side,
        picture,
    )


def colour_at(page: Any, x: float, y: float) -> tuple[int, ...]:
    import base64
    import io

    from PIL import Image

    shot = page.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
    image = Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB")
    return image.getpixel((round(x), round(y)))


def test_the_page_requests_no_other_resource(page):
    assert page.execute_script("return [...document.images].every(i => i.naturalWidth === 300)")
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requested = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
        and message["params"]["documentURL"] == page.current_url
    ]
    assert [url for url in requested if not url.startswith("data:")] == [page.current_url]
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert not [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]


def test_grey_is_left_of_the_divider_and_the_output_right_of_it(page):
    box = bounding_box(page)
    middle = box["y"] + box["height"] / 3
    left = colour_at(page, box["x"] + box["width"] * 0.25, middle)
    right = colour_at(page, box["x"] + box["width"] * 0.75, middle)
    assert np.abs(np.subtract(left, (120, 120, 120))).max() < 8
    assert np.abs(np.subtract(right, (0, 200, 0))).max() < 8


def test_the_mouse_drags_the_divider_and_releases_it(page):
    assert divider(page) == 50
    box = bounding_box(page)

    def mouse(kind: str, share: float) -> None:
        page.execute_cdp_cmd(
            "Input.dispatchMouseEvent",
            {
                "type": kind,
                "x": box["x"] + box["width"] * share,
                "y": box["y"] + 60,
                "button": "left",
                "buttons": 0 if kind == "mouseReleased" else 1,
                "clickCount": 1,
            },
        )

    mouse("mousePressed", 0.5)
    mouse("mouseMoved", 0.3)
    assert divider(page) == pytest.approx(30, abs=1)
    mouse("mouseMoved", 0.8)
    mouse("mouseReleased", 0.8)
    assert divider(page) == pytest.approx(80, abs=1)
    page.execute_cdp_cmd(
        "Input.dispatchMouseEvent",
        {"type": "mouseMoved", "x": box["x"] + 20, "y": box["y"] + 60},
    )
    assert divider(page) == pytest.approx(80, abs=1)


def test_a_touch_drags_the_divider(page):
    box = bounding_box(page)
    page.execute_script(
        "window.kinds = new Set();"
        "addEventListener('pointermove', e => kinds.add(e.pointerType), true)"
    )
    for kind, share in [("Start", 0.5), ("Move", 0.4), ("Move", 0.25), ("Move", 0.2)]:
        point = {"x": box["x"] + box["width"] * share, "y": box["y"] + 60}
        page.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": [point]}
        )
        time.sleep(0.05)
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.execute_script("return [...kinds]") == ["touch"]
    assert divider(page) == pytest.approx(20, abs=1)


def test_the_keyboard_moves_the_divider_and_updates_its_value(page):
    from selenium.webdriver.common.keys import Keys

    handle = page.find_element("css selector", ".handle")
    for keys, expected in [
        (Keys.ARROW_RIGHT, 52),
        (Keys.ARROW_LEFT * 2, 48),
        (Keys.HOME, 0),
        (Keys.ARROW_LEFT, 0),
        (Keys.PAGE_UP, 20),
        (Keys.END, 100),
    ]:
        handle.send_keys(keys)
        assert divider(page) == expected
        assert handle.get_attribute("aria-valuenow") == str(expected)
    assert handle.get_attribute("role") == "slider"
    assert "river.png" in handle.get_attribute("aria-label")
    assert handle.get_attribute("aria-valuetext") == "100% grey, the rest alpha × 1"


def test_keyboard_focus_is_visible(page):
    outline = "return getComputedStyle(document.querySelector('.pair')).outlineColor"
    before = page.execute_script(outline)
    from selenium.webdriver.common.keys import Keys

    page.find_element("css selector", "input[name=left]:checked").send_keys(Keys.TAB)
    assert page.execute_script("return document.activeElement.className") == "handle"
    assert page.execute_script(outline) != before


def test_the_buttons_select_model_strength_and_left_side(page):
    assert shown(page, "right") == [["alpha", "1"]]
    select(page, "strength", "0.5")
    assert shown(page, "right") == [["alpha", "0.5"]]
    select(page, "model", "beta")
    assert shown(page, "right") == [["beta", "0.5"]]
    assert page.find_element("css selector", ".tag.after").text == "beta × 0.5"
    assert shown(page, "left") == [["grey", ""]]
    select(page, "left", "true")
    assert shown(page, "left") == [["true", ""]]
    assert page.find_element("css selector", ".tag.before").text == "true"


def test_a_picture_without_the_selected_result_shows_the_nearest_one_with_its_label(page):
    select(page, "strength", "0.5")
    select(page, "left", "true")
    assert shown(page, "right", picture=1) == [["alpha", "1"]]
    assert shown(page, "left", picture=1) == [["grey", ""]]
    assert page.find_elements("css selector", ".tag.after")[1].text == "alpha × 1"


def test_a_failed_picture_and_a_failed_result_show_the_reason(page):
    torn = page.find_element("css selector", "figure.broken")
    assert "truncated: premature end" in torn.text
    assert "torn.jpg" in torn.text
    select(page, "model", "beta")
    assert shown(page, "right") == [["beta", "1"]]
    reason = page.find_element("css selector", ".pair .right:not([hidden])").text
    assert "model beta raised <ValueError> & more" in reason
    handle = page.find_element("css selector", ".pair .handle")
    assert not handle.is_displayed()  # there is nothing to divide
    select(page, "model", "alpha")
    assert handle.is_displayed()


def test_every_picture_has_an_alternative_text(page):
    texts = page.execute_script("return [...document.images].map(image => image.alt)")
    assert texts == [
        "river.png in grey",
        "river.png in its true colours",
        "river.png coloured by alpha, strength 0.5",
        "river.png coloured by alpha, strength 1",
        "river.png coloured by beta, strength 0.5",
        f"{HOSTILE} in grey",
        f"{HOSTILE} coloured by alpha, strength 1",
    ]


def test_a_name_never_becomes_markup(page):
    caption = page.find_elements("css selector", "figcaption bdi")[1]
    assert caption.text == HOSTILE
    assert page.title == "Two models"
    assert page.execute_script("return document.querySelectorAll('[onerror]').length") == 0


def test_template_syntax_in_a_name_is_text():
    page = render_html(
        [ComparisonRow("{{ title }}.png", failure="{% for %}")], "{{ figures }}"
    ).decode()
    for text in ("{{ title }}.png", "{% for %}", "<h1>{{ figures }}</h1>"):
        assert text in page


@pytest.mark.parametrize("width", [320, 390, 1400])
def test_nothing_is_clipped_at_the_side(page, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        inside = page.execute_script(
            "return [...document.querySelectorAll('.pair, .reason, label, figcaption')]"
            ".every(e => { const b = e.getBoundingClientRect();"
            " return b.left >= 0 && b.right <= document.documentElement.clientWidth })"
        )
        assert inside
        assert page.execute_script(
            "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_colour_scheme_of_the_system(page, scheme):
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    levels = [int(part) for part in paper.removeprefix("rgb(").rstrip(")").split(",")]
    assert (min(levels) > 200) if scheme == "light" else (max(levels) < 60)
