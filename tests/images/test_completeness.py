"""The end of a picture file, which a partial copy lacks."""

from __future__ import annotations

import pytest

from batchcolor.images.completeness import has_end
from batchcolor.images.formats import BMP, JPEG, PNG, WEBP


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", JPEG), (".png", PNG), (".webp", WEBP)])
def test_only_a_whole_file_has_its_end(tmp_path, grey_picture, suffix, kind):
    path = tmp_path / f"picture{suffix}"
    grey_picture(96, 64).save(path)
    content = path.read_bytes()
    assert has_end(path, kind)
    for size in (0, 4, len(content) // 2, len(content) - 9):
        path.write_bytes(content[:size])
        assert not has_end(path, kind), size
    path.write_bytes(content + bytes(100))
    assert has_end(path, kind)


def test_a_format_without_an_end_marker_counts_as_whole(tmp_path):
    path = tmp_path / "picture.bmp"
    path.write_bytes(b"BM")
    assert has_end(path, BMP)
