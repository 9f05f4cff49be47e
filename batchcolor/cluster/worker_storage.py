"""Sources and output of a worker on remote storage.

The driver plans from listings; a worker fetches the objects of its chunks and puts the results. Its
files lie in temporary folders of its own, so paths of the driver are translated; what they stand
for, and what the journal and the report name, are the same URLs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchcolor.hooks.types import Reader
from batchcolor.images.scan import ScannedFile, SkippedEntry
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.remote_sources import RemoteFolder
from batchcolor.pipeline.planning.remote_tasks import RemoteTasks
from batchcolor.pipeline.planning.sources import list_roots, parse_sources
from batchcolor.pipeline.planning.task import Task
from batchcolor.storage.journal import absolute_source
from batchcolor.storage.locations import Url, url_name
from batchcolor.storage.mounts import find_mount
from batchcolor.storage.remote.remote_output import RemoteOutput
from batchcolor.storage.remote.session import RemoteSession


@dataclass(frozen=True)
class RemoteNames:
    """What the local folders of the driver stand for."""

    mounts: Mapping[str, str]
    """URLs of remote sources, by the folder."""
    output: Path
    """The output folder; of an output on remote storage its local folder."""


def describe_names(plan: Plan) -> RemoteNames:
    """Returns the folders of this process for a plan."""
    remote = [root.remote for root in plan.roots if root.remote is not None]
    mounts = {str(each.mount.folder): each.mount.url for each in remote}
    return RemoteNames(mounts, plan.output)


class WorkerStorage:
    """What a worker has open on remote storage."""

    def __init__(self, settings: RunSettings, names: RemoteNames) -> None:
        """Raises UsageError where a source or the output cannot be opened."""
        self._names = names
        self.session = RemoteSession(settings.temporary_space, settings.retries)
        self._folders: dict[str, RemoteFolder] = {}
        if names.mounts:
            sources = parse_sources(settings.sources, self.session, include_results=True)
            for root in list_roots(sources, several=False):
                if root.remote is not None:
                    self._folders[root.remote.mount.url] = root.remote
        self._other_formats: list[tuple[str, ScannedFile]] = []
        self.output: RemoteOutput | None = None
        if isinstance(settings.output, Url):
            folder = self.session.make_folder(url_name(settings.output))
            self.output = RemoteOutput(settings.output, self.session, folder)
            self.output.check()  # else the first result would end the job of all nodes

    def translate(self, task: Task) -> Task:
        """The task of the driver with the paths of this process."""
        if self.output is not None:
            folder = self.output.folder
            target = folder / task.target.relative_to(self._names.output)
            strip = task.strip and folder / task.strip.relative_to(self._names.output)
            task = replace(task, target=target, strip=strip)
        if task.found is None:
            return task
        for place, url in self._names.mounts.items():
            if task.source.path.is_relative_to(place):
                below = task.source.path.relative_to(place)
                path = self._folders[url].mount.folder / below
                task = replace(task, source=replace(task.source, path=path))
                return _translate_hints(task)
        raise AssertionError(f"{task.source.path} is in no source")

    def fetch(
        self, tasks: Sequence[Task], readers: Sequence[Reader]
    ) -> Iterator[Task | SkippedEntry]:
        """Yields the tasks, those of objects when their file is there."""
        folders: dict[str, list[Task]] = {}
        for task in tasks:
            mount = None if task.found is None else find_mount(str(task.source.path))
            if mount is None:
                yield task
            else:
                folders.setdefault(mount.url, []).append(task)
        for url, chosen in folders.items():
            planned = {task.source.path: task for task in chosen}

            def find_planned(file: ScannedFile, planned: Mapping[Path, Task] = planned) -> Task:
                return replace(planned[file.path], source=file)

            remote = RemoteTasks(self._folders[url], readers, find_planned, lambda file: True)
            for item in remote.fetch_selected(chosen):
                if isinstance(item, Task) and _needs_new_name(planned[item.source.path], item):
                    source = absolute_source(item.source.path)
                    self._other_formats.append((source, item.source))
                    self.session.release(item.source.path)
                else:
                    yield item

    def take_other_formats(self) -> tuple[tuple[str, ScannedFile], ...]:
        """Returns the objects that were fetched since the last time and are not what their suffix
        says, by their URL. They were not yielded."""
        found, self._other_formats = tuple(self._other_formats), []
        return found

    def close(self) -> None:
        """Ends all requests and removes the temporary files."""
        if self.output is not None:
            self.output.close()
        self.session.close()


def _translate_hints(task: Task) -> Task:
    """Painted hints lie beside their picture, here as on the driver."""
    correction = task.correction
    if correction.painted is None:
        return task
    painted = task.source.path.with_name(correction.painted.name)
    return replace(task, correction=replace(correction, painted=painted))


def _needs_new_name(planned: Task, found: Task) -> bool:
    """Whether the content of an object is not what its suffix says, so that its result may have
    another format and name than was planned."""
    if found.source.format == planned.source.format:
        return False
    is_picture = found.source.format is not None and not found.source.is_film
    return planned.source.is_film or not is_picture or planned.settings.target_format is None
