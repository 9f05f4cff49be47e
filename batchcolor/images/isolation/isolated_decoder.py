"""Decodes pictures in a child process, for files that may crash their decoder."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

from batchcolor.errors import ProcessingError
from batchcolor.images.decode_options import DEFAULT_OPTIONS, DecodeOptions
from batchcolor.images.formats import Format
from batchcolor.images.picture import Picture
from batchcolor.images.scan import ScannedFile

CRASHED = "its decoder crashed"
"""How the reason of a picture begins that ended its child process."""
SECONDS = 300
"""The time that one file may take."""
FILM_BYTES_PER_SECOND = 100_000
"""The least speed at which a film is decoded; it gets `SECONDS` in addition."""


@dataclass(frozen=True)
class Setup:
    """The first message: limits of the child, and whether it loads plugins for their readers."""

    memory: int
    with_plugins: bool


@dataclass(frozen=True)
class Request:
    """One file. `target` and `quality` are those of a result, if encoding is to be tried too."""

    found: ScannedFile
    max_pixels: int
    seconds: int
    header_only: bool = False
    allow_multiple: bool = False
    """For the header: whether only the first page or frame of several is to be decoded."""
    all_frames: bool = False
    """Whether each frame of a film or animation is decoded; nothing is returned."""
    options: DecodeOptions = DEFAULT_OPTIONS
    target: Format | None = None
    quality: int | None = None


@dataclass(frozen=True)
class Failure:
    """The reply for a file that fails without ending the child."""

    step: str
    reason: str


class IsolatedDecoder:
    """One child process, which is started when it is needed and again after a crash.

    `memory` limits its address space, beyond that of its libraries. Not for several threads at
    once.
    """

    def __init__(self, memory: int, *, with_plugins: bool, seconds: int = SECONDS) -> None:
        self._memory, self._with_plugins, self._seconds = memory, with_plugins, seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._is_overdue = False

    def estimate_memory(
        self, found: ScannedFile, max_pixels: int, *, allow_multiple: bool = False
    ) -> int:
        """As `header.estimate_memory`. Raises ProcessingError, also where the child dies."""
        share: int = self._get(Request(found, max_pixels, self._seconds, True, allow_multiple))
        return share

    def decode(
        self,
        found: ScannedFile,
        max_pixels: int,
        options: DecodeOptions = DEFAULT_OPTIONS,
        target: Format | None = None,
        quality: int | None = None,
    ) -> Picture:
        """As `decode.decode`. With `target`, encoding without colour is tried too.

        Raises ProcessingError, also where the child dies.
        """
        request = Request(
            found, max_pixels, self._seconds, options=options, target=target, quality=quality
        )
        picture: Picture = self._get(request)
        return picture

    def try_frames(self, found: ScannedFile, max_pixels: int) -> None:
        """Decodes every frame of a film or animation.

        Raises ProcessingError only where the child dies.
        """
        seconds = self._seconds + found.size // FILM_BYTES_PER_SECOND
        self._ask(Request(found, max_pixels, seconds, all_frames=True))

    def close(self) -> None:
        """Ends the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with contextlib.suppress(OSError):
                child.communicate()

    def _get(self, request: Request) -> Any:
        reply = self._ask(request)
        if isinstance(reply, Failure):
            raise ProcessingError(reply.step, reply.reason)
        return reply

    def _ask(self, request: Request) -> Any:
        """Returns the reply of the child, a Failure included."""
        try:
            child = self._child = self._child or self._start()
            self._is_overdue = False
            timer = threading.Timer(request.seconds, self._kill_overdue, [child])
            timer.daemon = True
            timer.start()
            try:
                assert child.stdin is not None
                assert child.stdout is not None
                pickle.dump(request, child.stdin, protocol=pickle.HIGHEST_PROTOCOL)
                child.stdin.flush()
                reply = pickle.load(child.stdout)  # our own process, with our own access
            finally:
                timer.cancel()
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            reason = self._describe_end(error, request.seconds)
            raise ProcessingError("decode", reason) from error
        return reply

    def _start(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)  # noqa: PTH100
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # each reserves memory
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "batchcolor.images.isolation.isolated_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for the job, which ends the child
        )
        assert child.stdin is not None
        pickle.dump(Setup(self._memory, self._with_plugins), child.stdin)
        return child

    def _kill_overdue(self, child: subprocess.Popen[bytes]) -> None:
        self._is_overdue = True
        child.kill()

    def _describe_end(self, error: Exception, seconds: int) -> str:
        """Returns why the child ended, and forgets it."""
        child, self._child = self._child, None
        if child is None:
            return f"may crash its decoder, and no child process can be started ({error})"
        try:
            code = child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        if self._is_overdue or code == -getattr(signal, "SIGXCPU", 0):
            return f"its decoder did not end within {seconds} seconds"
        if code < 0:
            return f"{CRASHED} ({signal.Signals(-code).name})"
        return f"{CRASHED} (it ended the process with exit code {code})"
