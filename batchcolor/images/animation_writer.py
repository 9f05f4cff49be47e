"""Writes animated PNG, WebP and AVIF from encoded still pictures, frame after frame."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from PIL import Image

from batchcolor.images.formats import AVIF, PNG, WEBP, Format
from batchcolor.images.modern_encoders import AVIF_OPTIONS, AVIF_QUALITY

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HAS_ANIMATION, HAS_ALPHA = 0x02, 0x10
NO_BLENDING = 0x02
MAX_WEBP_DURATION = (1 << 24) - 1
MAX_DELAY = 65535


Duration = float | Fraction
Place = tuple[int, int]
ORIGIN: Place = (0, 0)


class AnimationWriter(Protocol):
    """Appends frames to an empty file; `close` completes it."""

    def append(self, encoded: bytes, duration: Duration, place: Place = ORIGIN) -> Fraction:
        """Appends a still picture as a frame of so many milliseconds; returns those written.

        A picture that is smaller than the canvas replaces the part at `place`, its left and top.
        The first one has the size of the canvas.
        """

    def close(self) -> None:
        """Writes what is known after the last frame."""


def find_frame_format(kind: Format) -> Format:
    """Returns the format of the still pictures that the writer of an animation takes."""
    return PNG if kind == AVIF else kind


def open_animation_writer(
    file: BinaryIO,
    kind: Format,
    size: tuple[int, int],
    frames: int,
    loop: int,
    quality: int | None = None,
    *,
    has_default_image: bool = False,
) -> AnimationWriter:
    """Returns the writer of a format for frames of `size` that repeat `loop` times, 0: always.

    `quality` is that of AVIF; the other formats get frames that are encoded already. With
    `has_default_image`, the first picture of a PNG is none of the frames that are shown.
    """
    if kind == AVIF:
        return AvifAnimationWriter(file, frames, quality or AVIF_QUALITY)
    if kind == WEBP:
        return WebpAnimationWriter(file, size, loop)
    return PngAnimationWriter(file, frames, loop, has_default_image=has_default_image)


class PngAnimationWriter:
    """Chunks of the first picture, and the samples of the others in fdAT (PNG, third edition).

    All pictures have the same sample type.
    """

    def __init__(
        self, file: BinaryIO, frames: int, loop: int, *, has_default_image: bool = False
    ) -> None:
        self._file, self._frames, self._loop = file, frames - has_default_image, loop
        self._has_default_image = has_default_image
        self._sequence = 0
        self._is_begun = False
        self._trailer: list[tuple[bytes, bytes]] = []

    def append(self, encoded: bytes, duration: Duration, place: Place = ORIGIN) -> Fraction:
        """Appends a PNG."""
        is_first, has_samples = not self._is_begun, False
        self._is_begun, size, delay = True, b"", _fit_delay(duration)
        if is_first:
            self._file.write(PNG_SIGNATURE)
        for kind, content in _iterate_png_chunks(encoded):
            if kind == b"IDAT":
                if not has_samples:
                    if is_first:
                        self._write(b"acTL", struct.pack(">II", self._frames, self._loop))
                    if not (is_first and self._has_default_image):
                        self._write_control(size, place, delay)
                    has_samples = True
                if is_first:
                    self._write(kind, content)
                else:
                    self._write(b"fdAT", struct.pack(">I", self._next()) + content)
            elif kind == b"IHDR":
                size = content[:8]
                if is_first:
                    self._write(kind, content)
            elif is_first and kind != b"IEND":
                if has_samples:
                    self._trailer.append((kind, content))
                else:
                    self._write(kind, content)
        return delay * 1000

    def close(self) -> None:
        """Writes the chunks that end the file."""
        for kind, content in (*self._trailer, (b"IEND", b"")):
            self._write(kind, content)

    def _write_control(self, size: bytes, place: Place, delay: Fraction) -> None:
        numbers = struct.pack(">II", *place) + struct.pack(
            ">HHBB", delay.numerator, delay.denominator, 0, 0
        )
        self._write(b"fcTL", struct.pack(">I", self._next()) + size + numbers)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _write(self, kind: bytes, content: bytes) -> None:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        self._file.write(struct.pack(">I", len(content)) + kind + content + checksum)


def _fit_delay(duration: Duration) -> Fraction:
    """Returns milliseconds as seconds, exact where two numbers of 16 bits can be."""
    seconds = (Fraction(duration) / 1000).limit_denominator(MAX_DELAY)
    if seconds.numerator > MAX_DELAY:
        seconds = Fraction(min(MAX_DELAY, round(duration)), 1000)
    return seconds


def _iterate_png_chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(png):
        size = int.from_bytes(png[position : position + 4], "big")
        yield png[position + 4 : position + 8], png[position + 8 : position + 8 + size]
        position += 12 + size


class AvifAnimationWriter:
    """Collects the frames in an animated PNG, of which Pillow encodes one after another."""

    def __init__(self, file: BinaryIO, frames: int, quality: int) -> None:
        self._file, self._quality = file, quality
        folder = Path(file.name).parent
        self._frames: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (close closes it)
        self._writer = PngAnimationWriter(self._frames, frames, 0)
        self._durations: list[int] = []

    def append(self, encoded: bytes, duration: Duration, place: Place = ORIGIN) -> Fraction:
        """Appends a PNG."""
        self._writer.append(encoded, duration, place)
        self._durations.append(round(duration))
        return Fraction(self._durations[-1])

    def close(self) -> None:
        """Encodes the frames, with the metadata of the first."""
        self._writer.close()
        with self._frames, Image.open(self._frames) as image:
            kept = ("exif", "xmp", "icc_profile")
            metadata = {name: image.info[name] for name in kept if image.info.get(name)}
            image.save(
                self._file,
                AVIF.name,
                save_all=True,
                duration=self._durations,
                quality=self._quality,
                **AVIF_OPTIONS,
                **metadata,
            )


class WebpAnimationWriter:
    """The pictures' own chunks in ANMF (RFC 9649, section 2.7). Places are even."""

    def __init__(self, file: BinaryIO, size: tuple[int, int], loop: int) -> None:
        self._file, self._loop = file, loop
        self._sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
        self._flags = HAS_ANIMATION
        self._is_begun = False
        self._trailer: list[tuple[bytes, bytes]] = []

    def append(self, encoded: bytes, duration: Duration, place: Place = ORIGIN) -> Fraction:
        """Appends a WebP."""
        chunks = list(_iterate_webp_chunks(encoded))
        if not self._is_begun:
            self._begin(chunks)
        samples = [chunk for chunk in chunks if chunk[0] in (b"ALPH", b"VP8 ", b"VP8L")]
        if any(kind == b"ALPH" or _has_lossless_alpha(kind, data) for kind, data in samples):
            self._flags |= HAS_ALPHA
        milliseconds = min(MAX_WEBP_DURATION, round(duration))
        numbers = (*(side // 2 for side in place), *(side - 1 for side in _read_webp_size(samples)))
        control = b"".join(number.to_bytes(3, "little") for number in (*numbers, milliseconds))
        content = control + bytes((NO_BLENDING,)) + b"".join(_build_chunk(*c) for c in samples)
        self._file.write(_build_chunk(b"ANMF", content))
        return Fraction(milliseconds)

    def _begin(self, chunks: list[tuple[bytes, bytes]]) -> None:
        """Writes the chunks before the frames; EXIF and XMP of the first picture follow them."""
        self._is_begun = True
        self._file.write(b"RIFF\0\0\0\0WEBP" + _build_chunk(b"VP8X", bytes(4) + self._sides))
        for kind, content in chunks:
            if kind == b"VP8X":
                self._flags |= content[0] & ~HAS_ALPHA
            elif kind == b"ICCP":
                self._file.write(_build_chunk(kind, content))
            elif kind not in (b"ALPH", b"VP8 ", b"VP8L"):
                self._trailer.append((kind, content))
        loops = min(65535, self._loop)
        self._file.write(_build_chunk(b"ANIM", bytes(4) + loops.to_bytes(2, "little")))

    def close(self) -> None:
        """Writes the trailing chunks, the flags, and the size of the file."""
        for chunk in self._trailer:
            self._file.write(_build_chunk(*chunk))
        size = self._file.tell()
        self._file.seek(4)
        self._file.write((size - 8).to_bytes(4, "little"))
        self._file.seek(20)
        self._file.write(bytes((self._flags,)))
        self._file.seek(size)


def _iterate_webp_chunks(webp: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(webp):
        size = int.from_bytes(webp[position + 4 : position + 8], "little")
        yield webp[position : position + 4], webp[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _read_webp_size(chunks: list[tuple[bytes, bytes]]) -> tuple[int, int]:
    """Width and height in the header of VP8 (RFC 6386, 9.1) or VP8L."""
    kind, content = next(chunk for chunk in chunks if chunk[0] != b"ALPH")
    if kind == b"VP8L":
        bits = int.from_bytes(content[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", content, 6)
    return width & 0x3FFF, height & 0x3FFF


def _has_lossless_alpha(kind: bytes, content: bytes) -> bool:
    return kind == b"VP8L" and len(content) > 4 and bool(content[4] & 0x10)


def _build_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)
