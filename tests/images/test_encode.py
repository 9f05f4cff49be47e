"""Encoded files have the size of their source and do not depend on other memory."""

import io

import numpy as np
import pytest
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.images.encode import encode
from batchcolor.images.formats import FORMATS, JPEG, PNG, WEBP
from batchcolor.images.join import join
from batchcolor.images.picture import resize_luma
from batchcolor.images.verify import verify_image


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (1, 20000), (20000, 1), (17, 5)])
@pytest.mark.parametrize("target", FORMATS, ids=lambda f: f.name)
def test_pictures_of_every_size_keep_their_size(tmp_path, read_picture, colour_file, size, target):
    if target.name == "webp" and max(size) > 16383:
        pytest.skip("WebP supports 16,383 pixels per side")
    path = tmp_path / "in.png"
    Image.new("L", size, 120).save(path)
    assert resize_luma(read_picture(path).luma, 16).shape == (16, 16)
    result = colour_file(path, target)
    assert result.size == size
    assert result.mode == "RGB"


@pytest.mark.parametrize("size", [(9, 9), (9, 8), (8, 9), (31, 17), (400, 301)])
def test_jpeg_of_odd_size_is_deterministic(
    tmp_path, read_picture, random_chroma, grey_picture, size
):
    path = tmp_path / "in.png"
    grey_picture(*size).save(path)
    results = set()
    for seed in range(30):
        picture = read_picture(path)
        freed_memory = [np.random.default_rng(seed + i).bytes(300) for i in range(50)]
        del freed_memory  # a read past the end of a plane would find these bytes
        results.add(encode(join(picture, random_chroma, 1.0, JPEG), picture.metadata, None))
    assert len(results) == 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("is_lossless", [True, False])
def test_lossless_webp_stays_lossless(tmp_path, encode_result, read_picture, mode, is_lossless):
    rng = np.random.default_rng(0)
    path = tmp_path / "in.webp"
    grey = Image.fromarray(rng.integers(0, 256, (40, 50), dtype=np.uint8)).convert(mode)
    if mode == "RGBA":
        grey.putalpha(Image.fromarray(rng.integers(0, 256, (40, 50), dtype=np.uint8)))
    grey.save(path, lossless=is_lossless, exact=True)
    source = read_picture(path)
    encoded = encode_result(path, WEBP, np.zeros((2, 3, 3), np.float32))
    assert (b"VP8L" in encoded[:64]) == is_lossless
    luma = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))[..., 1]
    difference = np.abs(luma.astype(int) - source.luma)
    assert difference.max() == 0 if is_lossless else difference.mean() < 4


DAMAGED = "cannot be opened|not recognized|ends before|has no .*header"


@pytest.mark.parametrize("kind", [JPEG, PNG], ids=lambda f: f.name)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda data: data[:3], DAMAGED),
        (lambda data: data[:12] + bytes(200), DAMAGED),
        (lambda _: b"", "not recognized"),
        (lambda _: b"something else", "not recognized"),
    ],
    ids=["truncated", "no header", "empty", "other content"],
)
def test_a_written_file_without_its_header_is_refused(tmp_path, kind, content, reason):
    path = tmp_path / "written"
    Image.new("L", (9, 5)).save(path, kind.name)
    verify_image(path, kind)
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ProcessingError, match=reason):
        verify_image(path, kind)
