"""Decodes the samples of bitmaps: palettes of 1 to 8 bits, run lengths, and plain samples.

Source: BITMAPINFOHEADER in Microsoft's documentation of the Windows API; OS/2 Presentation Manager.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

COLOURS = 256
END_OF_LINE, END_OF_BITMAP, DELTA = 0, 1, 2
"""The second byte of an escape, whose first byte is 0; from 3 on it counts literal pixels."""
RUNS_CUT = "damaged: runs of pixels beyond the picture are ignored"
COLOURS_LEFT_OUT = "damaged: colours that its palette does not have are black"
PIXELS_LEFT_OUT = (
    "pixels that its run lengths leave out are black or the first colour of its palette"
)


def unpack_rows(data: bytes, start: int, width: int, height: int, bits: int) -> NDArray[np.uint8]:
    """Returns the bytes of rows `(H, bytes)`, which are padded to four bytes.

    The last row may lack the padding. Raises ValueError where samples are missing.
    """
    used, stride = (width * bits + 7) // 8, (width * bits + 31) // 32 * 4
    raster = data[start : start + stride * height]
    if len(raster) < stride * (height - 1) + used:
        raise ValueError("truncated: samples are missing")
    rows = np.frombuffer(raster.ljust(stride * height, b"\0"), np.uint8)
    return rows.reshape(height, stride)[:, :used]


def unpack_indices(rows: NDArray[np.uint8], width: int, bits: int) -> NDArray[np.uint8]:
    """Returns the palette indices `(H, W)` of packed rows of 1, 2, 4 or 8 bits."""
    if bits == 8:
        return rows
    parts = [(rows >> shift) & ((1 << bits) - 1) for shift in range(8 - bits, -1, -bits)]
    return np.stack(parts, -1).reshape(len(rows), -1)[:, :width]


def apply_palette(
    indices: NDArray[np.uint8], entries: bytes, entry_size: int, notes: list[str]
) -> NDArray[np.uint8]:
    """Returns grey `(H, W)` or RGB `(H, W, 3)`. Colours beyond the palette are black, with a note.

    `entries` are blue, green, red and, where `entry_size` is 4, an unused byte.
    """
    count = min(len(entries) // entry_size, COLOURS)
    stored = np.frombuffer(entries[: count * entry_size], np.uint8).reshape(count, entry_size)
    palette = np.zeros((COLOURS, 3), np.uint8)
    palette[:count] = stored[:, 2::-1]
    if count < COLOURS and int(indices.max()) >= count:
        notes.append(COLOURS_LEFT_OUT)
    is_grey = bool((palette[:, :1] == palette[:, 1:]).all())
    pixels: NDArray[np.uint8] = (palette[:, 0] if is_grey else palette).take(indices, axis=0)
    return pixels


def decode_run_lengths(
    data: bytes, start: int, width: int, height: int, bits: int, notes: list[str]
) -> NDArray[np.uint8]:
    """Returns the samples of run lengths of 4, 8 or 24 bits, `(H, W)` or `(H, W, 3)`, lowest first.

    Runs beyond the picture are cut and pixels without a run are zero, both with a note. Raises
    ValueError where data are missing.
    """
    sample_size = 3 if bits == 24 else 1
    rows = np.zeros((height, width * sample_size), np.uint8)
    is_set = np.zeros((height, width), np.bool_)
    x = y = 0
    position, is_cut = start, False
    while True:
        if position + 2 > len(data):
            if y >= height or (y == height - 1 and x >= width):
                break  # complete without its end marker
            raise ValueError("truncated: run lengths are missing")
        count, value = data[position], data[position + 1]
        position += 2
        if count:
            run = data[position - 1 : position - 1 + sample_size]
            position += sample_size - 1
            pixels = _repeat(run, count, bits)
        elif value == END_OF_BITMAP:
            break
        elif value == END_OF_LINE:
            x, y = 0, y + 1
            continue
        elif value == DELTA:
            if position + 2 > len(data):
                raise ValueError("truncated: run lengths are missing")
            x, y = x + data[position], y + data[position + 1]
            position += 2
            continue
        else:
            count, size = value, (value * bits + 7) // 8
            run = data[position : position + size]
            if len(run) < size:
                raise ValueError("truncated: run lengths are missing")
            position += size + size % 2
            pixels = _unpack_run(run, count, bits)
        fitting = max(0, min(count, width - x)) if y < height else 0
        is_cut |= fitting < count
        if fitting:
            rows[y, x * sample_size : (x + fitting) * sample_size] = np.frombuffer(
                pixels[: fitting * sample_size], np.uint8
            )
            is_set[y, x : x + fitting] = True
        x += count
    notes += [RUNS_CUT] * is_cut + [PIXELS_LEFT_OUT] * (not is_set.all())
    return rows.reshape(height, width, 3) if bits == 24 else rows


def _repeat(run: bytes, count: int, bits: int) -> bytes:
    """Returns the samples of a run: of 4 bits, two indices alternate."""
    if bits != 4:
        return run * count
    pair = bytes((run[0] >> 4, run[0] & 15))
    return (pair * ((count + 1) // 2))[:count]


def _unpack_run(run: bytes, count: int, bits: int) -> bytes:
    if bits != 4:
        return run
    return bytes(half for byte in run for half in (byte >> 4, byte & 15))[:count]


def split_channels(rows: NDArray[np.uint8], width: int, bits: int) -> NDArray[Any]:
    """Returns RGB `(H, W, 3)` of rows of blue, green, red, and of 32 bits an unused byte."""
    return rows.reshape(len(rows), width, bits // 8)[..., 2::-1]
