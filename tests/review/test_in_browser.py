"""The review in a real browser: Debian's chromium with selenium, and the files on the disk."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import batchcolor
from batchcolor.pipeline.decisions.store import DecisionStore

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

HOSTILE = "<img src=x onerror=document.title='taken'>\"'&.jpg"


@pytest.fixture
def album_with_odd_name(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of three pictures, one with markup in its name, and its results."""
    source, out = tmp_path / "album", tmp_path / "out"
    source.mkdir()
    for index, name in enumerate(["a.png", "b.png", HOSTILE]):
        luma = np.full((120, 160), 90, np.uint8)
        luma[30:90, 40:120] = 170 + 10 * index
        Image.fromarray(luma).save(source / name)
    batchcolor.run(source, output=out, model="beta")
    return source, out


def wait(condition: Callable[[], Any]) -> Any:
    """Waits until a condition holds, and returns its value."""
    end = time.monotonic() + 300
    while not (value := condition()):
        assert time.monotonic() < end, "the page does not get there"
        time.sleep(0.05)
    return value


class Reviewer:
    """Looks at the page and presses keys, as a person does."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def text(self, selector: str) -> str:
        script = "return document.querySelector(arguments[0])?.textContent ?? ''"
        return str(self.driver.execute_script(script, selector))

    def count(self, selector: str) -> int:
        script = "return document.querySelectorAll(arguments[0]).length"
        return int(self.driver.execute_script(script, selector))

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def click(self, selector: str) -> None:
        element = self.driver.find_element("css selector", selector)
        element.click()

    def click_picture(self, x: float, y: float) -> None:
        """Clicks a place of the picture, as shares of its size."""
        layer = self.driver.find_element("css selector", "#pane .layer")
        dx, dy = (x - 0.5) * layer.size["width"], (y - 0.5) * layer.size["height"]
        ActionChains(self.driver).move_to_element_with_offset(layer, dx, dy).click().perform()

    def shown_pixel(self, x: float, y: float) -> list[int]:
        """Red, green and blue of the result that is shown."""
        script = """
            const image = document.querySelector("#pane .after");
            if (!image.complete || !image.naturalWidth) return null;
            const canvas = new OffscreenCanvas(1, 1), context = canvas.getContext("2d");
            context.drawImage(image, arguments[0] * image.naturalWidth,
                              arguments[1] * image.naturalHeight, 1, 1, 0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
        """
        return list(wait(lambda: self.driver.execute_script(script, x, y)))


@pytest.fixture
def reviewer(browser, review, album_with_odd_name):
    page = review(album_with_odd_name[1])
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(page.address)
    person = Reviewer(browser)
    wait(lambda: person.count(".tile") == 3)
    return person


def test_open_compare_correct_approve_write_and_reload(reviewer, album_with_odd_name):
    _, out = album_with_odd_name
    store = DecisionStore(out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}

    def decided(name: str) -> Any:
        store.refresh()
        return store.find(name)

    assert HOSTILE in reviewer.driver.execute_script(
        "return [...document.querySelectorAll('.caption')].map((each) => each.textContent)"
    )
    names = wait(lambda: [reviewer.text(f".tile:nth-child({n}) .caption") for n in (1, 2, 3)])
    reviewer.press(Keys.HOME, Keys.ENTER)
    wait(lambda: reviewer.text("#name"))
    first = reviewer.text("#name")
    assert first in names

    # Compare: the slider, side by side, and the original while B is held.
    reviewer.press("s")
    wait(lambda: reviewer.count("#stage[data-mode=slider] #divider:not([hidden])") == 1)
    reviewer.press("d")
    wait(lambda: reviewer.count("#stage[data-mode=sides]") == 1)
    reviewer.press("d")
    ActionChains(reviewer.driver).key_down("b").perform()
    wait(lambda: reviewer.text("#tag") == "Before")
    ActionChains(reviewer.driver).key_up("b").perform()
    wait(lambda: reviewer.text("#tag") == "Result")

    # Correct a colour: a place, and a colour of the palette.
    reviewer.press("h")
    wait(lambda: reviewer.count("#stage.placing") == 1)
    reviewer.click_picture(0.5, 0.5)
    wait(lambda: reviewer.count("#swatches .swatch") >= 5)
    reviewer.click("#swatches .swatch:nth-child(4)")
    color = reviewer.driver.execute_script(
        "return document.querySelector('#swatches .swatch:nth-child(4)').dataset.color"
    )
    wait(lambda: (found := decided(first)) and found.hints and found.hints[0].color == color)
    (hint,) = decided(first).hints
    assert 75 <= hint.points[0][0] <= 85
    assert 55 <= hint.points[0][1] <= 65
    reviewer.press(Keys.ENTER)

    # Approve it, and keep the next one grey: each goes on to the next picture.
    reviewer.press("a")
    wait(lambda: reviewer.text("#name") != first)
    wait(lambda: decided(first).state == "approved")
    second = reviewer.text("#name")
    reviewer.press("r")
    wait(lambda: (found := decided(second)) and found.state == "rejected")

    wait(lambda: "2 changes" in reviewer.text("#write"))
    reviewer.press("w")
    wait(lambda: "No changes" in reviewer.text("#write"))
    changed = {name for name, content in before.items() if (out / name).read_bytes() != content}
    assert changed == {first, second}
    with Image.open(out / second) as image:
        assert np.ptp(np.asarray(image.convert("RGB"), int), axis=2).max() == 0
    with Image.open(out / first) as image:
        middle = image.convert("RGB").getpixel((80, 60))
    assert np.abs(np.subtract(middle, hint.rgb)).max() < 40, (middle, hint.color)

    reviewer.driver.refresh()
    wait(lambda: reviewer.count(".tile") == 3 or reviewer.text("#name"))
    wait(lambda: "2 of 3 reviewed" in reviewer.text("#reviewed"))
    assert decided(first).hints == (hint,)
    assert reviewer.driver.title != "taken"
    log = reviewer.driver.get_log("browser")
    # A model of another package may not be loadable: that is an answer, and no error of the page.
    assert not [line for line in log if line["level"] == "SEVERE" and "422" not in line["message"]]


def test_undo_and_redo_are_saved_and_many_are_approved_at_once(reviewer, album_with_odd_name):
    store = DecisionStore(album_with_odd_name[1])

    def states() -> list[str]:
        store.refresh()
        return sorted(decision.state for decision in store)

    ActionChains(reviewer.driver).key_down(Keys.CONTROL).send_keys("a").key_up(
        Keys.CONTROL
    ).perform()
    wait(lambda: reviewer.text("#selection strong") == "3 selected")
    reviewer.press("a")
    wait(lambda: states() == ["approved"] * 3)
    reviewer.press("u")
    wait(lambda: states() == ["none"] * 3)
    reviewer.press("y")
    wait(lambda: states() == ["approved"] * 3)


def test_the_page_loads_nothing_from_elsewhere(reviewer):
    reviewer.press(Keys.ENTER)
    wait(lambda: reviewer.count(".variant img") >= 3)
    events = [
        json.loads(line["message"])["message"] for line in reviewer.driver.get_log("performance")
    ]
    requests = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert requests
    for url in requests:
        assert url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:", "data:")), url


def test_a_tap_on_a_thumbnail_opens_it_and_a_long_press_selects(reviewer, album_with_odd_name):
    driver = reviewer.driver
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def touch(kind: str, *points: dict[str, float]) -> None:
        driver.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)}
        )

    try:
        driver.refresh()
        wait(lambda: reviewer.count(".tile") == 3)
        corner = driver.execute_script(
            "const box = document.querySelector('.tile .thumb').getBoundingClientRect();"
            "return {x: box.right - 24, y: box.bottom - 24}"
        )
        touch("touchStart", corner)
        wait(lambda: reviewer.text("#selection strong") == "1 selected")
        touch("touchEnd")
        reviewer.click("#selection [data-act=clear]")
        wait(lambda: reviewer.count("#selection[hidden]") == 1)
        touch("touchStart", corner)
        touch("touchEnd")
        wait(lambda: reviewer.text("#name"))
        assert len(DecisionStore(album_with_odd_name[1])) == 0
    finally:
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_at_390_pixels_nothing_is_wider_than_the_screen(reviewer):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    reviewer.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        script = "return document.documentElement.scrollWidth"
        assert reviewer.driver.execute_script(script) <= 390
        reviewer.click(".tile")
        wait(lambda: reviewer.text("#name"))
        assert reviewer.driver.execute_script(script) <= 390
        assert reviewer.driver.execute_script(
            "const box = document.querySelector('#panel [data-act=approve]')"
            ".getBoundingClientRect(); return box.bottom <= innerHeight && box.right <= innerWidth"
        )
    finally:
        reviewer.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
