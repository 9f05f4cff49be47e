"""`run --gallery`: the pages as files, and in a browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchcolor.pipeline.gallery import page
from batchcolor.pipeline.gallery.entries import natural_key

HOSTILE = "<img src=x onerror=document.title='taken'>\"'&.jpg"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture
def run(command, flat, tmp_path):
    """Runs a job with a gallery on a folder, and returns the folder of the gallery."""

    def run_job(source: Path, *options: str, code: int = 0) -> Path:
        result = command("run", source, "-o", "out", "-m", flat, "--gallery", *options)
        assert result.returncode == code, result.stderr
        return tmp_path / "out-gallery"

    return run_job


def read_pages(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("*.html")))


def test_each_picture_is_there_before_and_after_by_relative_links(run, album):
    folder = run(album(3))
    text = read_pages(folder)
    links = re.findall(r'(?:src|href|data-before)="([^"]+)"', text)
    assert len(links) == 9
    for link in links:
        assert not re.match("[a-z]+:|/", link), link
        assert (folder / link).is_file()
    originals = [Image.open(folder / link) for link in links if "before" in link]
    assert {image.mode for image in originals} == {"L"}
    assert all(image.size == (96, 64) for image in originals)
    assert "http" not in re.sub("http-equiv", "", text)


def test_a_second_run_makes_only_what_changed_and_removes_what_is_gone(run, album, tmp_path):
    source = album(3)
    folder = run(source)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    run(source)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")} == times
    (tmp_path / "out" / "001.jpg").unlink()
    (source / "001.jpg").unlink()
    (folder / "pictures").joinpath(sorted(p.name for p in folder.glob("pictures/*"))[0]).unlink()
    run(source)
    text = read_pages(folder)
    assert "001.jpg" not in text
    for link in re.findall(r'(?:src|href|data-before)="([^"]+)"', text):
        assert (folder / link).is_file()


def test_names_are_text_and_failures_are_listed_with_their_reason(run, album, tmp_path):
    source = album(1)
    shutil.copy(next(source.rglob("*.jpg")), source / HOSTILE)
    (source / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    text = read_pages(run(source, code=3))
    assert "<img src=x" not in text
    assert HOSTILE in unescape(text)
    assert "Not coloured" in text
    assert "torn.jpg" in text


def test_many_pictures_are_paged_in_natural_order(run, album, monkeypatch):
    monkeypatch.setattr(page, "PER_PAGE", 2)
    folder = run(album(5))
    names = sorted(path.name for path in folder.glob("*.html"))
    assert names == ["index.html", "page-2.html", "page-3.html"]
    assert 'href="page-2.html"' in (folder / "index.html").read_text()
    assert sorted(["p 10", "p 9", "P 1"], key=natural_key) == ["P 1", "p 9", "p 10"]


def test_pages_beyond_the_last_one_are_removed(run, album, monkeypatch):
    monkeypatch.setattr(page, "PER_PAGE", 2)
    source = album(5)
    folder = run(source)
    monkeypatch.setattr(page, "PER_PAGE", 60)
    run(source)
    assert [path.name for path in folder.glob("*.html")] == ["index.html"]


def test_a_folder_of_something_else_is_refused_before_any_work(run, album, tmp_path):
    (tmp_path / "out-gallery").mkdir()
    (tmp_path / "out-gallery" / "mine.txt").write_text("mine")
    run(album(1), code=2)
    assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "out-gallery").iterdir()] == ["mine.txt"]


def test_a_gallery_that_cannot_be_written_costs_no_results(run, album, tmp_path, command):
    source = album(2)
    (tmp_path / "out-gallery").mkdir()
    (tmp_path / "out-gallery" / "index.html").write_bytes(page.GENERATOR)
    (tmp_path / "out-gallery" / "pictures").write_text("a file in the way")
    run(source, "--report", "report.json", code=4)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["done"] == 2
    assert "out-gallery" in report["message"]


def test_films_and_pictures_in_colour_have_their_place(run, tmp_path, make_clip):
    source = tmp_path / "mixed"
    source.mkdir()
    make_clip(source / "film.mp4", frames=14)
    Image.linear_gradient("L").convert("RGB").save(source / "grey.png")
    colours = Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * n) for n in range(3)])
    colours.save(source / "colours.png")
    text = read_pages(run(source))
    assert ">Film<" in text
    assert "In colour already" in text
    assert "2 coloured, 1 in colour already. Open one" in text


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --window-size=1000,900"
    for flag in [*flags.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=str(DRIVER))
    )
    yield driver
    driver.quit()


def test_in_a_browser_the_keyboard_compares_and_turns_pages(run, album, browser):
    source = album(2)
    shutil.copy(next(source.rglob("*.jpg")), source / HOSTILE)
    folder = run(source)
    browser.get((folder / "index.html").as_uri())
    cards = browser.find_elements("css selector", ".card")
    assert len(cards) == 3
    assert HOSTILE in [card.get_attribute("data-name") for card in cards]
    cards[0].send_keys("\ue007")
    assert browser.execute_script("return document.getElementById('viewer').open")
    first = browser.execute_script("return document.getElementById('name').textContent")
    active = browser.switch_to.active_element
    active.send_keys("\ue014")
    second = browser.execute_script("return document.getElementById('name').textContent")
    assert first != second
    clip = browser.execute_script(
        "const s = document.getElementById('split'); s.value = 20;"
        "s.dispatchEvent(new Event('input')); return getComputedStyle(before).clipPath"
    )
    assert "80%" in clip
    browser.switch_to.active_element.send_keys("\ue00c")
    assert not browser.execute_script("return document.getElementById('viewer').open")
    assert browser.title != "taken"
    assert not browser.get_log("browser")
