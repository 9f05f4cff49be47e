"""Encoders buffer as many frames as --max-memory permits, and not fewer than they need to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import av
import pytest

from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.encoder_memory import (
    EncoderLimits,
    fit_encoder,
    make_limit_options,
)

FRAME_4K = 3840 * 2160 * 3 // 2


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "ffv1"])
def test_an_encoder_with_enough_memory_has_no_limits(codec: str) -> None:
    limits, needed = fit_encoder(VideoSettings(codec=codec), FRAME_4K, 2**40)
    assert limits == EncoderLimits()
    assert needed > 10 * FRAME_4K


def test_threads_are_reduced_before_look_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    sizes = [0, 600, 800, 1200, 1800, 2400, 3200, 8000]
    found = [fit_encoder(VideoSettings(), FRAME_4K, size * 2**20) for size in sizes]
    assert found[0][0] == EncoderLimits(1, 5)
    assert found[-1][0] == EncoderLimits()
    lookahead = [limits.lookahead or 40 for limits, _ in found]
    assert lookahead == sorted(lookahead)
    assert any(limits.threads and limits.lookahead is None for limits, _ in found)
    for size, (_, needed) in list(zip(sizes, found, strict=True))[1:]:
        assert needed <= size * 2**20


def test_x265_without_b_frames_is_the_last_resort() -> None:
    settings = VideoSettings(codec="h265")
    least, needed = fit_encoder(settings, FRAME_4K, 0)
    assert make_limit_options("libx265", least) == {
        "x265-params": ["frame-threads=1", "rc-lookahead=0", "bframes=0", "ref=1"]
    }
    fitting, more = fit_encoder(settings, FRAME_4K, 1500 * 2**20)
    assert fitting.has_b_frames
    assert needed < more / 2


def test_slower_presets_need_more_memory() -> None:
    needs = [
        fit_encoder(VideoSettings(preset=preset), FRAME_4K, 2**40)[1]
        for preset in ("ultrafast", "veryfast", "medium", "slow", "veryslow")
    ]
    assert needs == sorted(needs)


def test_limits_of_codecs_without_such_options_change_nothing() -> None:
    assert make_limit_options("prores_ks", EncoderLimits(1, 5)) == {}
    assert make_limit_options("libx264", EncoderLimits()) == {}


@pytest.mark.parametrize(
    ("codec", "name", "least", "note"),
    [
        ("h264", "rc_lookahead", 5, "the encoder looks 5 frames ahead, as --max-memory permits"),
        ("h265", "rc-lookahead", 0, "uses no B-frames and looks no frames ahead, as --max-memory"),
    ],
)
def test_a_film_with_little_memory_is_written_with_limits_and_a_note(
    make_clip: Callable[..., Path],
    command: Callable[..., CompletedProcess[str]],
    flat: str,
    tmp_path: Path,
    codec: str,
    name: str,
    least: int,
    note: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchcolor.pipeline.films.video_admission.HEADROOM", 0)
    clip = make_clip(tmp_path / "clip.mp4", sizes=((640, 360),), frames=12)
    words = ("run", clip, "-m", flat, "--codec", codec, "--max-memory")
    small = command(*words, "16M", "-o", "small", "-v")
    assert small.returncode == 0, small.stderr
    assert note in small.stderr
    assert command(*words, "1G", "-o", "large").returncode == 0
    ahead = [read_setting(tmp_path / folder / "clip.mp4", name) for folder in ("small", "large")]
    assert ahead[0] == least
    assert ahead[1] >= 20


def read_setting(path: Path, name: str) -> int:
    """Returns a setting that the encoder wrote into the bitstream."""
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        data = (stream.codec_context.extradata or b"") + b"".join(
            bytes(packet) for packet in film.demux(stream) if packet.size
        )
    found = re.search(rf"{name}=(\d+)".encode(), data)
    assert found is not None
    return int(found.group(1))
