"""Encoders leave the scheduling of threads as it was."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av import VideoFrame
from av.codec import codecs_available
from av.codec.context import CodecContext

from batchcolor.video.output.thread_scheduling import keep_scheduling

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="scheduling policies are those of Linux"),
    pytest.mark.skipif("libsvtav1" not in codecs_available, reason="PyAV has no SVT-AV1"),
]


def list_policies():
    """Returns the scheduling policies of all threads of this process."""
    return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}


def encode_av1():
    context = CodecContext.create("libsvtav1", "w")
    context.width = context.height = 64
    context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 24)
    frame = VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
    packets = [*context.encode(frame), *context.encode(None)]
    assert packets
    return context


def test_threads_keep_their_policy_when_av1_is_opened():
    before = list_policies()
    with keep_scheduling():
        context = encode_av1()
    assert list_policies() == before
    assert context.name == "libsvtav1"


def test_a_process_that_a_job_starts_after_an_av1_film_has_the_ordinary_policy(tmp_path):
    code = (
        "import os, sys, batchcolor.__main__\n"
        "from batchcolor.cli.app import build_app\n"
        "build_app()(sys.argv[1:], standalone_mode=False)\n"
        "print('policy', os.sched_getscheduler(0), {os.sched_getscheduler(int(t)) "
        "for t in os.listdir('/proc/self/task')})\n"
    )
    film = Path(__file__).parents[2] / "samples" / "film.mp4"
    arguments = ["run", str(film), "-m", "beta", "--codec", "av1", "--preview", "0.2s", "-q"]
    arguments += ["-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert "policy 0 {0}" in done.stdout, done.stdout + done.stderr
    assert list((tmp_path / "out").glob("film*.mp4"))
