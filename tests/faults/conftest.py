"""What tests of faults look at, and the disk that is too small for them."""

import subprocess
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


@pytest.fixture
def small_disk(tmp_path, request):
    """A disk of one megabyte, or of the size that a test asks for."""
    place = tmp_path / "disk"
    place.mkdir()
    size = getattr(request, "param", "1m")
    mounted = subprocess.run(
        [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size={size}",
            "tmpfs",
            str(place),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)
