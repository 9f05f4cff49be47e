"""RunSettings: what is refused, and what makes two jobs the same."""

import pytest

from batchcolor.errors import UsageError
from batchcolor.pipeline.options.settings import parse_memory


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
