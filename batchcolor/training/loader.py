"""The pictures of each step: the whole set on the device where it fits, else fetched ahead."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import torch

from batchcolor.training.distributed import DistributedContext
from batchcolor.training.store import Store


class BatchLoader:
    """Batches by step; which pictures a step gets depends on the seed and its epoch alone."""

    def __init__(
        self, store: Store, machine: DistributedContext, batch_size: int, seed: int
    ) -> None:
        self.machine, self.seed = machine, seed
        self.learnt = torch.from_numpy(store.train)
        self.batch = min(batch_size, max(1, len(self.learnt) // machine.world))
        self.epoch_steps = max(1, len(self.learnt) // (self.batch * machine.world))
        self.pictures = torch.from_numpy(store.pictures)
        if machine.device.type == "cuda" and _fits(self.pictures, machine.device):
            self.pictures = self.pictures.to(machine.device)
        self._order: tuple[int, torch.Tensor] = (-1, torch.empty(0))
        self._ahead: tuple[int, Future[torch.Tensor]] | None = None
        self._thread = ThreadPoolExecutor(1, "feed")

    def __call__(self, step: int) -> torch.Tensor:
        """uint8 RGB `(N, side, side, 3)` on the device; the next step's is fetched meanwhile."""
        if self.pictures.device.type != "cpu":
            return self.pictures[self._rows(step).to(self.pictures.device)]
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = (step, self._fetch(step))
        batch = self._ahead[1].result()
        self._ahead = (step + 1, self._fetch(step + 1))
        return batch.to(self.machine.device, non_blocking=True)

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """The pictures in these rows of the store, on the device."""
        return self.pictures[rows.to(self.pictures.device)].to(self.machine.device)

    def _fetch(self, step: int) -> Future[torch.Tensor]:
        rows, pinned = self._rows(step), self.machine.device.type == "cuda"

        def gather() -> torch.Tensor:
            batch = self.pictures[rows]
            return batch.pin_memory() if pinned else batch

        return self._thread.submit(gather)

    def _rows(self, step: int) -> torch.Tensor:
        epoch, place = divmod(step, self.epoch_steps)
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed * 7919 + epoch)
            mixed = torch.randperm(len(self.learnt), generator=generator)
            self._order = (epoch, self.learnt[mixed])
        first = (place * self.machine.world + self.machine.rank) * self.batch
        return self._order[1][first : first + self.batch]


def _fits(pictures: torch.Tensor, device: torch.device) -> bool:
    free, _ = torch.cuda.mem_get_info(device)
    return pictures.nbytes < free // 2
