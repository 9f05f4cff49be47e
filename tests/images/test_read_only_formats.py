"""Still formats that are read and not written: HEIF, camera raw, DPX, DICOM, FITS and others."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tifffile
from imageio.config import known_extensions
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.images import formats
from batchcolor.images.decode import decode
from batchcolor.images.encode import encode
from batchcolor.images.formats import (
    CAMERA_RAW,
    DICOM,
    HEIF,
    JPEG,
    PNG,
    READ_ONLY_BY_SUFFIX,
    TIFF,
    UNREAD_SUFFIXES,
    describe_missing_decoder,
)
from batchcolor.images.header import estimate_memory
from batchcolor.images.join import join
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile, SkippedEntry, scan

ScanFile = Callable[[Path], ScannedFile]
ReadPicture = Callable[[Path], Picture]
NEUTRAL = np.zeros((2, 1, 1), np.float32)


def ramp(width: int = 96, height: int = 64) -> NDArray[np.uint16]:
    return np.tile(np.linspace(2000, 60000, width).astype(np.uint16), (height, 1))


def write_dng(path: Path, orientation: int = 1) -> None:
    """Writes a linear ramp as a camera raw file: a colour filter array in a DNG 1.4."""
    identity = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags: list[tuple[int, Any, int, Any, bool]] = [
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Synthetic", True),  # UniqueCameraModel
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern
        (50714, "H", 1, 0, True),  # BlackLevel
        (50717, "H", 1, 65535, True),  # WhiteLevel
        (50721, "2i", 9, identity, True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1
        (274, "H", 1, orientation, True),
        (271, "s", 0, "Leica", True),
    ]
    tifffile.imwrite(path, ramp(), photometric=32803, extratags=tags, metadata=None, software=False)


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes the packages of all extras absent, as in an installation without them."""
    for kind in READ_ONLY_BY_SUFFIX.values():
        if kind.extra:
            monkeypatch.setitem(sys.modules, kind.module, None)
    describe_missing_decoder.cache_clear()
    yield
    describe_missing_decoder.cache_clear()


def test_heic_is_read_with_orientation_and_exif_and_becomes_jpeg(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "Aunt Ida, 1931", 6
    path = tmp_path / "in.HEIC"
    stored = Image.fromarray((ramp() >> 8).astype(np.uint8))
    pillow_heif.from_pillow(stored.convert("RGB")).save(path, quality=95, exif=exif.tobytes())
    picture = read_picture(path)
    assert picture.format == HEIF
    assert picture.format.result_format == JPEG
    assert picture.luma.shape == (96, 64)
    assert np.abs(np.rot90(picture.luma).astype(int) - np.asarray(stored)).mean() < 4
    data = encode(join(picture, NEUTRAL, 1.0, JPEG), picture.metadata, None)
    tags = Image.open(io.BytesIO(data)).getexif()
    assert tags[0x010E] == "Aunt Ida, 1931"
    assert tags.get(0x0112, 1) == 1


def test_heic_with_several_pictures_and_damaged_heic_fail(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    page = Image.new("RGB", (64, 64), (90, 90, 90))
    pages, damaged = tmp_path / "pages.heic", tmp_path / "damaged.heic"
    file = pillow_heif.from_pillow(page)
    file.save(damaged)
    file.add_from_pillow(page)
    file.save(pages)
    with pytest.raises(ProcessingError, match="2 pages"):
        read_picture(pages)
    damaged.write_bytes(damaged.read_bytes()[:-60])
    with pytest.raises(ProcessingError):
        read_picture(damaged)


def test_avif_is_read_and_becomes_jpeg(tmp_path: Path, read_picture: ReadPicture) -> None:
    if describe_missing_decoder(formats.AVIF):
        pytest.skip("this Pillow is built without AVIF")
    path = tmp_path / "in.avif"
    Image.new("RGB", (40, 30), (120, 120, 120)).save(path)
    picture = read_picture(path)
    assert picture.format.result_format == JPEG
    assert abs(int(picture.luma.mean()) - 120) <= 2


@pytest.mark.parametrize("suffix", [".jp2", ".pgm", ".ppm", ".pbm", ".tga", ".pcx", ".sgi"])
def test_lossless_formats_of_pillow_keep_their_luma(
    tmp_path: Path, read_picture: ReadPicture, suffix: str
) -> None:
    path = tmp_path / f"in{suffix}"
    stored = Image.fromarray((ramp() >> 8).astype(np.uint8))
    stored = stored.convert({".pbm": "1", ".ppm": "RGB"}.get(suffix, "L"))
    stored.save(path)
    picture = read_picture(path)
    assert picture.format.result_format == PNG
    assert np.array_equal(picture.luma, np.asarray(stored.convert("L")))


def test_camera_raw_is_developed_upright_with_16_bits_and_exif(
    tmp_path: Path, scan_file: ScanFile, read_picture: ReadPicture
) -> None:
    pytest.importorskip("rawpy", reason="needs the extra raw")
    path = tmp_path / "in.DNG"
    write_dng(path, orientation=6)
    picture = read_picture(path)
    assert picture.format == CAMERA_RAW
    assert picture.format.result_format == TIFF
    assert picture.luma.dtype == np.uint16
    assert picture.luma.shape == (96, 64)
    rows = picture.luma.mean(axis=1)
    assert (np.diff(rows)[2:-2] > 0).all()
    assert len(np.unique(picture.luma)) > 90
    exif = Image.Exif()
    exif.load(picture.metadata.exif)
    assert exif[0x010F] == "Leica"
    assert 0x0112 not in exif
    with pytest.raises(ProcessingError, match="max-pixels"):
        estimate_memory(scan_file(path), 96 * 64 - 1)


@pytest.mark.parametrize("suffix", [".dng", ".nef", ".dcr"])
def test_thumbnail_of_a_raw_file_is_never_the_picture(
    tmp_path: Path, read_picture: ReadPicture, suffix: str
) -> None:
    pytest.importorskip("rawpy", reason="needs the extra raw")
    path = tmp_path / f"in{suffix}"
    Image.new("L", (80, 60), 90).save(path, "TIFF")
    with pytest.raises(ProcessingError, match="camera raw"):
        read_picture(path)


def test_raw_file_with_the_suffix_of_tiff_is_refused(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    raw, nef, dng = (tmp_path / f"{name}.tif" for name in ("raw", "nef", "dng"))
    write_dng(raw)
    tifffile.imwrite(nef, ramp(), subfiletype=1)
    tifffile.imwrite(dng, ramp(), extratags=[(50706, "B", 4, (1, 4, 0, 0), True)])
    for path, reason in ((raw, "known format"), (nef, "preview"), (dng, "preview")):
        with pytest.raises(ProcessingError, match=reason):
            read_picture(path)


def test_canon_raw_is_identified_by_content(tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    path.write_bytes(b"II*\0\x10\0\0\0CR\x02\0" + bytes(100))
    (found,) = scan(tmp_path)
    if isinstance(found, ScannedFile):
        assert found.format == CAMERA_RAW
    else:
        assert "batchcolor[raw]" in found.reason


@pytest.mark.parametrize("pixel_format", ["gray", "gray16le", "rgb24", "gbrp10le", "rgb48le"])
def test_dpx_keeps_its_luma(tmp_path: Path, read_picture: ReadPicture, pixel_format: str) -> None:
    frame = av.VideoFrame.from_ndarray(np.repeat(ramp()[..., None], 3, 2), format="rgb48le")
    context: Any = av.CodecContext.create("dpx", "w")
    context.width, context.height, context.pix_fmt = 96, 64, pixel_format
    context.time_base = Fraction(1, 24)
    frame = frame.reformat(format=pixel_format)
    frame.pts = 0
    path = tmp_path / "in.dpx"
    path.write_bytes(b"".join(bytes(packet) for packet in context.encode(frame)))
    picture = read_picture(path)
    assert picture.luma.dtype == np.uint16
    assert np.abs(picture.luma.astype(int) - ramp()).max() <= 400  # 8 bits: steps of 257


def test_dicom_is_stretched_to_16_bits_with_a_note(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    pytest.importorskip("pydicom", reason="needs the extra dicom")
    import imageio.v3 as iio

    path = tmp_path / "in.dcm"
    imopen: Any = iio.imopen
    with imopen(path, "w", plugin="pydicom") as file:
        file.write(ramp() // 16)
    picture = read_picture(path)
    assert picture.format == DICOM
    assert (picture.luma.min(), picture.luma.max()) == (0, 65535)
    assert "stretched" in picture.notes[0]


def test_fits_is_read_from_its_lowest_row(tmp_path: Path, read_picture: ReadPicture) -> None:
    fits = pytest.importorskip("astropy.io.fits", reason="needs the extra fits")
    path = tmp_path / "in.fits"
    fits.writeto(path, ramp(64, 96).T)
    luma = read_picture(path).luma
    assert luma[0, 0] == 65535
    assert luma[-1, 0] == 0
    pages = tmp_path / "pages.fits"
    fits.writeto(pages, np.zeros((3, 20, 30), np.float32))
    with pytest.raises(ProcessingError, match="3 pages"):
        read_picture(pages)


@pytest.mark.parametrize(
    ("name", "content", "extra"),
    [
        ("holiday.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heif"),
        ("img.NEF", b"MM\0*\0\0\0\x08" + bytes(40), "raw"),
        ("img.cr3", b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "raw"),
        ("scan.dcm", bytes(128) + b"DICM", "dicom"),
        ("sky.fits", b"SIMPLE  =                    T", "fits"),
        ("empty.heic", b"", "heif"),
    ],
)
@pytest.mark.usefixtures("without_extras")
def test_absent_extra_is_named_in_the_reason(
    tmp_path: Path, name: str, content: bytes, extra: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for source, failed in ((tmp_path, False), (path, True)):
        (found,) = scan(source)
        assert isinstance(found, SkippedEntry)
        assert f"pip install 'batchcolor[{extra}]'" in found.reason
        assert found.failed is failed


@pytest.mark.usefixtures("without_extras")
def test_run_names_the_extra_once_without_verbose(tmp_path: Path, command: Any, flat: str) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Image.new("L", (30, 20), 90).save(source / "one.jpg")
    for name in ("a.heic", "b.heic"):
        (source / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    done = command("run", source, "-m", flat, "-o", "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("pip install 'batchcolor[heif]'") == 1
    skipped = json.loads(command("run", source, "-m", flat, "-o", "out", "--json").stdout)
    assert [Path(entry["source"]).name for entry in skipped["passed_over"]] == ["a.heic", "b.heic"]


def test_reader_of_a_plugin_takes_precedence(tmp_path: Path) -> None:
    reader = Reader("my raw", (".nef",), lambda head: True, lambda path: np.zeros((2, 3), np.uint8))
    path = tmp_path / "in.nef"
    Image.new("L", (80, 60)).save(path, "TIFF")
    (found,) = scan(tmp_path, readers=[reader])
    assert isinstance(found, ScannedFile)
    assert found.format is not None
    assert found.format.name == "my raw"
    assert decode(found, 10**9, [reader]).luma.shape == (2, 3)


def test_every_camera_raw_suffix_of_imageio_is_known() -> None:
    """Except suffixes that other programs use for files that are no pictures."""
    camera_raw = {
        suffix
        for suffix, known in known_extensions.items()
        if any({"RAW-FI", "rawpy"} & set(entry.priority) for entry in known)
    }
    assert camera_raw - {*READ_ONLY_BY_SUFFIX, *UNREAD_SUFFIXES} == {
        *(".bmq", ".cap", ".cine", ".cs1", ".dc2", ".drf", ".dsc", ".ia", ".kc2", ".mdc"),
        *(".pxn", ".qtk", ".rdc", ".rwz", ".sti"),
    }


def test_jpeg_folder_imports_no_optional_decoder(tmp_path: Path) -> None:
    Image.new("L", (30, 20), 90).save(tmp_path / "one.jpg")
    code = (
        "import sys; from pathlib import Path; from batchcolor.images.scan import scan\n"
        "from batchcolor.images.decode import decode; from batchcolor.images.header import *\n"
        f"found, = scan(Path({str(tmp_path)!r}))\n"
        "estimate_memory(found, 10**9), decode(found, 10**9)\n"
        "print([name for name in ('imageio', 'rawpy', 'pillow_heif') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.usefixtures("without_extras")
def test_folder_of_skipped_pictures_is_refused_with_the_reason(
    tmp_path: Path, command: Any, flat: str
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    done = command("run", source, "-m", flat, "-o", "out")
    assert done.returncode == 2
    assert "a.heic: HEIF needs one more package: pip install 'batchcolor[heif]'" in done.stderr
