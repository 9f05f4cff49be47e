"""Workforce: the nodes of a cluster and the workers on them, for one job.

Nodes may join, leave, or not have what the job needs. A worker that died is replaced.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from batchcolor.cluster.chunk import Chunk
from batchcolor.cluster.chunk_worker import ChunkProgress, ChunkWorker
from batchcolor.cluster.ray_cluster import Node, RayCluster, Worker
from batchcolor.cluster.worker_spec import WorkerSpec
from batchcolor.errors import ClusterError, NodeMismatchError
from batchcolor.pipeline.report import NodeStatus, Report

NODE_SECONDS = 1.0
"""Between two questions for the nodes of the cluster."""
WAIT_SECONDS = 60.0
"""How long a job waits for a node when none is left."""
MAX_FAULTS = 3
"""Workers of a node that may die while they load, or with chunks that others then finish."""


@dataclass
class _NodeState:
    node: Node
    status: NodeStatus
    workers: list[Worker] = field(default_factory=list)
    ready: set[Worker] = field(default_factory=set)
    faults: int = 0

    @property
    def is_usable(self) -> bool:
        return self.status.state in ("starting", "working")


class Workforce:
    """Starts, replaces and ends the workers of a job. For one thread."""

    def __init__(
        self,
        cluster: RayCluster,
        report: Report,
        spec: WorkerSpec,
        kind: type[ChunkWorker],
    ) -> None:
        self._cluster, self._report, self._spec, self._kind = cluster, report, spec, kind
        self._nodes: dict[str, _NodeState] = {}
        self._listed_at = float("-inf")
        self._none_since: float | None = None
        self._none_ready_since: float | None = None

    @property
    def count(self) -> int:
        """Workers that are there or about to start."""
        return sum(len(state.workers) for state in self._nodes.values())

    @property
    def usable_nodes(self) -> set[str]:
        """Ids of the nodes whose workers get chunks."""
        return {id_ for id_, state in self._nodes.items() if state.is_usable}

    def idle(self, busy: Collection[Worker]) -> list[Worker]:
        """Returns the workers that may have a chunk and have none."""
        usable = (state for state in self._nodes.values() if state.is_usable)
        ready = (worker for state in usable for worker in state.ready)
        return [worker for worker in ready if worker not in busy]

    def update(self) -> None:
        """Starts workers on nodes that lack some, once a second.

        Raises NodeMismatchError where no node can be used, ClusterError where none is left.
        """
        now = time.monotonic()
        if now - self._listed_at < NODE_SECONDS:
            return
        self._listed_at = now
        self._list_nodes()
        for state in self._nodes.values():
            while state.is_usable and len(state.workers) < state.node.workers:
                spec = self._spec.fit(state.node.cpus_each, state.node.workers)
                state.workers.append(self._cluster.start_worker(state.node, spec, self._kind))
            state.status.workers = len(state.workers)
        self._check_usable(now)

    def _list_nodes(self) -> None:
        alive = {node.id: node for node in self._cluster.list_nodes()}
        for id_, node in alive.items():
            if id_ not in self._nodes:
                self._nodes[id_] = _NodeState(node, NodeStatus(node.name))
                self._report.nodes.append(self._nodes[id_].status)
        for id_, state in self._nodes.items():
            if id_ not in alive and state.status.state != "lost":
                state.status.state = "lost"
                self._report.note(
                    f"{state.node.name} was lost; what it had in work was done again elsewhere"
                )
                for worker in list(state.ready):  # the reply of those with a chunk follows
                    state.ready.discard(worker)

    def _check_usable(self, now: float) -> None:
        states = list(self._nodes.values())
        if any(state.is_usable for state in states):
            self._none_since = None
            self._note_waiting(states, now)
            return
        refused = [state for state in states if state.status.state == "not used"]
        if refused and not any(state.status.finished for state in states):
            reasons = "; ".join(f"{it.node.name}: {it.status.reason}" for it in refused[:3])
            raise NodeMismatchError(f"no node of the cluster can be used: {reasons}")
        self._none_since = self._none_since or now
        if now - self._none_since > WAIT_SECONDS:
            what = "is left" if states else "has a processor core for tasks (ray status lists them)"
            reasons = "".join(f"; {it.node.name}: {it.status.reason}" for it in refused[:3])
            raise ClusterError(
                f"no node of the cluster {what}{reasons}; run the same command again to resume"
            )

    def _note_waiting(self, states: Sequence[_NodeState], now: float) -> None:
        """Notes that no worker starts: other jobs may have the cores for hours."""
        if any(state.ready for state in states):
            self._none_ready_since = None
            return
        self._none_ready_since = self._none_ready_since or now
        if now - self._none_ready_since > WAIT_SECONDS:
            self._report.note(
                "no worker was started for a minute: other jobs may have all cores or GPUs of the "
                "cluster (ray status lists them); the job waited for them"
            )

    def receive(self, worker: Worker, mismatch: object) -> None:
        """Takes the end of `prepare`: why the node cannot be used, empty where it can; or what
        was raised."""
        state = self._nodes[worker.node.id]
        if mismatch == "" and state.is_usable:
            state.ready.add(worker)
            state.status.state = "working"
        elif mismatch != "":
            reason = f"its worker does not start ({mismatch})"
            self._refuse(state, mismatch if isinstance(mismatch, str) else reason)

    def refuse(self, node: Node, mismatch: str) -> None:
        """Gives no more chunks to a node, for this reason."""
        self._refuse(self._nodes[node.id], mismatch)

    def _refuse(self, state: _NodeState, reason: str) -> None:
        if state.status.state == "not used":
            return
        state.status.state, state.status.reason = "not used", reason
        self._report.note(f"{state.node.name} is not used: {reason}")
        for worker in [*state.workers]:
            if worker not in state.ready:
                self._drop(state, worker)

    def lose(self, worker: Worker, reason: str) -> bool:
        """Takes the death of a worker. Whether its node was lost with it."""
        state = self._nodes[worker.node.id]
        was_ready = worker in state.ready
        self._drop(state, worker)
        self._list_nodes()
        if state.status.state == "lost":
            return True
        if not was_ready:
            state.faults += 1
            if state.faults >= MAX_FAULTS:
                self._refuse(state, f"its workers do not start: {reason}")
        else:
            self._report.note(f"a worker on {state.node.name} died and was replaced ({reason})")
        return False

    def _drop(self, state: _NodeState, worker: Worker) -> None:
        self._cluster.stop_worker(worker)
        state.ready.discard(worker)
        if worker in state.workers:
            state.workers.remove(worker)
        state.status.workers = len(state.workers)

    def count_finished(self, worker: Worker, chunk: Chunk, finished: int, failed: int) -> None:
        """Counts a finished chunk; a node on which its workers died before is perhaps faulty."""
        status = self._nodes[worker.node.id].status
        status.finished += finished
        status.failed += failed
        for id_ in chunk.died_on - {worker.node.id}:
            state = self._nodes[id_]
            state.faults += 1
            if state.faults >= MAX_FAULTS and state.is_usable:
                self._refuse(state, "its workers died with files that others finished")

    def show_progress(self, progress: Mapping[Worker, ChunkProgress]) -> None:
        """Sets how many files of chunks in work are finished, for each node."""
        for state in self._nodes.values():
            state.status.in_work = sum(
                progress[worker].finished for worker in state.workers if worker in progress
            )

    def close(self) -> None:
        """Ends all workers. Each node keeps its state for the report."""
        for state in self._nodes.values():
            state.status.in_work = 0
            for worker in [*state.workers]:
                self._drop(state, worker)
