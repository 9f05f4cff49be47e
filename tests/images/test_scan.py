"""A scan identifies files by content and opens only regular files."""

import os

import pytest
from PIL import Image

from batchcolor.images.formats import PNG
from batchcolor.images.scan import ScannedFile, SkippedEntry, scan, scan_suffixes


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
    assert skipped == {
        *("pipe.jpg", "dangling.jpg", "loop", "layers.xcf"),
        *("notes.txt", "sound.m4a", "sound.mka"),
    }


def test_a_link_to_a_folder_above_the_source_is_circular(tmp_path):
    inner = tmp_path / "box" / "sub"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        Image.new("L", (8, 8)).save(folder / f"{folder.name}.png")
    (inner / "loop").symlink_to("..")
    (inner / "top").symlink_to("/")
    (tmp_path / "named").symlink_to(inner)
    (tmp_path / "box" / "up").symlink_to("..")
    for source in (inner, tmp_path / "named", tmp_path / "box" / ".." / "box" / "sub"):
        entries = list(scan(source))
        skipped = {e.path.name: e.reason for e in entries if isinstance(e, SkippedEntry)}
        assert [e.path.name for e in entries if isinstance(e, ScannedFile)] == ["sub.png"]
        assert set(skipped) == {"loop", "top"}
        assert set(skipped.values()) == {"a circular link: it leads to a folder above it"}
        assert list(scan_suffixes(source)) == [".png"]
    found = [e.path.name for e in scan(tmp_path / "box" / "up") if isinstance(e, ScannedFile)]
    assert set(found) == {"box.png", "sub.png"}  # a link that is the source itself is followed


def test_films_without_a_known_signature_are_identified_by_suffix(tmp_path):
    names = ["stream.h264", "stream.m2v", "recording.ts"]
    for name in names:
        (tmp_path / name).write_bytes(b"\x1f\x07\0\xbf" * 20)
    (tmp_path / "old.rm").write_bytes(b".RMF\0\0\0\x12" + bytes(60))
    (tmp_path / "tape without suffix").write_bytes(b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01")
    found = [entry for entry in scan(tmp_path) if isinstance(entry, ScannedFile)]
    assert [entry.relative.name for entry in found] == sorted(
        [*names, "old.rm", "tape without suffix"]
    )
    assert all(entry.is_film for entry in found)


SIGNATURES = {
    "dv": b"\x1f\x07\0\xbf" + bytes(76),
    "yuv4mpeg": b"YUV4MPEG2 W8 H8 F25:1\n",
    "mpeg video": b"\0\0\x01\xb3\x16\x01\x20",
    "ivf": b"DKIF\0\0\x20\0VP80",
    "ogg": b"OggS\0\x02" + bytes(22) + b"\x80theora\x03\x02",
    "mpeg-ts": (b"\x47\x40\0\x10" + bytes(184)) * 6,
    "mpeg": b"\0\0\x01\xba\x44",
    "dirac": b"BBCD\0\0\0\0\x18" + bytes(4),
    "cine": b"CI,\0\0\0\x01\0",
}


def test_films_with_an_unknown_suffix_are_identified_by_content(tmp_path):
    for name, content in SIGNATURES.items():
        (tmp_path / f"{name}.part").write_bytes(content)
    (tmp_path / "blu-ray.part").write_bytes((bytes(4) + b"\x47\x40\0\x10" + bytes(184)) * 6)
    (tmp_path / "video-cd.part").write_bytes(b"RIFF\0\0\1\0CDXAfmt " + bytes(60))
    (tmp_path / "sound.ogg").write_bytes(b"OggS\0\x02" + bytes(22) + b"\x01vorbis")
    found = {entry.path.stem: entry for entry in scan(tmp_path)}
    assert isinstance(found.pop("sound"), SkippedEntry)
    assert found.pop("blu-ray").format.name == "mpeg-ts"
    assert found.pop("video-cd").format.name == "mpeg"
    assert {stem: entry.format.name for stem, entry in found.items()} == {n: n for n in SIGNATURES}
    assert all(entry.is_film for entry in found.values())


def test_typescript_is_not_a_film(tmp_path):
    (tmp_path / "code.ts").write_text("export const GRAPH = 'G';\n" * 100)
    (tmp_path / "film.ts").write_bytes((b"\x47\x40\0\x10" + bytes(184)) * 6)
    (tmp_path / "damaged.ts").write_bytes(bytes(range(256)) * 4)
    skipped, code, film = sorted(scan(tmp_path), key=lambda e: isinstance(e, ScannedFile))[:3]
    assert skipped.path.name == "code.ts"
    assert code.is_film
    assert film.is_film


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi", "m2ts", "mjpeg"])
def test_text_in_place_of_a_film_is_a_film_that_fails(tmp_path, suffix):
    (tmp_path / f"film.{suffix}").write_text("<html>404 Not Found</html>\n" * 40)
    (film,) = scan(tmp_path)
    assert isinstance(film, ScannedFile)
    assert film.is_film


def test_motion_jpeg_is_a_film(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "one.jpg")
    (tmp_path / "film.mjpeg").write_bytes((tmp_path / "one.jpg").read_bytes() * 3)
    film, picture = scan(tmp_path)
    assert film.is_film
    assert not picture.is_film


def test_system_files_and_folders_are_skipped_by_name_once_per_folder(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "A.jpg")
    folders = ["@eaDir/A.jpg", "__MACOSX", ".AppleDouble", ".hidden", "#recycle", "$RECYCLE.BIN"]
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / name / "thumbnail.jpg")
    for name in ["._A.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", ".b.jpg"]:
        (tmp_path / name).write_bytes((tmp_path / "A.jpg").read_bytes())
    entries = list(scan(tmp_path))
    assert [e.path.name for e in entries if isinstance(e, ScannedFile)] == ["A.jpg"]
    skipped = [e for e in entries if isinstance(e, SkippedEntry)]
    assert all(entry.is_foreign for entry in skipped)
    names = {entry.path.name for entry in skipped}
    assert names == {name.partition("/")[0] for name in folders} | {".DS_Store"}
    (files,) = [entry for entry in skipped if entry.path.name == ".DS_Store"]
    assert "4 more" in files.reason
    thumbnails = list(scan(tmp_path / "@eaDir"))
    assert len(thumbnails) == 1  # a source is never skipped by its own name


def test_every_file_of_a_folder_is_accounted_for(tmp_path):
    names = ["a.txt", "b.xmp", "c.docx", "d", "e.jpg", "f.ts", "g.ogg", "h.psd", "i.mov", "j.tga"]
    for name in names:
        (tmp_path / name).write_text("no picture\n" * 40)
    assert [entry.path.name for entry in scan(tmp_path)] == names
