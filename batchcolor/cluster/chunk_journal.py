"""The journal of a worker: keeps its entries for the driver, which writes that of the job."""

from __future__ import annotations

from pathlib import Path

from batchcolor.storage.journal import Journal, JournalEntry
from batchcolor.storage.shard import Shard


class ChunkJournal(Journal):
    """Collects the entries of one chunk. It reads no earlier ones: the tasks of the chunk have
    been chosen by the driver, which has read them and holds the lock of the output folder."""

    def __init__(self, output: Path, shard: Shard | None) -> None:
        super().__init__(output, lock=False, shard=shard)
        self.collected: list[JournalEntry] = []

    def _read(self) -> None:
        """Reads nothing."""
        self._entries, self._owners, self._results = {}, {}, {}
        self._damaged, self.run = {}, 0

    def open(self) -> None:
        """Makes the output folder where it is missing. Raises OutputError."""
        with self._opening:
            try:
                self._make_folder()
            except OSError as error:
                raise self._unwritable(error) from error

    def append(self, entry: JournalEntry) -> None:
        """Keeps an entry."""
        self.collected.append(entry)
