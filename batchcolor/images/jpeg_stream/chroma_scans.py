"""Encodes a chroma plane as scans of its own, to be appended to the scans of another component.

The plane is encoded as a grey JPEG by libjpeg-turbo, through Pillow; its tables and scans get the
numbers of the component that it becomes (ITU-T T.81, B.2.3 and B.2.4).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from batchcolor.images.jpeg_stream.jpeg_frame import SOS
from batchcolor.images.jpeg_stream.jpeg_structure import read_segments
from batchcolor.images.metadata.jpeg import build_segment

DHT, DQT = 0xC4, 0xDB
CHROMINANCE = np.array(
    [
        *(17, 18, 24, 47, 99, 99, 99, 99),
        *(18, 21, 26, 66, 99, 99, 99, 99),
        *(24, 26, 56, 99, 99, 99, 99, 99),
        *(47, 66, 99, 99, 99, 99, 99, 99),
        *([99] * 32),
    ]
)
"""Quantization of chroma at quality 50 (ITU-T T.81, table K.2), row by row."""


@dataclass(frozen=True)
class ChromaComponent:
    """The numbers of a component in its frame and of the tables that it uses."""

    number: int
    quantization_table: int
    huffman_table: int


def scale_quantization(quality: int) -> list[int]:
    """Returns the chrominance table for a quality of 1..100, as libjpeg scales it for baseline."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return [int(step) for step in np.clip((CHROMINANCE * percent + 50) // 100, 1, 255)]


def encode_scans(
    plane: NDArray[np.uint8], component: ChromaComponent, quality: int, *, is_progressive: bool
) -> bytes:
    """Returns the tables and scans of one component, without frame header.

    `plane` is `(H, W)`, neutral at 128. Its quantization table is part of the result.
    """
    file = io.BytesIO()
    Image.fromarray(plane).save(
        file, "JPEG", qtables=[scale_quantization(quality)], progressive=is_progressive
    )
    data = file.getvalue()
    parts = []
    for segment in read_segments(data):
        payload = bytearray(data[segment.payload : segment.header_end])
        if segment.marker == DQT:
            payload[0] = component.quantization_table
        elif segment.marker == DHT:
            _renumber_huffman_tables(payload, component.huffman_table)
        elif segment.marker == SOS:
            payload[1] = component.number
            payload[2] = component.huffman_table * 0x11
        else:
            continue
        parts += [build_segment(segment.marker, bytes(payload))]
        parts += [data[segment.header_end : segment.end]]
    return b"".join(parts)


def _renumber_huffman_tables(payload: bytearray, number: int) -> None:
    """Gives each table of a DHT segment the destination `number`; its class is kept."""
    position = 0
    while position < len(payload):
        counts = payload[position + 1 : position + 17]
        payload[position] = payload[position] & 0xF0 | number
        position += 17 + sum(counts)
