"""RayCluster: nodes, and worker processes on them, as the driver of a job needs them.

The only file that imports Ray. Workers are actors with one call in work at a time, and a second
thread for questions meanwhile. Ray starts them by resources; what follows their death is decided
by the driver, so Ray itself repeats nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pickle
import re
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from batchcolor.cluster.chunk_worker import ChunkWorker
from batchcolor.cluster.worker_spec import WorkerSpec
from batchcolor.errors import ClusterError, UsageError
from batchcolor.version import __version__

LOCAL, AUTO, CLIENT = "local", "auto", "ray://"
INSTALL = "--cluster needs the package ray: pip install 'batchcolor[ray]'"
LOCAL_STORE = 100 * 2**20
"""Bytes of the object store of a cluster on this machine: pictures do not go through it."""
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 0.02
"""How long `wait` waits where no call is in work."""
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Node:
    """A node that is alive, and the workers that fit on it."""

    id: str
    name: str
    workers: int
    cpus_each: int
    gpus_each: int


@dataclass(frozen=True)
class WorkerLost:
    """Instead of the result of a call: the process of the worker is gone."""

    reason: str


@dataclass(frozen=True)
class Reply:
    """The end of a call. `value` is its result, WorkerLost, or the exception that it raised."""

    worker: Worker
    method: str
    value: Any


class Worker:
    """A worker process, or one that is about to start."""

    def __init__(self, node: Node, handle: Any) -> None:
        self.node, self.handle = node, handle


class WorkerProcess:
    """The actor: a worker that gets arguments as bytes.

    Ray's own pickler, which is in Python, takes three times as long for the tasks of a chunk.
    """

    def __init__(self, kind: type[ChunkWorker], spec: WorkerSpec) -> None:
        self._worker = kind(spec)

    def call(self, method: str, arguments: bytes) -> Any:
        """The result of a method of the worker."""
        return getattr(self._worker, method)(*pickle.loads(arguments))


class RayCluster:
    """A connection to a cluster, for the time of a `with` block. For one thread."""

    def __init__(self, address: str, cores: int | None = None) -> None:
        """`cores`: those of a worker on nodes without GPU; None: all of the node.

        Raises UsageError where Ray is not installed.
        """
        self.address, self.cores = address, cores
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when it is imported
        self.ray = _import_ray()
        self._actor: Any = None
        self._calls: dict[Any, tuple[Worker, str]] = {}
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> RayCluster:
        """Connects. Raises ClusterError."""
        if self.ray.is_initialized():  # by the program that uses the Python API
            return self
        self._closing.enter_context(_kept_signals())
        self._closing.enter_context(_silenced(self.ray))
        try:
            _check_reachable(self.address)
            self.ray.init(**self._arguments())
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            self.ray.shutdown()  # what began in part, as before a comparison of versions
            self._closing.close()
            raise ClusterError(_describe_refusal(self.address, error)) from error
        self._closing.callback(self.ray.shutdown)
        return self

    def __exit__(self, *error: object) -> None:
        for worker in {id(worker): worker for worker, _ in self._calls.values()}.values():
            self.stop_worker(worker)
        self._closing.close()

    def _arguments(self) -> dict[str, Any]:
        quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self.address == LOCAL:
            return {
                "address": "local",
                "include_dashboard": False,
                "object_store_memory": LOCAL_STORE,
                **quiet,
            }
        return {"address": self.address, **quiet}

    def list_nodes(self) -> list[Node]:
        """Returns the nodes that are alive and have cores. Raises ClusterError."""
        try:
            found = [node for node in self.ray.nodes() if node["Alive"]]
        except self._errors as error:
            raise ClusterError(
                f"the cluster does not answer ({describe_ray_error(error)}); "
                f"run the same command again to resume"
            ) from error
        names = [node["NodeManagerHostname"] for node in found]
        nodes = []
        for node in found:
            name = node["NodeManagerHostname"]
            if names.count(name) > 1:
                name = f"{name}-{node['NodeID'][:6]}"
            cores, gpus = (int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU"))
            if cores < 1:
                continue
            workers = gpus or max(1, cores // (self.cores or cores))
            cores_each = max(1, cores // workers)
            nodes.append(Node(node["NodeID"], name, workers, cores_each, int(gpus > 0)))
        return nodes

    def start_worker(
        self, node: Node, spec: WorkerSpec, kind: type[ChunkWorker] = ChunkWorker
    ) -> Worker:
        """Starts a worker on a node, which takes seconds; the first reply is that of `prepare`."""
        affinity = importlib.import_module(
            "ray.util.scheduling_strategies"
        ).NodeAffinitySchedulingStrategy
        if self._actor is None:  # Ray examines the code of each class that it gets: once
            self._actor = self.ray.remote(WorkerProcess)
        actor = self._actor.options(
            num_cpus=node.cpus_each,
            num_gpus=node.gpus_each,
            max_concurrency=2,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=affinity(node.id, soft=False),
        )
        worker = Worker(node, actor.remote(kind, spec))
        self.call(worker, "prepare")
        return worker

    def stop_worker(self, worker: Worker) -> None:
        """Ends the process of a worker at once."""
        with contextlib.suppress(*self._errors):
            self.ray.kill(worker.handle)
        self._calls = {ref: call for ref, call in self._calls.items() if call[0] is not worker}

    def call(self, worker: Worker, method: str, *arguments: object) -> None:
        """Calls a method of a worker; its end is a reply of `wait`."""
        reference = worker.handle.call.remote(method, pickle.dumps(arguments))
        self._calls[reference] = (worker, method)

    def wait(self, seconds: float) -> list[Reply]:
        """Returns the calls that have ended; waits for one at most so many seconds."""
        if not self._calls:
            time.sleep(min(seconds, IDLE_SECONDS))  # no node, or tasks are planned too slowly
            return []
        pending = list(self._calls)
        ready, _ = self.ray.wait(pending, num_returns=1, timeout=seconds)
        more, _ = self.ray.wait(pending, num_returns=len(pending), timeout=0)
        return [self._reply(reference) for reference in dict.fromkeys([*ready, *more])]

    def _reply(self, reference: Any) -> Reply:
        worker, method = self._calls.pop(reference)
        try:
            return Reply(worker, method, self.ray.get(reference))
        except self._errors as error:
            cause = getattr(error, "cause", None)
            if isinstance(error, self.ray.exceptions.RayTaskError):  # an exception of our code
                return Reply(worker, method, cause if isinstance(cause, Exception) else error)
            return Reply(worker, method, WorkerLost(describe_ray_error(error)))

    @property
    def _errors(self) -> tuple[type[BaseException], ...]:
        return (self.ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError)


def _import_ray() -> ModuleType:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UsageError(INSTALL) from error


@contextlib.contextmanager
def _kept_signals() -> Iterator[None]:
    """Sets back the handler of SIGTERM, which Ray replaces by one that ends the process."""
    former = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not the main thread, where Ray replaces none
            signal.signal(signal.SIGTERM, former)


@contextlib.contextmanager
def _silenced(ray: ModuleType) -> Iterator[None]:
    """Keeps the messages of Ray off the screen: it prints reports of lost workers to standard
    output, and has no public switch for it. The job reports them in its own words."""
    module: Any = importlib.import_module("ray._private.worker")
    former = getattr(module, "_worker_logs_enabled", None)
    module._worker_logs_enabled = False
    try:
        yield
    finally:
        module._worker_logs_enabled = former


def _check_reachable(address: str) -> None:
    """Raises OSError where nothing listens at a host and port: Ray would try for minutes."""
    named = os.environ.get("RAY_ADDRESS", "") if address == AUTO else address
    host, _, port = named.removeprefix(CLIENT).partition("/")[0].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def _describe_refusal(address: str, error: BaseException) -> str:
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", str(error))
    if len(versions) == 2:  # Ray compares them
        there, here = (f"Ray {ray} and Python {python}" for ray, python in versions)
        return f"the cluster has {there}, and this computer {here}; install the same ones on both"
    what = {
        AUTO: "no running Ray cluster was found; start one with: ray start --head; or use "
        "--cluster local for this machine only",
        LOCAL: f"Ray does not start on this machine ({describe_ray_error(error)})",
    }
    text = (
        f"the cluster {address} cannot be reached ({describe_ray_error(error)}); check the address"
    )
    return what.get(address, text)


def describe_ray_error(error: BaseException) -> str:
    """Returns the sentence that states a cause, without Ray's table of ids and colours."""
    text = ANSI.sub("", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip(" ^~")]
    causes = [line for line in lines if line.startswith("The actor")]
    if causes and "in its creation task" in causes[-1]:  # the last line of the traceback
        return _describe_creation_failure(lines[-1])
    return (causes or lines or [type(error).__name__])[-1 if causes else 0].split(". ")[0][:200]


def _describe_creation_failure(cause: str) -> str:
    """Why a worker process does not begin: it imports batchcolor before all checks of its own."""
    if "No module named 'batchcolor" in cause:
        return (
            f"batchcolor is not installed there, or in another version; "
            f"pip install batchcolor=={__version__} there"
        )
    return cause[:200]
