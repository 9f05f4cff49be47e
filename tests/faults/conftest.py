"""What tests of faults look at, and jobs that are slow enough to be stopped."""

import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

SLOW = """
    import batchcolor, time

    class Slow:
        def __call__(self, luma):
            import torch
            time.sleep(0.02)
            return (luma[:, :, ::4, ::4] - 0.5).mul(0.4).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("slow", "takes its time", 16, lambda options: Slow())]
"""


@pytest.fixture
def frames_of():
    """Gives the times of the frames that an independent reader gets, stepping over what is
    damaged."""

    def times_in(path):
        times = []
        with av.open(str(path)) as film:
            for packet in film.demux(film.streams.video[0]):
                try:
                    times += [frame.time for frame in packet.decode()]
                except av.FFmpegError:
                    continue
        return times

    return times_in


@pytest.fixture
def temporaries():
    """Finds what a job has left half-done below a folder."""
    return lambda folder: list(Path(folder).rglob("*.batchcolor-tmp"))


def states_in(out):
    return list((Path(out) / ".batchcolor" / "films").glob("*/state.json"))


@pytest.fixture
def segments():
    """Finds the films of which an output folder has segments."""
    return states_in


@pytest.fixture
def start(plugin, environment, tmp_path):
    """Starts a slow job on a film without waiting for it, and waits until it is under way."""
    plugin("slowpack", SLOW)
    started = []

    def run(clip, out, *options):
        words = [sys.executable, "-m", "batchcolor", "run", clip, "-m", "slow", "-o", out]
        process = subprocess.Popen(
            [*map(str, words), "--batch-size", "1", *options],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        end = time.monotonic() + 60
        while not states_in(out):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(0.3)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
