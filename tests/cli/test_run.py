"""`batchcolor run`: what a person with a folder sees."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image


def tree(folder: Path) -> dict[str, bytes]:
    """Every result below a folder, without what batchcolor keeps for itself."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".batchcolor" not in path.parts
    }


def document(result) -> dict:
    return json.loads(result.stdout)


def test_a_folder_is_mirrored_beside_itself_with_its_names_and_nothing_in_it_is_touched(
    command, flat, album
):
    source = album(6)
    before = {name: (source / name).stat().st_mtime_ns for name in tree(source)}
    content = tree(source)
    result = command("run", source, "-m", flat, "--json")
    assert result.returncode == 0, result.stderr
    assert document(result)["done"] == 6
    assert set(tree(source.with_name("album-colorized"))) == set(content)
    assert tree(source) == content
    assert before == {name: (source / name).stat().st_mtime_ns for name in content}
    with Image.open(source.with_name("album-colorized") / "001.jpg") as image:
        red, _, blue = image.convert("RGB").resize((1, 1)).getpixel((0, 0))
    assert blue > red  # the flat colorizer's colour


def test_running_again_does_nothing_and_says_so_with_exit_0(command, flat, album, tmp_path):
    source = album(3)
    command("run", source, "-m", flat, "-o", "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")}
    again = command("run", source, "-m", flat, "-o", "out", "--json")
    assert again.returncode == 0
    assert (document(again)["done"], document(again)["skipped"]) == (0, 3)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")}


def test_one_changed_picture_is_done_again_and_only_with_overwrite(command, flat, album, tmp_path):
    source = album(3)
    command("run", source, "-m", flat, "-o", "out")
    Image.new("L", (50, 40), 30).save(source / "001.jpg")
    skipped = command("run", source, "-m", flat, "-o", "out", "--json")
    assert document(skipped)["done"] == 0
    assert any("--if-exists overwrite" in note for note in document(skipped)["notes"])
    redone = command("run", source, "-m", flat, "-o", "out", "--json", "--if-exists", "overwrite")
    assert (document(redone)["done"], document(redone)["skipped"]) == (1, 2)
    with Image.open(tmp_path / "out" / "001.jpg") as image:
        assert image.size == (50, 40)


def test_if_exists_error_is_exit_2_before_anything_is_written(command, flat, album, tmp_path):
    source = album(3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "001.jpg").write_bytes(b"mine")
    result = command("run", source, "-m", flat, "-o", "out", "--if-exists", "error")
    assert result.returncode == 2
    assert tree(tmp_path / "out") == {"001.jpg": b"mine"}


def test_a_file_that_is_not_ours_is_never_replaced_by_default(command, flat, album, tmp_path):
    source = album(3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "001.jpg").write_bytes(b"mine")
    result = command("run", source, "-m", flat, "-o", "out", "--json")
    assert document(result)["skipped"] == 1
    assert (tmp_path / "out" / "001.jpg").read_bytes() == b"mine"


def test_bad_pictures_fail_alone_and_are_remembered_until_asked_again(
    command, flat, album, tmp_path
):
    source = album(3)
    whole = (source / "001.jpg").read_bytes()
    (source / "bad.jpg").write_bytes(whole[: len(whole) // 2])
    first = command("run", source, "-m", flat, "-o", "out", "--report", "report.json")
    assert first.returncode == 3
    assert "bad.jpg" in first.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["done"] == 3
    assert report["exit_code"] == 3
    (failure,) = report["failures"]
    assert failure["step"] == "decode"
    assert "truncated" in failure["reason"] or "damaged" in failure["reason"]
    again = command("run", source, "-m", flat, "-o", "out", "--json")
    assert again.returncode == 3
    assert "--retry-failed" in document(again)["failures"][0]["reason"]
    retried = command("run", source, "-m", flat, "-o", "out", "--json", "--retry-failed")
    assert "--retry-failed" not in document(retried)["failures"][0]["reason"]


def test_salvage_colours_what_a_damaged_picture_still_gives(command, flat, album, tmp_path):
    source = album(2)
    whole = (source / "001.jpg").read_bytes()
    (source / "bad.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    assert command("run", source, "-m", flat, "-o", "out").returncode == 3
    salvaged = command("run", source, "-m", flat, "-o", "out", "--salvage", "-v")
    assert salvaged.returncode == 0
    assert "what it still gives is coloured (--salvage)" in salvaged.stderr
    assert (tmp_path / "out" / "bad.jpg").exists()


def test_files_globs_and_several_folders_go_where_the_guide_says(command, flat, album, tmp_path):
    source = album(4)
    one = command("run", source / "001.jpg", "-m", flat)
    assert one.returncode == 0, one.stderr
    assert set(tree(source / "001-colorized")) == {"001.jpg"}
    pattern = command("run", str(source / "1931*" / "*.jpg"), "-m", flat, "-o", "g")
    assert pattern.returncode == 0, pattern.stderr
    assert set(tree(tmp_path / "g")) == {"1931 summer/000.jpg", "1931 summer/002.jpg"}
    (tmp_path / "b" / "album").mkdir(parents=True)
    Image.new("L", (9, 9)).save(tmp_path / "b" / "album" / "x.png")
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    several = command("run", source, "b/album", "x.png", "-m", flat, "-o", "s")
    assert several.returncode == 0, several.stderr
    names = set(tree(tmp_path / "s"))
    assert {"album/001.jpg", "album-2/x.png", "x.png"} <= names
    assert "album/001-colorized/001.jpg" not in names


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "bmp"])
def test_every_format_can_be_asked_for(command, flat, album, tmp_path, kind):
    result = command("run", album(1), "-m", flat, "-o", "out", "--format", kind)
    assert result.returncode == 0, result.stderr
    (path,) = [p for p in (tmp_path / "out").rglob("*.*") if p.is_file() and "0" in p.stem]
    with Image.open(path) as image:
        assert image.format is not None
        assert image.format.lower() == kind
        assert image.mode == "RGB"


def test_two_sources_of_one_name_get_different_names_the_same_way_every_time(
    command, flat, tmp_path
):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.png", "a.tif", "A.bmp", "b.webp"):
        Image.new("L", (9, 9), 70).save(source / name)
    for output in ("one", "two"):
        assert command("run", source, "-m", flat, "-o", output, "--format", "jpeg").returncode == 0
    names = set(tree(tmp_path / "one"))
    assert len({name.casefold() for name in names}) == 4
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


ODD_NAMES = [
    "with space.png",
    "line\nbreak.png",
    "quote'\".png",
    "emoji 📷.png",
    "[red]brackets[bold].png",
    "-dash.png",
    "esc\x1b[31m.png",
    "x" * 251 + ".png",
    os.fsdecode(b"latin\xe9.png"),
]


def test_odd_names_work_and_are_printed_without_harm(command, flat, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ODD_NAMES:
        Image.new("L", (9, 9), 70).save(source / name)
    (source / "bad\x1b[31m[bold]\n.png").write_bytes(b"no")
    result = command("run", source, "-m", flat, "-o", "out", "-v")
    assert result.returncode == 3, result.stderr
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == set(ODD_NAMES)
    assert "\x1b" not in result.stderr
    assert "[bold]" in result.stderr
    assert command("run", source, "-m", flat, "-o", "out", "--json").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such file or folder"),
        (["album/*.xyz"], "no pictures found"),
        (["empty"], "no pictures found"),
        (["album", "-o", "album/out"], "inside the source"),
        (["album", "-o", "album"], "source itself"),
        (["album", "-o", "file.txt"], "is a file"),
        (["album/001.jpg", "-o", "album"], "would replace its source"),
        (["album", "--strength", "nan"], "strength"),
        (["album", "--strength", "x"], "'--strength': not a number"),
        (["album", "--crf", "x"], "'--crf': not a whole number"),
        (["album", "--precision", "x"], "'--precision': 'x' is not one of"),
        (["album", "--format", "xcf"], "--format xcf"),
        (["album", "--max-memory", "1k"], "not enough memory"),
        (["album", "--max-memory", "lots"], "--max-memory lots"),
        (["album", "--set", "x=1", "-m", "flat"], "no options"),
        (["album", "--set", "x", "-m", "flat"], "KEY=VALUE"),
        (["album", "--device", "cuda:7"], "--device cuda:7"),
        (["album", "--no-such-option"], "no-such-option"),
        ([], "SOURCE"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2_before_anything_is_written(
    command, flat, album, tmp_path, arguments, message
):
    album(2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    before = tree(tmp_path)
    result = command("run", *arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert tree(tmp_path) == before


def test_a_former_output_folder_inside_a_source_is_not_coloured_again(
    command, flat, album, tmp_path
):
    source = album(2)
    command("run", source / "001.jpg", "-m", flat)  # leaves album/001-colorized
    result = command("run", source, "-m", flat, "-o", "out", "--json")
    assert document(result)["done"] == 2
    assert any("folder of results" in entry["reason"] for entry in document(result)["passed_over"])


def test_a_wrong_suffix_is_read_by_content_written_with_its_own_and_said(command, flat, tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("L", (30, 20), 90).save(tmp_path / "in" / "liar.jpg", "PNG")
    result = command("run", "in", "-m", flat, "-o", "out", "--json")
    assert set(tree(tmp_path / "out")) == {"liar.png"}
    (note,) = document(result)["picture_notes"]
    assert "PNG by content" in note["note"]


def test_dry_run_shows_the_plan_and_writes_nothing(command, flat, album, tmp_path):
    source = album(3)
    before = tree(tmp_path)
    result = command("run", source, "-m", flat, "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    planned = document(result)["planned"]
    assert [row["action"] for row in planned] == ["colour"] * 3
    assert tree(tmp_path) == before
    assert "001.jpg" in command("run", source, "-m", flat, "--dry-run").stdout


def test_batches_workers_and_memory_change_nothing_in_the_result(command, album, tmp_path):
    """With a real network: a picture's colour does not depend on its neighbours."""
    source = album(5)
    for output, arguments in (
        ("one", ["--workers", "1", "--max-memory", "16M"]),
        ("two", ["--workers", "3"]),
    ):
        result = command("run", source, "-o", output, *arguments)
        assert result.returncode == 0, result.stderr
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_a_picture_that_memory_cannot_hold_is_named_and_the_others_are_done(
    command, flat, album, tmp_path
):
    source = album(2)
    Image.new("L", (3000, 2000)).save(source / "large.png")
    result = command("run", source, "-m", flat, "-o", "out", "--max-memory", "16M", "--json")
    assert result.returncode == 3
    assert document(result)["done"] == 2
    assert "--max-memory" in document(result)["failures"][0]["reason"]
    alone = command("run", source / "large.png", "-m", flat, "-o", "alone", "--max-memory", "16M")
    assert alone.returncode == 2
    assert "not enough for one picture" in alone.stderr


def test_strength_zero_is_grey_and_quality_makes_files_smaller(command, flat, album, tmp_path):
    source = album(1, 400, 300)
    for path in source.rglob("*.jpg"):  # luma of a grey JPEG is copied at any quality
        Image.open(path).convert("RGB").save(path)
    sizes = []
    for quality in ("50", "96"):
        command("run", source, "-m", flat, "-o", quality, "--quality", quality, "--strength", "0")
        (path,) = (tmp_path / quality).rglob("*.jpg")
        sizes.append(path.stat().st_size)
        with Image.open(path) as image:
            colours = image.convert("RGB").getcolors(400 * 300) or []
        assert all(max(c) - min(c) <= 2 for _, c in colours)
    assert sizes[0] < sizes[1]


def test_quiet_says_nothing_when_all_is_well_and_verbose_names_what_is_passed(
    command, flat, album, tmp_path
):
    source = album(2)
    (source / "layers.xcf").write_bytes(b"....")
    assert command("run", source, "-m", flat, "-o", "q", "-q").stderr == ""
    assert "layers.xcf" in command("run", source, "-m", flat, "-o", "v", "-v").stderr


def test_a_read_only_source_folder_works(command, flat, album, tmp_path):
    source = album(2)
    source.chmod(0o555)
    try:
        assert command("run", source, "-m", flat, "-o", "out").returncode == 0
    finally:
        source.chmod(0o755)


def test_what_a_decoder_warns_of_is_a_note_and_not_text_across_the_progress(
    command, flat, tmp_path
):
    (tmp_path / "in").mkdir()
    torn = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\xff\xff"
    Image.new("L", (30, 20), 90).save(tmp_path / "in" / "a.jpg", exif=torn)
    result = command("run", "in", "-m", flat, "-o", "out", "--json")
    assert result.returncode == 0, result.stderr
    (line,) = (tmp_path / "out" / ".batchcolor" / "journal.jsonl").read_text().splitlines()
    assert any("Corrupt EXIF" in note for note in json.loads(line)["notes"])
    assert "UserWarning" not in result.stderr
