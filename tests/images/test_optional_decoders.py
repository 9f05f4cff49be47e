"""Decoders of extras are named where they are absent and imported only when needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from batchcolor.hooks.types import Reader
from batchcolor.images.decode import decode
from batchcolor.images.formats import (
    FORMATS_BY_SUFFIX,
    describe_missing_decoder,
)
from batchcolor.images.scan import ScannedFile, SkippedEntry, scan


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes the packages of all extras absent, as in an installation without them."""
    for kind in FORMATS_BY_SUFFIX.values():
        if kind.extra:
            monkeypatch.setitem(sys.modules, kind.module, None)
    describe_missing_decoder.cache_clear()
    yield
    describe_missing_decoder.cache_clear()


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


def test_reader_of_a_plugin_takes_precedence(tmp_path: Path) -> None:
    reader = Reader("my raw", (".nef",), lambda head: True, lambda path: np.zeros((2, 3), np.uint8))
    path = tmp_path / "in.nef"
    Image.new("L", (80, 60)).save(path, "TIFF")
    (found,) = scan(tmp_path, readers=[reader])
    assert isinstance(found, ScannedFile)
    assert found.format is not None
    assert found.format.name == "my raw"
    assert decode(found, 10**9, [reader]).luma.shape == (2, 3)


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
