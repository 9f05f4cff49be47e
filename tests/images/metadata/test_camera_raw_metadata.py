"""The metadata of camera raw files that are not TIFF: that of their JPEG preview."""

from __future__ import annotations

import struct

import pytest

from batchcolor.images.metadata.camera_raw import read_camera_raw
from batchcolor.images.metadata.exif import read_tags


def build_panasonic(preview: bytes) -> bytes:
    entry = struct.pack("<HHII", 0x2E, 7, len(preview), 26)
    return b"IIU\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + preview


def build_fujifilm(preview: bytes) -> bytes:
    head = b"FUJIFILMCCD-RAW 0201FF123456".ljust(84, b"\0")
    return head + struct.pack(">II", 160, len(preview)) + bytes(160 - 92) + preview


@pytest.mark.parametrize("build", [build_panasonic, build_fujifilm])
def test_metadata_of_the_preview_are_those_of_the_photograph(tmp_path, kit, build):
    path = tmp_path / "photo.raw"
    path.write_bytes(build(kit.build_jpeg()))
    notes: list[str] = []
    metadata = read_camera_raw(path, notes)
    tags = read_tags(metadata.exif)
    assert tags[0x010F].value == b"Canon\0"
    assert tags[kit.ORIENTATION].integers("<") in ((1,), [1])
    assert kit.CAMERA in metadata.exif
    assert not notes


@pytest.mark.parametrize("content", [b"FOVb", b"\0\0\0\x18ftypcrx ", b"IIU\0", b"FUJIFILM", b""])
def test_metadata_that_are_not_read_are_reported(tmp_path, content):
    path = tmp_path / "photo.raw"
    path.write_bytes(content)
    notes: list[str] = []
    assert not read_camera_raw(path, notes).exif
    assert any("not kept" in note for note in notes)


def test_private_data_of_dng_is_reported(tmp_path, kit):
    entries = [kit.text(0x010F, "Canon"), (0xC634, 1, 12, b"Adobe\0MakN\0\0")]
    data = bytearray(8)
    offset = kit.append_directory(data, entries)
    data[:8] = b"II*\0" + struct.pack("<I", offset)
    path = tmp_path / "photo.dng"
    path.write_bytes(data)
    notes: list[str] = []
    assert read_tags(read_camera_raw(path, notes).exif)[0x010F].value == b"Canon\0"
    assert notes == ["private data of DNG dropped: only converters of camera raw read it"]
