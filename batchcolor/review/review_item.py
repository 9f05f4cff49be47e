"""ReviewItem: one picture or film under review."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from batchcolor.images.formats import VIDEO_SUFFIXES
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.storage.journal import JournalEntry
from batchcolor.storage.locations import is_url


@dataclass(frozen=True)
class ReviewItem:
    """One source with the last entry of its journal. `key` is its name in decisions."""

    id: str
    key: str
    source: Path
    """Where it lies; of one on remote storage or in an archive, where its local copy does, while
    `ReviewFiles.open_source` holds it."""
    target: Path | None
    """The path of its result in the output folder; see `ReviewFiles.open_result`."""
    entry: JournalEntry
    number: int
    """Position in the journal: the order in time."""
    job: RunSettings | None
    """The job that the source belongs to."""

    @property
    def is_film(self) -> bool:
        """Whether it is a film, by its name."""
        is_folder = self.source.is_dir() and not self.is_remote
        return self.source.suffix.lower() in VIDEO_SUFFIXES or is_folder

    @property
    def is_remote(self) -> bool:
        """Whether the source is on remote storage or in an archive."""
        return is_url(self.entry.source)
