"""Describes the errors that decoders raise, as the reason of a failed picture."""

from __future__ import annotations

import struct

from PIL import UnidentifiedImageError

from batchcolor.errors import ProcessingError


def describe_error(error: Exception) -> str:
    """Returns the reason that is reported to the user."""
    if isinstance(error, UnidentifiedImageError):
        return "damaged, or not a picture in a known format"
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    if isinstance(error, FileNotFoundError):
        return "vanished while the job ran"
    if isinstance(error, PermissionError):
        return "cannot be read (permission denied)"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    ffmpeg_message = getattr(error, "strerror", None)
    if ffmpeg_message:
        return f"damaged: {ffmpeg_message}"
    if isinstance(error, (struct.error, IndexError, KeyError, EOFError, AssertionError)):
        return f"damaged: its structure is not valid ({type(error).__name__} {error}".rstrip() + ")"
    text = _read_message(error).strip()
    if text.startswith(("damaged:", "truncated:")):  # of a reader here
        return text
    if "premature end" in text.lower() or "truncated" in text.lower():
        return f"truncated: {text}"
    return f"damaged: {text or type(error).__name__}"


def describe_salvage(error: Exception) -> str:
    """Returns the note of a damaged picture that is coloured as far as it decodes."""
    reason = error.reason if isinstance(error, ProcessingError) else describe_error(error)
    return f"{reason}; what it still gives is coloured (--salvage)"


def _read_message(error: Exception) -> str:
    """Returns the message of an error; rawpy passes that of LibRaw as bytes."""
    if len(error.args) == 1 and isinstance(error.args[0], bytes):
        return error.args[0].decode("utf-8", "replace")
    return str(error)
