"""Steps of the pipeline for single files: scan, decode, join and encode."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.decode import decode
from batchcolor.images.encode import encode
from batchcolor.images.formats import Format
from batchcolor.images.header import estimate_memory
from batchcolor.images.join import join
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile, scan

MAX_PIXELS = 10**9
GREENISH_CHROMA = np.full((2, 3, 3), 0.1, np.float32)


def _scan_file(path: Path) -> ScannedFile:
    (found,) = scan(path)
    assert isinstance(found, ScannedFile), found
    return found


def _read_picture(path: Path) -> Picture:
    found = _scan_file(path)
    assert estimate_memory(found, MAX_PIXELS) > 0
    return decode(found, MAX_PIXELS)


def _encode_result(
    path: Path, target: Format, chroma: NDArray[np.float32] = GREENISH_CHROMA
) -> bytes:
    picture = _read_picture(path)
    image = join(picture, chroma, 1.0, target)
    return encode(image, image.metadata, None)


@pytest.fixture
def scan_file() -> Callable[[Path], ScannedFile]:
    """Returns a function that scans one file, which must be a picture or film."""
    return _scan_file


@pytest.fixture
def read_picture() -> Callable[[Path], Picture]:
    """Returns a function that reads the header, and then the pixels, of one file."""
    return _read_picture


@pytest.fixture
def encode_result() -> Callable[..., bytes]:
    """Returns a function that colours a file with chroma, greenish unless given, and encodes it."""
    return _encode_result


@pytest.fixture
def colour_file() -> Callable[[Path, Format], Image.Image]:
    """Returns a function that colours a file with greenish chroma and opens the result."""
    return lambda path, target: Image.open(io.BytesIO(_encode_result(path, target)))


@pytest.fixture
def random_chroma() -> NDArray[np.float32]:
    """Chroma `(2, 16, 16)` over its whole range, far outside RGB for most luma."""
    return np.random.default_rng(0).uniform(-0.5, 0.5, (2, 16, 16)).astype(np.float32)


def _read_with_ffmpeg(data: bytes) -> NDArray[np.uint8]:
    import av

    with av.open(io.BytesIO(data), format="jpeg_pipe") as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "yuvj420p"
        luma = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
        expected = simplejpeg.decode_jpeg(data, "GRAY")[..., 0].astype(int)
        assert np.abs(luma[: frame.height, : frame.width] - expected).max() < 2
        return frame.to_ndarray(format="rgb24")


def _read_with_opencv(data: bytes) -> NDArray[np.uint8]:
    cv2 = pytest.importorskip("cv2")
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def _read_with_imagemagick(data: bytes) -> NDArray[np.uint8]:
    if shutil.which("convert") is None:
        pytest.skip("ImageMagick is not installed")
    command = ["convert", "jpeg:-", "-depth", "8", "ppm:-"]
    run = subprocess.run(command, input=data, capture_output=True, check=True)
    assert not run.stderr
    return np.asarray(Image.open(io.BytesIO(run.stdout)))


JPEG_READERS = {
    "Pillow": lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")),
    "simplejpeg": lambda data: simplejpeg.decode_jpeg(data, "RGB", strict=True),
    "imagecodecs": imagecodecs.jpeg8_decode,
    "FFmpeg": _read_with_ffmpeg,
    "OpenCV": _read_with_opencv,
    "ImageMagick": _read_with_imagemagick,
}


@pytest.fixture
def read_with() -> Callable[[str, bytes], NDArray[np.uint8]]:
    """Returns a function that reads a JPEG as RGB with a reader of `JPEG_READERS`."""
    return lambda reader, data: JPEG_READERS[reader](data)
