"""ThreadCluster: the nodes of a cluster as threads of the test, with pickled messages.

It stands for Ray, of which tests with several nodes need many seconds. `test_ray_cluster.py` has
the tests of what only processes can show.
"""

from __future__ import annotations

import pickle
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from batchcolor.cluster.chunk_worker import ChunkWorker
from batchcolor.cluster.ray_cluster import Node, Reply, Worker, WorkerLost
from batchcolor.cluster.worker_spec import WorkerSpec


class ThreadCluster:
    """A cluster whose nodes a test adds and removes; with the methods of `RayCluster`."""

    def __init__(self, *names: str) -> None:
        self.nodes = {name: Node(name, name, 1, 1, 0) for name in names}
        self.busy: set[str] = set()
        """Nodes whose cores another job has."""
        self.before_color: Callable[[str, tuple[Any, ...]], None] = lambda node, tasks: None
        """Called with a node and the tasks of a chunk that it is about to colour. An exception
        ends the worker."""
        self.before_prepare: Callable[[str], None] = lambda node: None
        """Called with a node whose worker is about to load the model."""
        self._replies: queue.Queue[Reply] = queue.Queue()
        self._threads: dict[Worker, ThreadPoolExecutor] = {}
        self._waiting: list[Worker] = []
        self._lock = threading.Lock()

    def connect(self, address: str, cores: int | None) -> ThreadCluster:
        """Stands for the constructor of `RayCluster`."""
        return self

    def __enter__(self) -> ThreadCluster:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in [*self._threads]:
            self.stop_worker(worker)

    def add(self, name: str) -> None:
        """Adds a node."""
        self.nodes[name] = Node(name, name, 1, 1, 0)

    def free(self, name: str) -> None:
        """Frees the cores of a node: workers that wait for them start."""
        self.busy.discard(name)
        waiting, self._waiting = self._waiting, []
        for worker in waiting:
            self.call(worker, "prepare")

    def list_nodes(self) -> list[Node]:
        return list(self.nodes.values())

    def start_worker(
        self, node: Node, spec: WorkerSpec, kind: type[ChunkWorker] = ChunkWorker
    ) -> Worker:
        worker = Worker(node, kind(pickle.loads(pickle.dumps(spec))))
        self._threads[worker] = ThreadPoolExecutor(2)
        if node.id in self.busy:
            self._waiting.append(worker)
        else:
            self.call(worker, "prepare")
        return worker

    def stop_worker(self, worker: Worker) -> None:
        pool = self._threads.pop(worker, None)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def call(self, worker: Worker, method: str, *arguments: object) -> None:
        self._threads[worker].submit(self._run, worker, method, pickle.dumps(arguments))

    def _run(self, worker: Worker, method: str, message: bytes) -> None:
        arguments = pickle.loads(message)
        try:
            if method == "prepare":
                self.before_prepare(worker.node.id)
            if method == "color":
                self.before_color(worker.node.id, arguments[0])
            value = pickle.loads(pickle.dumps(getattr(worker.handle, method)(*arguments)))
        except Exception as error:
            value = WorkerLost(str(error))
        self._replies.put(Reply(worker, method, value))

    def wait(self, seconds: float) -> list[Reply]:
        found = []
        try:
            found.append(self._replies.get(timeout=seconds))
            while True:
                found.append(self._replies.get_nowait())
        except queue.Empty:
            return found
