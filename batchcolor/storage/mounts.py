"""Mounts: local folders that stand for folders of remote storage.

Decoders, encoders and all else read and write plain files. A mount is the folder in which the
files of a remote folder lie while they are in work; the names and the identity of its files, in
messages, in the journal and in the report, are those of the remote objects.
"""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from batchcolor.storage.locations import join_url


@dataclass(frozen=True)
class Mount:
    """A local folder, and the URL for which it stands, without credentials."""

    folder: Path
    url: str
    tags: dict[str, str] = field(default_factory=dict)
    """The tag of each file that is there at the moment, by its path."""
    companions: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    """The companion files that are there for a file, by the path of that file."""

    @property
    def prefix(self) -> str:
        """The path of the folder with the separator."""
        return f"{self.folder}{os.sep}"

    def find_url(self, path: str) -> str:
        """The URL of a path in the folder."""
        below = path[len(self.prefix) :]
        return join_url(self.url, Path(below).parts) if below else self.url


_mounts: dict[str, Mount] = {}
"""By the path of the folder. Replaced, never changed, so that readers need no lock."""
MAX_MOUNTS = 10_000
_lock = threading.Lock()


def add_mount(mount: Mount) -> None:
    """Makes the names of a mount known; its folder is absolute.

    Also after its job, whose report is shown then; the oldest of very many are forgotten.
    """
    global _mounts
    with _lock:
        kept = list(_mounts.items())[-MAX_MOUNTS:]
        _mounts = {**dict(kept), str(mount.folder): mount}


def find_mount(path: str) -> Mount | None:
    """The mount in which an absolute path lies."""
    if not _mounts:
        return None
    known, folder = _mounts, path.rpartition(os.sep)[0]
    while folder:
        if (mount := known.get(folder)) is not None:
            return mount
        folder = folder.rpartition(os.sep)[0]
    return None


def name_of(path: Path | str) -> str:
    """The name of a file or folder as it is printed: a URL where it stands for one."""
    if not _mounts:
        return str(path)
    absolute = os.path.abspath(path)  # noqa: PTH100  (links are not resolved)
    if (mount := _mounts.get(absolute) or find_mount(absolute)) is None:
        return str(path)
    return mount.find_url(absolute)


def name_paths(text: str) -> str:
    """A message of a library or plugin with URLs instead of the paths that stand for them.

    A path ends before a space, a quote or a colon.
    """
    for folder, mount in _mounts.items():
        if folder in text:
            path = re.compile(re.escape(folder) + r"""(?![\w.-])[^\s'":,;]*""")
            text = path.sub(partial(_find_url, mount), text)
    return text


def _find_url(mount: Mount, match: re.Match[str]) -> str:
    return mount.find_url(match[0])


def find_tag(path: Path) -> str | None:
    """The tag of a file that stands for a remote object; None for every other file."""
    text = str(path)
    mount = find_mount(text)
    return None if mount is None else mount.tags.get(text)


def set_tag(path: Path, tag: str) -> None:
    """Sets the tag of a file that stands for a remote object."""
    text = str(path)
    mount = find_mount(text)
    if mount is not None:
        mount.tags[text] = tag
