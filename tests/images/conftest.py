"""Steps of the pipeline for single files: scan, decode, join and encode."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
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
