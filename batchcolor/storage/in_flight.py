"""A record of the sources that a job is processing, which outlives a crash of its process.

Each source has a slot in a small file while a decoder or encoder has it. The file lies in the state
folder, or in the user's cache if the output folder does not exist when the job starts. It is
written without fsync: the system keeps it when the process dies, and after a power cut nothing is
missing, because no decoder is to blame.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import itertools
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchcolor.storage.journal import absolute_source
from batchcolor.storage.process_token import is_running, process_token
from batchcolor.storage.shard import WHOLE, Shard, parse_tag
from batchcolor.storage.user_cache import NoCacheFolderError, find_cache_folder

PREFIX, CRASH_PREFIX = "in-flight-", "crash-"
SLOT = 4608
"""Bytes of a slot: step, number of attempts, and an absolute path of up to 4,096 bytes."""
FIELD = b"\t"
END = b"\0"
NAME = re.compile(rf"{PREFIX}(?:(\d+-of-\d+)-)?(\w*)-(\d+-\d+)")
"""Of a record: its shard, if any, its computer, and its process."""


@dataclass(frozen=True)
class InterruptedSource:
    """A source that a process had in work when it died. `source` is its absolute path."""

    source: str
    step: str
    attempts: int
    """How many processes in a row died while they had it in work."""
    page: int | None = None
    """The page of a document, from 0; None for the whole file."""
    crash: str = ""
    """How the last one crashed, as "Segmentation fault"; empty after a kill or a power cut."""


class InFlightRecord:
    """The record of this process. Thread-safe; an error of the disk only costs the record.

    A second file is for the words of `faulthandler`, which distinguish a crash from a kill.
    """

    def __init__(self, folder: Path, shard: Shard | None = None) -> None:
        tag = "" if shard is None else f"{shard.tag}-"
        self._path = folder / f"{PREFIX}{tag}{_host()}-{process_token()}"
        self._handle: int | None = None
        self._crash_log: BinaryIO | None = None
        self._free: list[int] = []
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._attempts: Mapping[tuple[str, int | None], int] = {}

    def open(self, attempts: Mapping[tuple[str, int | None], int]) -> None:
        """Creates the file. `attempts` are those of earlier processes, by path and page."""
        self._attempts = attempts
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
        with contextlib.suppress(OSError):
            self._handle = os.open(self._path, flags, 0o644)
        self._crash_log = _crash_logs.open(_crash_log(self._path))

    def close(self) -> None:
        """Removes the files: no source is in work any more."""
        log, self._crash_log = self._crash_log, None
        if log is not None:
            _crash_logs.close(log)
            with contextlib.suppress(OSError):
                _crash_log(self._path).unlink(missing_ok=True)
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):
                os.close(handle)
                self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def hold(self, path: Path, step: str, page: int | None = None) -> Iterator[None]:
        """Records that a source, or one page of it, is in work, until the end of the block."""
        source = absolute_source(path)
        attempt = self._attempts.get((source, page), 0) + 1
        where = step if page is None else f"{step} {page}"
        fields = (where.encode(), b"%d" % attempt, os.fsencode(source))
        with self._lock:
            slot = self._free.pop() if self._free else next(self._count)
        self._write(slot, FIELD.join(fields) + END)
        try:
            yield
        finally:
            self._write(slot, END)
            with self._lock:
                self._free.append(slot)

    def _write(self, slot: int, content: bytes) -> None:
        if self._handle is not None and len(content) <= SLOT:
            with contextlib.suppress(OSError):
                if hasattr(os, "pwrite"):
                    os.pwrite(self._handle, content, slot * SLOT)
                    return
                with self._lock:  # Windows has no os.pwrite
                    os.lseek(self._handle, slot * SLOT, os.SEEK_SET)
                    os.write(self._handle, content)


def find_early_folder(output: Path) -> Path | None:
    """Returns a folder of the user's cache for the record of a job without an output folder.

    The output folder is made with the first result, and a decoder may crash before. None where no
    cache is writable.
    """
    try:
        cache = find_cache_folder("in-flight").path
    except NoCacheFolderError:
        return None
    return cache / hashlib.sha256(os.fsencode(absolute_source(output))).hexdigest()[:16]


class _CrashLogs:
    """The files for the words of `faulthandler`, of which a process has one: it writes to that of
    the job that began first, and after its end to that of the next one. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[BinaryIO] = []

    def open(self, path: Path) -> BinaryIO | None:
        """Creates a file; None where it cannot be made, or the words go elsewhere already."""
        with self._lock, contextlib.suppress(OSError):
            if not self._open and faulthandler.is_enabled():  # by the user, for standard error
                return None
            log = path.open("wb")
            self._open.append(log)
            if len(self._open) == 1:
                faulthandler.enable(log, all_threads=False)
            return log
        return None

    def close(self, log: BinaryIO) -> None:
        """Closes a file; `faulthandler` never has one that is closed."""
        with self._lock, contextlib.suppress(OSError):
            is_in_use = self._open[0] is log
            self._open.remove(log)
            if is_in_use and self._open:
                faulthandler.enable(self._open[0], all_threads=False)
            elif is_in_use:
                faulthandler.disable()
            log.close()


_crash_logs = _CrashLogs()


def take_interrupted(
    folder: Path, shard: Shard | None = None, *, is_exclusive: bool
) -> list[InterruptedSource]:
    """Returns the sources and pages in the records of dead processes.

    Call `forget_interrupted` at the end.

    `is_exclusive`: no other job on these sources can be writing to the folder, so that records of
    other computers, and of containers that are gone, count as well. Records of shards that have no
    source in common with `shard` are those of others.
    """
    found: dict[tuple[str, int | None], InterruptedSource] = {}
    for path, owner in _dead_records(folder, is_exclusive=is_exclusive):
        if not owner.overlaps(shard or WHOLE):
            continue
        with contextlib.suppress(OSError):
            for one in _parse(path.read_bytes(), _read_crash(path)):
                known = found.get((one.source, one.page))
                if known is None or known.attempts < one.attempts:
                    found[one.source, one.page] = one
    return list(found.values())


def forget_interrupted(folder: Path, shard: Shard | None = None, *, is_exclusive: bool) -> None:
    """Removes the records of dead processes, except those with sources of other shards."""
    for path, owner in _dead_records(folder, is_exclusive=is_exclusive):
        if not (shard or WHOLE).contains(owner):
            continue
        with contextlib.suppress(OSError):
            path.unlink()
            _crash_log(path).unlink(missing_ok=True)


def _dead_records(folder: Path, *, is_exclusive: bool) -> Iterator[tuple[Path, Shard]]:
    """Yields the records of dead processes, each with its shard."""
    for path in sorted(folder.glob(f"{PREFIX}*")):
        tag, host, token = _parse_name(path.name)
        is_dead = not is_running(token) if host == _host() else is_exclusive
        if is_dead:
            yield path, parse_tag(tag) or WHOLE


def _parse_name(name: str) -> tuple[str, str, str]:
    """Tag, computer and process of a record; empty where its name is none of a record."""
    found = NAME.fullmatch(name)
    return (found[1] or "", found[2], found[3]) if found else ("", "", "")


def _parse(content: bytes, crash: str) -> Iterator[InterruptedSource]:
    for start in range(0, len(content), SLOT):
        fields = content[start : start + SLOT].split(END, 1)[0].split(FIELD, 2)
        if len(fields) == 3 and fields[1].isdigit():
            step, _, page = fields[0].decode("ascii", "replace").partition(" ")
            number = int(page) if page.isdigit() else None
            yield InterruptedSource(os.fsdecode(fields[2]), step, int(fields[1]), number, crash)


def _crash_log(record: Path) -> Path:
    return record.with_name(CRASH_PREFIX + record.name.removeprefix(PREFIX))


def _read_crash(record: Path) -> str:
    """Returns how the process of a record crashed: the first line of `faulthandler`."""
    try:
        line = _crash_log(record).read_bytes().split(b"\n", 1)[0]
    except OSError:
        return ""
    return line.decode("ascii", "replace").removeprefix("Fatal Python error: ")


def _host() -> str:
    """The name of this computer or container, without the separator of the file name."""
    return "".join(c if c.isalnum() else "_" for c in socket.gethostname())
