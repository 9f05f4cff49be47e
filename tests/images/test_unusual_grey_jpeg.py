"""Grey JPEG files with oddities become colour files that every reader accepts, or fail by name."""

from __future__ import annotations

import io
import json
import shutil
import subprocess

import imagecodecs
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.color_profiles.rgb_profiles import build_output_profile
from batchcolor.images.formats import JPEG
from batchcolor.images.jpeg_stream.source_record import restore_source

READERS = ("Pillow", "simplejpeg", "imagecodecs", "FFmpeg", "ImageMagick")
SIZE = (61, 43)
EOI = b"\xff\xd9"


def make_grey(**options: object) -> bytes:
    small = np.random.default_rng(1).integers(70, 180, (6, 8), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", **options)
    return file.getvalue()


GREY = make_grey()
JFIF_END = 20
FRAME = GREY.index(b"\xff\xc0")


def insert(position: int, more: bytes, data: bytes = GREY) -> bytes:
    return data[:position] + more + data[position:]


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def widen_quantization() -> bytes:
    start = GREY.index(b"\xff\xdb")
    steps = GREY[start + 5 : start + 69]
    wide = segment(0xDB, b"\x10" + b"".join(bytes((0, step)) for step in steps))
    return GREY[:start] + wide + GREY[start + 69 :]


def add_jfif_thumbnail() -> bytes:
    payload = GREY[6 : JFIF_END - 2] + bytes((4, 3)) + bytes(36)
    return GREY[:2] + segment(0xE0, payload) + GREY[JFIF_END:]


def make_mpo() -> bytes:
    image, file = Image.open(io.BytesIO(GREY)), io.BytesIO()
    image.save(file, "MPO", save_all=True, append_images=[image.copy()])
    return file.getvalue()


def make_cmyk(*, components: int = 4, profile: bytes = b"") -> bytes:
    file = io.BytesIO()
    image = Image.open(io.BytesIO(GREY)).convert("CMYK")
    image.save(file, "JPEG", icc_profile=profile)
    data = bytearray(file.getvalue())
    data[data.index(b"\xff\xc0") + 9] = components
    return bytes(data)


def make_grey_profile(gamma: float = 2.2) -> bytes:
    """A minimal profile of grey (ICC.1, 8.3.3)."""
    curve = b"curv\0\0\0\0\0\0\0\1" + round(gamma * 256).to_bytes(2, "big") + b"\0\0"
    white = b"XYZ \0\0\0\0\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d"
    offset = 128 + 4 + 24
    tags = b"\0\0\0\2" + b"kTRC" + offset.to_bytes(4, "big") + len(curve).to_bytes(4, "big")
    tags += b"wtpt" + (offset + len(curve)).to_bytes(4, "big") + len(white).to_bytes(4, "big")
    size = offset + len(curve) + len(white)
    header = size.to_bytes(4, "big") + b"lcms\4\0\0\0mntrGRAYXYZ " + bytes(12) + b"acsp"
    header += bytes(28) + b"\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d"
    return header.ljust(128, b"\0") + tags + curve + white


def show(image: Image.Image) -> np.ndarray:
    """Returns RGB in sRGB, as a program with colour management shows the picture."""
    icc, pixels = image.info.get("icc_profile", b""), np.asarray(image)
    if not icc:
        return pixels.astype(int)
    space = "gray" if image.mode == "L" else "rgb"
    srgb = build_output_profile("srgb")
    return imagecodecs.cms_transform(
        pixels, icc, srgb, colorspace=space, outcolorspace="rgb"
    ).astype(int)


ADOBE = b"Adobe\0\x64\0\0\0\0"
SPLICED = {
    "trailing bytes": GREY + b"trailing bytes",
    "several end markers": GREY + EOI * 3,
    "another JPEG behind it": GREY + GREY,
    "restart markers": make_grey(restart_marker_blocks=3),
    "restart markers, progressive": make_grey(restart_marker_rows=1, progressive=True),
    "restart interval of 0": insert(FRAME, segment(0xDD, b"\0\0")),
    "16-bit quantization": widen_quantization(),
    "Adobe transform 0": insert(JFIF_END, segment(0xEE, ADOBE + b"\0")),
    "Adobe transform 2": insert(JFIF_END, segment(0xEE, ADOBE + b"\2")),
    "thumbnail in JFIF": add_jfif_thumbnail(),
    "JFXX": insert(JFIF_END, segment(0xE0, b"JFXX\0\x13" + bytes((2, 2)) + bytes(12))),
    "fill bytes": GREY.replace(b"\xff\xdb", b"\xff\xff\xff\xff\xdb"),
    "two comments": insert(JFIF_END, segment(0xFE, b"one") + segment(0xFE, b"two")),
    "tables in one segment": make_grey(optimize=True),
    "grey profile": make_grey(icc_profile=make_grey_profile()),
    "RGB profile": make_grey(icc_profile=build_output_profile("adobe-rgb")),
}
CODED_AGAIN = {
    "bytes between segments": insert(JFIF_END, b"garbage"),
    "no end marker": GREY[:-2],
    "zeros at the end of the scan": insert(len(GREY) - 2, bytes(59)),
    "short Adobe segment": insert(JFIF_END, segment(0xEE, b"Adobe\0")),
    "MPO": make_mpo(),
    "linear grey profile": make_grey(icc_profile=make_grey_profile(1.0)),
    "damaged grey profile": make_grey(icc_profile=make_grey_profile()[:100]),
    "CMYK": make_cmyk(),
    "CMYK with a profile of grey": make_cmyk(profile=make_grey_profile()),
}
REFUSED = {
    "height in DNL": (
        insert(len(GREY) - 2, segment(0xDC, b"\0\x2b"), GREY[: FRAME + 5] + b"\0\0")
        + GREY[FRAME + 7 : -2]
        + segment(0xDC, b"\0\x2b")
        + EOI
    ),
    "CMYK that states one component": make_cmyk(components=1),
    "no frame": GREY[:FRAME] + GREY[FRAME + 13 :],
    "no scan": GREY[: GREY.index(b"\xff\xda")] + EOI,
    "other bytes at the end of the scan": insert(len(GREY) - 2, bytes(range(1, 60))),
    "half a scan": GREY[: len(GREY) * 3 // 4],
}


@pytest.mark.parametrize("name", SPLICED)
def test_oddities_outside_of_the_scan_are_kept(tmp_path, encode_result, read_with, name):
    data, path = SPLICED[name], tmp_path / "in.jpg"
    path.write_bytes(data)
    result = encode_result(path, JPEG)
    assert restore_source(result) == data
    check(result, data, read_with)
    assert np.array_equal(decode_luma(result), decode_luma(data))


def test_a_grey_profile_becomes_an_rgb_profile_that_shows_the_luma_alike(tmp_path, encode_result):
    path = tmp_path / "in.jpg"
    grey = make_grey_profile(1.8)
    path.write_bytes(make_grey(icc_profile=grey))
    image = Image.open(io.BytesIO(encode_result(path, JPEG, np.zeros((2, 3, 3), np.float32))))
    source = Image.open(path)
    assert image.info["icc_profile"][16:20] == b"RGB "
    assert source.info["icc_profile"] == grey
    assert np.abs(show(image) - show(source)).max() <= 2


@pytest.mark.parametrize("name", CODED_AGAIN)
def test_oddities_that_do_not_fit_a_colour_file_are_coded_again(
    tmp_path, encode_result, read_with, name
):
    path = tmp_path / "in.jpg"
    path.write_bytes(CODED_AGAIN[name])
    result = encode_result(path, JPEG)
    with pytest.raises(ProcessingError, match="no record of its source"):
        restore_source(result)
    check(result, None if "profile" in name or "CMYK" in name else GREY, read_with)


@pytest.mark.parametrize("name", REFUSED)
def test_files_without_a_complete_picture_fail(tmp_path, encode_result, name):
    path = tmp_path / "in.jpg"
    path.write_bytes(REFUSED[name])
    with pytest.raises(ProcessingError):
        encode_result(path, JPEG)


def decode_luma(data: bytes) -> np.ndarray:
    return simplejpeg.decode_jpeg(data, "GRAY", strict=False)[..., 0]


def check(result: bytes, grey: bytes | None, read_with) -> None:
    """Asserts that all readers show one picture, in colour, with the luma of `grey`."""
    luma = decode_luma(result).astype(int)
    if grey is not None:
        assert np.abs(luma - decode_luma(grey)).mean() < 1
    for reader in READERS:
        shown = read_with(reader, result).astype(int)
        assert shown.shape == (SIZE[1], SIZE[0], 3), reader
        assert (shown[..., 1] < shown[..., 0]).mean() > 0.9, reader  # the chroma of the fixture
        assert np.abs(shown @ [0.299, 0.587, 0.114] - luma).mean() < 1.5, reader


def test_exiftool_has_no_complaint(tmp_path, encode_result):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    for number, name in enumerate(SPLICED):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(SPLICED[name])
        (tmp_path / f"{number}-colour.jpg").write_bytes(encode_result(path, JPEG))
    command = ["exiftool", "-j", "-Warning", "-Error", "-ColorComponents", "-YCbCrSubSampling"]
    names = sorted(str(path) for path in tmp_path.glob("*-colour.jpg"))
    run = subprocess.run([*command, *names], capture_output=True, check=False)
    for found in json.loads(run.stdout):
        assert found["ColorComponents"] == 3, found
        assert "4:2:0" in str(found["YCbCrSubSampling"]), found
        assert "Error" not in found
        assert "Warning" not in found or "Skipped unknown 3 bytes" in found["Warning"]  # fill bytes


@pytest.mark.slow
def test_chromium_shows_the_colours(tmp_path, encode_result):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    page = ["<body style='margin:0;background:white'>"]
    for number, name in enumerate(SPLICED):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(SPLICED[name])
        path.write_bytes(encode_result(path, JPEG))
        page.append(f"<img src='{path.name}' style='position:absolute;left:0;top:{50 * number}px'>")
    (tmp_path / "page.html").write_text("\n".join(page))
    shot = tmp_path / "shot.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    options += ["--force-color-profile=srgb", "--window-size=200,1200", f"--screenshot={shot}"]
    options += [f"--user-data-dir={tmp_path / 'profile'}"]
    command = [chromium, *options, (tmp_path / "page.html").as_uri()]
    subprocess.run(command, capture_output=True, check=False, timeout=300)
    shown = np.asarray(Image.open(shot).convert("RGB"), int)
    for number, name in enumerate(SPLICED):
        part = shown[50 * number : 50 * number + SIZE[1], : SIZE[0]]
        expected = show(Image.open(tmp_path / f"{number}.jpg").convert("RGB"))
        assert np.abs(part - expected).mean() < 3, name
