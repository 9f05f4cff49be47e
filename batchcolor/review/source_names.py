"""SourceNames: what the sources of jobs are called in decisions, and where they lie."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchcolor.errors import UsageError
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.sources import (
    Root,
    Source,
    is_remote,
    list_roots,
    parse_source,
)
from batchcolor.review.remote_sources import (
    RemoteRoot,
    RemoteSources,
    find_parent_root,
    parse_root,
)
from batchcolor.storage.locations import is_url


@dataclass(frozen=True)
class NamedSource:
    """A source: its name in decisions, its path, and the job that it belongs to."""

    key: str
    path: Path
    job: RunSettings | None


class SourceNames:
    """The names of sources in decisions: their paths below the source folders of their job."""

    def __init__(
        self, jobs: Sequence[RunSettings], remote: RemoteSources, recorded: Collection[str]
    ) -> None:
        """`recorded` has the sources in the journal, as it names them."""
        self._remote = remote
        self._folders: list[tuple[Path, Path, RunSettings]] = []
        self._files: dict[Path, tuple[str, RunSettings]] = {}
        self._remote_roots: list[tuple[RemoteRoot, Path, RunSettings]] = []
        for job in reversed(jobs):  # the last one counts
            roots = {}
            for text in filter(is_remote, job.sources):
                root = parse_root(text, recorded)
                roots[remote.add(root)] = root
            for found in _list_roots(job, roots):
                if found.path in roots:
                    self._remote_roots.append((roots[found.path], found.below, job))
                elif found.path.is_dir():
                    self._folders.append((found.path, found.below, job))
                else:
                    name = (found.below / found.path.name).as_posix()
                    self._files.setdefault(found.path, (name, job))

    def find(self, source: str) -> NamedSource:
        """What a source in the journal is called; its file name where no job has it."""
        if is_url(source):
            return self._find_remote(source)
        path = Path(source)
        if path in self._files:
            return NamedSource(self._files[path][0], path, self._files[path][1])
        for folder, below, job in self._folders:
            if folder in path.parents or folder == path:
                return NamedSource((below / path.relative_to(folder)).as_posix(), path, job)
        return NamedSource(path.name, path, None)

    def _find_remote(self, source: str) -> NamedSource:
        for root, below, job in self._remote_roots:
            key = root.find_key(source)
            if key is not None:
                return NamedSource((below / key).as_posix(), self._remote.place(root, key), job)
        root = find_parent_root(source)
        self._remote.add(root)
        key = root.find_key(source) or ""
        return NamedSource(key, self._remote.place(root, key), None)


def _list_roots(job: RunSettings, remote: dict[Path, RemoteRoot]) -> list[Root]:
    paths = {root.text: path for path, root in remote.items()}
    sources = []
    for text in job.sources:
        if text in paths:
            is_folder = remote[paths[text]].is_folder
            sources.append(Source(paths[text], "remote" if is_folder else "file", text=text))
            continue
        try:
            sources.append(parse_source(text))
        except UsageError:  # the folder is gone: its results are shown nevertheless
            continue
    return list(list_roots(sources, several=len(job.sources) > 1))
