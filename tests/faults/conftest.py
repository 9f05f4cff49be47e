"""Readers of results and of left-over files, and a small disk."""

import json
import subprocess
from pathlib import Path

import av
import pytest
from PIL import Image


@pytest.fixture
def report(flat, command, tmp_path):
    """Runs the command on films; returns its exit code and report."""

    def run(*arguments):
        result = command("run", *arguments, "-m", flat, "-o", "out", "--json")
        return result.returncode, json.loads(result.stdout)

    return run


@pytest.fixture
def frames_of():
    """Returns the times of a film's frames as PyAV decodes them; damaged packets are skipped."""

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
    """Returns the temporary files below a folder."""
    return lambda folder: list(Path(folder).rglob("*.batchcolor-tmp"))


def states_in(out):
    return list((Path(out) / ".batchcolor" / "films").glob("*/state.json"))


@pytest.fixture
def segments():
    """Returns the state files of the films of which an output folder has segments."""
    return states_in


@pytest.fixture
def small_disk(tmp_path, request):
    """A disk of one megabyte, or of the size in the test's parameter."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = getattr(request, "param", "1m")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def folder(tmp_path):
    """A folder with three small grey pictures: dark, medium and bright."""
    path = tmp_path / "in"
    path.mkdir()
    for value in (40, 120, 200):
        Image.new("L", (24, 16), value).save(path / f"{value}.png")
    return path


MODEL = """
    import batchcolor, torch

    class Model:
        def __call__(self, luma):
            {body}

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("{name}", "made for a test", 16, lambda options: Model())]
"""


@pytest.fixture
def install_model(plugin):
    """Installs a plugin package with a model whose `__call__(self, luma)` has this body."""

    def install(body, package="oddpack", name="odd", version="2.5"):
        return plugin(package, MODEL.format(body=body, name=name), version=version)

    return install
