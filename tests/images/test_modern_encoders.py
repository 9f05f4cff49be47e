"""AVIF, HEIC and JPEG XL are written with the luma, the metadata and the colours of the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter

from batchcolor.errors import ProcessingError, UsageError
from batchcolor.images import formats
from batchcolor.images.encode import encode
from batchcolor.images.formats import (
    AVIF,
    HEIF,
    JPEG_XL,
    Format,
    describe_missing_encoder,
    find_writable_format,
)
from batchcolor.images.join import join
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.picture import Picture
from batchcolor.images.verify import verify_image

ReadPicture = Callable[[Path], Picture]
GREENISH = np.full((2, 3, 3), -0.08, np.float32)


@pytest.fixture(params=[AVIF, HEIF, JPEG_XL], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Format:
    """Returns each format whose encoder is installed."""
    chosen: Format = request.param
    if missing := describe_missing_encoder(chosen):
        pytest.skip(missing)
    return chosen


def photograph(sample_type: type[np.uint8 | np.uint16] = np.uint8) -> NDArray[np.generic]:
    """Returns luma `(90, 121)` with soft structure and grain."""
    grain = np.random.default_rng(0).integers(0, 256, (90, 121), np.uint8)
    luma = np.asarray(Image.fromarray(grain).filter(ImageFilter.GaussianBlur(2))) / 255
    ramp = np.linspace(0.1, 0.9, 121)[None]
    full = np.iinfo(sample_type).max
    return (np.clip(luma - 0.5 + ramp, 0, 1) * full).astype(sample_type)


def color(luma: NDArray[np.generic], kind: Format, metadata: Metadata, **more: object) -> bytes:
    """Returns the encoded result of a picture with greenish chroma."""
    picture = Picture(Path("in"), luma, None, kind, metadata)  # type: ignore[arg-type]
    picture.alpha = more.get("alpha")  # type: ignore[assignment]
    quality = more.get("quality")
    notes: list[str] = []
    return encode(join(picture, GREENISH, 1.0, kind), metadata, quality, notes)  # type: ignore[arg-type]


def test_luma_and_transparency_survive(
    tmp_path: Path, read_picture: ReadPicture, kind: Format
) -> None:
    luma = photograph()
    alpha = np.full_like(luma, 255)
    alpha[:, :60] = 0
    path = tmp_path / f"out{kind.suffixes[0]}"
    path.write_bytes(color(luma, kind, Metadata(), alpha=alpha))
    verify_image(path, kind)
    picture = read_picture(path)
    assert picture.format == kind
    assert picture.alpha is not None
    assert np.abs(picture.alpha.astype(int) - alpha).mean() < 1
    assert np.abs(picture.luma.astype(int) - luma)[:, 64:].mean() < 1
    assert picture.luma.shape == luma.shape


def test_metadata_is_handed_over(tmp_path: Path, read_picture: ReadPicture, kind: Format) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "Aunt Ida, 1931", 1
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
    path = tmp_path / f"out{kind.suffixes[0]}"
    path.write_bytes(color(photograph(), kind, Metadata(exif=block, xmp=xmp, dpi=(300, 300))))
    metadata = read_picture(path).metadata
    assert metadata.xmp == xmp
    read = Image.Exif()
    read.load(metadata.exif)
    assert read[0x010E] == "Aunt Ida, 1931"
    assert read[0x011A] == 300


def test_profile_is_written_or_colours_are_converted(
    tmp_path: Path, read_picture: ReadPicture, kind: Format
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / f"out{kind.suffixes[0]}"
    path.write_bytes(color(photograph(), kind, Metadata(icc=profile)))
    if kind == JPEG_XL:
        luma = read_picture(path).luma.astype(int)
        assert np.abs(luma - photograph()).mean() < 2
    else:
        with Image.open(path) as image:
            assert image.info["icc_profile"] == profile


def test_jpeg_xl_keeps_16_bits_and_is_lossless_at_quality_100(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    luma = photograph(np.uint16)
    path = tmp_path / "out.jxl"
    path.write_bytes(color(luma, JPEG_XL, Metadata(xmp=b"<x/>"), quality=100))
    picture = read_picture(path)
    assert picture.luma.dtype == np.uint16
    assert np.abs(picture.luma.astype(int) - luma).max() < 40
    path.write_bytes(color(luma, JPEG_XL, Metadata()))
    assert np.abs(read_picture(path).luma.astype(int) - luma).mean() < 300
    path.write_bytes(color(photograph(), JPEG_XL, Metadata(), quality=100))
    assert np.abs(read_picture(path).luma.astype(int) - photograph()).max() <= 1


def test_truncated_result_does_not_get_its_name(tmp_path: Path, kind: Format) -> None:
    path = tmp_path / "out"
    path.write_bytes(color(photograph(), kind, Metadata())[:3])
    with pytest.raises(ProcessingError):
        verify_image(path, kind)


@pytest.mark.parametrize(("name", "kind"), [("avif", AVIF), ("heic", HEIF), ("jxl", JPEG_XL)])
def test_format_without_its_encoder_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: Format
) -> None:
    monkeypatch.setattr(formats, "describe_missing_encoder", lambda kind: "")
    assert find_writable_format(name) == kind
    monkeypatch.setattr(formats, "describe_missing_encoder", lambda kind: "needs a package")
    with pytest.raises(UsageError, match=f"--format {name}: needs a package"):
        find_writable_format(name)


def test_run_writes_the_format_that_is_asked_for(
    tmp_path: Path, command: Callable[..., object], flat: str, kind: Format
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Image.fromarray(photograph()).save(source / "one.png")
    name = kind.suffixes[0][1:]
    done = command("run", source, "-m", flat, "-o", tmp_path / "out", "--format", name)
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    assert (tmp_path / "out" / f"one.{name}").exists()
    shown = command("info", tmp_path / "out" / f"one.{name}")
    assert shown.returncode == 0, shown.stderr  # type: ignore[attr-defined]
    assert flat in shown.stdout  # type: ignore[attr-defined]
