"""The child process of `isolated_decoder.py`: serves its requests until standard input ends.

It runs with a limit of memory, so a decoder that asks for too much fails here and not in the job.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import load_plugins
from batchcolor.hooks.types import Reader
from batchcolor.images.animation import AnimationReader
from batchcolor.images.decode import decode
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.encode import encode
from batchcolor.images.header import estimate_memory
from batchcolor.images.isolation.isolated_decoder import Failure, Request, Setup
from batchcolor.images.join import join

LIBRARIES = 512 * 2**20
"""Bytes of address space for libraries that are loaded with the first file of a format."""


def main() -> None:
    """Serves requests. Whatever a library prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    setup: Setup = pickle.load(sys.stdin.buffer)
    readers = load_plugins().readers() if setup.with_plugins else []
    _limit_memory(setup.memory)
    while True:
        try:
            request: Request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        _limit_time(request.seconds)
        pickle.dump(_serve(request, readers), replies, protocol=pickle.HIGHEST_PROTOCOL)
        replies.flush()


def _serve(request: Request, readers: Sequence[Reader]) -> Any:
    """Returns the bytes of memory that a file needs, its Picture, or a Failure; None for frames."""
    try:
        if request.all_frames:
            return _decode_film(request) if request.found.is_film else _decode_animation(request)
        if request.header_only:
            return estimate_memory(
                *(request.found, request.max_pixels, readers),
                allow_multiple=request.allow_multiple,
            )
        picture = decode(request.found, request.max_pixels, readers, request.options)
        if request.target is not None:
            trial = replace(picture, notes=[])
            image = join(trial, np.zeros((2, 1, 1), np.float32), 1.0, request.target)
            encode(image, image.metadata, request.quality, trial.notes)
        return picture
    except ProcessingError as error:
        return Failure(error.step, error.reason)
    except Exception as error:
        return Failure("decode", describe_error(error))


def _decode_film(request: Request) -> None:
    from batchcolor.video.input.decoder import VideoDecoder
    from batchcolor.video.probe import probe

    source = probe(request.found.path, request.max_pixels)
    for _ in VideoDecoder(source, strict=False):
        pass


def _decode_animation(request: Request) -> None:
    reader = AnimationReader(request.found, request.options)
    for number in range(reader.frames):
        reader.read(number)


def _limit_memory(memory: int) -> None:
    """Limits the address space, where the system can, to what is used now and `memory`."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        import psutil

        limit = psutil.Process().memory_info().vms + memory + LIBRARIES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _limit_time(seconds: int) -> None:
    """Limits the processor time of the next request: also after the parent has been killed."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds, hard))


if __name__ == "__main__":
    main()
