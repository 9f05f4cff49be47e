"""Readers of plugins: more formats, and readers that fail."""

import json

import pytest
from PIL import Image


def test_a_reader_adds_a_format(plugin, command, flat, folder, tmp_path):
    plugin(
        "pgmreader",
        """
        import batchcolor
        from batchcolor.hooks.types import Reader

        def decode(path):
            import numpy
            from PIL import Image
            return numpy.asarray(Image.open(path))

        @batchcolor.hookimpl
        def batchcolor_readers():
            return [Reader("pgm", (".pgm",), lambda head: head.startswith(b"P5"), decode)]
        """,
    )
    Image.new("L", (10, 10), 99).save(folder / "old.pgm")
    result = command("run", folder, "-o", tmp_path / "out", "-m", flat)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out" / "old.png") as written:
        assert written.size == (10, 10)


READER = """
    import numpy as np
    import batchcolor
    from batchcolor import Reader, ReadImage
    from PIL import Image, ImageCms

    def decode(path):
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "a barn"
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        pixels = np.asarray(Image.open(path))
        alpha = np.full((12, 10), 90, np.uint8)
        return {result}

    @batchcolor.hookimpl
    def batchcolor_readers():
        return [Reader("pgm", (".pgm",), lambda head: head.startswith(b"P5"), decode)]
"""


def test_a_reader_returns_alpha_and_metadata(plugin, command, flat, tmp_path):
    result = "ReadImage(pixels, alpha, exif.tobytes(), profile, b'<x:xmpmeta/>', (300, 300))"
    plugin("pgmreader", READER.format(result=result))
    Image.new("L", (10, 12), 99).save(tmp_path / "old.pgm")
    result = command("run", "old.pgm", "-o", tmp_path / "out", "-m", flat)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out" / "old.png") as written:
        assert written.size == (10, 12)
        assert written.mode == "RGBA"
        assert written.getpixel((3, 3))[3] == 90
        assert (written.getexif()[0x010E], written.getexif()[0x0112]) == ("a barn", 1)
        assert round(written.info["dpi"][0]) == 300
        assert b"acspAPPL" in written.info["icc_profile"]
        assert "xmpmeta" in str(written.info["xmp"])


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("ReadImage(pixels, alpha[:5])", "alpha"),
        ("ReadImage(pixels, alpha.astype(np.uint16))", "alpha"),
        ("ReadImage(pixels.astype(float))", "not grey or RGB"),
        ("np.zeros((4, 4, 2), np.uint8)", "not grey or RGB"),
        ("None", "not grey or RGB"),
        ("pixels[:0]", "not grey or RGB"),
    ],
)
def test_a_wrong_picture_of_a_reader_fails_alone_with_the_readers_name(
    plugin, command, flat, folder, tmp_path, result, message
):
    plugin("pgmreader", READER.format(result=result))
    Image.new("L", (10, 12), 99).save(folder / "old.pgm")
    result = command("run", folder, "-o", tmp_path / "out", "-m", flat, "--json")
    assert result.returncode == 3, result.stderr
    (failure,) = json.loads(result.stdout)["failures"]
    assert "reader pgm" in failure["reason"]
    assert message in failure["reason"]


@pytest.mark.parametrize("error", ["ValueError('not an old scanner')", "SystemExit(7)"])
@pytest.mark.parametrize("function", ["sniff", "decode"])
def test_a_reader_that_raises_fails_its_picture_and_is_reported_with_file_and_line(
    plugin, command, flat, folder, tmp_path, function, error
):
    plugin(
        "scanner",
        f"""
        import batchcolor

        def fail(*given):
            raise {error}

        @batchcolor.hookimpl
        def batchcolor_readers():
            functions = {{"sniff": lambda head: head.startswith(b"SCAN"), "decode": fail}}
            functions[{function!r}] = fail
            return [batchcolor.Reader("scan", (".scan",), **functions)]
        """,
        version="4.2",
    )
    for name in ("old.scan", "older.scan"):
        (folder / name).write_bytes(b"SCAN and a picture that no other reader knows")
    result = command("run", folder, "-o", tmp_path / "out", "-m", flat, "--json", "-v")
    document = json.loads(result.stdout)
    assert document["done"] == 3
    assert len([line for line in result.stderr.splitlines() if line.startswith("plugin s")]) == 1
    assert "plugin scanner (scanner 4.2)" in result.stderr
    assert "scanner.py:5" in result.stderr
    if function == "decode":
        assert result.returncode == 3
        assert all("scanner 4.2" in failure["reason"] for failure in document["failures"])
