"""Decisions in a job: exactly the changed pictures are done again, with what was decided."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.store import DecisionStore

TINTS = """
    from dataclasses import dataclass
    import batchcolor

    @dataclass(frozen=True)
    class Options:
        cb: float = 0.1

    def build(options):
        def tint(luma):
            import torch
            chroma = torch.full((len(luma), 2, 4, 4), 0.0)
            chroma[:, 0] = options.cb
            return chroma
        return tint

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("tint", "one tint", 24, build, options=Options)]
"""


@pytest.fixture
def job(command, flat, plugin, album, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs the same command on an album of five grey pictures, and returns its report."""
    plugin("tints", TINTS)
    folder = album(5)
    for path in list(folder.glob("*/*.jpg")):
        path.rename(folder / path.name)
    (folder / "1931 summer").rmdir()

    def run(*options: str, code: int = 0) -> dict[str, Any]:
        done = command("run", folder, "-o", tmp_path / "out", "-m", "flat", "--json", *options)
        assert done.returncode == code, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    return run


def decide(tmp_path: Path, **values: object) -> None:
    DecisionStore(tmp_path / "out").append(Decision.from_values(values))


def read_mtimes(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in sorted(out.glob("*.*"))}


def names_of(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "album").iterdir())


def mean_chroma(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("YCbCr"), float)[..., 1:].mean(axis=(0, 1)) / 255


def test_a_strength_of_zero_is_a_decision(job, tmp_path):
    job()
    name = names_of(tmp_path)[0]
    decide(tmp_path, source=name, strength=0)
    report = job()
    assert (report["done"], report["skipped"]) == (1, 4)
    assert np.abs(mean_chroma(tmp_path / "out" / name) - 128 / 255).max() < 0.003
    assert job()["skipped"] == 5
    decide(tmp_path, source=name)
    assert job()["done"] == 1


def test_only_pictures_whose_decision_changed_are_done_again(job, tmp_path):
    job()
    first, second, third, *_ = names_of(tmp_path)
    before = read_mtimes(tmp_path / "out")
    grey = mean_chroma(tmp_path / "out" / first)

    decide(tmp_path, source=first, strength=0.2)
    decide(tmp_path, source=second, state="approved")
    decide(tmp_path, source=third, strength=1.0)  # as in the job: nothing changes
    report = job()

    after = read_mtimes(tmp_path / "out")
    assert (report["done"], report["skipped"], report["existed"]) == (1, 4, 0)
    assert [name for name in before if before[name] != after[name]] == [first]
    changed = mean_chroma(tmp_path / "out" / first)
    assert np.abs(changed - 0.5).max() < 0.4 * np.abs(grey - 0.5).max()
    assert job()["skipped"] == 5

    decide(tmp_path, source=first)  # reset
    assert job()["done"] == 1
    assert mean_chroma(tmp_path / "out" / first) == pytest.approx(grey, abs=0.002)


def test_decision_chooses_model_and_options(job, tmp_path):
    first, second, third, *_ = names_of(tmp_path)
    decide(tmp_path, source=first, model="tint")
    decide(tmp_path, source=second, model="tint", options={"cb": -0.1})
    decide(tmp_path, source=third, model="beta")
    assert job()["done"] == 5
    out = tmp_path / "out"
    assert mean_chroma(out / first)[0] == pytest.approx(0.6, abs=0.03)
    assert mean_chroma(out / second)[0] == pytest.approx(0.4, abs=0.03)
    entries = read_journal(tmp_path)
    assert entries[third]["weights"] not in ("", entries[first]["weights"])
    assert job()["skipped"] == 5


def read_journal(tmp_path: Path) -> dict[str, dict[str, Any]]:
    lines = (tmp_path / "out" / ".batchcolor" / "journal.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return {Path(entry["source"]).name: entry for entry in entries}


def test_rejected_picture_stays_as_it_is(command, job, tmp_path):
    job()
    first, *_ = names_of(tmp_path)
    decide(tmp_path, source=first, state="rejected", strength=2)
    report = job()
    assert (report["done"], report["kept_grey"], report["skipped"]) == (0, 1, 4)
    source = (tmp_path / "album" / first).read_bytes()
    assert (tmp_path / "out" / first).read_bytes() == source
    assert job()["skipped"] == 5
    assert job("--strength", "0.5")["existed"] == 4  # the grey one does not depend on it
    assert command("verify", tmp_path / "out").returncode == 0
    decide(tmp_path, source=first, state="approved")
    assert job()["done"] == 1
    assert (tmp_path / "out" / first).read_bytes() != source


def test_rejected_picture_in_another_format_is_grey_and_unmarked(job, tmp_path):
    first = names_of(tmp_path)[0]
    decide(tmp_path, source=first, state="rejected")
    report = job("--format", "png", "--sidecar", "--premis")
    assert (report["done"], report["kept_grey"]) == (4, 1)
    result = (tmp_path / "out" / first).with_suffix(".png")
    with Image.open(result) as image, Image.open(tmp_path / "album" / first) as source:
        pixels = np.asarray(image.convert("RGB"))
        assert (pixels == np.asarray(source.convert("L"))[..., None]).all()
    assert b"batchcolor" not in result.read_bytes()
    sidecar = json.loads(Path(f"{result}.json").read_text())
    assert sidecar["action"] == "kept grey"
    assert "model" not in sidecar
    assert "migration" in Path(f"{result}.premis.xml").read_text()


def test_decisions_that_cannot_be_applied_fail_alone(job, tmp_path):
    first, second, third, fourth, _ = names_of(tmp_path)
    decide(tmp_path, source=first, model="flatt")
    decide(tmp_path, source=second, reference="missing.jpg")
    decide(tmp_path, source=third, options={"vividness": 1})
    (tmp_path / "album" / Path(fourth).with_suffix(".batchcolor.json")).write_text("{")
    report = job(code=3)
    reasons = {Path(f["source"]).name: f["reason"] for f in report["failures"]}
    assert (report["done"], report["failed"]) == (1, 4)
    assert "did you mean flat" in reasons[first]
    assert "missing.jpg does not exist" in reasons[second]
    assert "flat has no options" in reasons[third]
    assert "is not JSON" in reasons[fourth]


def test_damaged_line_is_reported_with_its_number(job, tmp_path):
    first = names_of(tmp_path)[0]
    decide(tmp_path, source=first, state="rejected")
    path = tmp_path / "out" / ".batchcolor" / "decisions.jsonl"
    content = path.read_bytes() + b'{"source": "x.jpg", "strength": "much"}\n'
    path.write_bytes(content)
    report = job(code=3)
    assert (report["done"], report["kept_grey"], report["failed"]) == (4, 1, 1)
    assert "line 2 is not applied: strength = 'much'" in report["failures"][0]["reason"]
    assert path.read_bytes() == content


def test_sidecar_means_the_same_and_a_stored_decision_is_above_it(job, tmp_path):
    first, second, *_ = names_of(tmp_path)
    sidecar = tmp_path / "album" / Path(first).with_suffix(".batchcolor.json")
    sidecar.write_text('{"state": "rejected"}')
    (tmp_path / "album" / f"{second}.batchcolor.json").write_text('{"strength": 0}')
    report = job()
    assert (report["done"], report["kept_grey"]) == (4, 1)
    assert mean_chroma(tmp_path / "out" / second) == pytest.approx([0.5, 0.5], abs=0.004)
    decide(tmp_path, source=first, state="approved")
    assert job()["done"] == 1
    sidecar.unlink()
    assert job()["skipped"] == 5


def test_decisions_survive_a_move_and_a_rename(command, job, album, tmp_path):
    job()
    first, *_ = names_of(tmp_path)
    from batchcolor.storage.journal import head_tail_digest

    digest = head_tail_digest(tmp_path / "album" / first)
    decide(tmp_path, source=first, digest=digest, state="rejected")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "album").rename(moved / "album")
    (moved / "album" / first).rename(moved / "album" / "renamed.jpg")
    shutil.copytree(tmp_path / "out" / ".batchcolor", moved / "out" / ".batchcolor")
    (moved / "out" / ".batchcolor" / "journal.jsonl").unlink()
    done = command("run", moved / "album", "-o", moved / "out", "-m", "flat", "--json")
    assert json.loads(done.stdout)["kept_grey"] == 1
    assert (moved / "out" / "renamed.jpg").read_bytes() == (
        moved / "album" / "renamed.jpg"
    ).read_bytes()


def test_result_that_a_person_retouched_is_not_replaced(job, tmp_path):
    job()
    first = names_of(tmp_path)[0]
    result = tmp_path / "out" / first
    result.write_bytes(b"retouched elsewhere")
    decide(tmp_path, source=first, strength=0.5)
    report = job()
    assert (report["done"], report["existed"]) == (0, 1)
    assert result.read_bytes() == b"retouched elsewhere"


def test_picture_in_colour_is_coloured_where_colours_are_decided(job, tmp_path):
    areas = Image.fromarray(np.random.default_rng(2).integers(0, 256, (6, 8, 3), dtype=np.uint8))
    areas.resize((160, 120)).save(tmp_path / "album" / "holiday.jpg", quality=90)
    assert job()["copied"] == 1
    decide(tmp_path, source="holiday.jpg", strength=0.5)
    report = job()
    assert (report["done"], report["skipped"]) == (1, 5)
    decide(tmp_path, source="holiday.jpg")
    assert job()["copied"] == 1
    assert (tmp_path / "out" / "holiday.jpg").read_bytes() == (
        tmp_path / "album" / "holiday.jpg"
    ).read_bytes()


def test_reference_of_a_decision_replaces_that_of_the_job(job, tmp_path):
    first, second, *_ = names_of(tmp_path)
    for name, color in (("red.png", (220, 120, 110)), ("blue.png", (90, 110, 220))):
        noise = np.random.default_rng(1).integers(-30, 30, (64, 64, 1))
        pixels = (np.array(color) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    decide(tmp_path, source=first, reference="../blue.png")
    report = job("--like", str(tmp_path / "red.png"))
    assert report["done"] == 5
    blue, red = (mean_chroma(tmp_path / "out" / name) for name in (first, second))
    assert blue[0] > red[0] + 0.05
    assert blue[1] < red[1] - 0.05


def test_hint_colours_its_place_and_the_rest_stays(job, tmp_path):
    first, second, *_ = names_of(tmp_path)
    luma = np.full((64, 96), 90, np.uint8)
    luma[:, 48:] = 180
    Image.fromarray(luma).save(tmp_path / "album" / first)
    hint = {"points": [[10, 30], [30, 40]], "color": "#8030a0", "width": 6}
    job()
    before = read_rgb(tmp_path / "out" / first)
    decide(tmp_path, source=first, strength=0.5, hints=[hint])
    assert job()["done"] == 1
    after = read_rgb(tmp_path / "out" / first)
    wanted, found = chroma(np.array([[0x80, 0x30, 0xA0]]))[0], chroma(after[30:38, 18:22])
    assert np.abs(found - wanted).max() < 0.05
    assert np.abs(chroma(after[:, 60:]) - 0.5 * chroma(before[:, 60:])).mean() < 0.02
    decide(tmp_path, source=second, hints=[{**hint, "points": [[96.5, 10]]}])
    report = job(code=3)
    reason = report["failures"][0]["reason"]
    assert "colour hint 1 at 96.5, 10 lies outside the picture, which has 96 x 64" in reason


def test_painted_hints_beside_a_turned_picture_are_upright_and_no_source(job, tmp_path):
    album = tmp_path / "album"
    luma = Image.fromarray(np.full((60, 100), 128, np.uint8))  # shown 60 wide and 100 high
    exif = Image.Exif()
    exif[0x0112] = 6
    luma.save(album / "turned.jpg", exif=exif)
    painted = Image.new("RGBA", (60, 100))
    painted.paste((200, 60, 40, 255), (5, 5, 25, 15))
    painted.save(album / "turned.hints.png")
    report = job()
    assert (report["done"], report["passed_over_count"]) == (6, 1)
    assert report["passed_over"][0]["reason"] == "colour hints of another picture"
    upright = chroma(read_rgb(tmp_path / "out" / "turned.jpg"))
    if upright.shape[:2] != (100, 60):  # a spliced JPEG keeps its stored orientation
        with Image.open(tmp_path / "out" / "turned.jpg") as result:
            upright = chroma(np.asarray(ImageOps.exif_transpose(result).convert("RGB")))
    wanted = chroma(np.array([[200, 60, 40]]))[0]
    assert np.abs(upright[8:13, 10:20] - wanted).max() < 0.06
    assert np.abs(upright[90:, :] - wanted).min() > 0.02
    painted.paste((40, 60, 200, 255), (5, 5, 25, 15))
    painted.save(album / "turned.hints.png")
    assert job()["done"] == 1
    (album / "turned.hints.png").unlink()
    assert job()["done"] == 1


def test_hint_files_of_a_folder_are_one_entry_also_where_a_glob_names_them(command, job, tmp_path):
    album = tmp_path / "album"
    for name in names_of(tmp_path)[:3]:
        Image.new("RGBA", (96, 64)).save(album / f"{name}.hints.png")
    assert job()["passed_over_count"] == 1
    files = sorted(album.iterdir())
    done = command("run", *files, "-o", tmp_path / "listed", "-m", "flat", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["done"], report["passed_over_count"]) == (0, 5, 3)


def test_hints_reach_their_page_of_a_document(command, job, tmp_path):
    pages = [Image.fromarray(np.full((40, 60), 120, np.uint8)) for _ in range(2)]
    path = tmp_path / "album" / "pages.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    hint = {"points": [[30, 20]], "color": "#a03030", "width": 60, "page": 2}
    decide(tmp_path, source="pages.tif", hints=[hint])
    assert job()["done"] == 6
    with Image.open(tmp_path / "out" / "pages.tif") as result:
        first = chroma(np.asarray(result.convert("RGB")))
        result.seek(1)
        second = chroma(np.asarray(result.convert("RGB")))
    wanted = chroma(np.array([[0xA0, 0x30, 0x30]]))[0]
    assert np.abs(second[15:25, 20:40] - wanted).max() < 0.03
    assert np.abs(first[20, 30] - wanted).max() > 0.1


@pytest.mark.parametrize("name", ["jpg", "line"])
def test_wrong_decision_is_reported_with_the_step_that_helps(
    command, flat, album, tmp_path, name: str
):
    source = album(1)
    picture = next(source.rglob("*.jpg"))
    sidecar = picture.with_suffix(".batchcolor.json")
    if name == "jpg":
        sidecar.write_text('{"power": 1}')
    else:
        store = DecisionStore(tmp_path / "out")
        store.folder.mkdir(parents=True)
        store.path.write_text("{\n")
    words = ("run", source, "-o", tmp_path / "out", "-m", flat, "-v")
    done = command(*words)
    assert done.returncode == 3
    assert "Next: correct the decision or its hints, then run the same command" in done.stderr
    assert "--retry-failed" not in done.stderr
    sidecar.write_text('{"strength": 0.9}')
    (tmp_path / "out" / ".batchcolor" / "decisions.jsonl").unlink(missing_ok=True)
    again = command(*words)
    assert again.returncode == 0
    assert f"{sidecar}: a decision on another picture" in again.stderr


def read_rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def chroma(rgb: np.ndarray) -> np.ndarray:
    from batchcolor.color import rgb_to_ycbcr

    red, green, blue = np.moveaxis(rgb.astype(float) / 255, -1, 0)
    return np.stack(rgb_to_ycbcr(red, green, blue)[1:], axis=-1)


def test_a_decision_on_a_path_that_no_job_has_read_is_reported(job, tmp_path: Path) -> None:
    job()
    decide(tmp_path, source=names_of(tmp_path)[0], state="approved")
    assert not any("No picture" in note for note in job()["notes"])
    decide(tmp_path, source="summer/misspelled.jpg", strength=0.5)
    notes = job()["notes"]
    assert any(
        note == "No picture of a job has the path summer/misspelled.jpg, for which there is a "
        "decision"
        for note in notes
    )
