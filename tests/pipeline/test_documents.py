"""TIFF files with pages: every page is coloured, and the result is one file or none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.tiff.tiff_pages import TiffPageWriter
from batchcolor.pipeline.pictures.page_store import PageStore, StoredPage
from batchcolor.pipeline.resume_point import ResumePoint

Command = Callable[..., subprocess.CompletedProcess[str]]
WEIGHTS = np.array([0.299, 0.587, 0.114])
ROWS, COLUMNS = np.mgrid[0:60, 0:90]


def make_page(number: int, dtype: str = "uint8") -> NDArray[Any]:
    luma = 60 + (ROWS * (number + 1) + COLUMNS * 2) % 128
    return luma.astype(np.uint8) if dtype == "uint8" else (luma * 257).astype(np.uint16)


def make_color_page() -> NDArray[np.uint8]:
    page = np.stack([ROWS * 4, 255 - COLUMNS * 2, (ROWS + COLUMNS * 3) % 256], -1)
    return page.astype(np.uint8)


def write_pages(path: Path, count: int, order: str = "<") -> None:
    with tifffile.TiffWriter(path, byteorder=order) as writer:
        for number in range(count):
            page = make_page(number, "uint16" if number % 3 == 2 else "uint8")
            writer.write(page, compression="zlib", metadata=None, description=f"page {number + 1}")


def read_pages(path: Path) -> list[NDArray[Any]]:
    with tifffile.TiffFile(path) as file:
        return [page.asarray() for page in file.pages]


def check_luma(page: NDArray[Any], truth: NDArray[Any]) -> None:
    assert page.dtype == truth.dtype
    scale = 257 if page.dtype == np.uint16 else 1
    assert np.abs(page @ WEIGHTS - truth).max() <= 1.01 * scale
    assert page.shape == (*truth.shape, 3)
    assert np.ptp(page.astype(int), axis=-1).max() > 5 * scale, "not coloured"


def find_temporaries(folder: Path) -> list[Path]:
    return list(folder.rglob("*.batchcolor-tmp"))


@pytest.mark.parametrize("order", ["<", ">"])
def test_all_pages_are_coloured_in_order_with_their_own_tags(
    command: Command, flat: str, tmp_path: Path, order: str
) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    write_pages(source, 7, order)
    ran = command("run", source, "-o", out, "-m", flat)
    assert ran.returncode == 0, ran.stderr
    pages = read_pages(out / "in.tif")
    assert len(pages) == 7
    for number, page in enumerate(pages):
        check_luma(page, make_page(number, "uint16" if number % 3 == 2 else "uint8"))
    with tifffile.TiffFile(out / "in.tif") as file:
        assert file.byteorder == order
        descriptions = [page.tags["ImageDescription"].value for page in file.pages]
    assert descriptions == [f"page {number + 1}" for number in range(7)]
    again = command("run", source, "-o", out, "-m", flat, "--json")
    assert json.loads(again.stdout)["done"] == 0


def test_thumbnails_are_no_pages(command: Command, flat: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    with tifffile.TiffWriter(source) as writer:
        for number in range(2):
            writer.write(make_page(number), metadata=None)
            writer.write(make_page(number)[::8, ::8], subfiletype=1, metadata=None)
    assert command("run", source, "-o", out, "-m", flat).returncode == 0
    pages = read_pages(out / "in.tif")
    assert [page.shape for page in pages] == [(60, 90, 3)] * 2


def test_pages_first_colours_the_first_page_and_says_so(
    command: Command, flat: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    write_pages(source, 3)
    ran = command("run", source, "-o", out, "-m", flat, "--pages", "first", "-v")
    assert ran.returncode == 0, ran.stderr
    assert "only the first of its 3 pages" in ran.stderr
    (page,) = read_pages(out / "in.tif")
    check_luma(page, make_page(0))


def test_another_format_needs_pages_first(command: Command, flat: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    write_pages(source, 3)
    words = ("run", source, "-o", out, "-m", flat, "--format", "png")
    ran = command(*words)
    assert ran.returncode == 3
    assert "has 3 pages, and png holds one" in " ".join(ran.stderr.split())
    assert command(*words, "--pages", "first").returncode == 0
    assert (out / "in.png").exists()


def test_pages_in_colour_are_copied_with_their_samples(
    command: Command, flat: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    color = make_color_page()
    with tifffile.TiffWriter(source) as writer:
        writer.write(make_page(0), metadata=None)
        writer.write(color, photometric="rgb", compression="lzw", metadata=None, software="album")
        writer.write(make_page(2), metadata=None)
    ran = command("run", source, "-o", out, "-m", flat, "-v")
    assert ran.returncode == 0, ran.stderr
    assert "page 2: in colour already, copied" in ran.stderr
    first, second, third = read_pages(out / "in.tif")
    check_luma(first, make_page(0))
    assert np.array_equal(second, color)
    check_luma(third, make_page(2))
    with tifffile.TiffFile(out / "in.tif") as file:
        assert file.pages[1].tags["Software"].value == "album"
    recolored = tmp_path / "recolored"
    command("run", source, "-o", recolored, "-m", flat, "--if-colored", "recolor")
    assert not np.array_equal(read_pages(recolored / "in.tif")[1], color)


def test_a_document_in_colour_is_copied_byte_for_byte(
    command: Command, flat: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    with tifffile.TiffWriter(source) as writer:
        for _ in range(2):
            writer.write(make_color_page(), photometric="rgb")
    assert command("run", source, "-o", out, "-m", flat).returncode == 0
    assert (out / "in.tif").read_bytes() == source.read_bytes()


def test_a_damaged_page_fails_its_document_and_nothing_else(
    command: Command, flat: str, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_pages(folder / "bad.tif", 9)
    write_pages(folder / "good.tif", 9)
    with tifffile.TiffFile(folder / "bad.tif") as file:
        page = file.pages[4]
        assert isinstance(page, tifffile.TiffPage)
        place = page.dataoffsets[0] + page.databytecounts[0] // 2
    data = bytearray((folder / "bad.tif").read_bytes())
    data[place] ^= 0x55
    (folder / "bad.tif").write_bytes(data)
    ran = command("run", folder, "-o", out, "-m", flat)
    assert ran.returncode == 3
    assert "page 5: damaged" in " ".join(ran.stderr.split())
    assert not (out / "bad.tif").exists()
    assert len(read_pages(out / "good.tif")) == 9
    assert not find_temporaries(out)


def write_mixed(path: Path, exif: int) -> None:
    """Writes a grey page, and one in colour whose EXIF pointer has this value."""
    with tifffile.TiffWriter(path) as writer:
        writer.write(make_page(0), metadata=None)
        tags = [(34999, 4, 1, exif, True)]
        writer.write(make_color_page(), photometric="rgb", metadata=None, extratags=tags)
    private, pointer = (number.to_bytes(2, "little") for number in (34999, 34665))
    path.write_bytes(path.read_bytes().replace(private + b"\4\0", pointer + b"\4\0"))


def test_a_copied_page_with_a_damaged_exif_pointer_costs_that_alone(
    command: Command, flat: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    write_mixed(source, 10**8)
    ran = command("run", source, "-o", out, "-m", flat, "-v")
    assert ran.returncode == 0, ran.stderr
    assert "page 2: part of the EXIF dropped" in ran.stderr
    first, second = read_pages(out / "in.tif")
    check_luma(first, make_page(0))
    assert np.array_equal(second, make_color_page())


def test_a_document_that_vanishes_fails_alone_and_its_page_is_named(
    command: Command, flat: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_mixed(folder / "gone.tif", 8)
    write_pages(folder / "there.tif", 2)
    original = TiffPageWriter.copy

    def copy(self: TiffPageWriter, source: Path, offset: int) -> list[str]:
        source.unlink()
        return original(self, source, offset)

    monkeypatch.setattr(TiffPageWriter, "copy", copy)
    ran = command("run", folder, "-o", out, "-m", flat, "--json")
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["done"]) == (3, 1), ran.stderr
    (failure,) = report["failures"]
    assert (failure["step"], failure["reason"]) == ("decode", "page 2: vanished while the job ran")
    assert not find_temporaries(out)


def test_a_document_does_not_need_the_memory_of_all_its_pages(
    command: Command, flat: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    page = np.tile(make_page(0), (10, 8))
    with tifffile.TiffWriter(source) as writer:
        for _ in range(12):  # 0.43 megapixels each
            writer.write(page, compression="zlib", metadata=None)
    ran = command("run", source, "-o", out, "-m", flat, "--max-memory", "16M")
    assert ran.returncode == 0, ran.stderr
    assert len(read_pages(out / "in.tif")) == 12


GATED = """
    import batchcolor

    class Gated:
        def __call__(self, luma):
            import torch
            pass_gate()
            return torch.full((len(luma), 2, 4, 4), 0.1)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("gated", "waits", 16, lambda options: Gated())]
"""


def write_animation(path: Path, count: int) -> None:
    frames = [Image.fromarray(make_page(number)) for number in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 70] * (count // 2))


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        ("in.tif", signal.SIGKILL, -signal.SIGKILL),
        ("in.tif", signal.SIGTERM, 143),
        ("in.png", signal.SIGINT, 130),
        ("in.png", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_an_interrupted_document_is_resumed_at_its_page_and_equals_an_uninterrupted_one(
    plugin: Callable[..., Path],
    gate_code: str,
    environment: dict[str, str],
    started: list[subprocess.Popen[str]],
    command: Command,
    tmp_path: Path,
    name: str,
    number: int,
    code: int,
) -> None:
    plugin("gatedpack", textwrap.dedent(gate_code) + textwrap.dedent(GATED))
    source, out, whole = tmp_path / name, tmp_path / "out", tmp_path / "whole"
    (write_pages if name == "in.tif" else write_animation)(source, 30)  # more than are in flight
    words = ["run", source, "-m", "gated", "--batch-size", "1"]
    gate = {"GATE_AFTER": "5", "GATE_FILE": str(tmp_path / "gate")}
    process = subprocess.Popen(
        [sys.executable, "-m", "batchcolor", *map(str, [*words, "-o", out])],
        env={**environment, **gate},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    wait_for_pages(out, process)
    process.send_signal(number)
    if number != signal.SIGKILL:
        (tmp_path / "gate").touch()
    assert process.wait() == code
    assert not (out / name).exists()
    resumed = command(*words, "-o", out, "-v")
    assert resumed.returncode == 0
    part = "page" if name == "in.tif" else "frame"
    assert f"resumed after {part} " in resumed.stderr
    assert not find_temporaries(out)
    assert not (out / ".batchcolor" / "films").exists()
    assert command(*words, "-o", whole).returncode == 0
    assert (out / name).read_bytes() == (whole / name).read_bytes()


def wait_for_pages(out: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not any(path.stat().st_size > 500 for path in out.rglob("pages.log")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_pages_of_another_source_or_other_settings_are_not_used(
    tmp_path: Path,
) -> None:
    store = PageStore(ResumePoint(tmp_path / "films" / "0", "old"))
    store.open()
    store.append(StoredPage(b"one", ("a note",)))
    store.append(StoredPage(None))
    store.close()
    store.open()
    assert list(store) == [StoredPage(b"one", ("a note",)), StoredPage(None)]
    store.close()
    with (tmp_path / "films" / "0" / "pages.log").open("ab") as file:
        file.write(b"torn")
    torn = PageStore(ResumePoint(tmp_path / "films" / "0", "old"))
    torn.open()
    torn.append(StoredPage(b"three"))
    assert [page.content for page in torn] == [b"one", None, b"three"]
    torn.close()
    other = PageStore(ResumePoint(tmp_path / "films" / "0", "new"))
    other.open()
    assert not list(other)
    other.remove()
    assert not (tmp_path / "films").exists()


def test_directories_are_read_once_and_not_for_every_page(
    command: Command, flat: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    with tifffile.TiffWriter(source) as writer:
        for number in range(40):
            writer.write(make_page(number)[:8, :8], metadata=None)
    count = 0
    plain = tifffile.TiffPage.__init__

    def counting(self: tifffile.TiffPage, *arguments: Any, **more: Any) -> None:
        nonlocal count
        count += 1
        plain(self, *arguments, **more)

    monkeypatch.setattr(tifffile.TiffPage, "__init__", counting)
    assert command("run", source, "-o", out, "-m", flat).returncode == 0
    assert count < 6 * 40


def test_a_document_that_changes_during_the_job_fails(
    plugin: Callable[..., Path], command: Command, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.tif", tmp_path / "out"
    write_pages(source, 3)
    plugin("changepack", CHANGING)
    ran = command("run", source, "-o", out, "-m", "changing", FILE=str(source))
    assert ran.returncode == 3
    assert "the source changed while it was coloured" in " ".join(ran.stderr.split())
    assert not (out / "in.tif").exists()


CHANGING = """
    import os
    import batchcolor, torch

    def change(luma):
        os.utime(os.environ["FILE"], (1, 1))
        return torch.full((len(luma), 2, 4, 4), 0.1)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("changing", "for a test", 16, lambda options: change)]
"""


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_big", [False, True])
def test_written_pages_are_valid_in_classic_tiff_and_bigtiff(
    tmp_path: Path, order: str, is_big: bool
) -> None:
    single, path, source = (tmp_path / name for name in ("one.tif", "out.tif", "source.tif"))
    write_pages(source, 3, order)
    with path.open("w+b") as file:
        writer = TiffPageWriter(file, order, is_big=is_big)
        for number in range(3):
            options: dict[str, Any] = {"rowsperstrip": 16} if number else {"tile": (32, 32)}
            tifffile.imwrite(single, make_page(number), byteorder=order, **options)
            writer.append(single.read_bytes())
        with tifffile.TiffFile(source) as pages:
            writer.copy(source, pages.pages[1].offset)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff == is_big
        written = [page.asarray() for page in file.pages]
        assert file.pages[3].tags["ImageDescription"].value == "page 2"
    for page, number in zip(written, (0, 1, 2, 1), strict=True):
        assert np.array_equal(page, make_page(number))


def test_document_whose_pages_have_no_pixels_fails_alone(
    tmp_path: Path, command: Command, flat: str
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    path = source / "empty.tif"
    with tifffile.TiffWriter(path) as file:
        for _ in range(2):
            file.write(make_page(0), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        places = [page.tags["ImageWidth"].valueoffset for page in file.pages]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place : place + 4] = bytes(4)
    path.write_bytes(content)
    tifffile.imwrite(source / "whole.tif", make_page(1), photometric="minisblack")
    done = command("run", source, "-m", flat, "-o", "out")
    assert done.returncode == 3, done.stderr
    assert "0 pixels" in done.stderr
    assert (tmp_path / "out" / "whole.tif").exists()
