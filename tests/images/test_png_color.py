"""Colour chunks, checksums and transparency of PNG."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from batchcolor.errors import ProcessingError
from batchcolor.images.color_profiles.rgb_profiles import build_output_profile
from batchcolor.images.formats import JPEG, PNG
from batchcolor.images.png.png_chunks import SIGNATURE, build_chunk, repair_png, walk_chunks

NEUTRAL = np.zeros((2, 3, 3), np.float32)
LINEAR = ("gAMA", struct.pack(">I", 100000))
SRGB_GAMMA = ("gAMA", struct.pack(">I", 45455))
SRGB = ("sRGB", b"\0")
ADOBE_PRIMARIES = (
    "cHRM",
    struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000),
)


def encode_png(pixels, chunks=(), color_type=None):
    """A PNG of grey, grey and alpha, or RGB, uint8 or uint16, with chunks before the pixels."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    height, width = pixels.shape[:2]
    stored = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    size = len(stored) // height
    rows = b"".join(b"\0" + stored[i * size : (i + 1) * size] for i in range(height))
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels] if color_type is None else color_type
    bits = 8 * pixels.itemsize
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    listed = [("IHDR", header), *chunks, ("IDAT", zlib.compress(rows)), ("IEND", b"")]
    return SIGNATURE + b"".join(build_chunk(kind, content) for kind, content in listed)


@pytest.fixture
def write_png(tmp_path):
    def write(pixels, chunks=(), color_type=None):
        path = tmp_path / "in.png"
        path.write_bytes(encode_png(pixels, chunks, color_type))
        return path

    return write


def ramp(dtype=np.uint8):
    return np.arange(256, dtype=dtype).reshape(16, 16) * dtype(1 if dtype == np.uint8 else 257)


def to_srgb(linear):
    low = linear * 12.92
    return np.where(linear <= 0.0031308, low, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def chunk_kinds(data):
    return [chunk.kind for chunk in walk_chunks(data)]


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 0.35])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gamma_is_converted_to_srgb(write_png, read_picture, encode_result, gamma, channels, dtype):
    pixels = ramp(dtype) if channels == 1 else ramp(dtype)[..., None].repeat(3, 2)
    path = write_png(pixels, [("gAMA", struct.pack(">I", round(gamma * 100000)))])
    picture = read_picture(path)
    expected = 255 * to_srgb((np.arange(256) / 255) ** (1 / gamma)).reshape(16, 16)
    assert picture.luma.dtype == dtype
    luma = picture.luma / (1 if dtype == np.uint8 else 257)
    assert np.abs(luma - expected).max() < 1
    assert picture.notes == [f"converted from its gamma {round(gamma, 5):g} (PNG) to sRGB"]
    assert "gAMA" not in chunk_kinds(encode_result(path, PNG, NEUTRAL))


def test_chunk_that_states_srgb_takes_precedence_over_gamma(write_png, read_picture):
    picture = read_picture(write_png(ramp(), [SRGB, LINEAR]))
    assert np.array_equal(picture.luma, ramp())
    assert not picture.notes
    assert not picture.metadata.icc


def test_profile_takes_precedence_over_the_srgb_and_gamma_chunks(write_png, read_picture):
    icc = build_output_profile("display-p3")
    iccp = ("iCCP", b"P3\0\0" + zlib.compress(icc))
    picture = read_picture(write_png(ramp()[..., None].repeat(3, 2), [iccp, SRGB, LINEAR]))
    assert np.array_equal(picture.luma, ramp())
    assert picture.metadata.icc == icc


def test_code_points_take_precedence_and_are_written_back(write_png, read_picture, encode_result):
    icc = ("iCCP", b"x\0\0" + zlib.compress(build_output_profile("adobe-rgb")))
    code_points = ("cICP", bytes([12, 13, 0, 1]))
    path = write_png(ramp()[..., None].repeat(3, 2), [code_points, icc, LINEAR])
    picture = read_picture(path)
    assert np.array_equal(picture.luma, ramp())
    assert not picture.notes
    encoded = encode_result(path, PNG, NEUTRAL)
    kinds = chunk_kinds(encoded)
    assert "cICP" in kinds
    assert "gAMA" not in kinds
    assert b"cICP" + bytes([12, 13, 0, 1]) in encoded
    # readers that do not know cICP find a profile of the same space
    red, p3 = (
        ImageCms.ImageCmsProfile(io.BytesIO(p))
        for p in (picture.metadata.icc, build_output_profile("display-p3"))
    )
    assert red.profile.red_primary == p3.profile.red_primary
    assert b"cICP" not in encode_result(path, JPEG, NEUTRAL)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_keeps_its_samples_and_code_points(write_png, read_picture, encode_result, transfer):
    path = write_png(
        ramp(np.uint16)[..., None].repeat(3, 2), [("cICP", bytes([9, transfer, 0, 1]))]
    )
    picture = read_picture(path)
    assert np.abs(picture.luma.astype(int) - ramp(np.uint16)).max() <= 1
    assert ImageCms.ImageCmsProfile(io.BytesIO(picture.metadata.icc)).profile.red_primary
    assert b"cICP" + bytes([9, transfer, 0, 1]) in encode_result(path, PNG, NEUTRAL)


def test_unknown_code_points_are_ignored_with_a_note(write_png, read_picture):
    picture = read_picture(write_png(ramp(), [("cICP", bytes([2, 2, 0, 1])), LINEAR]))
    assert picture.notes[0] == "cICP 2/2/0 ignored: not known for PNG"
    assert picture.luma[0, 1] == round(255 * float(to_srgb(np.array(1 / 255))))


def test_primaries_are_converted_to_srgb(write_png, read_picture):
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 190, (8, 8, 3), dtype=np.uint8)
    gamma = ("gAMA", struct.pack(">I", round(100000 / 2.19921875)))
    picture = read_picture(write_png(pixels, [gamma, ADOBE_PRIMARIES]))
    adobe = ImageCms.ImageCmsProfile(io.BytesIO(build_output_profile("adobe-rgb")))
    srgb = ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(Image.fromarray(pixels), adobe, srgb)
    assert np.abs(picture.luma.astype(int) - np.asarray(shown.convert("L"))).max() <= 1


def test_values_of_srgb_in_gamma_and_primaries_change_nothing(write_png, read_picture):
    primaries = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    pixels = ramp()[..., None].repeat(3, 2)
    picture = read_picture(write_png(pixels, [SRGB_GAMMA, ("cHRM", primaries)]))
    assert np.array_equal(picture.luma, ramp())
    assert not picture.metadata.icc
    assert not picture.notes


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_level_of_16_bit_png_becomes_alpha(write_png, read_picture, channels):
    pixels = ramp(np.uint16) if channels == 1 else ramp(np.uint16)[..., None].repeat(3, 2)
    picture = read_picture(write_png(pixels, [("tRNS", struct.pack(">H", 5 * 257) * channels)]))
    assert picture.luma.dtype == picture.alpha.dtype == np.uint16
    assert picture.alpha[0, 5] == 0
    assert (picture.alpha == 0).sum() == 1
    assert np.array_equal(picture.luma, ramp(np.uint16))


def break_chunk(data, kind, offset=-1):
    """The PNG with one byte of a chunk changed; -1 is the last byte of its checksum."""
    chunk = next(chunk for chunk in walk_chunks(data) if chunk.kind == kind)
    position = chunk.end - 1 if offset < 0 else chunk.start + 8 + offset
    return data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :]


def test_damaged_text_costs_itself(tmp_path, read_picture):
    path = tmp_path / "in.png"
    data = encode_png(ramp(), [("tEXt", b"Author\0Ida"), ("tEXt", b"Title\0Garden")])
    path.write_bytes(break_chunk(data, "tEXt"))
    picture = read_picture(path)
    assert picture.notes == ["damaged tEXt chunk dropped"]
    assert np.array_equal(picture.luma, ramp())
    assert [block.content for block in picture.metadata.blocks] == [b"Title\0Garden"]


def test_wrong_checksum_of_intact_pixels_is_noted(tmp_path, read_picture):
    path = tmp_path / "in.png"
    path.write_bytes(break_chunk(encode_png(ramp()), "IDAT"))
    picture = read_picture(path)
    assert picture.notes == ["the checksum of its pixels is wrong, but they are intact"]
    assert np.array_equal(picture.luma, ramp())


def test_pixels_that_are_a_decompression_bomb_are_checked_in_little_memory():
    header = build_chunk("IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    content = build_chunk("IDAT", zlib.compress(bytes(64 * 2**20)))
    data = break_chunk(SIGNATURE + header + content + build_chunk("IEND", b""), "IDAT")
    tracemalloc.start()
    try:
        repair_png(data, notes := [])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert notes == ["the checksum of its pixels is wrong, but they are intact"]
    assert peak < 8 * 2**20


def test_missing_end_after_complete_pixels_is_noted(tmp_path, read_picture):
    path = tmp_path / "in.png"
    path.write_bytes(encode_png(ramp())[:-12])
    assert read_picture(path).notes == ["its end is missing, but its pixels are complete"]


@pytest.mark.parametrize("kind", ["IHDR", "IDAT"])
def test_damage_of_pixels_fails(tmp_path, read_picture, kind):
    path = tmp_path / "in.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path.write_bytes(break_chunk(encode_png(noise), kind, 12 if kind == "IHDR" else 2000))
    with pytest.raises(ProcessingError, match=r"damaged: (its pixels|the checksum of IHDR)"):
        read_picture(path)


def test_truncated_pixels_fail(tmp_path, read_picture):
    path = tmp_path / "in.png"
    path.write_bytes(encode_png(ramp())[:-30])
    with pytest.raises(ProcessingError, match="truncated: its pixels are not complete"):
        read_picture(path)


BOMB = zlib.compress(bytes(65 * 2**20), 9)


@pytest.mark.parametrize(
    ("chunk", "note"),
    [
        (("zTXt", b"Comment\0\0" + BOMB), "zTXt chunk dropped: it is more than 64 MB uncompressed"),
        (
            ("iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + BOMB),
            "iTXt chunk dropped: it is more than 64 MB uncompressed",
        ),
        (("iCCP", b"x\0\0" + BOMB), "ICC profile dropped: it is more than 64 MB uncompressed"),
    ],
    ids=["zTXt", "iTXt", "iCCP"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_text_or_profile_that_is_a_decompression_bomb_costs_only_itself(
    write_png, read_picture, chunk, note, dtype
):
    pixels = np.dstack([ramp(dtype)] * 3)
    kept = ("tEXt", b"Author\0Anna")
    picture = read_picture(write_png(pixels, [kept, chunk]))
    assert np.array_equal(picture.luma, ramp(dtype))
    assert picture.notes == [note]
    assert [block.content for block in picture.metadata.blocks] == [kept[1]]


def test_many_long_texts_do_not_fail_a_picture(write_png, read_picture):
    text = ("zTXt", b"Comment\0\0" + zlib.compress(bytes(8 * 2**20), 9))
    picture = read_picture(write_png(ramp(), [text] * 10))  # Pillow's limit is 64 MB for all
    assert np.array_equal(picture.luma, ramp())
    assert len(picture.metadata.blocks) == 10


def test_indexed_png_without_a_palette_fails_with_a_reason(write_png, read_picture):
    with pytest.raises(ProcessingError, match="damaged: its palette is missing"):
        read_picture(write_png(ramp(), color_type=3))


def test_long_text_and_damaged_density_do_not_prevent_a_result(tmp_path, write_png, command, flat):
    text = ("zTXt", b"Comment\0\0" + zlib.compress(bytes(range(32, 127)) * 40000, 9))
    path = write_png(ramp(), [text, ("pHYs", b"\0\0\1"), ("tIME", b"\7")])
    done = command("run", path, "-m", flat, "-o", tmp_path / "out", "-v")
    assert done.returncode == 0, done.stderr
    assert "damaged pHYs chunk dropped" in done.stderr
    result = (tmp_path / "out" / "in.png").read_bytes()
    assert {"zTXt"} <= set(chunk_kinds(result))
    assert not {"pHYs", "tIME"} & set(chunk_kinds(result))


def test_damaged_colour_chunks_beside_srgb_are_dropped(write_png, read_picture):
    picture = read_picture(write_png(ramp(), [SRGB, ("cHRM", b""), ("gAMA", b"\0")]))
    assert [block.kind for block in picture.metadata.blocks] == ["sRGB"]
    assert picture.notes == ["damaged cHRM chunk dropped", "damaged gAMA chunk dropped"]
