"""Task: one picture or film of a job, and what happens to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from batchcolor.images.formats import Format
from batchcolor.images.scan import ScannedFile
from batchcolor.pipeline.decisions.correction import Correction
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.storage.remote.store import RemoteObject

Action = Literal["colour", "done before", "failed before", "exists", "refused"]


@dataclass(frozen=True)
class Task:
    """One picture or film and what happens to it."""

    source: ScannedFile
    target: Path
    format: Format
    action: Action
    step: str = ""
    reason: str = ""
    strip: Path | None = None
    """Target of the film's contact strip, where one is asked for."""
    correction: Correction = field(default_factory=lambda: Correction(RunSettings(sources=("",))))
    """How it is coloured."""
    fingerprint: str = ""
    weights_hash: str = ""
    replaces: bool = False
    """Whether an existing result is replaced, as asked or because its decision changed."""
    below: Path = Path()
    """The folder of its source in the output folder."""
    part: int | None = None
    """The number of a part of a film, of which only segments are written; None for the whole."""
    found: RemoteObject | None = None
    """The object on remote storage, where another process fetches it."""
    companions: tuple[RemoteObject, ...] = ()
    """The companion files of that object."""

    @property
    def settings(self) -> RunSettings:
        """The options that hold for this source."""
        return self.correction.settings


ListOtherFormats: TypeAlias = Callable[[], Iterable[tuple[Task, ScannedFile]]]
"""Tasks of objects that are not what their suffix says, and their content."""
