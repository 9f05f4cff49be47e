"""Copies of the journal on remote storage: no line of any computer is lost."""

import fsspec
import pytest

from batchcolor.errors import OutputError
from batchcolor.storage.remote import retry
from batchcolor.storage.remote.journal_copy import JournalCopies, merge_lines
from batchcolor.storage.remote.retry import Retry
from batchcolor.storage.remote.session import RemoteSession

from .fault_proxy import Fault

OBJECT = "album/out/.batchcolor/journal.jsonl"


class Computer:
    """A computer that appends lines to its own journal and copies it to the storage."""

    def __init__(self, folder, url, retries):
        folder.mkdir()
        self.journal = folder / "journal.jsonl"
        self.session = RemoteSession(retries=retries)
        opened = self.session.open(url)
        self.copies = JournalCopies(opened.store, opened.path, folder, Retry(retries))
        self.lines = []

    def append(self) -> None:
        self.lines.append(f"{self.journal.parent.name} {len(self.lines)}".encode())
        with self.journal.open("ab") as file:
            file.write(self.lines[-1] + b"\n")

    def copy(self) -> None:
        self.copies.copy_all(self.journal)


@pytest.fixture
def computers(tmp_path, monkeypatch):
    """Makes computers that write to one output."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.0)
    made = []

    def make(url: str = "s3://album/out", retries: int = 1) -> Computer:
        made.append(Computer(tmp_path / f"computer {len(made)}", url, retries))
        return made[-1]

    yield make
    for computer in made:
        computer.session.close()


@pytest.fixture(params=["s3", "memory", "without conditions"])
def place(request, bucket):
    """A URL, and what reads the copy of its journal."""
    if request.param == "memory":
        system = fsspec.filesystem("memory")
        yield "memory://out", lambda: system.cat_file("/out/.batchcolor/journal.jsonl")
        system.rm("/out", recursive=True)
    elif request.param == "s3":
        yield "s3://album/out", lambda: bucket.cat_file(OBJECT)
    else:
        proxy = request.getfixturevalue("proxy")
        proxy.faults += [Fault(501, "PUT", "out/", header=f"If-{name}") for name in CONDITIONS]
        yield "s3://album/out", lambda: bucket.cat_file(OBJECT)


CONDITIONS = ("Match", "None-Match")


def test_computers_that_write_in_turn_keep_the_lines_of_each_other(place, computers):
    url, read = place
    first, second = computers(url), computers(url)
    for computer in (first, second, first, second, second, first, first):
        computer.append()
        computer.copy()
        copied = read().splitlines()
        assert sorted(copied) == sorted(first.lines + second.lines)


def test_a_copy_waits_until_others_have_written(proxy, bucket, computers):
    own, other = computers(), computers()
    own.append()

    def write_before() -> None:
        proxy.faults.clear()
        other.append()
        other.copy()
        if len(other.lines) < 5:
            proxy.faults.append(conflict)

    conflict = Fault("none", "PUT", "journal.jsonl", before=write_before)
    proxy.faults.append(conflict)
    own.copy()
    assert sorted(bucket.cat_file(OBJECT).splitlines()) == sorted(own.lines + other.lines)
    assert len(other.lines) == 5


def test_a_copy_that_is_always_in_conflict_fails_and_loses_no_line(proxy, bucket, computers):
    computer = computers()
    computer.append()
    foreign = []

    def write_before() -> None:
        foreign.append(f"foreign {len(foreign)}".encode())
        bucket.pipe_file(OBJECT, b"".join(line + b"\n" for line in foreign))

    proxy.faults.append(Fault("none", "PUT", "journal.jsonl", before=write_before))
    with pytest.raises(OutputError, match="other jobs write it at the same moment; run the same"):
        computer.copy()
    assert bucket.cat_file(OBJECT).splitlines() == foreign
    computer.copies._next = 0.0
    computer.copies.copy_sometimes(computer.journal)  # while the job runs it is left to the next
    assert bucket.cat_file(OBJECT).splitlines() == foreign
    proxy.faults.clear()
    computer.copy()
    assert bucket.cat_file(OBJECT).splitlines() == foreign + computer.lines


@pytest.mark.parametrize("status", [403, 409, 503])
def test_a_copy_that_the_server_refuses_replaces_nothing(status, proxy, bucket, computers):
    own, other = computers(), computers()
    other.append()
    other.copy()
    own.append()
    proxy.faults += [
        Fault(status, "PUT", "journal.jsonl", header=f"If-{one}") for one in CONDITIONS
    ]
    with pytest.raises(OutputError, match="the journal cannot be written to the output"):
        own.copy()
    assert bucket.cat_file(OBJECT).splitlines() == other.lines
    proxy.faults.clear()
    own.copy()
    assert bucket.cat_file(OBJECT).splitlines() == other.lines + own.lines


def test_lines_of_two_journals_are_merged():
    assert merge_lines(b"a\nb\n", b"a\nb\nc\n") == b"a\nb\nc\n"
    assert merge_lines(b"a\nb\nc\n", b"a\n") == b"a\nb\nc\n"
    assert merge_lines(b"a\nx\n", b"a\nc\ntorn") == b"a\nx\nc\n"
    assert merge_lines(b"", b"a\n") == b"a\n"
    assert merge_lines(b"failed\ndone\nx\n", b"failed\ndone\nfailed\n") == (
        b"failed\ndone\nx\nfailed\n"
    )
