"""`batchcolor restore` gives the grey source of a result back."""

from __future__ import annotations

from PIL import Image


def test_the_source_of_a_result_is_restored_byte_for_byte(command, flat, album, tmp_path):
    source = album(1)
    (path,) = source.rglob("*.jpg")
    tags = Image.Exif()
    tags[0x0112], tags[0x010E] = 6, "Aunt Ida, 1931"
    Image.open(path).save(path, exif=tags, progressive=True)
    assert command("run", source, "-m", flat, "-o", "out").returncode == 0
    (result,) = (tmp_path / "out").rglob("*.jpg")
    assert Image.open(result).mode == "RGB"
    restored = command("restore", result, "-o", "grey.jpg")
    assert restored.returncode == 0, restored.stderr
    assert (tmp_path / "grey.jpg").read_bytes() == path.read_bytes()

    again = command("restore", result, "-o", "grey.jpg")
    assert again.returncode == 2
    assert "grey.jpg: exists already" in again.stderr


def test_what_cannot_be_restored_is_one_line_and_exit_3(command, flat, album, tmp_path):
    source = album(1)
    command("run", source, "-m", flat, "-o", "out")
    (result,) = (tmp_path / "out").rglob("*.jpg")
    data = bytearray(result.read_bytes())
    data[data.rindex(b"\xff\xda") - 3000] ^= 1
    result.write_bytes(data)
    for path, message in ((result, "bytes "), (next(source.rglob("*.jpg")), "no record of its")):
        failed = command("restore", path, "-o", "grey.jpg")
        assert failed.returncode == 3
        assert message in failed.stderr
        assert failed.stderr.count("\n") == 1
        assert not (tmp_path / "grey.jpg").exists()
    assert command("restore", "nowhere.jpg", "-o", "grey.jpg").returncode == 2
