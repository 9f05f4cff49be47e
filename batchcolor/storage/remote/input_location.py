"""Inputs that may be URLs: the value of an option becomes the path of a local copy.

Imports nothing of fsspec before there is a URL.
"""

from __future__ import annotations

from batchcolor.storage.locations import Url, is_url


def read_local_copy(value: object) -> object:
    """A local copy of what a URL names; other values as they are. Raises UsageError."""
    if not (isinstance(value, str) and is_url(value)):
        return value
    from batchcolor.storage.remote.local_copy import make_local_copy

    return make_local_copy(Url(value))


def read_local_copies(values: object) -> object:
    """As `read_local_copy`, for each of several values."""
    return [*map(read_local_copy, values)] if isinstance(values, list | tuple) else values


def read_data_copy(value: object) -> object:
    """As `read_local_copy`, for a value that is a text."""
    copy = read_local_copy(value)
    return copy if copy is value else str(copy)
