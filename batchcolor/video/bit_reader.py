"""Reads the bits of headers and messages of H.264 and H.265."""

from __future__ import annotations

import re

START_CODE = re.compile(b"\0\0\1")
EMULATION = re.compile(b"\0\0\3")


def parse_unit(codec: str, unit: bytes) -> tuple[int, bytes]:
    """Returns the type of a unit and its content; `codec` is h264 or hevc.

    The content is without the bytes that keep start codes out of it (ITU-T H.264, 7.4.1). Raises
    IndexError if the unit is empty.
    """
    if codec == "h264":
        return unit[0] & 31, EMULATION.sub(b"\0\0", unit[1:])
    return unit[0] >> 1 & 63, EMULATION.sub(b"\0\0", unit[2:])


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
