"""What a device can do to a batch: exceptions without torch, for every backend."""

from __future__ import annotations


class DeviceMemoryError(Exception):
    """The device or the host has not enough memory for a batch."""


class DeviceLostError(Exception):
    """The device executes nothing any more, and what is in its memory is lost."""
