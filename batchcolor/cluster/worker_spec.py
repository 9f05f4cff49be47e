"""WorkerSpec: all that a worker gets of the job, beside its chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchcolor.cluster.node_check import Installation, describe_installation
from batchcolor.cluster.worker_storage import RemoteNames, describe_names
from batchcolor.hooks.manager import Plugins
from batchcolor.pipeline.options.settings import LEAST_MEMORY, RunSettings
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.sources import Root
from batchcolor.storage.mounts import name_of


@dataclass(frozen=True)
class WorkerSpec:
    """Settings and folders of the job, and what the installation of a node must have."""

    settings: RunSettings
    roots: tuple[Root, ...]
    """The local ones."""
    output: Path
    model_options: Mapping[str, Any]
    folder: str
    """The working folder of the driver: relative paths begin there."""
    shared_folder: Path | None
    """A folder of this job in the output folder: a node that sees it sees the output. None for
    an output on remote storage."""
    inputs: tuple[tuple[Path, str], ...]
    """Weights and references, and the URL of those that are copies of one; else empty."""
    remote_names: RemoteNames | None
    """What folders of the driver stand for; None where all is local."""
    with_plugins: bool
    disabled_plugins: tuple[str, ...]
    installation: Installation
    """That of the driver."""
    weights_hash: str

    def fit(self, cpus_each: int, workers: int) -> WorkerSpec:
        """Gives a worker its part of a node: threads as it has cores, and its part of memory."""
        settings = self.settings
        threads = settings.workers or cpus_each
        memory = settings.max_memory or settings.memory // workers
        changed = {"workers": threads, "max_memory": max(memory, LEAST_MEMORY)}
        return replace(self, settings=settings.model_copy(update=changed))


def make_worker_spec(
    plan: Plan, plugins: Plugins, weights_hash: str, shared_folder: Path
) -> WorkerSpec:
    """Returns what all workers get. The driver has the report and the gallery."""
    settings = plan.settings.model_copy(update={"report": None, "gallery": False})
    return WorkerSpec(
        settings=settings,
        roots=tuple(root for root in plan.roots if root.remote is None),
        output=plan.output,
        model_options=plan.model_options,
        folder=str(Path.cwd()),
        shared_folder=shared_folder if plan.remote_output is None else None,
        inputs=tuple(_list_inputs(settings)),
        remote_names=describe_names(plan) if plan.session is not None else None,
        with_plugins=len(plugins.origins) > 1,
        disabled_plugins=tuple(origin.package for origin in plugins.disabled),
        installation=describe_installation(plugins),
        weights_hash=weights_hash,
    )


def _list_inputs(settings: RunSettings) -> Iterator[tuple[Path, str]]:
    """Yields the files and folders that workers read beside sources, and their URLs."""
    given = (settings.weights, settings.like, settings.references)
    for path in (*given, *(Path(reference) for _, reference in settings.like_for)):
        if path is not None:
            name = name_of(path)
            yield path, "" if name == str(path) else name
