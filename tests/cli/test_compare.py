"""`batchcolor compare`: sheets and pages of files, made by the command."""

from __future__ import annotations

import io
import os
import re

import numpy as np
import pytest
from PIL import Image

from batchcolor.errors import UsageError
from batchcolor.evaluation.comparison.comparison import select_evenly
from batchcolor.evaluation.comparison.panels import render_difference
from batchcolor.evaluation.comparison.sheet_files import write_sheet
from batchcolor.evaluation.inference import colorize_batches, make_gray
from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner

FAILS_ON_BRIGHT = """
    import batchcolor

    class FailsOnBright:
        def __call__(self, luma):
            import torch
            if (luma.mean() > 0.9).item():
                raise ValueError("too bright for me")
            return torch.zeros((len(luma), 2, 4, 4), dtype=luma.dtype, device=luma.device)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        build = lambda options: FailsOnBright()
        return [batchcolor.ColorizerSpec("fails-on-bright", "f", 16, build)]
"""


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels are compared with results of the CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def vivid(seed: int, width: int = 60, height: int = 40) -> Image.Image:
    """A picture in colour with low-frequency shapes, different in each channel."""
    shapes = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC)


def find_panel(image: np.ndarray, panel: np.ndarray) -> list[tuple[int, int]]:
    """Every position x, y at which the image contains the panel, pixel by pixel."""
    height, width = panel.shape[:2]
    starts = np.argwhere(
        (image[: image.shape[0] - height + 1, : image.shape[1] - width + 1] == panel[0, 0]).all(2)
    )
    return [
        (int(x), int(y))
        for y, x in starts
        if np.array_equal(image[y : y + height, x : x + width], panel)
    ]


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def colorize(picture, name: str, strength: float = 1.0) -> np.ndarray:
    plugins = load_plugins()
    runner = load_runner(plugins.find(name), LoadOptions(device="cpu", batch_size=1))
    (output,) = colorize_batches([picture], runner, plugins, strength)
    return output


def test_a_picture_in_colour_gives_grey_output_true_and_difference(command, flat, tmp_path):
    vivid(1).save(tmp_path / "a.png")
    result = command("compare", "a.png", "-m", flat, "--size", "60")
    assert result.returncode == 0, result.stderr
    assert result.stderr.strip() == "compare.png: 1 picture"
    true = np.asarray(vivid(1))
    picture = make_gray(true)
    output = colorize(picture, flat)
    grey = np.repeat(picture.luma[..., None], 3, axis=2)
    image = pixels(tmp_path / "compare.png")
    found = [
        find_panel(image, panel) for panel in (grey, output, true, render_difference(output, true))
    ]
    assert [len(each) for each in found] == [1, 1, 1, 1]
    assert [each[0][0] for each in found] == sorted(each[0][0] for each in found)
    assert len({each[0][1] for each in found}) == 1


def test_a_grey_picture_is_shown_at_three_strengths_of_every_model(
    command, flat, plugin, grey_picture, tmp_path
):
    plugin("brightpack", FAILS_ON_BRIGHT)
    source = grey_picture(60, 40, 3)
    source.save(tmp_path / "a.png")
    result = command("compare", "a.png", "-m", flat, "-m", "fails-on-bright", "--size", 60)
    assert result.returncode == 0, result.stderr
    image = pixels(tmp_path / "compare.png")
    grey = np.asarray(source.convert("RGB"))
    picture = make_gray(grey)
    lefts = [
        find_panel(image, colorize(picture, flat, strength))[0][0] for strength in (0.5, 1, 1.5)
    ]
    assert lefts == sorted(set(lefts))
    assert (
        len(find_panel(image, grey)) == 1 + 3
    )  # the source, and what a model that adds nothing gives


def test_given_strengths_are_also_shown_for_pictures_in_colour(command, flat, tmp_path):
    vivid(1).save(tmp_path / "a.png")
    command("compare", "a.png", "-m", flat, "--size", 60, "--strengths", "0,2")
    image = pixels(tmp_path / "compare.png")
    picture = make_gray(np.asarray(vivid(1)))
    assert len(find_panel(image, np.repeat(picture.luma[..., None], 3, axis=2))) == 2
    assert len(find_panel(image, colorize(picture, flat, 2.0))) == 1


def test_one_command_writes_every_format(command, flat, album, tmp_path):
    result = command(
        *("compare", album(7), "-m", flat, "--title", "Seven <b>"),
        *("-o", "out/s.png", "-o", "s.jpg", "-o", "s.pdf", "-o", "s.html"),
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "s.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "s.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    pdf = (tmp_path / "s.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 2
    page = (tmp_path / "s.html").read_text("utf-8")
    assert page.count("<figure") == 7
    assert "<h1>Seven &lt;b&gt;</h1>" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert not list(tmp_path.rglob("*.batchcolor-tmp"))


def test_an_existing_file_is_kept_without_if_exists_overwrite(command, flat, album):
    source = album(1)
    target = source.parent / "mine.png"
    target.write_bytes(b"mine")
    result = command("compare", source, "-m", flat, "-o", target)
    assert result.returncode == 2
    assert "exists already" in result.stderr
    assert target.read_bytes() == b"mine"
    command("compare", source, "-m", flat, "-o", target, "--if-exists", "overwrite")
    assert target.read_bytes().startswith(b"\x89PNG")


def test_a_truncated_picture_is_shown_with_its_reason_beside_the_others(
    command, flat, album, tmp_path
):
    source = album(3)
    whole = (source / "001.jpg").read_bytes()
    (source / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "a film.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    result = command("compare", source, "-m", flat, "-o", "a.html", "-o", "a.png")
    assert result.returncode == 3
    assert "torn.jpg" in result.stderr
    page = (tmp_path / "a.html").read_text("utf-8")
    assert page.count('<div class="pair">') == 3
    reason = r'class="reason"><b>no result</b> (truncated|damaged)[^/]*</p>'
    assert re.search(rf"{reason}\s*<figcaption><bdi>torn\.jpg", page)
    assert (tmp_path / "a.png").exists()


def test_a_model_that_fails_on_a_picture_does_not_affect_the_other_models(
    command, flat, plugin, tmp_path
):
    plugin("brightpack", FAILS_ON_BRIGHT)
    Image.new("L", (40, 40), 250).save(tmp_path / "bright.png")
    result = command(
        *("compare", "bright.png", "-m", "fails-on-bright", "-m", flat, "-o", "a.html"),
        *("-o", "a.png", "--size", 40),
    )
    assert result.returncode == 3
    assert result.stderr.count("too bright for me") == 1
    page = (tmp_path / "a.html").read_text("utf-8")
    assert page.count("too bright for me") == 3
    assert page.count('class="right" data-kind="flat"') == 3
    picture = make_gray(np.full((40, 40, 3), 250, np.uint8))
    image = pixels(tmp_path / "a.png")
    assert all(find_panel(image, colorize(picture, flat, strength)) for strength in (0.5, 1, 1.5))


def test_the_limit_selects_pictures_evenly_and_reports_how_many_are_skipped(
    command, flat, album, tmp_path
):
    result = command("compare", album(9), "-m", flat, "--limit", 3, "-o", "a.html")
    assert "3 pictures; 6 of 9 skipped (--limit)" in result.stderr
    names = re.findall(r"<bdi>([^<]*)</bdi>", (tmp_path / "a.html").read_text("utf-8"))
    assert names == ["001.jpg", "1931 summer/000.jpg", "1931 summer/008.jpg"]
    assert select_evenly(range(9), 3) == [0, 4, 8]
    assert select_evenly(range(9), 1) == [0]
    assert select_evenly(range(3), 12) == [0, 1, 2]


UNUSUAL_NAMES = [
    b"two\nlines.png",
    b"bad\xff.png",
    b"<img src=x onerror=alert(1)>.png",
    "\u202egnp.exe.png".encode(),
    "שלום 家族.png".encode(),
    b"$x_2^$ \\frac.png",
    b"n" * 250 + b".png",
]


def test_unusual_names_are_shown_escaped(command, flat, grey_picture, tmp_path):
    folder = tmp_path / "unusual"
    folder.mkdir()
    for name in UNUSUAL_NAMES:
        grey_picture(40, 30).save(folder / os.fsdecode(name))
    result = command(
        *("compare", folder, "-m", flat, "-o", "a.html", "-o", "a.png", "-o", "a.pdf"),
    )
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "a.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert "\u202e" not in page
    assert "bad\\xff.png" in page
    assert "two\\nlines.png" in page


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_extreme_sizes_are_shown(command, flat, grey_picture, tmp_path, size):
    grey_picture(*size).save(tmp_path / "a.png")
    result = command("compare", "a.png", "-m", flat, "-o", "b.png", "-o", "b.html", "-o", "b.pdf")
    assert result.returncode == 0, result.stderr


def test_rotated_16_bit_and_transparent_pictures_are_shown_upright(
    command, flat, grey_picture, tmp_path
):
    turned = Image.Exif()
    turned[0x112] = 6
    vivid(1).save(tmp_path / "turned.png", exif=turned)
    vivid(2).convert("RGBA").save(tmp_path / "clear.png")
    deep = np.asarray(grey_picture(60, 40)).astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "deep.png")
    for name, true in {
        "turned.png": np.rot90(np.asarray(vivid(1)), -1),
        "clear.png": np.asarray(vivid(2)),
        "deep.png": np.asarray(grey_picture(60, 40).convert("RGB")),
    }.items():
        target = tmp_path / f"{name}-sheet.png"
        result = command("compare", name, "-m", flat, "--size", 60, "-o", target)
        assert result.returncode == 0, result.stderr
        assert len(find_panel(pixels(target), np.ascontiguousarray(true))) == 1, name


def test_a_large_picture_is_shown_as_run_colours_it(command, flat, tmp_path):
    vivid(5, 1600, 1200).save(tmp_path / "a.png")
    command("compare", "a.png", "-m", flat, "--size", 160)
    picture = make_gray(np.asarray(vivid(5, 1600, 1200)))
    whole = Image.fromarray(colorize(picture, flat)).resize((160, 120), Image.Resampling.LANCZOS)
    image = pixels(tmp_path / "compare.png").astype(int)
    wanted = np.asarray(whole).astype(int)
    height, width = wanted.shape[:2]
    near = [
        np.abs(image[y : y + height, x : x + width] - wanted).mean()
        for x in range(image.shape[1] - width + 1)
        for y in range(0, image.shape[0] - height + 1, 1)
        if np.abs(image[y, x] - wanted[0, 0]).max() < 6
    ]
    assert min(near) < 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no SOURCE"),
        (["nothing.here"], "no such file or folder"),
        (["empty"], "no pictures found in empty"),
        (["album", "-o", "a.gif"], "the suffix must be one of .png"),
        (["album", "-o", "album"], "is a folder; name a file"),
        (["album", "--strengths", "one"], "numbers from 0 to 2, as 0.5,1,1.5"),
        (["album", "--strengths", "1,3"], "numbers from 0 to 2"),
        (["album", "--strengths", "nan"], "numbers from 0 to 2"),
        (["album", "--limit", "0"], "at least 1"),
        (["album", "--size", "9999"], "a number from 16 to 4096"),
        (["album", "-m", "beta", "-m", "alpha", "--weights", "w"], "name one --model"),
        (["album", "--size", "4096", "--limit", "3"], "too large for one file"),
        (["album", "-m", "flat", "--set", "a=1"], "flat has no options"),
    ],
)
def test_a_usage_error_is_one_sentence_and_nothing_is_written(
    command, flat, album, tmp_path, arguments, sentence
):
    album(3)
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    result = command("compare", *arguments)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_results_are_refused_without_naming_an_option_of_run(command, flat, album, tmp_path):
    assert command("run", album(1), "-m", flat, "-o", "out").returncode == 0
    result = command("compare", "out", "-m", flat)
    assert result.returncode == 2
    assert "holds results of batchcolor; name the original pictures" in result.stderr
    assert "--include-results" not in result.stderr


def test_an_unknown_model_ends_with_exit_code_5_and_similar_names(command, album):
    result = command("compare", album(1), "-m", "betta")
    assert result.returncode == 5
    assert "beta" in result.stderr


def test_an_option_is_passed_to_the_model_that_has_it(command, flat, plugin, album):
    plugin(
        "optionpack",
        """
        import dataclasses
        import batchcolor

        @dataclasses.dataclass(frozen=True)
        class Options:
            warm_tone: float = 0.0

        class Warm:
            def __init__(self, options):
                self.options = options
            def __call__(self, luma):
                import torch
                return torch.full((len(luma), 2, 4, 4), self.options.warm_tone, dtype=luma.dtype)

        @batchcolor.hookimpl
        def batchcolor_colorizers():
            return [batchcolor.ColorizerSpec("warm", "w", 16, Warm, options=Options)]
        """,
    )
    source = album(1)
    both = ("compare", source, "-m", flat, "-m", "warm", "--if-exists", "overwrite")
    assert command(*both, "--set", "warm-tone=0").returncode == 0
    plain = (source.parent / "compare.png").read_bytes()
    result = command(*both, "--set", "warm-tone=0.2")
    assert result.returncode == 0, result.stderr
    assert (source.parent / "compare.png").read_bytes() != plain
    result = command(*both, "--set", "cold-tone=0.2")
    assert result.returncode == 2
    assert "cold-tone" in result.stderr


def test_quiet_prints_nothing_on_success(command, flat, album):
    result = command("compare", album(1), "-m", flat, "-q", "--no-plugins")
    assert result.returncode == 5  # the model is a plugin's
    result = command("compare", album(1), "-m", flat, "-q")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_file_created_in_the_meantime_is_not_replaced(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"theirs")
    with pytest.raises(UsageError, match="exists already"):
        write_sheet(b"ours", target, replace=False)
    assert target.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["a.png"]  # noqa: PTH208
    write_sheet(b"ours", target, replace=True)
    assert target.read_bytes() == b"ours"


def test_equal_runs_write_equal_bytes(command, flat, album, tmp_path):
    source = album(2)
    for name in ("a.png", "b.png"):
        command("compare", source, "-m", flat, "-o", name)
    one, other = (io.BytesIO((tmp_path / n).read_bytes()).read() for n in ("a.png", "b.png"))
    assert one == other


READERS = """
    import batchcolor
    import numpy as np

    def read(path):
        pixels = np.load(path)
        if path.name.startswith("second") and read.calls.setdefault(path, 0):
            raise ValueError("the second read fails")
        read.calls[path] = 1
        return batchcolor.ReadImage(pixels, alpha=np.full(pixels.shape[:2], 255, np.uint8))

    read.calls = {}

    @batchcolor.hookimpl
    def batchcolor_readers():
        return [batchcolor.Reader("npy", (".npy",), lambda head: head[1:6] == b"NUMPY", read)]
"""


def test_a_picture_of_a_plugin_reader_is_shown_in_its_colours(command, flat, plugin, tmp_path):
    plugin("npypack", READERS)
    true = np.asarray(vivid(1))
    np.save(tmp_path / "colour.npy", true)
    np.save(tmp_path / "grey.npy", true[..., :1])
    np.save(tmp_path / "second.npy", true)
    result = command(*("compare", "colour.npy", "grey.npy", "second.npy", "-m", flat, "--size", 60))
    assert result.returncode == 3, result.stderr
    assert "the second read fails" in result.stderr
    image = pixels(tmp_path / "compare.png")
    assert len(find_panel(image, true)) == 1
    assert len(find_panel(image, np.repeat(true[..., :1], 3, axis=2))) == 1
