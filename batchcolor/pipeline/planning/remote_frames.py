"""Folders of numbered frames on remote storage: each is fetched whole, as a film is."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from batchcolor.errors import LIMITS, UsageError
from batchcolor.images.formats import IMAGE_SEQUENCE, is_picture_suffix
from batchcolor.images.scan import ScannedFile, SkippedEntry
from batchcolor.pipeline.planning.remote_sources import RemoteFolder
from batchcolor.pipeline.planning.task import Task
from batchcolor.storage.mounts import set_tag
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.prefetch import map_in_order
from batchcolor.storage.remote.session import describe_lack_of_space
from batchcolor.storage.remote.store import RemoteObject, set_time
from batchcolor.video.numbered_frames import NUMBER

AHEAD = 64
NO_FRAMES = "holds no numbered pictures; --frames takes folders of frames, as film/0001.png"


def find_frames_path(folder: RemoteFolder) -> Path:
    """The local folder that stands for a remote folder of frames. Raises UsageError."""
    url = folder.mount.url.rstrip("/")
    parent, _, name = url.rpartition("/")
    if folder.single is not None or folder.pattern is not None:
        raise UsageError(f"--frames takes folders of numbered frames: name the folder, not {url}")
    if not (folder.store.is_concurrent and folder.store.lists_tags) or parent.endswith(":/"):
        raise UsageError(
            f"--frames takes folders of frames on this computer or in a bucket, and {url} is none; "
            f"copy the frames to a folder first"
        )
    return folder.session.mount(parent).folder / name


@dataclass(frozen=True)
class RemoteFrames:
    """The frames of one film."""

    folder: RemoteFolder
    path: Path
    """Of `find_frames_path`."""

    def tasks(
        self, name: Path, make_task: Callable[[ScannedFile], Task], *, fetches: bool
    ) -> Iterator[Task | SkippedEntry]:
        """Yields the task of the film, with `fetches` when its frames are here, until
        `RemoteSession.release`."""
        try:
            frames = self._list()
        except StorageError as error:
            reason = f"the listing cannot be read to its end: {error}"
            yield SkippedEntry(self.path, reason, failed=True)
            return
        if not any(NUMBER.search(Path(found.key).stem) for found in frames):
            yield SkippedEntry(self.path, NO_FRAMES)
            return
        set_tag(self.path, _describe(frames))
        size = sum(found.size or 0 for found in frames)
        latest = max(found.mtime_ns for found in frames)
        task = make_task(ScannedFile(self.path, name, size, latest, IMAGE_SEQUENCE))
        if task.action != "colour" or not fetches:
            yield task
        elif (fetched := self._fetch(task, frames)) is not None:
            yield fetched

    def _list(self) -> list[RemoteObject]:
        """The pictures of the folder itself. Raises StorageError."""
        return [
            found
            for found in self.folder.list()
            if "/" not in found.key and is_picture_suffix(Path(found.key).suffix)
        ]

    def _fetch(self, task: Task, frames: list[RemoteObject]) -> Task | None:
        """The task when all frames are here, or refused; None where the job stops."""
        session, size = self.folder.session, task.source.size
        if size > session.space.limit:
            reason = describe_lack_of_space(size, session.space.limit)
            return replace(task, action="refused", step=LIMITS, reason=reason)
        if not session.space.acquire(size, session.stop):
            return None
        session.hold(self.path, size)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for _ in map_in_order(session.pool, self._fetch_one, iter(frames), AHEAD):
                if session.stop.is_set():
                    session.release(self.path)
                    return None
        except StorageError as error:
            reason = str(error)
        except OSError as error:
            reason = f"no local copy of it: {error.strerror or error}"
        else:
            return task
        shutil.rmtree(self.path, ignore_errors=True)
        return replace(task, action="refused", step="scan", reason=reason)

    def _fetch_one(self, found: RemoteObject) -> None:
        local, store = self.path / found.key, self.folder.store
        try:
            self.folder.session.retry.call(lambda: store.fetch(found, local))
        except StorageError as error:
            raise StorageError(error.kind, f"{found.key}: {error}", error.status) from error
        set_time(local, found.mtime_ns)


def _describe(frames: list[RemoteObject]) -> str:
    """Changes with the names, sizes and tags of the frames."""
    digest = hashlib.sha256()
    for found in frames:
        digest.update(f"{found.key}\0{found.size} {found.tag}\n".encode())
    return digest.hexdigest()
