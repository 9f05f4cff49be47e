"""What tests of faults look at."""

from pathlib import Path

import av
import pytest


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
