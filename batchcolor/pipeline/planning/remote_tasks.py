"""Tasks for the objects of a remote source: planned from the listing, fetched ahead of the work.

What is to be done with an object is decided from its name, size and tag. Only what is coloured is
fetched, whole, by threads; once it is a local file, its content counts, as for every other file.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from batchcolor.errors import LIMITS
from batchcolor.hooks.types import Reader
from batchcolor.images.companion_files import is_hints_file
from batchcolor.images.formats import guess_format
from batchcolor.images.scan import (
    ScannedFile,
    SkippedEntry,
    UnopenedFile,
    describe_undecodable,
    identify,
    is_expected_name,
)
from batchcolor.images.sniff import HEAD_SIZE, sniff
from batchcolor.pipeline.planning.remote_companions import WithCompanions
from batchcolor.pipeline.planning.remote_sources import RemoteFolder
from batchcolor.pipeline.planning.task import Task
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.prefetch import Prefetcher, Sized, map_in_order
from batchcolor.storage.remote.session import describe_lack_of_space
from batchcolor.storage.remote.store import RemoteObject, set_time

IDENTIFY_AHEAD = 64
"""Objects whose size and tag are asked for ahead, where the listing does not have them."""
UNKNOWN_SIZE = 2**20
"""Bytes that are reserved for an object of unknown size."""
NO_NAME = "not a picture or film by its name"

MakeTask: TypeAlias = Callable[[ScannedFile], Task]
Planned: TypeAlias = Task | SkippedEntry


@dataclass(frozen=True)
class _Candidate:
    """An object that is fetched."""

    task: Task
    found: RemoteObject
    is_expected: bool
    """Whether its name says that it is a picture or film."""
    companions: tuple[RemoteObject, ...] = ()
    """Those that are here already; those that are fetched with it are in `task`."""

    @property
    def is_sniffed(self) -> bool:
        """Whether only its beginning is read first. A result that exists is kept because it was
        made with other settings, which depend on the format: the content has to confirm it."""
        return not self.is_expected or self.task.action == "exists"


@dataclass(frozen=True)
class _Fetched:
    """An object that was fetched, or why it was not."""

    candidate: _Candidate
    size: int
    """Bytes of temporary space that it holds."""
    error: str = ""
    is_foreign: bool = False
    is_kept: bool = False
    """Whether its result exists and is kept: only its beginning was read."""


class RemoteTasks:
    """The tasks of one remote source."""

    def __init__(
        self,
        folder: RemoteFolder,
        readers: Sequence[Reader],
        make_task: MakeTask,
        accept: Callable[[UnopenedFile], bool],
    ) -> None:
        """`accept`: whether an object is a source of this job."""
        self.folder, self.readers = folder, readers
        self.make_task, self.accept = make_task, accept
        self.session, self.mount = folder.session, folder.mount

    def plan(self) -> Iterator[Task | SkippedEntry]:
        """Yields what would be done, as far as names tell. Fetches nothing."""
        for entry, companions in self._list():
            planned = self._plan_one(entry, companions)
            if planned is not None:
                yield planned.task if isinstance(planned, _Candidate) else planned
            if isinstance(entry, RemoteObject):
                self.mount.tags.pop(str(self._path(entry)), None)
                self.session.release_companions(self._path(entry))

    def select(self) -> Iterator[Task | SkippedEntry]:
        """Yields the same tasks, with the objects that are to be coloured: for `fetch_selected`."""
        for item in self._plan_all():
            if not isinstance(item, Sized):
                yield item
                continue
            candidate = item.item
            self.session.release_companions(candidate.task.source.path)
            yield replace(candidate.task, found=candidate.found, companions=candidate.companions)

    def select_again(self, previous: Task, content: ScannedFile) -> Task:
        """A task of `select` by the content of its object, which another process has found."""
        path = previous.source.path
        error = self._fetch_companions(path, previous.companions)
        task = self.make_task(content)
        task = replace(task, found=previous.found, companions=previous.companions)
        self.session.release_companions(path)
        return replace(task, action="refused", step="scan", reason=error) if error else task

    def fetch(self) -> Iterator[Task | SkippedEntry]:
        """Yields the same tasks, each when its file is there, until `RemoteSession.release`."""
        return self._fetch(self._plan_all())

    def fetch_selected(self, tasks: Iterable[Task]) -> Iterator[Task | SkippedEntry]:
        """Yields tasks of `select`, also of another process, each when its file is there."""
        return self._fetch(map(self._make_candidate, tasks))

    def _make_candidate(self, task: Task) -> Sized[_Candidate]:
        assert task.found is not None
        self.mount.tags[str(task.source.path)] = task.found.tag
        name = task.source.path.name
        is_expected = self.folder.single is not None or is_expected_name(name, self.readers)
        size = UNKNOWN_SIZE if task.found.size is None else task.found.size
        return Sized(_Candidate(task, task.found, is_expected=is_expected), size)

    def _fetch(
        self, planned: Iterator[Task | SkippedEntry | Sized[_Candidate]]
    ) -> Iterator[Task | SkippedEntry]:
        is_concurrent = self.folder.store.is_concurrent
        prefetcher: Prefetcher[Task | SkippedEntry] = Prefetcher(
            self.session.pool, self.session.space, self.session.stop, 64 if is_concurrent else 4
        )
        for item in prefetcher.run(planned, self._fetch_one):
            yield self._finish(item) if isinstance(item, _Fetched) else item

    def _list(self) -> Iterator[WithCompanions]:
        """The objects of the source; an error of the listing is a failure of the source."""
        try:
            yield from self.folder.list_with_companions()
        except StorageError as error:
            reason = f"the listing cannot be read to its end: {error}"
            yield SkippedEntry(self.mount.folder, reason, failed=True), ()

    def _plan_all(self) -> Iterator[Task | SkippedEntry | Sized[_Candidate]]:
        entries = map_in_order(self.session.pool, self._identify, self._list(), IDENTIFY_AHEAD)
        for entry, companions in entries if self._needs_identity else self._list():
            planned = self._plan_one(entry, companions)
            if not isinstance(planned, _Candidate):
                if isinstance(entry, RemoteObject):
                    self.session.release_companions(self._path(entry))
                if planned is not None:
                    yield planned
                continue
            size = planned.found.size
            if size is not None and size > self.session.space.limit:
                reason = describe_lack_of_space(size, self.session.space.limit)
                yield replace(planned.task, action="refused", step=LIMITS, reason=reason)
            else:
                yield Sized(planned, UNKNOWN_SIZE if size is None else size)

    @property
    def _needs_identity(self) -> bool:
        """Whether listings of this store lack sizes and tags."""
        return self.folder.single is None and not self.folder.store.lists_tags

    def _identify(self, listed: WithCompanions) -> WithCompanions:
        entry, companions = listed
        if isinstance(entry, SkippedEntry) or entry.is_identified:
            return listed
        name = entry.key.rpartition("/")[2]
        if Path(name).suffix and not is_expected_name(name, self.readers):
            return listed
        try:
            found = self.session.retry.call(lambda: self.folder.store.stat(entry.path))
        except StorageError as error:
            return SkippedEntry(self._path(entry), str(error), failed=True), ()
        return listed if found is None else (replace(found, key=entry.key), companions)

    def _path(self, found: RemoteObject) -> Path:
        return self.mount.folder.joinpath(*found.key.split("/"))

    def _plan_one(
        self, entry: RemoteObject | SkippedEntry, companions: Sequence[RemoteObject]
    ) -> Planned | _Candidate | None:
        """What happens to an object, as far as its name, size and tag tell.

        None where it is no source of this job.
        """
        if isinstance(entry, SkippedEntry):
            return entry
        path, is_source = self._path(entry), self.folder.single is not None
        suffix = path.suffix.lower()
        is_expected = is_source or is_expected_name(path.name, self.readers)
        if not is_expected and suffix:
            return SkippedEntry(path, NO_NAME, is_foreign=True)
        if reason := describe_undecodable(suffix, self.readers):
            return SkippedEntry(path, reason, failed=is_source)
        below = Path(*entry.key.split("/")).parent
        if not self.accept(UnopenedFile(path.parent, path.name, below)):
            return None
        self.mount.tags[str(path)] = entry.tag
        provisional = ScannedFile(
            path,
            Path(*entry.key.split("/")),
            entry.size or 0,
            entry.mtime_ns,
            guess_format(suffix),
        )
        error = self._fetch_companions(path, companions)
        task = self.make_task(provisional)
        if error:
            return replace(task, action="refused", step="scan", reason=error)
        if task.action not in ("colour", "exists"):
            return replace(task, found=entry)
        return _Candidate(task, entry, is_expected, tuple(companions))

    def _fetch_companions(self, path: Path, companions: Sequence[RemoteObject]) -> str:
        """Fetches the companion files of an object; returns why that failed, or nothing."""
        store = self.folder.store
        targets = tuple(path.with_name(one.key.rpartition("/")[2]) for one in companions)
        self.session.hold_companions(path, targets)
        for found, target in zip(companions, targets, strict=True):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                # Threads fetch companions that two pictures share at the same time.
                incomplete = target.with_name(f"{threading.get_ident()}.part")
                self.session.retry.call(partial(store.fetch, found, incomplete))
                set_time(incomplete, found.mtime_ns)
                incomplete.replace(target)
            except StorageError as error:
                return f"{target.name} beside it cannot be read: {error}"
            except OSError as error:
                return f"no local copy of {target.name}: {error.strerror or error}"
        return ""

    def _fetch_one(self, candidate: _Candidate, size: int) -> _Fetched:
        """Fetches an object. Runs in a thread of the session."""
        store, found, retry = self.folder.store, candidate.found, self.session.retry
        path = candidate.task.source.path
        try:
            if candidate.is_sniffed:
                head = retry.call(lambda: store.read_head(found, HEAD_SIZE))
                kind = sniff(head, path.suffix.lower(), self.readers)
                if kind is None and not candidate.is_expected:
                    return _Fetched(candidate, size, "not a picture or film", is_foreign=True)
                if candidate.task.action == "exists" and kind == candidate.task.source.format:
                    return _Fetched(candidate, size, is_kept=True)
            if error := self._fetch_companions(path, _list_hints(candidate.task)):
                return _Fetched(candidate, size, error)
            path.parent.mkdir(parents=True, exist_ok=True)
            retry.call(lambda: store.fetch(found, path))
            set_time(path, found.mtime_ns)
            if found.size is None:  # reserved for an estimate
                actual = path.stat().st_size
                self.session.space.adjust(actual - size)
                size = actual
        except StorageError as error:
            path.unlink(missing_ok=True)
            return _Fetched(candidate, size, str(error))
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return _Fetched(candidate, size, f"no local copy of it: {error.strerror or error}")
        return _Fetched(candidate, size)

    def _finish(self, fetched: _Fetched) -> Task | SkippedEntry:
        """The task of an object, by its content."""
        task = fetched.candidate.task
        path = task.source.path
        self.session.hold(path, fetched.size)
        if fetched.is_foreign:
            self.session.release(path)
            return SkippedEntry(path, fetched.error, is_foreign=True)
        if fetched.is_kept:
            return replace(task, found=fetched.candidate.found)
        if fetched.error:
            return replace(task, action="refused", step="scan", reason=fetched.error)
        is_source = self.folder.single is not None
        found = identify(path, task.source.relative, self.readers, is_source=is_source)
        if isinstance(found, SkippedEntry):
            self.session.release(path)
            return found
        if found.format == task.source.format:
            return replace(task, source=found)
        return self.make_task(found)


def _list_hints(task: Task) -> Sequence[RemoteObject]:
    """The painted hints of a task of `select`; a decision is part of the task already."""
    if task.correction.painted is None:
        return ()
    return [companion for companion in task.companions if is_hints_file(companion.key)]
