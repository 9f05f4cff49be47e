"""Recovers what a truncated file still gives in formats that store pixels one after another.

Bytes of zero take the place of what is missing, so that the decoder of the format gets to its end.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from batchcolor.images.scan import ScannedFile

BYTES_PER_PIXEL = 8
"""The most that a truncated file can lack: four samples of 16 bits."""


@contextmanager
def pad_with_zeros(found: ScannedFile, pixels: int) -> Iterator[ScannedFile]:
    """Copies a file to the system's folder for temporary files, with zeros for `pixels` after it.

    The zeros take no space where the file system has sparse files. The copy is removed at the end.
    """
    with tempfile.TemporaryDirectory(prefix="batchcolor-") as folder:
        copy = Path(folder) / f"padded{found.path.suffix}"
        shutil.copyfile(found.path, copy)
        os.truncate(copy, found.size + pixels * BYTES_PER_PIXEL)
        yield replace(found, path=copy)
