"""DICOM and FITS: what samples mean, which files hold a picture, damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.images.decode import decode
from batchcolor.images.formats import DICOM
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile

ReadPicture = Callable[[Path], Picture]
ScanFile = Callable[[Path], ScannedFile]


def ramp(width: int = 96, height: int = 64, top: int = 4000) -> NDArray[np.uint16]:
    """Returns grey samples that increase from left to right."""
    return np.tile(np.linspace(0, top, width).astype(np.uint16), (height, 1))


def write_dicom(
    path: Path,
    samples: NDArray[Any],
    photometric: str = "MONOCHROME2",
    compress: tuple[str, Callable[[NDArray[Any]], bytes]] | None = None,
    preamble: bytes = bytes(128),
    **elements: Any,
) -> None:
    """Writes samples `(H, W)` or `(H, W, 3)`; `compress` is a transfer syntax and its encoder."""
    pydicom: Any = pytest.importorskip("pydicom", reason="needs the extra dicom")
    from pydicom.encaps import encapsulate

    data = pydicom.Dataset()
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    data.Rows, data.Columns = samples.shape[:2]
    data.SamplesPerPixel = 1 if samples.ndim == 2 else 3
    data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = data.BitsStored = 8 * samples.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    for name, value in elements.items():
        setattr(data, name, value)
    syntax = compress[0] if compress else "1.2.840.10008.1.2.1"
    stored = encapsulate([compress[1](samples)]) if compress else samples.tobytes()
    data.add_new("PixelData", "OW" if samples.itemsize == 2 or compress else "OB", stored)
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.preamble = preamble
    pydicom.dcmwrite(path, data, enforce_file_format=bool(preamble))


def as_16_bits(samples: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Returns samples stretched to the full range of 16 bits."""
    return samples.astype(np.float64) * (65535 / samples.max())


def test_dicom_is_stretched_to_16_bits_with_a_note(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.dcm"
    write_dicom(path, ramp())
    picture = read_picture(path)
    assert picture.format == DICOM
    assert np.abs(picture.luma - as_16_bits(ramp())).max() <= 1
    assert "stretched" in picture.notes[0]


@pytest.mark.parametrize("top", [255, 4000])
def test_dicom_whose_zero_is_white_is_inverted(
    tmp_path: Path, read_picture: ReadPicture, top: int
) -> None:
    path = tmp_path / "in.dcm"
    samples = ramp(top=top).astype(np.uint8 if top == 255 else np.uint16)
    write_dicom(path, samples, "MONOCHROME1")
    luma = read_picture(path).luma.astype(np.float64) / (255 if top == 255 else 65535)
    assert np.abs(luma - (1 - samples / top)).max() < 0.001


def test_bytes_of_dicom_keep_their_values(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.dcm"
    samples = (ramp(top=180) + 20).astype(np.uint8)
    write_dicom(path, samples, RescaleSlope=1, RescaleIntercept=0)
    picture = read_picture(path)
    assert np.array_equal(picture.luma, samples)
    assert picture.notes == []


def test_dicom_of_few_bits_has_the_full_range(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.dcm"
    write_dicom(path, ramp(top=15).astype(np.uint8), BitsStored=4, HighBit=3)
    assert np.array_equal(read_picture(path).luma, ramp(top=15) * 17)


@pytest.mark.parametrize("is_signed", [False, True])
def test_window_of_dicom_is_applied(
    tmp_path: Path, read_picture: ReadPicture, is_signed: bool
) -> None:
    path = tmp_path / "in.dcm"
    samples = ramp() - np.int32(2000 if is_signed else 0)
    write_dicom(
        path,
        samples.astype(np.int16 if is_signed else np.uint16),
        PixelRepresentation=int(is_signed),
        WindowCenter="800",
        WindowWidth="2001",
        RescaleSlope="2",
        RescaleIntercept="-100",
    )
    picture = read_picture(path)
    shown = np.clip((samples * 2.0 - 100 - 799.5) / 2000 + 0.5, 0, 1)
    assert np.abs(picture.luma / 65535 - shown).max() < 0.002
    assert picture.notes == []


@pytest.mark.parametrize(
    ("syntax", "encoder"),
    [
        ("1.2.840.10008.1.2.4.57", imagecodecs.ljpeg_encode),
        ("1.2.840.10008.1.2.4.70", imagecodecs.ljpeg_encode),
        ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode),
        ("1.2.840.10008.1.2.4.90", lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k")),
    ],
)
def test_losslessly_compressed_dicom_is_read(
    tmp_path: Path,
    read_picture: ReadPicture,
    syntax: str,
    encoder: Callable[[NDArray[Any]], bytes],
) -> None:
    path = tmp_path / "in.dcm"
    write_dicom(path, ramp(), compress=(syntax, encoder))
    assert np.abs(read_picture(path).luma - as_16_bits(ramp())).max() <= 1


def test_rgb_dicom_in_jpeg_2000_keeps_16_bits(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.dcm"
    grey = np.repeat(ramp()[..., None], 3, 2)

    def encode(samples: NDArray[Any]) -> bytes:
        return bytes(imagecodecs.jpeg2k_encode(samples, codecformat="j2k", mct=True))

    write_dicom(path, grey, "YBR_RCT", ("1.2.840.10008.1.2.4.90", encode))
    assert np.abs(read_picture(path).luma - as_16_bits(ramp())).max() <= 2


@pytest.mark.parametrize("name", ["in.dcm", "IM0001"])
def test_dicom_with_a_tiff_header_in_its_preamble_is_read(
    tmp_path: Path, read_picture: ReadPicture, name: str
) -> None:
    path = tmp_path / name
    preamble = (b"II*\0" if name.endswith(".dcm") else b"").ljust(128, b"\0")
    write_dicom(path, ramp(), preamble=preamble)
    assert read_picture(path).format == DICOM


def test_dicom_without_preamble_is_read(tmp_path: Path, read_picture: ReadPicture) -> None:
    with_preamble, path = tmp_path / "whole.dcm", tmp_path / "in.dcm"
    write_dicom(with_preamble, ramp())
    path.write_bytes(with_preamble.read_bytes()[132:])
    assert np.array_equal(read_picture(path).luma, read_picture(with_preamble).luma)


def test_dicom_without_a_picture_is_reported(tmp_path: Path, read_picture: ReadPicture) -> None:
    pydicom: Any = pytest.importorskip("pydicom", reason="needs the extra dicom")
    path = tmp_path / "report.dcm"
    write_dicom(path, ramp())
    data = pydicom.dcmread(path)
    del data.PixelData
    data.save_as(path)
    with pytest.raises(ProcessingError, match="holds no picture"):
        read_picture(path)
    del data.Rows
    data.save_as(path)
    with pytest.raises(ProcessingError, match="holds no picture"):
        read_picture(path)


@pytest.fixture
def fits() -> Any:
    """Returns astropy's module."""
    return pytest.importorskip("astropy.io.fits", reason="needs the extra fits")


def test_fits_is_read_from_its_lowest_row(
    tmp_path: Path, read_picture: ReadPicture, fits: Any
) -> None:
    path = tmp_path / "in.fits"
    fits.writeto(path, ramp(64, 96).T)
    luma = read_picture(path).luma
    assert luma[0, 0] == 65535
    assert luma[-1, 0] == 0


def test_three_planes_of_fits_are_colours_and_more_are_pages(
    tmp_path: Path, read_picture: ReadPicture, scan_file: ScanFile, fits: Any
) -> None:
    red, pages, one = tmp_path / "rgb.fits", tmp_path / "pages.fits", tmp_path / "one.fits"
    planes = np.zeros((3, 20, 30), np.uint8)
    planes[0] = 200
    fits.writeto(red, planes)
    picture = read_picture(red)
    assert abs(int(picture.luma[0, 0]) - 60) <= 1
    fits.writeto(pages, np.arange(5 * 600, dtype=np.uint8).reshape(5, 20, 30))
    with pytest.raises(ProcessingError, match="5 pages"):
        read_picture(pages)
    first = decode(scan_file(pages), 10**9)
    assert first.luma[-1, 0] == 0
    assert any("first of 5 pages" in note for note in first.notes)
    fits.writeto(one, planes[:1, None])
    assert read_picture(one).luma.shape == (20, 30)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_picture_in_an_extension_of_fits_is_read(
    tmp_path: Path, read_picture: ReadPicture, fits: Any, is_compressed: bool
) -> None:
    path = tmp_path / "in.fits"
    kind = fits.CompImageHDU if is_compressed else fits.ImageHDU
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(2000))])
    units = [fits.PrimaryHDU(), table, kind(ramp().astype(np.int32)), fits.ImageHDU(ramp())]
    fits.HDUList(units).writeto(path)
    picture = read_picture(path)
    assert np.abs(picture.luma - as_16_bits(ramp())).max() <= 1
    assert "the first of 2 images of the file" in picture.notes


def test_samples_of_fits_without_a_value_are_black(
    tmp_path: Path, read_picture: ReadPicture, fits: Any
) -> None:
    path = tmp_path / "in.fits"
    samples = ramp().astype(np.float32) + 500
    samples[3, 40:50] = np.nan
    fits.writeto(path, samples)
    picture = read_picture(path)
    assert not picture.luma[-4, 40:50].any()
    assert any("10 samples without a value" in note for note in picture.notes)


def test_table_of_fits_is_no_picture(tmp_path: Path, read_picture: ReadPicture, fits: Any) -> None:
    path = tmp_path / "table.fits"
    fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(5))]).writeto(path)
    with pytest.raises(ProcessingError, match="holds no picture"):
        read_picture(path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"NAXIS   =                    2", b"NAXIS   =            999999999", "NAXIS = 999999999"),
        (b"NAXIS1  =                   96", b"NAXIS1  =                  -96", "negative"),
        (b"NAXIS1  =                   96", b"NAXIS1  =                 9600", "truncated"),
        (b"NAXIS1  =                   96", b"NAXIS1  =                  abc", "NAXIS1 = abc"),
        (b"END     ", b"NEVER   ", "does not end"),
    ],
)
def test_damaged_header_of_fits_is_reported(
    tmp_path: Path, read_picture: ReadPicture, fits: Any, old: bytes, new: bytes, reason: str
) -> None:
    path = tmp_path / "in.fits"
    fits.writeto(path, ramp())
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(ProcessingError, match=reason):
        read_picture(path)


@pytest.mark.parametrize("keyword", ["GCOUNT", "PCOUNT"])
def test_negative_size_in_a_header_of_fits_does_not_read_it_again_for_ever(
    tmp_path: Path, read_picture: ReadPicture, fits: Any, keyword: str
) -> None:
    path = tmp_path / "in.fits"
    fits.writeto(path, ramp(60, 48, 200).astype(np.uint8))  # one block of data
    content = path.read_bytes()
    old, size = b"EXTEND  =                    T", "-1" if keyword == "GCOUNT" else "-5760"
    assert old in content
    path.write_bytes(content.replace(old, f"{keyword:8}= {size:>20}".encode(), 1))
    with pytest.raises(ProcessingError, match=f"{keyword} = {size}"):
        read_picture(path)
