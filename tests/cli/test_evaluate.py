"""`batchcolor evaluate`: references, skipped files, tables, JSON, CSV, baselines."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from batchcolor.color import rgb_to_luma, rgb_to_ycbcr

FAULTY = """
    import batchcolor

    class Faulty:
        def __call__(self, luma):
            import torch
            chroma = torch.full((len(luma), 2, 4, 4), 0.1, dtype=luma.dtype, device=luma.device)
            chroma[luma.mean(dim=(1, 2, 3)) > 0.9] = float("nan")
            return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("faulty", "f", 16, lambda options: Faulty())]
"""


def picture(seed: int, width: int = 64, height: int = 48) -> Image.Image:
    cells = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Six colour pictures of two sizes, in two folders."""
    folder = tmp_path / "colours"
    for index in range(6):
        subfolder = folder / ("deep" if index % 2 else "")
        subfolder.mkdir(parents=True, exist_ok=True)
        picture(index, 64 + 8 * (index % 2)).save(subfolder / f"{index}.png")
    return folder


def test_the_json_document_has_grey_mean_and_each_model_with_every_metric(command, flat, colours):
    result = command("evaluate", "--data", colours, "-m", flat, "-m", "beta", "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["data"] == str(colours)
    assert document["n"] == 6
    assert [row["name"] for row in document["rows"]] == ["grey", "mean", "flat", "beta"]
    for row in document["rows"]:
        for metric in ("rgb_mse", "ab_mse", "psnr_db", "ssim", "delta_e_2000", "colorfulness"):
            low, high = row["interval_95"][metric]
            assert low <= row[metric] <= high
            assert row[metric] == pytest.approx(np.mean(row["per_picture"][metric]))
        assert row["images_per_second"] > 0
    grey = document["rows"][0]
    assert grey["colorfulness"] == 0
    assert document["truth_colorfulness"] > 20


def test_errors_equal_the_formula_on_grey_and_on_what_run_writes(command, flat, colours, tmp_path):
    document = json.loads(command("evaluate", "--data", colours, "-m", flat, "--json").stdout)
    grey, _, model = document["rows"]
    album = tmp_path / "album"
    for name in document["pictures"]:
        (album / name).parent.mkdir(parents=True, exist_ok=True)
        reference = np.asarray(Image.open(colours / name))
        Image.fromarray(rgb_to_luma(reference)).save(album / name)
    assert command("run", album, "-m", flat).returncode == 0
    for index, name in enumerate(document["pictures"]):
        reference = np.asarray(Image.open(colours / name), np.float64) / 255
        luma = np.asarray(Image.open(album / name), np.float64)[..., None] / 255
        expected = np.square(reference - luma).mean()
        assert grey["per_picture"]["rgb_mse"][index] == pytest.approx(expected, rel=1e-9)
        written = np.asarray(Image.open(tmp_path / "album-colorized" / name), np.float64) / 255
        expected = np.square(reference - written).mean()
        assert model["per_picture"]["rgb_mse"][index] == pytest.approx(expected, rel=1e-9)


def test_the_mean_row_has_the_mean_chroma_of_the_references(command, flat, colours):
    document = json.loads(command("evaluate", "--data", colours, "-m", flat, "--json").stdout)
    means = []
    for name in document["pictures"]:
        rgb = np.asarray(Image.open(colours / name), np.float64) / 255
        _, cb, cr = rgb_to_ycbcr(rgb[..., 0], rgb[..., 1], rgb[..., 2])
        means.append((cb.mean(), cr.mean()))
    cb, cr = np.mean(means, axis=0)
    for index, name in enumerate(document["pictures"]):
        rgb = np.asarray(Image.open(colours / name))
        luma = rgb_to_luma(rgb).astype(np.float64) / 255
        constant = [luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb]
        error = np.square(np.clip(np.stack(constant, 2), 0, 1) - rgb / 255.0).mean()
        measured = document["rows"][1]["per_picture"]["rgb_mse"][index]
        # Out-of-gamut chroma is scaled down, not clipped.
        assert measured == pytest.approx(error, rel=0.05)


def test_broken_grey_tiny_and_duplicate_pictures_are_counted_and_skipped(command, flat, colours):
    (colours / "torn.png").write_bytes((colours / "0.png").read_bytes()[:200])
    picture(7).convert("L").save(colours / "grey.png")
    picture(7).convert("L").convert("RGB").save(colours / "grey in three channels.png")
    picture(8, 5, 4).save(colours / "tiny.png")
    shutil.copy(colours / "2.png", colours / "twice.png")
    (colours / "notes.txt").write_text("no picture")
    (colours / "empty.jpg").write_bytes(b"")
    picture(9).save(colours / "film.gif", save_all=True, append_images=[picture(10)])
    result = command("evaluate", "--data", colours, "-m", flat, "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["n"] == 6
    reasons = {it["picture"]: it["reason"] for it in document["skipped"]}
    assert reasons["torn.png"] == reasons["empty.jpg"] == "broken"
    assert reasons["grey.png"] == reasons["grey in three channels.png"] == "grey"
    assert reasons["tiny.png"] == "tiny"
    assert reasons["twice.png"] == "duplicate"
    assert reasons["film.gif"] == "no picture"
    assert "2 broken" in result.stderr
    assert "2 grey" in result.stderr
    listed = command("evaluate", "--data", colours, "-m", flat, "-v").stderr
    assert "torn.png" in listed
    assert "the file is empty" in listed


@pytest.mark.parametrize("kind", ["none", "empty", "grey", "file"])
def test_a_folder_without_colour_ends_with_exit_code_2_and_one_sentence(
    command, flat, tmp_path, kind
):
    data = tmp_path / "data"
    if kind == "file":
        picture(0).save(tmp_path / "data.png")
        data = tmp_path / "data.png"
    elif kind != "none":
        data.mkdir()
    if kind == "grey":
        picture(0).convert("L").save(data / "a.jpg")
    result = command("evaluate", "--data", data, "-m", flat)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_picture_that_a_model_fails_on_is_reported_and_the_others_are_measured(
    command, plugin, colours
):
    plugin("faultypack", FAULTY)
    bright = np.full((48, 64, 3), 250, np.uint8)
    bright[:, :20] = (255, 240, 200)
    Image.fromarray(bright).save(colours / "bright.png")
    result = command("evaluate", "--data", colours, "-m", "faulty", "--json")
    assert result.returncode == 3, result.stderr
    document = json.loads(result.stdout)
    (failure,) = document["failures"]
    assert failure["picture"] == "bright.png"
    assert "faulty" in failure["reason"]
    assert [row["n"] for row in document["rows"]] == [7, 7, 6]
    assert document["rows"][2]["per_picture"]["rgb_mse"].count(None) == 1
    assert "bright.png" in result.stderr


def test_a_change_is_compared_with_a_baseline_picture_by_picture(command, flat, colours, tmp_path):
    base = tmp_path / "base.json"
    base.write_text(command("evaluate", "--data", colours, "-m", flat, "--json").stdout)
    arguments = ("evaluate", "--data", colours, "-m", flat, "--strength", "0.2", "--against", base)
    result = command(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    grey, _, model = json.loads(result.stdout)["against"]
    assert (grey["row"], model["row"], model["n"]) == ("grey", "flat", 6)
    assert all(it["mean"] == 0 and it["verdict"] == "" for it in grey["differences"])
    (mse,) = (it for it in model["differences"] if it["metric"] == "rgb_mse")
    old, new = (
        json.loads(text)["rows"][2]["rgb_mse"] for text in (base.read_text(), result.stdout)
    )
    assert mse["mean"] == pytest.approx(new - old)
    assert mse["low"] <= mse["mean"] <= mse["high"]
    shown = command(*arguments)
    assert "new minus baseline, 6 pictures" in shown.stdout


def test_a_picture_with_other_content_than_in_the_baseline_is_measured_and_not_compared(
    command, flat, colours, tmp_path
):
    base = tmp_path / "base.json"
    base.write_text(command("evaluate", "--data", colours, "-m", flat, "--json").stdout)
    picture(99).save(colours / "0.png")
    result = command("evaluate", "--data", colours, "-m", flat, "--against", base, "--json")
    assert result.returncode == 3
    assert "0.png" in result.stderr
    document = json.loads(result.stdout)
    assert [row["n"] for row in document["rows"]] == [6, 6, 6]
    assert [row["n"] for row in document["against"]] == [5, 5, 5]
    grey, _, model = document["against"]  # the mean colour is that of all pictures
    assert all(it["mean"] == 0 for row in (grey, model) for it in row["differences"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("--size", "16"), "use the same --size"), ((), "measured on other pictures")],
)
def test_a_baseline_of_another_size_or_of_other_pictures_is_refused_before_measuring(
    command, flat, colours, tmp_path, monkeypatch, arguments, sentence
):
    base = tmp_path / "base.json"
    document = json.loads(command("evaluate", "--data", colours, "-m", flat, "--json").stdout)
    if not arguments:
        document["pictures"] = [f"other {name}" for name in document["pictures"]]
    base.write_text(json.dumps(document))
    monkeypatch.setattr("batchcolor.evaluation.metrics.measure_all", None)
    result = command("evaluate", "--data", colours, "-m", flat, "--against", base, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_picture_that_cannot_be_read_any_more_is_not_taken_for_other_content(
    command, flat, colours, tmp_path, monkeypatch
):
    from batchcolor.evaluation import evaluator

    read = evaluator.read_reference

    def read_all_but_one(path: Path, size: int | None) -> object:
        if path.name == "0.png":
            raise OSError("vanished")
        return read(path, size)

    words = ("evaluate", "--data", colours, "-m", flat, "--json")
    base = tmp_path / "base.json"
    base.write_text(command(*words).stdout)
    monkeypatch.setattr(evaluator, "read_reference", read_all_but_one)
    result = command(*words, "--against", base)
    assert result.returncode == 3
    document = json.loads(result.stdout)
    assert [failure["picture"] for failure in document["failures"]] == ["0.png"]
    assert "vanished" in document["failures"][0]["reason"]
    assert [row["n"] for row in document["against"]] == [5, 5, 5]


def test_the_csv_has_one_line_for_each_row_with_the_limits_of_each_interval(command, flat, colours):
    result = command("evaluate", "--data", colours, "-m", flat, "--csv")
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["name"] for row in rows] == ["grey", "mean", "flat"]
    for row in rows:
        assert float(row["rgb_mse_low"]) <= float(row["rgb_mse"]) <= float(row["rgb_mse_high"])
        assert int(row["n"]) == 6


def test_limit_selects_pictures_evenly_and_size_reduces_their_short_side(command, flat, colours):
    result = command(
        *("evaluate", "--data", colours, "-m", flat, "--limit", "3", "--size", "16", "--json")
    )
    document = json.loads(result.stdout)
    assert (document["n"], document["size"]) == (3, 16)
    whole = json.loads(command("evaluate", "--data", colours, "-m", flat, "--json").stdout)
    assert set(document["pictures"]) < set(whole["pictures"])
    assert document["rows"][0]["rgb_mse"] != whole["rows"][0]["rgb_mse"]


def test_the_table_is_readable_at_80_columns(command, flat, colours):
    result = command("evaluate", "--data", colours, "-m", flat, COLUMNS="80")
    assert result.returncode == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    for word in ("RGB MSE", "PSNR dB", "SSIM", "dE00", "references", "grey", "mean", "flat"):
        assert word in result.stdout
    assert "\N{HORIZONTAL ELLIPSIS}" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("-m", "flat", "--limit", "0"), 2, "--limit 0"),
        (("-m", "flat", "--size", "3"), 2, "--size 3"),
        (("-m", "flat", "--strength", "3"), 2, "--strength 3"),
        (("-m", "flat", "--json", "--csv"), 2, "choose one"),
        (("-m", "flat", "-m", "beta", "--weights", "w"), 2, "one model"),
        (("-m", "flat", "--against", "nowhere.json"), 2, "cannot be read"),
        (
            (
                "-m",
                "betta",
            ),
            5,
            "beta",
        ),
    ],
)
def test_a_usage_error_is_one_sentence(command, flat, colours, arguments, code, sentence):
    result = command("evaluate", "--data", colours, *arguments)
    assert result.returncode == code
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
