"""From settings and sources to tasks: what is read, written, skipped and refused.

Everything that makes a job impossible is reported before anything is read. The rest is lazy: tasks
are yielded while folders are still being scanned.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchcolor.hooks.types import Reader
from batchcolor.images.animation import read_animation_header
from batchcolor.images.formats import (
    ANIMATION,
    VIDEO_SUFFIXES,
    Format,
    guess_format,
    is_picture_suffix,
)
from batchcolor.images.scan import (
    ScannedFile,
    SkippedEntry,
    UnopenedFile,
    identify,
    scan_listed,
    scan_relative,
    scan_suffixes,
)
from batchcolor.pipeline.decisions.correction import Correction
from batchcolor.pipeline.decisions.corrections import Corrections
from batchcolor.pipeline.options.fingerprint import fingerprint
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.source_checks import (
    OverwriteGuard,
)
from batchcolor.pipeline.planning.sources import (
    Root,
    frames_name,
    has_nested,
)
from batchcolor.pipeline.planning.target_names import TargetNames
from batchcolor.pipeline.planning.task import ListOtherFormats, Task
from batchcolor.pipeline.planning.task_actions import TaskActions
from batchcolor.storage.access import is_reachable_folder
from batchcolor.storage.journal import Journal, absolute_source
from batchcolor.storage.mounts import find_mount
from batchcolor.storage.shard import Shard
from batchcolor.video.numbered_frames import scan_image_sequence

if TYPE_CHECKING:
    from batchcolor.storage.remote.any_output import AnyOutput
    from batchcolor.storage.remote.session import RemoteSession


@dataclass(frozen=True)
class FileCount:
    """Files of this shard with the suffix of a picture or film, and those of all shards."""

    own: int
    every: int
    has_films: bool
    """Whether a film is among the own ones."""


@dataclass(frozen=True)
class Plan:
    """Where to read, where to write."""

    settings: RunSettings
    roots: tuple[Root, ...]
    output: Path
    model_options: Mapping[str, Any] = field(default_factory=dict)
    """Those of `fingerprint.canonical_options`."""
    missing: tuple[SkippedEntry, ...] = ()
    """Files that a list names and that do not exist: each fails."""
    accept: Callable[[Path], bool] | None = None
    """Selects the files of source folders that this job considers; None: all."""
    corrections: Corrections | None = None
    """What is decided about single sources; None where nothing is."""
    reports_bad_lines: bool = True
    """Whether lines of the decisions that are none count as failures."""
    session: RemoteSession | None = None
    """What is open on remote storage; None where everything is local."""
    remote_output: AnyOutput | None = None
    """Where results are put; `output` is its local folder then."""

    def tasks(
        self,
        journal: Journal,
        weights_hash: str,
        readers: Sequence[Reader] = (),
        suffixes: Collection[str] = (),
        *,
        fetches: bool = False,
        selects: bool = False,
        list_other_formats: ListOtherFormats = tuple,
    ) -> Iterator[Task | SkippedEntry]:
        """Yields a task for every source once, in the same order every time.

        With `suffixes` only for local files with one of them. With `fetches` the file of each
        remote source that is to be coloured is there; without, its name says what it is. With
        `selects` such tasks have the object, for a process that fetches it; it may find that an
        object is not what its suffix says, and `list_other_formats`, which is called at the end,
        yields its task and its content, for another task. Of a shard, only for its own files; the
        names of their results are those that they have without shards.
        """
        from batchcolor.pipeline.planning.remote_tasks import RemoteTasks

        names = TargetNames(
            self.settings,
            journal,
            lambda strip: bool(self._guard.find_conflict(self.output / strip)),
            lambda file: _identify_other(file, readers),
        )
        yield from self._list_missing()
        if self.corrections is not None:
            self.corrections.refresh()
            if self.reports_bad_lines and (self.shard is None or self.shard.index == 1):
                yield from self.corrections.list_bad_lines()
        seen: set[str] | None = set() if has_nested(self.roots) else None
        remote: dict[tuple[Path, Path], RemoteTasks] = {}
        for root in self.roots:
            if root.remote is not None:
                if not suffixes:  # films are not probed ahead of the work: they would be fetched
                    make_task = partial(
                        self._make_task,
                        below=root.below,
                        names=names,
                        journal=journal,
                        weights_hash=weights_hash,
                    )
                    if self.settings.films.fps is not None:
                        yield from self._list_remote_frames(root, make_task, fetches=fetches)
                        continue
                    accept = partial(self._accept_remote, root, names, seen)
                    tasks = RemoteTasks(root.remote, readers, make_task, accept)
                    remote[root.remote.mount.folder, root.below] = tasks
                    planned = tasks.select() if selects else tasks.plan()
                    for task in tasks.fetch() if fetches else planned:
                        if isinstance(task, Task) or self._reports_remote(root, task):
                            yield task
                continue
            for file in self._scan(root, readers, suffixes):
                if isinstance(file, SkippedEntry):
                    if self._is_own_entry(root, file):
                        yield file
                    continue
                if seen is not None:  # a file may be a source and lie in another one
                    source = absolute_source(file.path)
                    if source in seen:
                        continue
                    seen.add(source)
                if isinstance(file, UnopenedFile):
                    names.postpone(root.below, file)
                    continue
                if self._is_own(root, file.relative):
                    yield self._make_task(file, root.below, names, journal, weights_hash)
                else:  # a folder of frames, which is not opened
                    names.choose(root.below, file)
        for former, content in list_other_formats():
            mount = find_mount(str(former.source.path))
            assert mount is not None
            yield remote[mount.folder, former.below].select_again(former, content)

    @property
    def shard(self) -> Shard | None:
        """The part of the sources that this job does; None: all."""
        return self.settings.shard

    def is_own_name(self, name: str) -> bool:
        """Whether the source that decisions call so is in the shard of this job."""
        return self.shard is None or self.shard.has(name)

    def _is_own(self, root: Root, relative: Path) -> bool:
        return self.shard is None or self.is_own_name((root.below / relative).as_posix())

    def _is_own_entry(self, root: Root, entry: SkippedEntry) -> bool:
        """Whether this shard reports an entry; folders that cannot be read matter to each."""
        if self.shard is None or entry.failed:
            return True
        if entry.path == root.path:
            return self._is_own(root, Path(root.path.name))
        return self._is_own(root, Path(os.path.relpath(entry.path, root.path)))

    def _list_remote_frames(
        self, root: Root, make_task: Callable[[ScannedFile], Task], *, fetches: bool
    ) -> Iterator[Task | SkippedEntry]:
        """Yields the film of a folder of frames on remote storage, if this shard has it."""
        from batchcolor.pipeline.planning.remote_frames import RemoteFrames

        name = frames_name(root)
        if root.remote is not None and self._is_own(root, name):
            yield from RemoteFrames(root.remote, root.path).tasks(name, make_task, fetches=fetches)

    def _reports_remote(self, root: Root, entry: SkippedEntry) -> bool:
        """Whether this job reports an entry of remote storage."""
        is_accepted = self.accept is None or entry.path == root.path or self.accept(entry.path)
        return is_accepted and self._is_own_entry(root, entry)

    def _list_missing(self) -> Iterator[SkippedEntry]:
        for entry in self.missing:
            if self.is_own_name(entry.path.as_posix()):
                yield entry

    def _accept_remote(
        self, root: Root, names: TargetNames, seen: set[str] | None, file: UnopenedFile
    ) -> bool:
        """Whether this job has an object as a source: not one of another shard, and each once."""
        if self.accept is not None and not self.accept(file.path):
            return False
        if seen is not None:
            source = absolute_source(file.path)
            if source in seen:
                return False
            seen.add(source)
        if self._is_own(root, file.relative):
            return True
        names.postpone(root.below, file)
        return False

    @property
    def has_remote_sources(self) -> bool:
        """Whether a source is on remote storage or in an archive."""
        return any(root.remote is not None for root in self.roots)

    @property
    def has_only_remote_sources(self) -> bool:
        """Whether no source is a file or folder on this computer."""
        return bool(self.roots) and all(root.remote is not None for root in self.roots)

    def _fingerprint(self, target: Format, file: ScannedFile, correction: Correction) -> str:
        """The fingerprint of a result of this job in the format `target`."""
        is_film = file.is_film
        if correction.digest:
            return fingerprint(
                correction.settings,
                correction.model_options,
                target,
                is_film=is_film,
                decision=correction.marks_digest,
            )
        key = (target.name, is_film, id(correction.settings))
        if key not in self._fingerprints:
            self._fingerprints[key] = fingerprint(
                correction.settings, correction.model_options, target, is_film=is_film
            )
        return self._fingerprints[key]

    def count_files(self, readers: Sequence[Reader], is_cancelled: Callable[[], bool]) -> FileCount:
        """Counts files with the suffix of a picture or film. Reads names only, so it is fast, and
        an estimate of the number of tasks."""
        if self.settings.films.fps is not None:
            own = sum(self._is_own(root, frames_name(root)) for root in self.roots)
            return FileCount(own, len(self.roots), has_films=own > 0)
        own = every = films = 0
        for root in self.roots:
            for suffix, is_own in self._scan_suffixes(root):
                if is_cancelled():
                    return FileCount(own, every, has_films=False)
                is_film = suffix in VIDEO_SUFFIXES
                counts = is_film or is_picture_suffix(suffix, readers)
                every += counts
                own += counts and is_own
                films += is_film and is_own
        return FileCount(own, every, has_films=films > 0)

    def _scan_suffixes(self, root: Root) -> Iterator[tuple[str, bool]]:
        """Yields the suffix of each file, and whether it is in the shard of this job."""
        if root.remote is not None:
            for key in root.remote.list_keys():
                if self.accept is not None and not self.accept(root.path / key):
                    continue
                yield os.path.splitext(key)[1].lower(), self._is_own(root, Path(key))  # noqa: PTH122
            return
        if self.accept is None and self.shard is None:
            for suffix in scan_suffixes(root.path, include_results=self._includes_results):
                yield suffix, True
            return
        is_folder = is_reachable_folder(root.path)
        for relative in scan_relative(root.path, include_results=self._includes_results):
            path = root.path / relative if is_folder else root.path
            if self.accept is None or not is_folder or self.accept(path):
                yield relative.suffix.lower(), self._is_own(root, relative)

    @contextmanager
    def open_session(self) -> Iterator[None]:
        """Closes what is open on remote storage at the end of the block."""
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Closes what is open on remote storage."""
        if self.remote_output is not None:
            self.remote_output.close()
        if self.session is not None:
            self.session.close()

    def find_conflict(self, target: Path) -> str:
        """Why a result may not have this path: it is a source; empty where it may."""
        return self._guard.find_conflict(target)

    @property
    def _includes_results(self) -> bool:
        return self.settings.include_results

    @cached_property
    def _fingerprints(self) -> dict[tuple[str, bool, int], str]:
        return {}

    @cached_property
    def _actions(self) -> TaskActions:
        return TaskActions(self.settings, self.output, self.remote_output, self._guard)

    @cached_property
    def _guard(self) -> OverwriteGuard:
        return OverwriteGuard(self.roots)

    def _scan(
        self, root: Root, readers: Sequence[Reader], suffixes: Collection[str]
    ) -> Iterator[ScannedFile | UnopenedFile | SkippedEntry]:
        if self.settings.films.fps is None:
            yield from scan_listed(
                root.path,
                readers=readers,
                suffixes=suffixes,
                include_results=self._includes_results,
                accept=self.accept,
                opens=None if self.shard is None else partial(self._is_own, root),
            )
            return
        sequence = scan_image_sequence(root.path, frames_name(root))
        yield sequence or SkippedEntry(root.path, _describe_missing_frames(root.path))

    def _make_task(
        self,
        file: ScannedFile,
        below: Path,
        names: TargetNames,
        journal: Journal,
        weights_hash: str,
    ) -> Task:
        file = self._find_film(file)
        name = names.choose(below, file)
        target, format_ = self.output / name.relative, name.format
        correction = self._find_correction(file, below)
        if correction.weights_hash is not None:
            weights_hash = correction.weights_hash
        made_by = (self._fingerprint(format_, file, correction), weights_hash)
        action, replaces = self._actions.choose(file, target, correction, journal, made_by)
        strip = None if name.strip is None else self.output / name.strip
        return Task(file, target, format_, *action, strip, correction, *made_by, replaces, below)

    def _find_film(self, file: ScannedFile) -> ScannedFile:
        """Returns a picture as a film where it is an animation and a film is asked for."""
        target = self.settings.target_format
        is_film = target is not None and target.is_film and target.still is None
        is_asked = self.settings.to_frames or is_film
        if file.is_film or not is_asked or read_animation_header(file.path, file.format) is None:
            return file
        return replace(file, format=ANIMATION)

    def _find_correction(self, file: ScannedFile, below: Path) -> Correction:
        if self.corrections is None:
            return Correction(self.settings, self.model_options)
        return self.corrections.find(file, (below / file.relative).as_posix())

    def has_result(self, target: Path) -> bool:
        """Whether there is a file of this name in the output, on remote storage or here."""
        return self._actions.exists(target, None)


def _identify_other(file: UnopenedFile, readers: Sequence[Reader]) -> ScannedFile | SkippedEntry:
    """A file of another shard; one on remote storage by its name."""
    if find_mount(str(file.path)) is not None:
        kind = guess_format(file.path.suffix.lower())
        return ScannedFile(file.path, file.relative, 0, 0, kind)
    return identify(file.path, file.relative, readers)


def _describe_missing_frames(folder: Path) -> str:
    """The message for a source of `--frames` without numbered pictures."""
    if any(entry.is_dir() for entry in folder.iterdir()):
        return "holds no numbered pictures; for a film of each of its folders name them: FOLDER/*"
    return "holds no numbered pictures; --frames takes folders of frames, as film/0001.png"
