"""PackedOutput: results as members of one tar file, such as a shard of WebDataset.

Results are written as files to a folder in the user's cache, with the journal. When the job has
ended they are packed, and the tar file gets its name: it is there whole or not at all. Members of a
tar source that are no pictures, such as labels, are copied, in the order of the source.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchcolor.errors import OutputError, ProcessingError, UsageError
from batchcolor.storage.atomic import publish, sync_to_disk, temporary_path
from batchcolor.storage.journal import RESULTS, STATE_FOLDER, Journal, JournalEntry
from batchcolor.storage.locations import Url, find_archive_kind
from batchcolor.storage.mounts import Mount, add_mount
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.remote_output import find_output_folder
from batchcolor.storage.remote.retry import Retry
from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.remote.store import RemoteObject, Store


@dataclass(frozen=True)
class OtherMember:
    """An object of a source that is no picture, and is copied."""

    found: RemoteObject
    store: Store


PackedMember = Path | OtherMember
"""The path of a result relative to the output, or something that is copied."""


def is_packed(output: Path | Url) -> bool:
    """Whether an output is a tar file by its name. Raises UsageError for other archives."""
    name = str(output).rstrip("/")
    if find_archive_kind(name) is None or (isinstance(output, Path) and output.is_dir()):
        return False
    if not name.lower().endswith(".tar"):
        raise UsageError(f"--output {name}: results are packed into .tar files only")
    return True


class PackedOutput:
    """The tar file of one job, with the interface of `RemoteOutput`."""

    def __init__(self, output: Path | Url, session: RemoteSession) -> None:
        self._session = session
        self._remote = None if isinstance(output, Path) else session.open(output)
        if self._remote is not None and not self._remote.store.is_writable:
            raise UsageError(f"{self._remote.shown}: cannot be written; choose another --output")
        self.shown = str(output) if isinstance(output, Path) else output.shown
        self._target = output.absolute() if isinstance(output, Path) else None
        name = str(output if self._target is None else self._target)
        self.folder = find_output_folder(Url(name))
        add_mount(Mount(self.folder, self.shown))
        self._former: Path | None = None
        self._former_tag = ""
        self._sizes: dict[str, int] = {}
        """Members of the tar file of an earlier job."""
        self.stop_job: Callable[[BaseException], None] = lambda error: None

    def open(self) -> None:
        """Lists the members of an earlier result. Raises OutputError, UsageError."""
        self._former = self._find_former()
        if self._former is None:
            return
        try:
            with tarfile.open(self._former, "r:") as archive:
                self._sizes = {one.name: one.size for one in archive if one.isfile()}
        except (tarfile.TarError, OSError) as error:
            raise UsageError(
                f"--output {self.shown} exists and is not a readable tar file ({error}); "
                f"name another one"
            ) from error

    @property
    def guard(self) -> None:
        """None: the tar file is replaced as a whole, if it is still the one that was read."""

    @property
    def is_there(self) -> bool:
        """Whether an earlier job made the tar file."""
        return self._former is not None

    def _find_former(self) -> Path | None:
        if self._target is not None:
            return self._target if self._target.is_file() else None
        assert self._remote is not None
        opened = self._remote
        try:
            found = self._session.retry.call(lambda: opened.store.stat(opened.path))
        except StorageError as error:
            if error.kind == "missing":
                return None
            raise OutputError(f"{self.shown} cannot be used: {error}") from error
        if found is None:
            return None
        self._former_tag = found.tag
        return self._session.fetch_archive(opened)

    def remove_leftovers(self) -> None:
        """Does nothing: results that are not packed yet are used by the next run."""

    def exists(self, target: Path, made: JournalEntry | None) -> bool:
        """Whether a result is there: packed by an earlier job, or waiting to be packed."""
        is_waiting = made is not None and target.is_file()
        return is_waiting or target.relative_to(self.folder).as_posix() in self._sizes

    def is_changed(self, target: Path, made: JournalEntry) -> bool:
        """Whether a result has another size than was written."""
        if target.is_file():
            return target.stat().st_size != made.result_size
        name = target.relative_to(self.folder).as_posix()
        return self._sizes.get(name) != made.result_size

    def put(
        self,
        files: Sequence[Path],
        journal: Path,
        done: Callable[[RemoteObject], None],
        failed: Callable[[ProcessingError], None],
    ) -> None:
        """Leaves the files of a result where they are, until they are packed."""
        target = files[-1]
        name = target.relative_to(self.folder).as_posix()
        done(RemoteObject(str(target), name, target.stat().st_size))

    def wait(self, seconds: float) -> bool:
        """True: nothing is in flight."""
        return True

    def abort(self) -> None:
        """Does nothing: the next run packs what is there."""

    def close(self) -> None:
        """Does nothing."""

    def copy_journal(self, journal: Path) -> None:
        """Does nothing, as `finish`."""

    def finish(self, journal: Path) -> None:
        """Does nothing: the journal stays in the cache."""

    def pack(self, members: Iterator[PackedMember]) -> None:
        """Packs results and copied members, in order. Raises OutputError."""
        place = self._target or self.folder / STATE_FOLDER / "packed.tar"
        try:
            with temporary_path(place) as temporary:
                self._write(temporary, members)
                sync_to_disk(temporary)
                if self._remote is None:
                    publish(temporary, place, replace=True, mtime_ns=time.time_ns())
                else:
                    opened = self._remote
                    retry = Retry(self._session.retry.retries)  # not ended by a signal
                    self._check_former(retry)
                    retry.call(lambda: opened.store.put(temporary, opened.path))
        except StorageError as error:
            raise OutputError(f"{self.shown} cannot be written: {error}") from error
        except ProcessingError as error:
            raise OutputError(f"{self.shown} cannot be written: {error.reason}") from error
        for path in self.folder.iterdir():
            if path.name != STATE_FOLDER:
                with contextlib.suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _check_former(self, retry: Retry) -> None:
        """Raises OutputError where another job has written the tar file meanwhile."""
        assert self._remote is not None
        opened = self._remote
        try:
            current = retry.call(lambda: opened.store.stat(opened.path))
        except StorageError as error:
            if error.kind != "missing":
                raise
            current = None
        if (current.tag if current else "") != self._former_tag:
            raise OutputError(
                f"{self.shown} was written by another job while this one ran; run the same command "
                f"again, which adds what it lacks"
            )

    def _write(self, temporary: Path, members: Iterator[PackedMember]) -> None:
        with contextlib.ExitStack() as stack:
            packed = stack.enter_context(tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT))
            former = None
            if self._former is not None:
                former = stack.enter_context(tarfile.open(self._former, "r:"))
            for member in members:
                if isinstance(member, OtherMember):
                    _add_other(packed, member)
                elif (path := self.folder / member).is_file():
                    status = path.stat()
                    with path.open("rb") as file:
                        info = _make_info(member.as_posix(), status.st_size, status.st_mtime_ns)
                        packed.addfile(info, file)
                elif former is not None and member.as_posix() in self._sizes:
                    info = former.getmember(member.as_posix())
                    packed.addfile(info, former.extractfile(info))


def _add_other(packed: tarfile.TarFile, member: OtherMember) -> None:
    found = member.found
    content = member.store.read_head(found, found.size or 0)
    packed.addfile(_make_info(found.key, len(content), found.mtime_ns), io.BytesIO(content))


def _make_info(name: str, size: int, mtime_ns: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, mtime_ns // 10**9, 0o644
    return info


def list_results(journal: Journal) -> Iterator[Path]:
    """The results of a journal by name."""
    names = {entry.target for entry in journal.results() if entry.outcome in RESULTS}
    yield from (Path(name) for name in sorted(names))
