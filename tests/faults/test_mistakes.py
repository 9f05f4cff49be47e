"""Mistakes in a command that would cost a photograph, or colour what was not meant."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def unprivileged(environment, tmp_path):
    """Runs `batchcolor run` as a user whom permissions bind, also where the tests run as root."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv, which takes root's rights away, is not here")
    powers = "-dac_override,-dac_read_search"

    def run(*arguments):
        return subprocess.run(
            [
                *(setpriv, f"--bounding-set={powers}", f"--inh-caps={powers}"),
                *(sys.executable, "-m", "batchcolor", "run", *map(str, arguments)),
            ],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_a_report_never_takes_a_photographs_place(flat, command, album, tmp_path):
    photos = album(3)
    one, *others = sorted(path for path in photos.rglob("*") if path.is_file())
    before = one.read_bytes()
    slip = command("run", "--report", one, *others, "-m", flat, "-o", "out")
    assert slip.returncode == 2
    assert "not a report of batchcolor" in slip.stderr
    assert one.read_bytes() == before
    assert command("run", photos, "-m", flat, "--report", photos / "new.json").returncode == 2
    assert not (tmp_path / "out").exists()


def test_a_picture_named_as_a_file_and_in_its_folder_is_coloured_once(
    flat, command, album, tmp_path
):
    photos = album(3)
    one = min(path for path in photos.rglob("*") if path.is_file())
    for sources in ((photos, one), (one, photos), (photos, photos / ".")):
        result = command("run", *sources, "-m", flat, "-o", tmp_path / "out", "--json")
        document = json.loads(result.stdout)
        assert document["done"] + document["skipped"] == 3


def test_a_former_report_is_replaced(flat, command, album, tmp_path):
    arguments = ("run", album(1), "-m", flat, "-o", "out", "--report", "report.json")
    command(*arguments)
    assert command(*arguments).returncode == 0
    assert json.loads((tmp_path / "report.json").read_text())["skipped"] == 1


def test_a_sheet_never_takes_a_photographs_place(flat, command, album):
    photos = album(2)
    one = min(path for path in photos.rglob("*") if path.is_file())
    before = one.read_bytes()
    slip = command("compare", photos, "-m", flat, "-o", one, "--if-exists", "overwrite")
    assert slip.returncode == 2
    assert "is one of the pictures" in slip.stderr
    assert one.read_bytes() == before


@pytest.mark.parametrize("slip", [("",), ("photos", "-o", ""), ("photos", "--like", "")])
def test_an_empty_name_is_not_the_current_folder(flat, command, album, tmp_path, slip):
    album(1)
    before = sorted(tmp_path.iterdir())
    made = command("run", *slip, "-m", flat)
    assert made.returncode == 2
    assert "empty" in made.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_training_is_not_written_among_its_pictures(command, album):
    photos = album(2)
    made = command("train", "beta", "--data", photos, "-o", photos)
    assert made.returncode == 2
    assert "is the folder of the training pictures" in made.stderr


def test_a_folder_and_a_picture_that_may_not_be_read_are_named(unprivileged, flat, album):
    photos = album(2)
    locked = photos / "locked"
    locked.mkdir()
    shut, _ = sorted(path for path in photos.rglob("*") if path.is_file())
    locked.chmod(0)
    shut.chmod(0)
    made = unprivileged(photos, "-m", flat, "--json")
    locked.chmod(0o755)
    report = json.loads(made.stdout)
    reasons = {failure["source"]: failure["reason"] for failure in report["failures"]}
    assert made.returncode == 3
    assert report["done"] == 1
    assert set(reasons) == {str(locked), str(shut)}
    assert all("Permission denied" in reason for reason in reasons.values())


def test_a_source_folder_that_may_not_be_read_is_said(unprivileged, flat, album):
    photos = album(1)
    photos.chmod(0)
    made = unprivileged(photos, "-m", flat)
    photos.chmod(0o755)
    assert made.returncode == 2
    assert "Permission denied" in made.stderr


def test_what_a_limit_refused_is_tried_again_under_another_limit(flat, command, album):
    photos = album(2)
    refused = command("run", photos, "-m", flat, "-o", "out", "--max-pixels", "100")
    assert refused.returncode == 3
    assert command("run", photos, "-m", flat, "-o", "out").returncode == 0


def test_results_that_were_there_are_counted_and_named(flat, command, album, tmp_path):
    photos = album(2)
    command("run", photos, "-m", flat, "-o", "out")
    again = command("run", photos, "-m", flat, "-o", "out", "--strength", "0.5", "--json")
    report = json.loads(again.stdout)
    assert (report["skipped"], report["existed"]) == (2, 2)
    assert "2 results kept" in again.stderr
    assert all("other settings" in note["note"] for note in report["picture_notes"])


def test_a_source_named_twice_is_coloured_once(flat, command, album):
    photos = album(1)
    planned = command("run", photos, photos, "-m", flat, "--dry-run", "--json")
    assert len(json.loads(planned.stdout)["planned"]) == 1


def test_a_result_never_takes_the_place_of_another_source(flat, command, tmp_path):
    usb, album = tmp_path / "usb" / "1912", tmp_path / "album" / "1912"
    for folder, shade in ((usb, 90), (album, 160)):
        folder.mkdir(parents=True)
        Image.new("L", (40, 30), shade).save(folder / "a.png")
    before = (album / "a.png").read_bytes()
    arguments = ("-m", flat, "-o", "album", "--if-exists", "overwrite", "--json")
    made = command("run", usb, album / "a.png", *arguments)
    assert made.returncode == 3
    assert (album / "a.png").read_bytes() == before
    (failure,) = json.loads(made.stdout)["failures"]
    assert "replace a source" in failure["reason"]
    planned = command("run", usb, album / "a.png", *arguments, "--dry-run")
    assert "refused" in [row["action"] for row in json.loads(planned.stdout)["planned"]]


def test_a_result_never_lies_among_the_sources(flat, command, tmp_path):
    deep = tmp_path / "scans" / "scans"
    deep.mkdir(parents=True)
    Image.new("L", (40, 30), 90).save(deep / "a.png")
    made = command("run", "scans", "-m", flat, "-o", ".", "--json")
    assert made.returncode == 3
    assert "among the sources" in json.loads(made.stdout)["failures"][0]["reason"]
    assert not (tmp_path / "scans" / "a.png").exists()


def test_a_folder_of_frames_never_replaces_one_that_holds_anything_else(
    flat, command, make_clip, tmp_path
):
    clip = make_clip(tmp_path / "film.mp4")
    mine = tmp_path / "out" / "film-frames" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    made = command("run", clip, "-m", flat, "-o", "out", "--to-frames", "--if-exists", "overwrite")
    assert made.returncode == 3
    assert "notes.txt, which would be lost" in made.stderr.replace("\n", " ")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--like", "nope.jpg"], "no such file"),
        (["--set", "vividness=3"], "--set vividness"),
        (["--device", "cuda:99"], "this machine has no such device"),
        (["--weights", "nope.safetensors"], "nope.safetensors"),
    ],
)
def test_a_dry_run_refuses_what_the_job_would(flat, command, album, options, said):
    refused = command("run", album(1), "-m", flat, "--dry-run", *options)
    assert refused.returncode in (2, 5)
    assert said in refused.stderr


@pytest.mark.parametrize("option", ["--preview", "--max-memory", "--device"])
def test_an_empty_option_is_refused(flat, command, album, option):
    refused = command("run", album(1), "-m", flat, option, "")
    assert refused.returncode == 2
    assert option in refused.stderr


def test_what_refuses_a_job_is_printed_as_json_too(flat, command):
    refused = command("run", "nothing-here", "-m", flat, "--json")
    document = json.loads(refused.stdout)
    assert document["exit_code"] == refused.returncode == 2
    assert "no such file or folder" in document["error"]


def test_the_way_compare_writes_a_models_options_is_explained_by_run(command, album):
    refused = command("run", album(1), "-m", "delta:vividness=1")
    assert refused.returncode == 5
    assert "--set KEY=VALUE" in refused.stderr


@pytest.mark.parametrize(
    "options", [["--preview", "1s"], ["--compare"], ["--to-frames"], ["--strip"]]
)
def test_a_film_whose_result_has_too_long_a_name_fails_alone(
    flat, command, make_clip, tmp_path, options
):
    source = tmp_path / "films"
    make_clip(source / f"{'f' * 249}.mp4", frames=4)
    make_clip(source / "short.mp4", frames=4)
    result = command("run", source, "-m", flat, "-o", "out", "--json", *options)
    report = json.loads(result.stdout)
    assert report["done"] >= 1
    assert result.returncode == (3 if report["failed"] else 0)
    assert all("too long" in failure["reason"] for failure in report["failures"])


def test_a_picture_whose_result_has_too_long_a_name_fails_alone(flat, command, album, tmp_path):
    source = album(2)
    (source / "001.jpg").rename(source / f"{'p' * 251}.jpg")
    result = command("run", source, "-m", flat, "-o", "out", "--format", "webp", "--json")
    report = json.loads(result.stdout)
    assert (result.returncode, report["done"], report["failed"]) == (3, 1, 1)
    assert "too long" in report["failures"][0]["reason"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("redirection", [">&-", "> /dev/full", "--json > /dev/full", "2>&-"])
def test_a_closed_or_full_standard_stream_costs_no_picture(
    flat, album, environment, tmp_path, redirection
):
    line = f"exec {sys.executable} -m batchcolor run {album(1)} -m {flat} -o out {redirection}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == (4 if "json" in redirection else 0)
    assert len(list((tmp_path / "out").glob("*.*"))) >= 1
