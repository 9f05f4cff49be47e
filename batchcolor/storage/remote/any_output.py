"""AnyOutput: what holds the results of a job that are not plain files in the output folder."""

from __future__ import annotations

from typing import TypeAlias

from batchcolor.storage.remote.packed_output import PackedOutput
from batchcolor.storage.remote.remote_output import RemoteOutput

AnyOutput: TypeAlias = RemoteOutput | PackedOutput
"""Both have the same methods for a job."""
