"""EXIF blocks that are moved: MakerNotes keep their offsets, large ones are reduced."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from batchcolor.images.formats import AVIF, JPEG, TIFF
from batchcolor.images.metadata.maker_note import move_maker_note


def test_exif_that_exceeds_a_jpeg_segment_loses_its_largest_tag_alone(tmp_path, kit):
    data = bytearray(kit.build_tiff())
    large = bytes(range(256)) * 300
    main = struct.unpack_from("<I", data, 4)[0]
    count = data[main]
    directory = data[main + 2 : main + 2 + 12 * count]
    tag = struct.pack("<HHII", 0xFDE9, kit.UNDEFINED, len(large), len(data))
    data += large
    data[4:8] = struct.pack("<I", len(data))
    data += struct.pack("<H", count + 1) + directory + tag + bytes(4)
    result, notes = kit.colour(bytes(data), TIFF, JPEG, tmp_path)
    tags = Image.open(io.BytesIO(result)).getexif()
    assert tags.get_ifd(kit.EXIF)[0x9003] == "1943:05:06 07:08:09"
    assert 0xFDE9 not in tags
    assert any("0xFDE9 (76,800 bytes)" in note for note in notes)


@pytest.mark.parametrize("signature", [b"", b"SONY DSC \0\0\0", b"AOC\0\0\0", b"Nikon\0\2\x10\0\0"])
@pytest.mark.parametrize("order", "<>")
def test_offsets_in_a_moved_maker_note_count_from_their_old_origin(signature, order, kit):
    start, old, new = len(signature), 1000, 480
    directory = struct.pack(
        f"{order}HHHII", 1, 6, kit.ASCII, len(kit.CAMERA), old + start + 18
    ) + bytes(4)
    note = signature + directory + kit.CAMERA
    moved = move_maker_note(note, old, new, order)
    offset = struct.unpack_from(f"{order}I", moved, start + 10)[0]
    is_self_contained = signature.startswith(b"Nikon")
    assert offset == (old if is_self_contained else new) + start + 18
    relative = note[: start + 10] + struct.pack(f"{order}I", start + 18) + note[start + 14 :]
    assert move_maker_note(relative, old, new, order) == relative


@pytest.mark.parametrize("source", [JPEG, TIFF], ids=lambda kind: kind.name)
def test_maker_note_is_kept_in_avif(tmp_path, source, kit):
    data, _ = kit.colour(kit.BUILDERS[source](), source, AVIF, tmp_path)
    start = data.index(b"II*\0")
    block = data[start:]
    main = kit.read_directory(block, struct.unpack_from("<I", block, 4)[0])
    camera = kit.read_directory(block, main[kit.EXIF])[kit.MAKER_NOTE]
    offset = struct.unpack_from("<I", camera, 10)[0]
    assert block[offset : offset + len(kit.CAMERA)] == kit.CAMERA
    assert b"<photoshop:City>K\xc3\xb6ln</photoshop:City>" in data
