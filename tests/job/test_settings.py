"""RunSettings: what is refused, and what makes two jobs the same."""

import pytest

from batchcolor.errors import ImpossiblePlanError
from batchcolor.job.settings import RunSettings, parse_memory


def test_only_what_changes_pixels_changes_the_hash():
    first = RunSettings(sources=("a",))
    assert RunSettings(sources=("b",), workers=3, device="cpu").pixels_hash == first.pixels_hash
    for change in ({"strength": 0.5}, {"model": "alpha"}, {"options": (("depth", "1"),)}):
        assert RunSettings(sources=("a",), **change).pixels_hash != first.pixels_hash


def test_a_file_that_an_option_names_counts_by_its_content(tmp_path):
    network = tmp_path / "net.onnx"
    hashes = []
    for content in (b"one", b"two"):
        network.write_bytes(content)
        settings = RunSettings(sources=("a",), options=(("path", str(network)),))
        hashes.append(settings.pixels_hash)
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512", 2**29), ("512M", 2**29), ("2G", 2**31), ("1.5 GiB", 3 * 2**29), ("65536k", 2**26)],
)
def test_memory_is_read_as_people_write_it(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "lots", "inf", "G"])
def test_memory_that_is_no_number_is_refused(text):
    with pytest.raises(ImpossiblePlanError, match="max-memory"):
        parse_memory(text)
