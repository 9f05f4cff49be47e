"""Where memory is short, one picture fails instead of the job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from batchcolor.errors import ProcessingError

NO_MEMORY = "not enough memory; --workers and --max-memory with less take fewer at once"


@contextmanager
def memory_failure(step: str) -> Iterator[None]:
    """Raises ProcessingError of a step for a MemoryError in the block."""
    try:
        yield
    except MemoryError as error:
        raise ProcessingError(step, NO_MEMORY) from error
