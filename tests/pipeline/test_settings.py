"""RunSettings: what is refused, and what makes two jobs the same."""

import pytest

from batchcolor.errors import UsageError
from batchcolor.pipeline.settings import RunSettings, parse_memory


def test_only_what_changes_pixels_changes_the_hash():
    first = RunSettings(sources=("a",))
    same = RunSettings(sources=("b",), workers=3, device="cpu")
    assert same.pixels_hash == first.pixels_hash
    for change in ({"strength": 0.5}, {"model": "alpha"}, {"options": {"depth": 1}}):
        assert RunSettings(sources=("a",), **change).pixels_hash != first.pixels_hash


def test_a_file_that_an_option_names_counts_by_its_content(tmp_path):
    network = tmp_path / "net.onnx"
    hashes = []
    for content in (b"one", b"two"):
        network.write_bytes(content)
        settings = RunSettings(sources=("a",), options={"path": network})
        hashes.append(settings.pixels_hash)
    assert hashes[0] != hashes[1]


def test_a_picture_whose_palette_is_taken_counts_by_its_content(tmp_path):
    reference = tmp_path / "album.jpg"
    hashes = [RunSettings(sources=("a",)).pixels_hash]
    for content in (b"one", b"two"):
        reference.write_bytes(content)
        settings = RunSettings(sources=("a",), like=reference)
        hashes.append(settings.pixels_hash)
    assert len(set(hashes)) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512", 2**29), ("512M", 2**29), ("2G", 2**31), ("1.5 GiB", 3 * 2**29), ("65536k", 2**26)],
)
def test_memory_is_read_as_people_write_it(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "lots", "inf", "G"])
def test_memory_that_is_no_number_is_refused(text):
    with pytest.raises(UsageError, match="max-memory"):
        parse_memory(text)
