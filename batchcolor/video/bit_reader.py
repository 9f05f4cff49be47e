"""Reads the bits of headers and messages of H.264 and H.265."""

from __future__ import annotations

import re

EMULATION = re.compile(b"\0\0\3")


def remove_emulation_prevention(unit: bytes) -> bytes:
    """Returns a unit without the bytes that keep start codes out of it (ITU-T H.264, 7.4.1)."""
    return EMULATION.sub(b"\0\0", unit)


class BitReader:
    """Reads bits and Exp-Golomb codes (ITU-T H.264, 9.1). Raises IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def read(self, count: int) -> int:
        """The next bits as a number."""
        value = 0
        for _ in range(count):
            value = value << 1 | (self._data[self._place >> 3] >> (7 - (self._place & 7)) & 1)
            self._place += 1
        return value

    def read_ue(self) -> int:
        """The next unsigned code."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def read_se(self) -> int:
        """The next signed code."""
        code = self.read_ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def skip_ue(self, count: int) -> None:
        """Skips codes, signed or not."""
        for _ in range(count):
            self.read_ue()
