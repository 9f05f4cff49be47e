"""The chunks that workers have, as files: after a kill of the driver the next one knows them.

A worker commits results, and the driver writes the journal when it reports them. A driver that is
killed in between leaves results without a line, which would count as made by another program. The
files of a chunk are recorded before a worker gets it, and the record is removed when the journal
has their lines; so the next driver replaces such results, by the same ones.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

from batchcolor.cluster.chunk import Chunk
from batchcolor.errors import OutputError
from batchcolor.storage.journal import absolute_source
from batchcolor.storage.process_token import process_token
from batchcolor.storage.shard import Shard

FOLDER = "cluster"


class InFlightChunks:
    """The records of one driver, and the sources in those of earlier ones."""

    def __init__(self, state_folder: Path, shard: Shard | None = None) -> None:
        """`state_folder` is that of an output folder that is locked, or of which a shard is.

        Raises OutputError.
        """
        self._all = state_folder / (FOLDER if shard is None else f"{FOLDER}-{shard.tag}")
        self.folder = self._all / process_token()
        self.interrupted = _read_sources(self._all)
        """Sources that workers of earlier drivers had."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made ({error.strerror})") from error

    def add(self, chunk: Chunk) -> None:
        """Records a chunk that no worker had before. Raises OutputError."""
        if chunk.is_repeated:
            return  # its record is there
        sources = [absolute_source(task.source.path) for task in chunk.tasks]
        try:
            self._path(chunk).write_text(json.dumps(sources))
        except OSError as error:
            raise OutputError(
                f"{self.folder} cannot be written ({error.strerror}); "
                f"correct the cause and run the same command again"
            ) from error

    def remove(self, chunk: Chunk) -> None:
        """Removes the record of a chunk whose files are in the journal.

        That of a repeated one, which may have been halved, stays until the end.
        """
        if chunk.is_repeated:
            return
        with contextlib.suppress(OSError):
            self._path(chunk).unlink()

    def close(self, *, is_complete: bool) -> None:
        """Removes all records where the job is complete, else only folders without any."""
        if is_complete:
            shutil.rmtree(self._all, ignore_errors=True)
        with contextlib.suppress(OSError):  # a chunk that was lost while the job stopped
            self.folder.rmdir()
            self._all.rmdir()

    def _path(self, chunk: Chunk) -> Path:
        return self.folder / f"chunk-{chunk.number}.json"


def _read_sources(folder: Path) -> frozenset[str]:
    sources: set[str] = set()
    for path in folder.glob("*/chunk-*.json"):
        with contextlib.suppress(OSError, ValueError):  # a torn file: its chunk was never begun
            sources.update(json.loads(path.read_bytes()))
    return frozenset(sources)
