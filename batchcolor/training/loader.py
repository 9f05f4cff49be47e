"""Loads the batch of each step: from device memory if all pictures fit, else prefetched."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import torch

from batchcolor.training.distributed import DistributedContext
from batchcolor.training.store import Store


class BatchLoader:
    """Batches by step number. The pictures of a step depend only on the seed and the step."""

    def __init__(
        self, store: Store, context: DistributedContext, batch_size: int, seed: int
    ) -> None:
        self.context, self.seed = context, seed
        self.train_rows = torch.from_numpy(store.train)
        self.batch_size = min(batch_size, max(1, len(self.train_rows) // context.world_size))
        global_batch_size = self.batch_size * context.world_size
        self.steps_per_epoch = max(1, len(self.train_rows) // global_batch_size)
        self.pictures = torch.from_numpy(store.pictures)
        if context.device.type == "cuda" and _fits_in_memory(self.pictures, context.device):
            self.pictures = self.pictures.to(context.device)
        self._order: tuple[int, torch.Tensor] = (-1, torch.empty(0))
        self._prefetched: tuple[int, Future[torch.Tensor]] | None = None
        self._thread = ThreadPoolExecutor(1, "batch-loader")

    def __call__(self, step: int) -> torch.Tensor:
        """Returns uint8 RGB `(N, side, side, 3)` on the device, and prefetches the next batch."""
        if self.pictures.device.type != "cpu":
            return self.pictures[self._rows(step).to(self.pictures.device)]
        if self._prefetched is None or self._prefetched[0] != step:
            self._prefetched = (step, self._fetch(step))
        batch = self._prefetched[1].result()
        self._prefetched = (step + 1, self._fetch(step + 1))
        return batch.to(self.context.device, non_blocking=True)

    def load_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Returns the pictures in these rows of the store, on the device."""
        return self.pictures[rows.to(self.pictures.device)].to(self.context.device)

    def _fetch(self, step: int) -> Future[torch.Tensor]:
        rows, pinned = self._rows(step), self.context.device.type == "cuda"

        def gather() -> torch.Tensor:
            batch = self.pictures[rows]
            return batch.pin_memory() if pinned else batch

        return self._thread.submit(gather)

    def _rows(self, step: int) -> torch.Tensor:
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed * 7919 + epoch)
            shuffled = torch.randperm(len(self.train_rows), generator=generator)
            self._order = (epoch, self.train_rows[shuffled])
        first = (position * self.context.world_size + self.context.rank) * self.batch_size
        return self._order[1][first : first + self.batch_size]


def _fits_in_memory(pictures: torch.Tensor, device: torch.device) -> bool:
    free, _ = torch.cuda.mem_get_info(device)
    return pictures.nbytes < free // 2
