"""ExifTool lists the same metadata of source and result, but for the table in docs/metadata.md."""

from __future__ import annotations

import fnmatch
import io
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from batchcolor.images.formats import (
    AVIF,
    HEIF,
    JPEG,
    JPEG_2000,
    JPEG_XL,
    PNG,
    PSD,
    TIFF,
    WEBP,
)

pytestmark = pytest.mark.skipif(not shutil.which("exiftool"), reason="needs ExifTool")
PAGE = Path(__file__).parents[3] / "docs" / "metadata.md"
SOURCES = (JPEG, PNG, WEBP, TIFF, AVIF, HEIF, JPEG_XL, JPEG_2000, PSD)
TARGETS = (JPEG, PNG, WEBP, TIFF, AVIF, HEIF, JPEG_XL)
WIDTH, HEIGHT = 64, 40


def build_carrier(kind) -> bytes:
    """Returns a picture without metadata, that ExifTool writes to."""
    grey = np.tile(np.linspace(20, 230, WIDTH).astype(np.uint8), (HEIGHT, 1))
    if kind == PSD:
        header = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 1, HEIGHT, WIDTH, 8, 1)
        return header + bytes(12) + b"\0\0" + grey.tobytes()
    if kind == JPEG_XL:
        imagecodecs = pytest.importorskip("imagecodecs")
        codestream = bytes(imagecodecs.jpegxl_encode(grey, usecontainer=True))
        if codestream[:2] == b"\xff\x0a":
            box = struct.pack(">I4s", len(codestream) + 8, b"jxlc") + codestream
            start = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
            return start + box
        return codestream
    file = io.BytesIO()
    if kind == HEIF:
        pytest.importorskip("pillow_heif").register_heif_opener()
    names = {AVIF: "AVIF", HEIF: "HEIF", JPEG_2000: "JPEG2000"}
    options = {}
    if kind == AVIF:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        options["icc_profile"] = profile.tobytes()
    Image.fromarray(grey).convert("RGB").save(file, names[kind], **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def allowed() -> list[tuple[list[str], set[str], set[str]]]:
    """The table: patterns of tags, sources, targets."""
    rows = []
    for line in PAGE.read_text(encoding="utf-8").split("## Allowed differences")[1].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            names = [{part.strip() for part in cell.split(",")} for cell in cells[1:3]]
            rows.append((re.findall(r"`([^`]+)`", cells[0]), *names))
    assert len(rows) > 10
    return rows


@pytest.fixture(scope="module")
def listings(tmp_path_factory, build_sources, color_file):
    """The listing of every source and every result, by their formats, and the notes of results."""
    folder = tmp_path_factory.mktemp("listings")
    found = build_sources()
    (folder / "donor.jpg").write_bytes(found[JPEG])
    for kind in SOURCES:
        path = folder / f"{kind.name}.source"
        if kind in found:
            path.write_bytes(found[kind])
            continue
        carrier = folder / f"carrier{kind.suffixes[0]}"
        carrier.write_bytes(build_carrier(kind))
        copy = ["-tagsfromfile", "donor.jpg", "-all:all", "-unsafe", "-orientation#=1"]
        command = ["exiftool", "-q", "-q", "-m", *copy, "-overwrite_original", carrier.name]
        subprocess.run(command, cwd=folder, check=True)
        carrier.rename(path)
    notes = {}
    for kind in SOURCES:
        for target in TARGETS:
            data = (folder / f"{kind.name}.source").read_bytes()
            result, notes[kind, target] = color_file(data, kind, target, folder)
            (folder / f"{kind.name}.{target.name}").write_bytes(result)
    names = [path.name for path in folder.iterdir() if path.stem in {k.name for k in SOURCES}]
    command = ["exiftool", "-a", "-G1", "-u", "-json", *names]
    listing = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return {entry["SourceFile"]: entry for entry in json.loads(listing.stdout)}, notes


@pytest.mark.parametrize("target", TARGETS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("source", SOURCES, ids=lambda kind: kind.name)
def test_listings_of_exiftool_are_equal(listings, allowed, source, target):
    entries, notes = listings
    before, after = entries[f"{source.name}.source"], entries[f"{source.name}.{target.name}"]
    assert not {"ExifTool:Warning", "ExifTool:Error"} & after.keys()
    patterns = [
        pattern
        for tags, sources, targets in allowed
        if {"all", source.name} & sources and {"all", target.name} & targets
        for pattern in tags
    ]
    different = {
        key: (before.get(key), after.get(key))
        for key in (before.keys() | after.keys()) - {"SourceFile"}
        if before.get(key) != after.get(key)
        and not any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)
    }
    assert not different, notes[source, target]
    assert before.keys() & {"IFD0:Make", "Canon:CanonImageType"}, "the source has no metadata"


def test_the_table_lists_no_difference_that_does_not_occur(listings, allowed):
    entries, _ = listings
    different: dict[tuple[str, str], set[str]] = {}
    for source in SOURCES:
        before = entries[f"{source.name}.source"]
        for target in TARGETS:
            after = entries[f"{source.name}.{target.name}"]
            keys = before.keys() | after.keys()
            found = {key for key in keys if before.get(key) != after.get(key)}
            different[source.name, target.name] = found
    unused = [
        (pattern, sorted(sources), sorted(targets))
        for tags, sources, targets in allowed
        for pattern in tags
        if not any(
            fnmatch.filter(keys, pattern)
            for (source, target), keys in different.items()
            if {"all", source} & sources and {"all", target} & targets
        )
    ]
    assert not unused, "\n".join(map(str, unused))
