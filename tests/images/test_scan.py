"""A scan identifies files by content and opens only regular files."""

import os

from PIL import Image

from batchcolor.images.formats import PNG
from batchcolor.images.scan import ScannedFile, SkippedEntry, scan


def test_png_with_the_suffix_of_jpeg_is_identified_by_content_with_a_note(tmp_path, scan_file):
    path = tmp_path / "in.jpg"
    Image.new("L", (30, 20), 90).save(path, "PNG")
    found = scan_file(path)
    assert found.format == PNG
    assert "PNG by content" in found.note


def test_scan_yields_pictures_and_films_and_reports_what_is_skipped(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "layers.xcf").write_bytes(b"gimp xcf")
    Image.new("L", (8, 8)).save(tmp_path / "moving.gif")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    (tmp_path / "sound.m4a").write_bytes(b"\0\0\0\x18ftypM4A ")
    (tmp_path / "sound.mka").write_bytes(b"\x1aE\xdf\xa3....matroska")
    (tmp_path / "matroska without suffix").write_bytes(b"\x1aE\xdf\xa3....matroska")
    (tmp_path / "notes.txt").write_text("no picture")
    Image.new("L", (8, 8)).save(tmp_path / "without suffix", "JPEG")
    entries = list(scan(tmp_path))
    files = [entry for entry in entries if isinstance(entry, ScannedFile)]
    pictures = [file.relative.name for file in files if not file.is_film]
    films = [file.relative.name for file in files if file.is_film]
    skipped = {entry.path.name for entry in entries if isinstance(entry, SkippedEntry)}
    assert pictures == ["one.png", "without suffix"]
    assert films == ["film.mp4", "matroska without suffix", "moving.gif"]
    assert skipped == {"pipe.jpg", "dangling.jpg", "loop", "layers.xcf"}


def test_films_without_a_known_signature_are_identified_by_suffix(tmp_path):
    names = ["tape.dv", "stream.h264", "stream.m2v"]
    for name in names:
        (tmp_path / name).write_bytes(b"\x1f\x07\0\xbf" * 20)
    (tmp_path / "old.rm").write_bytes(b".RMF\0\0\0\x12" + bytes(60))
    (tmp_path / "tape without suffix").write_bytes(b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01")
    found = [entry for entry in scan(tmp_path) if isinstance(entry, ScannedFile)]
    assert [entry.relative.name for entry in found] == sorted(
        [*names, "old.rm", "tape without suffix"]
    )
    assert all(entry.is_film for entry in found)
