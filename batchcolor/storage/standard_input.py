"""Standard input: a list of sources, or an uncompressed film, which its first bytes decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Y4M_MAGIC = b"YUV4MPEG2 "
MAX_LINE = 4096
"""Bytes of a first line, more than the header of a film has."""


class StandardInput:
    """The bytes of a buffered binary `file`; the first can be looked at before they are read."""

    def __init__(self, file: Any) -> None:
        self._file, self._ahead = file, b""
        self.position = 0
        """Bytes that were read."""

    def is_film(self) -> bool:
        """Whether an uncompressed film (YUV4MPEG2) begins here; waits for its first bytes."""
        self._look_ahead(lambda: not Y4M_MAGIC.startswith(self._ahead))
        return self._ahead.startswith(Y4M_MAGIC)

    def peek_line(self) -> bytes:
        """Returns the first line, without reading it."""
        self._look_ahead(lambda: b"\n" in self._ahead or len(self._ahead) > MAX_LINE)
        return self._ahead.partition(b"\n")[0]

    def _look_ahead(self, is_enough: Callable[[], bool]) -> None:
        while not is_enough():
            more = self._file.read(1)
            if not more:
                return
            self._ahead += more

    def read(self, size: int = -1) -> bytes:
        """Returns at most `size` bytes, those that are there, none at the end; all for -1."""
        if size < 0:
            data, self._ahead = self._ahead + bytes(self._file.read()), b""
        elif self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            data = bytes(self._file.read1(size))  # `read` would wait for all of them
        self.position += len(data)
        return data
