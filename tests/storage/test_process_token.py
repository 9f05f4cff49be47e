"""Tokens of processes: unlike after a restart, the same after a correction of the clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from batchcolor.storage import process_token
from batchcolor.storage.process_token import is_running


@pytest.fixture
def other() -> str:
    code = (
        "from batchcolor.storage.process_token import process_token; print(process_token())\n"
        "import sys; sys.stdout.flush(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep the time of the start")
def test_a_correction_of_the_clock_makes_no_running_process_look_dead(other, monkeypatch):
    assert is_running(other)
    true_time = psutil.Process.create_time  # from the clock, so a correction moves it
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: true_time(self) + 3600)
    process_token._token.cache_clear()
    assert is_running(other)
    assert is_running(process_token.process_token())


@pytest.mark.skipif(sys.platform != "linux", reason="boots are numbered on Linux")
def test_a_token_of_an_earlier_boot_is_dead(other, monkeypatch):
    monkeypatch.setattr(process_token, "_read_boot_number", lambda: 1)
    assert not is_running(other)


def test_an_id_with_another_start_is_dead(other):
    process, _, started = other.partition("-")
    assert not is_running(f"{process}-{int(started) + 1000}")
    for text in (
        "999999999-0",
        f"{process}-0",
        f"{process}-",
        "-5",
        f"{process}-\N{SUPERSCRIPT TWO}",
    ):
        assert not is_running(text)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_has_a_token_of_its_own():
    own, (read, write) = process_token.process_token(), os.pipe()
    child = os.fork()
    if not child:
        os.write(write, process_token.process_token().encode())
        os._exit(0)
    os.waitpid(child, 0)
    token = os.read(read, 100).decode()
    os.close(read)
    os.close(write)
    assert token.split("-")[0] == str(child)
    assert token != own


@pytest.mark.skipif(sys.platform != "linux", reason="other systems remove ended processes at once")
def test_a_process_that_has_ended_is_dead_before_its_parent_notices():
    code = "from batchcolor.storage.process_token import process_token; print(process_token())"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as ended:
        assert ended.stdout is not None
        token = ended.stdout.read().strip()
        while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert not is_running(token)
