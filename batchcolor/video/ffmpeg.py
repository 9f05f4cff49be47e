"""Opens media files through PyAV, and lists the errors that PyAV raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Disposition, Stream

from batchcolor.errors import ProcessingError

av.logging.set_level(None)  # FFmpeg's log is not printed; errors become exceptions and notes

DECODE_ERRORS = (av.FFmpegError, OSError, ValueError, AttributeError, EOFError)
"""Errors that PyAV raises on damaged files, built-in ones included. Catch them around the PyAV call
alone, so that an error in batchcolor's own code is not reported as a damaged file."""
MEDIA_ERRORS = (av.FFmpegError, OSError)
"""Errors that only FFmpeg and the operating system raise: safe to catch around own code."""
DEMUXER_OPTIONS = {"min_delay": "0", "default_delay": "0"}
"""Options with which FFmpeg opens a file: short durations of GIF frames are not changed."""


class UnreadableFilmError(ProcessingError):
    """FFmpeg knows no container with this content, or its header is damaged."""


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Opens a media file for reading. Raises ProcessingError, UnreadableFilmError."""
    try:
        container = av.open(
            to_ffmpeg_url(path), "r", options=DEMUXER_OPTIONS, metadata_errors="replace"
        )
    except DECODE_ERRORS as error:
        reason = f"cannot be read as a film: {format_av_error(error)}"
        if isinstance(error, av.InvalidDataError):
            reason = "cannot be read as a film: damaged, or incomplete and without its index"
            with suppress(OSError):
                if not path.stat().st_size:
                    reason = "the file is empty"
            raise UnreadableFilmError("decode", reason) from error
        if isinstance(error, av.EOFError):
            reason = "cannot be read as a film: it ends before its first frame"
        raise ProcessingError("decode", reason) from error
    for stream in container.streams.video:
        # Otherwise FFmpeg crops the left of a frame only by what keeps its rows aligned.
        if stream.codec_context is not None:
            stream.codec_context.flags |= Flags.unaligned
    with container:
        yield container


def to_ffmpeg_url(path: Path) -> str:
    """Returns the path as a `file:` URL, so that a colon in a name is not taken for a protocol."""
    return f"file:{path.absolute()}"


def format_av_error(error: BaseException) -> str:
    """Formats an error of FFmpeg or Python on one line, without the path."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def is_cover(stream: Stream) -> bool:
    """Whether a stream is the picture of a cover."""
    return bool(stream.disposition & Disposition.attached_pic)
