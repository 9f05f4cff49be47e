"""Names of results: no two sources share one, in little memory."""

import random
import tracemalloc

from batchcolor.pipeline.planning.name_owners import NameOwners

COUNT = 100_000


def test_names_have_the_owners_that_a_dictionary_would_give_them():
    owners, expected = NameOwners(), {}
    chosen = random.Random(7)
    for _ in range(30_000):
        name, owner = f"folder/{chosen.randrange(20_000)}.jpg", f"s3://in/{chosen.randrange(9)}"
        assert (name in owners) == (name in expected)
        is_free = expected.get(name, owner) == owner
        assert owners.is_free(name, owner) == is_free
        if is_free:
            owners.add(name, owner)
            expected[name] = owner


def test_a_name_of_undecodable_bytes_has_an_owner():
    owners = NameOwners()
    owners.add("scan\udcff.jpg", "/in/scan\udcff.jpg")
    assert "scan\udcff.jpg" in owners
    assert owners.is_free("scan\udcff.jpg", "/in/scan\udcff.jpg")
    assert not owners.is_free("scan\udcff.jpg", "/in/scan.jpg")
    assert owners.is_free("scan\udcfe.jpg", "/in/scan.jpg")


def test_a_name_takes_less_memory_than_its_text():
    tracemalloc.start()
    try:
        owners = NameOwners()
        before, _ = tracemalloc.get_traced_memory()
        for index in range(COUNT):
            owners.add(f"1931/a rather long name of a scan {index:09d}.jpg", f"s3://in/{index}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 80 * COUNT
