"""Mistyped commands that could overwrite a photograph or colour the wrong files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def unprivileged(environment, tmp_path):
    """Runs `batchcolor run` without root's right to read everything."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv, which drops capabilities of root, is not installed")
    capabilities = "-dac_override,-dac_read_search"

    def run(*arguments):
        return subprocess.run(
            [
                *(setpriv, f"--bounding-set={capabilities}", f"--inh-caps={capabilities}"),
                *(sys.executable, "-m", "batchcolor", "run", *map(str, arguments)),
            ],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_a_report_does_not_overwrite_a_photograph(flat, command, album, tmp_path):
    photos = album(3)
    one, *others = sorted(path for path in photos.rglob("*") if path.is_file())
    before = one.read_bytes()
    result = command("run", "--report", one, *others, "-m", flat, "-o", "out")
    assert result.returncode == 2
    assert "not a report of batchcolor" in result.stderr
    assert one.read_bytes() == before
    assert command("run", photos, "-m", flat, "--report", photos / "new.json").returncode == 2
    assert not (tmp_path / "out").exists()


def test_a_picture_given_as_a_file_and_by_its_folder_is_coloured_once(
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


def test_a_sheet_does_not_overwrite_a_photograph(flat, command, album):
    photos = album(2)
    one = min(path for path in photos.rglob("*") if path.is_file())
    before = one.read_bytes()
    result = command("compare", photos, "-m", flat, "-o", one, "--if-exists", "overwrite")
    assert result.returncode == 2
    assert "is one of the pictures" in result.stderr
    assert one.read_bytes() == before


@pytest.mark.parametrize("arguments", [("",), ("photos", "-o", ""), ("photos", "--like", "")])
def test_an_empty_name_is_not_the_current_folder(flat, command, album, tmp_path, arguments):
    album(1)
    before = sorted(tmp_path.iterdir())
    result = command("run", *arguments, "-m", flat)
    assert result.returncode == 2
    assert "empty" in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_training_is_not_written_among_its_pictures(command, album):
    photos = album(2)
    result = command("train", "beta", "--data", photos, "-o", photos)
    assert result.returncode == 2
    assert "is the folder of the training pictures" in result.stderr


def test_a_folder_and_a_picture_without_read_permission_are_reported(unprivileged, flat, album):
    photos = album(2)
    locked = photos / "locked"
    locked.mkdir()
    unreadable, _ = sorted(path for path in photos.rglob("*") if path.is_file())
    locked.chmod(0)
    unreadable.chmod(0)
    result = unprivileged(photos, "-m", flat, "--json")
    locked.chmod(0o755)
    report = json.loads(result.stdout)
    reasons = {failure["source"]: failure["reason"] for failure in report["failures"]}
    assert result.returncode == 3
    assert report["done"] == 1
    assert set(reasons) == {str(locked), str(unreadable)}
    assert all("Permission denied" in reason for reason in reasons.values())


def test_the_dry_run_refuses_what_has_no_read_permission_as_the_job_does(unprivileged, flat, album):
    photos = album(2)
    locked = photos / "locked"
    locked.mkdir()
    unreadable, _ = sorted(path for path in photos.rglob("*") if path.is_file())
    locked.chmod(0)
    unreadable.chmod(0)
    planned = json.loads(unprivileged(photos, "-m", flat, "--dry-run", "--json").stdout)
    made = json.loads(unprivileged(photos, "-m", flat, "--json").stdout)
    locked.chmod(0o755)
    refused = {p["source"]: p["reason"] for p in planned["planned"] if p["action"] == "refused"}
    assert refused == {one["source"]: one["reason"] for one in made["failures"]}
    assert set(refused) == {str(locked), str(unreadable)}
    assert planned["passed_over"] == []


@pytest.mark.parametrize("name", ["parent/out", "out", "out/.batchcolor"])
def test_a_dry_run_to_a_folder_without_write_permission_exits_with_4(
    unprivileged, flat, album, tmp_path, name
):
    photos, output = album(2), tmp_path / ("parent/out" if "parent" in name else "out")
    if "parent" in name:
        output.parent.mkdir()
    else:
        (output / ".batchcolor").mkdir(parents=True)
    closed = output.parent if "parent" in name else tmp_path / name
    closed.chmod(0o555)
    for arguments in ([], ["--dry-run"]):
        result = unprivileged(photos, "-m", flat, "-o", output, *arguments)
        assert result.returncode == 4, (arguments, result.stderr)
        assert "Permission denied" in result.stderr
    closed.chmod(0o755)


def test_a_source_folder_without_read_permission_exits_with_2(unprivileged, flat, album):
    photos = album(1)
    photos.chmod(0)
    result = unprivileged(photos, "-m", flat)
    photos.chmod(0o755)
    assert result.returncode == 2
    assert "Permission denied" in result.stderr


def test_a_picture_over_a_limit_is_tried_again_under_another_limit(flat, command, album):
    photos = album(2)
    result = command("run", photos, "-m", flat, "-o", "out", "--max-pixels", "100")
    assert result.returncode == 3
    assert command("run", photos, "-m", flat, "-o", "out").returncode == 0


def test_existing_results_are_counted_and_reported(flat, command, album, tmp_path):
    photos = album(2)
    command("run", photos, "-m", flat, "-o", "out")
    again = command("run", photos, "-m", flat, "-o", "out", "--strength", "0.5", "--json")
    report = json.loads(again.stdout)
    assert (report["skipped"], report["existed"]) == (2, 2)
    assert "2 results kept" in again.stderr
    assert all("other settings" in note["note"] for note in report["picture_notes"])


def test_a_source_given_twice_is_coloured_once(flat, command, album):
    photos = album(1)
    planned = command("run", photos, photos, "-m", flat, "--dry-run", "--json")
    assert len(json.loads(planned.stdout)["planned"]) == 1


def test_a_result_does_not_overwrite_another_source(flat, command, tmp_path):
    usb, album = tmp_path / "usb" / "1912", tmp_path / "album" / "1912"
    for folder, shade in ((usb, 90), (album, 160)):
        folder.mkdir(parents=True)
        Image.new("L", (40, 30), shade).save(folder / "a.png")
    before = (album / "a.png").read_bytes()
    arguments = ("-m", flat, "-o", "album", "--if-exists", "overwrite", "--json")
    result = command("run", usb, album / "a.png", *arguments)
    assert result.returncode == 3
    assert (album / "a.png").read_bytes() == before
    (failure,) = json.loads(result.stdout)["failures"]
    assert "replace a source" in failure["reason"]
    planned = command("run", usb, album / "a.png", *arguments, "--dry-run")
    assert "refused" in [row["action"] for row in json.loads(planned.stdout)["planned"]]


def test_a_result_is_not_written_among_the_sources(flat, command, tmp_path):
    deep = tmp_path / "scans" / "scans"
    deep.mkdir(parents=True)
    Image.new("L", (40, 30), 90).save(deep / "a.png")
    result = command("run", "scans", "-m", flat, "-o", ".", "--json")
    assert result.returncode == 3
    assert "among the sources" in json.loads(result.stdout)["failures"][0]["reason"]
    assert not (tmp_path / "scans" / "a.png").exists()


def test_a_folder_of_frames_does_not_replace_one_with_other_files(
    flat, command, make_clip, tmp_path
):
    clip = make_clip(tmp_path / "film.mp4")
    mine = tmp_path / "out" / "film-frames" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    result = command(
        "run", clip, "-m", flat, "-o", "out", "--to-frames", "--if-exists", "overwrite"
    )
    assert result.returncode == 3
    assert "notes.txt, which would be lost" in result.stderr.replace("\n", " ")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--like", "nope.jpg"], "no such file"),
        (["--set", "vividness=3"], "--set vividness"),
        (["--device", "cuda:99"], "this machine has no such device"),
        (["--weights", "nope.safetensors"], "nope.safetensors"),
    ],
)
def test_a_dry_run_refuses_what_the_job_refuses(flat, command, album, options, message):
    result = command("run", album(1), "-m", flat, "--dry-run", *options)
    assert result.returncode in (2, 5)
    assert message in result.stderr


@pytest.mark.parametrize("option", ["--preview", "--max-memory", "--device"])
def test_an_empty_option_is_refused(flat, command, album, option):
    result = command("run", album(1), "-m", flat, option, "")
    assert result.returncode == 2
    assert option in result.stderr


def test_an_error_before_the_job_is_printed_as_json_too(flat, command):
    result = command("run", "nothing-here", "-m", flat, "--json")
    document = json.loads(result.stdout)
    assert document["exit_code"] == result.returncode == 2
    assert "no such file or folder" in document["error"]


def test_run_explains_how_options_of_a_model_are_written(command, album):
    result = command("run", album(1), "-m", "delta:vividness=1")
    assert result.returncode == 5
    assert "--set KEY=VALUE" in result.stderr


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
def test_a_closed_or_full_standard_stream_fails_no_picture(
    flat, album, environment, tmp_path, redirection
):
    line = f"exec {sys.executable} -m batchcolor run {album(1)} -m {flat} -o out {redirection}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode == (4 if "json" in redirection else 0)
    assert len(list((tmp_path / "out").glob("*.*"))) >= 1
