"""HeldFiles: local copies of remote files, kept for the gallery after the job has removed them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from batchcolor.storage.mounts import find_mount

FOLDER_NAME = "gallery-files"


class HeldFiles:
    """The source and the result of one outcome, where they are copies of remote objects."""

    def __init__(self, state_folder: Path) -> None:
        self._state = state_folder
        self._folders: list[Path] = []
        self._held: list[Path] = []
        self.source: Path | None = None
        """None: it is not held."""
        self.target: Path | None = None
        """As `source`."""

    @property
    def is_holding(self) -> bool:
        """Whether files are held until `release`."""
        return bool(self._held)

    def hold(self, source: Path, target: Path | None) -> None:
        """Holds those that are here at the moment and belong to remote storage."""
        self.source = self._hold(source)
        self.target = None if target is None else self._hold(target)

    def _hold(self, path: Path) -> Path | None:
        if find_mount(str(path)) is None or not path.is_file():
            return None
        folder = self._make_folder()
        self._held.append(folder)
        held = folder / path.name
        try:
            os.link(path, held)
        except OSError:  # another disk, or a file system without links
            try:
                shutil.copy(path, held)
            except OSError:
                return None  # it is fetched
        return held

    def make_folder(self, name: str) -> Path:
        """A folder with this name for a fetched file, until `remove_folders`."""
        parent = self._make_folder()
        self._folders.append(parent)
        folder = parent / name
        folder.mkdir()
        return folder

    def _make_folder(self) -> Path:
        place = self._state / FOLDER_NAME
        place.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=place))

    def remove_folders(self) -> None:
        """Removes what was fetched."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()

    def release(self) -> None:
        """Removes what is held."""
        for folder in self._held:
            shutil.rmtree(folder, ignore_errors=True)
        self._held.clear()
        self.source = self.target = None
