"""TGA and PCX of every depth and layout, with run lengths and without."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.picture import Picture

ReadPicture = Callable[[Path], Picture]
GREYS = b"".join(bytes((i, i, i)) for i in range(256))
LEVELS = np.random.default_rng(0).integers(0, 256, (7, 13)).astype(np.uint8)
LEVELS[2:4] = 77  # a run across two rows


def write_tga(
    path: Path,
    kind: int,
    bits: int,
    pixels: bytes,
    *,
    palette: bytes = b"",
    palette_bits: int = 24,
    first: int = 0,
    descriptor: int = 0x20,
    shape: tuple[int, int] = (7, 13),
) -> None:
    """Writes a file whose rows begin at the top left unless `descriptor` says otherwise."""
    count = len(palette) // ((palette_bits + 7) // 8)
    fields = (2, bool(palette), kind, first, count, palette_bits if palette else 0, 0, 0)
    head = struct.pack("<BBBHHBHH", *fields)
    head += struct.pack("<HHBB", shape[1], shape[0], bits, descriptor)
    path.write_bytes(head + b"id" + palette + pixels)


def encode_packets(pixels: bytes, size: int) -> bytes:
    """Run lengths of pixels of `size` bytes, which cross rows."""
    units = [pixels[i : i + size] for i in range(0, len(pixels), size)]
    packets, start = b"", 0
    while start < len(units):
        end = start + 1
        while end < len(units) and end - start < 128 and units[end] == units[start]:
            end += 1
        packets += bytes((0x80 | (end - start - 1),)) + units[start]
        start = end
    return packets


def pack_16_bits(levels: NDArray[np.uint8]) -> bytes:
    five = levels.astype("<u2") >> np.uint16(3)
    return (five << np.uint16(10) | five << np.uint16(5) | five).astype("<u2").tobytes()


RGB = LEVELS.repeat(3).tobytes()
RGBA = np.dstack([LEVELS] * 3 + [LEVELS // 2]).tobytes()
FIVE_BITS = (LEVELS >> 3).astype(int) * 255 // 31


@pytest.mark.parametrize("has_runs", [False, True], ids=["plain", "runs"])
@pytest.mark.parametrize(
    ("kind", "bits", "pixels", "palette", "palette_bits"),
    [
        (3, 8, LEVELS.tobytes(), b"", 0),
        (3, 16, np.dstack([LEVELS, LEVELS // 2]).tobytes(), b"", 0),
        (2, 24, RGB, b"", 0),
        (2, 32, RGBA, b"", 0),
        (2, 16, pack_16_bits(LEVELS), b"", 0),
        (2, 15, pack_16_bits(LEVELS), b"", 0),
        (2, 24, RGB, GREYS, 24),  # a palette that the pixels do not use
        (1, 8, LEVELS.tobytes(), GREYS, 24),
        (1, 8, LEVELS.tobytes(), pack_16_bits(np.arange(256, dtype=np.uint8)), 16),
        (1, 16, LEVELS.astype("<u2").tobytes(), GREYS, 24),
    ],
)
def test_every_kind_of_tga_is_read(
    tmp_path: Path,
    read_picture: ReadPicture,
    kind: int,
    bits: int,
    pixels: bytes,
    palette: bytes,
    palette_bits: int,
    has_runs: bool,
) -> None:
    size = (bits + 7) // 8
    path = tmp_path / "in.tga"
    stored = encode_packets(pixels, size) if has_runs else pixels
    write_tga(
        path, kind | 8 * has_runs, bits, stored, palette=palette, palette_bits=palette_bits or 24
    )
    picture = read_picture(path)
    has_5_bits = (kind == 2 and bits < 24) or palette_bits == 16
    assert np.abs(picture.luma.astype(int) - (FIVE_BITS if has_5_bits else LEVELS)).max() <= 1
    has_alpha = (kind, bits) in ((3, 16), (2, 32))
    assert (picture.alpha is not None) == has_alpha
    assert not has_alpha or np.array_equal(picture.alpha, LEVELS // 2)
    assert picture.notes == []


@pytest.mark.parametrize(
    ("descriptor", "turned"),
    [
        (0x20, LEVELS),
        (0, LEVELS[::-1]),
        (0x30, LEVELS[:, ::-1]),
        (0x10, LEVELS[::-1, ::-1]),
    ],
)
def test_tga_is_upright(
    tmp_path: Path, read_picture: ReadPicture, descriptor: int, turned: NDArray[np.uint8]
) -> None:
    path = tmp_path / "in.tga"
    write_tga(path, 3, 8, LEVELS.tobytes(), descriptor=descriptor)
    assert np.array_equal(read_picture(path).luma, turned)


def test_palette_of_a_tga_may_begin_at_any_colour(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.tga"
    write_tga(path, 1, 8, LEVELS.tobytes(), palette=GREYS[300:], first=100)
    picture = read_picture(path)
    assert np.array_equal(picture.luma, np.where(LEVELS < 100, 0, LEVELS))


def test_alpha_of_a_tga_that_is_zero_everywhere_is_ignored(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.tga"
    write_tga(path, 2, 32, np.dstack([LEVELS] * 3 + [LEVELS * 0]).tobytes())
    assert read_picture(path).alpha is None


def test_damage_of_a_tga_is_noted_or_fails(tmp_path: Path, read_picture: ReadPicture) -> None:
    path = tmp_path / "in.tga"
    packets = encode_packets(LEVELS.tobytes(), 1)
    write_tga(path, 11, 8, packets[:-2] + bytes((0x80 | 100, int(LEVELS[-1, -1]))))
    picture = read_picture(path)
    assert np.array_equal(picture.luma, LEVELS)
    assert picture.notes == ["damaged: runs of pixels beyond the picture are ignored"]
    write_tga(path, 1, 8, LEVELS.tobytes(), palette=GREYS[:300])
    assert read_picture(path).notes == ["damaged: colours that its palette does not have are black"]
    for stored in (packets[:-2], b""):
        write_tga(path, 11, 8, stored)
        with pytest.raises(ProcessingError, match="truncated: samples are missing"):
            read_picture(path)
    write_tga(path, 32, 8, packets)
    with pytest.raises(ProcessingError, match="TGA with Huffman coding"):
        read_picture(path)


def write_pcx(
    path: Path,
    planes: NDArray[np.uint8],
    width: int,
    bits: int,
    *,
    has_runs: bool = True,
    palette: bytes = b"",
    version: int = 5,
) -> None:
    """Writes planes of packed rows `(H, planes, bytes)`."""
    height, count, row_size = planes.shape
    head = struct.pack("<BBBB6H", 10, version, has_runs, bits, 0, 0, width - 1, height - 1, 72, 72)
    head += palette[:48].ljust(48, b"\0") + struct.pack("<BBHH", 0, count, row_size, 1)
    stored = planes.tobytes()
    if has_runs:
        stored = b"".join(
            bytes((0xC1, byte)) if byte >= 0xC0 else bytes((byte,)) for byte in stored
        )
    end = b"\x0c" + palette if len(palette) == 768 else b""
    path.write_bytes(head.ljust(128, b"\0") + stored + end)


def pack(indices: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Packs rows of samples; the rows have an even number of bytes."""
    padded = np.pad(indices, ((0, 0), (0, -indices.shape[1] % (16 // bits))))
    shifts = np.arange(8 - bits, -1, -bits)
    groups = padded.reshape(len(indices), -1, 8 // bits).astype(int)
    return (groups << shifts).sum(-1).astype(np.uint8)


@pytest.mark.parametrize("has_runs", [False, True], ids=["plain", "runs"])
@pytest.mark.parametrize(
    ("bits", "planes"), [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (4, 1), (8, 1), (8, 3), (8, 4)]
)
def test_every_kind_of_pcx_is_read(
    tmp_path: Path, read_picture: ReadPicture, bits: int, planes: int, has_runs: bool
) -> None:
    path = tmp_path / "in.pcx"
    depth = bits * planes if bits < 8 else 8
    indices = LEVELS >> np.uint8(8 - depth)
    if bits == 8:
        channels = [indices] * min(planes, 3) + [indices // 2] * (planes == 4)
        rows = np.stack([np.pad(plane, ((0, 0), (0, 1))) for plane in channels], 1)
    else:
        parts = [(indices >> (bits * plane)) & ((1 << bits) - 1) for plane in range(planes)]
        rows = np.stack([pack(part.astype(np.uint8), bits) for part in parts], 1)
    steps = 255 // ((1 << depth) - 1)
    palette = bytes(v for level in range(1 << depth) for v in [level * steps] * 3)
    write_pcx(path, rows, LEVELS.shape[1], bits, has_runs=has_runs, palette=palette)
    picture = read_picture(path)
    assert np.array_equal(picture.luma, indices * steps)
    assert (picture.alpha is not None) == (planes == 4 and bits == 8)


def test_pcx_without_a_palette_has_the_colours_of_ega(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.pcx"
    indices = np.arange(16, dtype=np.uint8)[np.newaxis]
    rows = np.stack([pack((indices >> p) & np.uint8(1), 1) for p in range(4)], 1)
    write_pcx(path, rows, 16, 1, palette=b"\x55" * 48, version=3)
    luma = read_picture(path).luma[0]
    assert luma[[0, 7, 8, 15]].tolist() == [0, 170, 85, 255]
    assert luma[4] == round(170 * 0.299)  # red


def test_truncated_and_unread_pcx_fail_with_a_reason(
    tmp_path: Path, read_picture: ReadPicture
) -> None:
    path = tmp_path / "in.pcx"
    Image.fromarray(LEVELS).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:170])
    with pytest.raises(ProcessingError, match="truncated: samples are missing"):
        read_picture(path)
    path.write_bytes(data[:3] + b"\x18" + data[4:])
    with pytest.raises(ProcessingError, match="PCX with 1 planes of 24 bits: no decoder here"):
        read_picture(path)


def test_files_of_pillow_keep_their_luma(tmp_path: Path, read_picture: ReadPicture) -> None:
    for suffix, mode in (("tga", "RGB"), ("tga", "P"), ("tga", "LA"), ("pcx", "P"), ("pcx", "1")):
        path = tmp_path / f"in.{suffix}"
        stored = Image.fromarray(LEVELS).convert("RGB").convert(mode)
        stored.save(path, compression="tga_rle" if suffix == "tga" else None)
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            expected = np.asarray(image.convert("L"))
        assert np.array_equal(read_picture(path).luma, expected), (suffix, mode)
