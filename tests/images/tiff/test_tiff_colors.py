"""Colours of TIFF: planes, colour spaces, extra samples, chroma subsampling and orientation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.picture import Picture

ReadPicture = Callable[[Path], Picture]
ReadWithMagick = Callable[[Path], NDArray[np.float64]]
ROWS, COLUMNS = np.mgrid[0:37, 0:53]
TRUTH = (ROWS * 3 + COLUMNS * 2) % 256 / 255.0
RGB_TRUTH = np.stack([TRUTH, TRUTH[::-1], 1 - TRUTH], -1)
WEIGHTS = np.array([0.299, 0.587, 0.114])
SAMPLE_TYPES = ("uint8", "uint16", "uint32", "float16", "float32", "float64")
LAYOUTS: tuple[dict[str, Any], ...] = (
    {},
    {"rowsperstrip": 5},
    {"tile": (16, 32)},
    {"tile": (16, 16), "compression": "zlib", "predictor": True},
    {"rowsperstrip": 16, "compression": "lzw"},
)


def check_luma(picture: Picture, truth: NDArray[Any], tolerance: float = 0.6) -> None:
    """Compares luma with the truth in 0..1; the tolerance is in steps of 255."""
    full = np.iinfo(picture.luma.dtype).max
    assert picture.luma.shape == truth.shape
    error = np.abs(picture.luma / full - truth).max() * 255
    assert error <= tolerance, f"{error:.2f} steps, {picture.notes}"


def to_type(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Returns values of 0..1 as samples of a type."""
    if dtype.startswith("float"):
        return values.astype(dtype)
    return np.round(values * np.iinfo(dtype).max).astype(dtype)


def write_samples(path: Path, pixels: NDArray[Any], is_planar: bool, **options: Any) -> None:
    if is_planar:
        pixels = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    if pixels.dtype == np.float16 and "predictor" in options:
        del options["predictor"]
    layout = "separate" if is_planar else "contig"
    tifffile.imwrite(path, pixels, planarconfig=layout, metadata=None, **options)


@pytest.mark.parametrize("dtype", SAMPLE_TYPES)
@pytest.mark.parametrize("is_planar", [False, True], ids=["contiguous", "planar"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_rgb_is_read_with_every_kind_of_extra_samples(
    tmp_path: Path, read_picture: ReadPicture, dtype: str, is_planar: bool, order: str
) -> None:
    path = tmp_path / "in.tif"
    alpha = 0.25 + TRUTH / 2
    extra_kinds: tuple[tuple[str, ...], ...] = (
        *((), ("unassalpha",), ("assocalpha",), ("unspecified",)),
        *(("unspecified", "unassalpha"), ("unspecified", "unspecified")),
    )
    for number, extra in enumerate(extra_kinds):
        colors = RGB_TRUTH * alpha[..., None] if "assocalpha" in extra else RGB_TRUTH
        planes = [colors, *(alpha[..., None] for _ in extra)]
        pixels = to_type(np.concatenate(planes, -1), dtype)
        options = LAYOUTS[number % len(LAYOUTS)]
        write_samples(
            *(path, pixels, is_planar),
            photometric="rgb",
            extrasamples=extra or None,
            byteorder=order,
            **options,
        )
        picture = read_picture(path)
        assert picture.is_colored
        is_low = "assocalpha" in extra and dtype in ("uint8", "float16")
        check_luma(picture, RGB_TRUTH @ WEIGHTS, 3 if is_low else 0.6)
        has_alpha = any("alpha" in kind for kind in extra)
        assert (picture.alpha is not None) == has_alpha
        assert any("extra sample" in note for note in picture.notes) == ("unspecified" in extra)
        if picture.alpha is not None:
            full = np.iinfo(picture.alpha.dtype).max
            assert np.abs(picture.alpha / full - alpha).max() < 0.003


@pytest.mark.parametrize("dtype", SAMPLE_TYPES)
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_with_alpha_is_read(
    tmp_path: Path, read_picture: ReadPicture, dtype: str, photometric: str
) -> None:
    path = tmp_path / "in.tif"
    alpha = 0.25 + TRUTH / 2
    for is_planar in (False, True):
        for extra in ("unassalpha", "unspecified"):
            stored = TRUTH if photometric == "minisblack" else 1 - TRUTH
            pixels = to_type(np.stack([stored, alpha], -1), dtype)
            options = {"photometric": photometric, "extrasamples": [extra]}
            write_samples(path, pixels, is_planar, **options)
            picture = read_picture(path)
            check_luma(picture, TRUTH)
            assert (picture.alpha is not None) == (extra == "unassalpha")


def test_extra_samples_without_a_tag_are_ignored(
    tmp_path: Path, read_picture: ReadPicture, write_packed: Callable[..., None]
) -> None:
    path = tmp_path / "in.tif"
    write_packed(path, to_type(np.dstack([RGB_TRUTH, TRUTH]), "uint16"), 16, photometric=2)
    picture = read_picture(path)
    check_luma(picture, RGB_TRUTH @ WEIGHTS)
    assert picture.alpha is None
    assert "1 extra sample" in picture.notes[0]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("is_planar", [False, True], ids=["contiguous", "planar"])
def test_cmyk_is_read(
    tmp_path: Path,
    read_picture: ReadPicture,
    read_with_magick: ReadWithMagick,
    bits: int,
    is_planar: bool,
) -> None:
    path = tmp_path / "in.tif"
    ink = np.dstack([TRUTH, 1 - TRUTH, TRUTH * 0.3, TRUTH[::-1] * 0.6])
    write_samples(path, to_type(ink, f"uint{bits}"), is_planar, photometric="separated")
    picture = read_picture(path)
    check_luma(picture, ((1 - ink[..., :3]) * (1 - ink[..., 3:])) @ WEIGHTS, 1.1)
    assert picture.depth == bits
    if not is_planar:
        check_luma(picture, read_with_magick(path), 1.5)


def test_other_inks_than_cmyk_are_refused_by_name(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.tif"
    tags = [(332, "H", 1, 2, True), (334, "H", 1, 5, True)]
    pixels = np.zeros((9, 9, 5), np.uint8)
    tifffile.imwrite(path, pixels, photometric="separated", planarconfig="contig", extratags=tags)
    with pytest.raises(ProcessingError, match="5 inks"):
        read_picture(path)


@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
@pytest.mark.parametrize("bits", [8, 16])
def test_lab_is_read(
    tmp_path: Path, read_picture: ReadPicture, photometric: str, bits: int
) -> None:
    path = tmp_path / "in.tif"
    lightness = np.round(TRUTH * 100)
    a, b = np.full_like(TRUTH, 20.0), np.full_like(TRUTH, -30.0)
    step = 1 if bits == 8 else 256
    top = 255 if bits == 8 else 65535 if photometric == "cielab" else 65280
    offset = 0 if photometric == "cielab" else 128
    pixels = np.dstack(
        [np.round(lightness * top / 100), (a + offset) * step, (b + offset) * step]
    ).astype(np.int64)
    stored = (pixels % 2**bits).astype(f"uint{bits}")
    tifffile.imwrite(path, stored, photometric=photometric, metadata=None)
    check_luma(read_picture(path), _lab_to_rgb(lightness, a, b) @ WEIGHTS, 1.5)
    neutral = stored.copy()
    neutral[..., 1:] = offset * step
    tifffile.imwrite(path, neutral, photometric=photometric, metadata=None)
    check_luma(read_picture(path), _lab_to_rgb(lightness, 0 * a, 0 * b) @ WEIGHTS, 1.0)


def _lab_to_rgb(lightness: NDArray[Any], a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Returns sRGB in 0..1 of CIELab relative to D50 (CIE 15:2004, Bradford, IEC 61966-2-1)."""
    fy = (lightness + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = np.clip(xyz @ np.array(matrix).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_palettes_are_applied(
    tmp_path: Path, read_picture: ReadPicture, write_packed: Callable[..., None], bits: int
) -> None:
    path = tmp_path / "in.tif"
    count = 2**bits
    index = ((ROWS * 5 + COLUMNS) % count).astype(np.uint8 if bits <= 8 else np.uint16)
    palette = np.random.default_rng(1).integers(0, 256, (3, count))
    truth = (palette.T[index] / 255) @ WEIGHTS
    for values in (palette * 257, palette):  # some programs write 8-bit values
        tags = {320: (3, values.ravel().tolist())}
        write_packed(path, index, bits, photometric=3, tags=tags)
        check_luma(read_picture(path), truth)
    write_packed(path, index, bits, photometric=3)
    with pytest.raises(ProcessingError, match="palette without colours"):
        read_picture(path)


@pytest.mark.parametrize("factors", [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (1, 2)])
@pytest.mark.parametrize("compression", [1, 5, 8])
def test_subsampled_ycbcr_is_read(
    tmp_path: Path,
    read_picture: ReadPicture,
    build_tiff: Callable[..., None],
    factors: tuple[int, int],
    compression: int,
) -> None:
    path = tmp_path / "in.tif"
    across, down = factors
    luma = np.round(40 + TRUTH * 170).astype(np.uint8)
    height, width = luma.shape
    segments, rows = [], 8
    for top in range(0, height, rows):
        part = luma[top : top + rows]
        gaps = [(0, -len(part) % down), (0, -width % across)]
        part = np.pad(part, gaps, mode="edge")
        units = part.reshape(len(part) // down, down, part.shape[1] // across, across)
        units = units.swapaxes(1, 2).reshape(*units.shape[::2], across * down)
        chroma = np.broadcast_to(np.array([120, 140], np.uint8), (*units.shape[:2], 2))
        data = np.concatenate([units, chroma], -1).tobytes()
        encode = {1: bytes, 5: imagecodecs.lzw_encode, 8: imagecodecs.zlib_encode}[compression]
        segments.append(bytes(encode(data)))
    tags = {
        **{256: (3, [width]), 257: (3, [height]), 258: (3, [8, 8, 8]), 259: (3, [compression])},
        **{262: (3, [6]), 277: (3, [3]), 278: (3, [rows]), 530: (3, [across, down])},
        532: (5, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]),
    }
    build_tiff(path, segments, tags, "<")
    picture = read_picture(path)
    check_luma(picture, luma / 255, 1.0)
    rgb = imagecodecs.tiff_decode(path.read_bytes(), asrgb=True)[..., :3]  # libtiff
    check_luma(picture, rgb @ WEIGHTS / 255, 1.5)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"rowsperstrip": 16}])
@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "ycbcr"])
def test_jpeg_in_tiff_equals_the_reading_of_libtiff(
    tmp_path: Path, read_picture: ReadPicture, photometric: str, options: dict[str, Any]
) -> None:
    path = tmp_path / "in.tif"
    rgb = to_type(np.stack([TRUTH, TRUTH * 0.9, TRUTH * 0.7], -1), "uint8")
    pixels = rgb[..., 0] if photometric == "minisblack" else rgb
    tifffile.imwrite(path, pixels, photometric=photometric, compression="jpeg", **options)
    picture = read_picture(path)
    if photometric == "rgb":  # tifffile writes YCbCr
        check_luma(picture, rgb @ WEIGHTS / 255, 12)
        return
    assert np.array_equal(picture.luma, np.asarray(Image.open(path).convert("L")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["grey16", "rgb16", "rgba16", "planar8", "cmyk16", "float"])
def test_orientation_is_applied_once_and_recorded(
    tmp_path: Path, read_picture: ReadPicture, orientation: int, mode: str
) -> None:
    path = tmp_path / "in.tif"
    upright = TRUTH.copy()
    upright[:9, :9] = 0
    stored = {
        **{1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1]},
        **{5: upright.T, 6: upright.T[::-1], 7: upright.T[::-1, ::-1], 8: upright.T[:, ::-1]},
    }[orientation]
    tags = [(274, "H", 1, orientation, True)]
    rgb = np.stack([stored] * 3, -1)
    if mode == "grey16":
        tifffile.imwrite(path, to_type(stored, "uint16"), extratags=tags)
    elif mode == "float":
        tifffile.imwrite(path, to_type(stored, "float32"), extratags=tags)
    elif mode == "cmyk16":
        ink = to_type(np.dstack([0 * rgb, 1 - stored]), "uint16")
        tifffile.imwrite(path, ink, photometric="separated", extratags=tags)
    elif mode == "planar8":
        write_samples(path, to_type(rgb, "uint8"), True, photometric="rgb", extratags=tags)
    else:
        pixels = to_type(np.dstack([rgb, stored]) if mode == "rgba16" else rgb, "uint16")
        tifffile.imwrite(path, pixels, photometric="rgb", extratags=tags)
    picture = read_picture(path)
    check_luma(picture, upright)
    if mode == "rgba16":
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, to_type(upright, "uint16"))


def test_an_opaque_alpha_is_no_transparency(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.tif"
    pixels = to_type(np.dstack([RGB_TRUTH, np.ones_like(TRUTH)]), "uint16")
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["assocalpha"])
    assert read_picture(path).alpha is None


def test_rgb_565_is_read(
    tmp_path: Path, read_picture: ReadPicture, build_tiff: Callable[..., None]
) -> None:
    path = tmp_path / "in.tif"
    levels = np.round(RGB_TRUTH * [31, 63, 31]).astype(np.uint16)
    packed = (levels[..., 0] << 11) | (levels[..., 1] << 5) | levels[..., 2]
    tags = {
        **{256: (3, [53]), 257: (3, [37]), 258: (3, [5, 6, 5]), 259: (3, [1]), 262: (3, [2])},
        **{277: (3, [3]), 278: (3, [37])},
    }
    build_tiff(path, [packed.astype("<u2").tobytes()], tags, "<")
    check_luma(read_picture(path), (levels / [31, 63, 31]) @ WEIGHTS, 4)


@pytest.mark.parametrize("factor", [256, 257])
def test_palette_of_8_bits_is_exact_whatever_fills_its_low_bytes(
    tmp_path: Path, read_picture: ReadPicture, factor: int
) -> None:
    levels = np.arange(256, dtype=np.uint16)
    palette = np.stack([levels * np.uint16(factor)] * 3)
    path = tmp_path / "in.tif"
    pixels = levels.astype(np.uint8).reshape(16, 16)
    tifffile.imwrite(path, pixels, photometric="palette", colormap=palette, metadata=None)
    assert np.array_equal(read_picture(path).luma, pixels)
