"""Grey pictures and films that tests make."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image


def grey_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Makes a grey picture of broad shapes with grain."""
    generator = np.random.default_rng(seed)
    shapes = generator.integers(0, 256, (6, 6), dtype=np.uint8)
    broad = np.asarray(Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC))
    grain = generator.normal(0, 6, (height, width))
    return Image.fromarray(np.clip(broad + grain, 0, 255).astype(np.uint8))


def grey_frame(
    index: int, width: int, height: int, pixel_format: str, *, is_negative: bool = False
) -> av.VideoFrame:
    """Makes a grey frame of a film: a bright square that moves back and forth over broad shapes."""
    luma = np.asarray(grey_picture(width, height, 7)).astype(np.uint16) // 2 + 16
    way = max(1, width - 12)
    left = way - abs(way - 3 * index % (2 * way))
    luma[height // 3 : height // 3 + 12, left : left + 12] = 220
    if is_negative:
        luma = 251 - luma
    frame = av.VideoFrame(width, height, pixel_format)
    bits = frame.format.components[0].bits
    for number, plane in enumerate(frame.planes):
        buffer: Any = plane
        rows = np.frombuffer(buffer, "<u2" if bits > 8 else "u1").reshape(plane.height, -1)
        rows[:] = 128 << (bits - 8)
        if number == 0:
            rows[:, :width] = luma << (bits - 8)
    return frame


def make_clip(
    path: Path,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    frames: int = 12,
    cut: int | None = None,
    sizes: tuple[tuple[int, int], ...] = ((64, 48),),
    rate: Fraction = Fraction(25),
    time_base: Fraction = Fraction(1, 12800),
    times: list[int] | None = None,
    audio: tuple[str, ...] = (),
    subtitles: tuple[str, ...] = (),
    muxer: dict[str, str] | None = None,
    setup: Callable[[Any], None] = lambda stream: None,
    prepare: Callable[[Any], None] = lambda film: None,
) -> Path:
    """A short grey film with a video stream of each of `sizes`; `times` are frames' ticks.

    Frame `cut` starts a second shot, the negative of the first. `audio` are encoders, `subtitles`
    languages, `muxer` the container's options; `setup` is given each video stream, `prepare` the
    container before its header is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=muxer or {}) as film:
        pictures: list[Any] = []
        for width, height in sizes:
            stream: Any = film.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
            stream.codec_context.time_base = stream.time_base = time_base
            stream.codec_context.thread_count = 1  # with more threads, x264 writes other frames
            setup(stream)
            pictures.append(stream)
        sounds: list[Any] = [film.add_stream(name, rate=48000) for name in audio]
        texts: list[Any] = [
            film.add_mux_stream("subrip" if path.suffix == ".mkv" else "mov_text", metadata={})
            for _ in subtitles
        ]
        for text, language in zip(texts, subtitles, strict=True):
            text.time_base = Fraction(1, 1000)
            text.metadata["language"] = language
        prepare(film)
        step = round(1 / (rate * time_base))
        for index in range(frames):
            for stream in pictures:
                is_second = cut is not None and index >= cut
                size = (stream.width, stream.height)
                frame = grey_frame(index, *size, pixel_format, is_negative=is_second)
                frame.pts, frame.time_base = (times[index] if times else index * step), time_base
                film.mux(stream.encode(frame))
        for stream in pictures:
            film.mux(stream.encode(None))
        for sound in sounds:
            _put_sound(film, sound, float(frames / rate))
        for text in texts:
            words = b"Good morning"
            packet: Any = av.Packet(words if path.suffix == ".mkv" else b"\0\x0c" + words)
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = 80
            packet.duration = 120
            film.mux(packet)
    return path


def _put_sound(film: Any, stream: Any, seconds: float) -> None:
    context = stream.codec_context
    context.open(strict=False)
    size = context.frame_size or 1024
    for start in range(0, int(seconds * 48000), size):
        wave = np.sin(np.arange(start, start + size) * 0.05).astype(np.float32) * 0.3
        layout, kind = context.layout.name, context.format.name
        channels = len(context.layout.channels)
        samples = np.tile(wave, (channels, 1))
        if not kind.startswith("flt"):
            deep = kind.startswith("s32")
            samples = (samples * (2**31 if deep else 2**15)).astype("i4" if deep else "i2")
        if not kind.endswith("p"):
            samples = np.ascontiguousarray(samples.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(samples, format=kind, layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        film.mux(stream.encode(frame))
    film.mux(stream.encode(None))
