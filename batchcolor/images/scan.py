"""Finding pictures: folders walked lazily in a fixed order, nothing but regular files opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchcolor.hooks.types import Reader
from batchcolor.images.formats import (
    AUDIO_SUFFIXES,
    CAMERA_RAW,
    FORMATS,
    HEAD,
    PLUGIN_ONLY_SUFFIXES,
    VIDEO_SUFFIXES,
    Format,
    is_picture_suffix,
    sniff,
)
from batchcolor.storage.journal import STATE_FOLDER

GONE = -1
"""Size of a file that vanished between its folder's listing and the look at it."""


@dataclass(frozen=True)
class ScannedFile:
    """A file that is, or claims to be, a picture or film. `relative`: its path below its source."""

    path: Path
    relative: Path
    size: int
    mtime_ns: int
    format: Format | None
    note: str = ""

    @property
    def film(self) -> bool:
        """Whether it holds, or claims to hold, moving pictures."""
        if self.format is not None:
            return self.format.film
        return self.path.suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True)
class SkippedEntry:
    """Something that is not coloured, and why."""

    path: Path
    reason: str
    failed: bool = False
    """Whether there may be pictures in it all the same: a folder that cannot be read."""


def scan(
    source: Path, *, readers: Sequence[Reader] = (), suffixes: Collection[str] = ()
) -> Iterator[ScannedFile | SkippedEntry]:
    """Pictures below a folder, depth first with names sorted, while it is walked; or one file.

    Files that are neither pictures by content nor by suffix (texts, sidecars) are not given;
    links without an end, pipes, devices and sockets are given as SkippedEntry. With `suffixes` no
    file with another one is opened.
    """
    if source.is_dir():
        yield from _walk(source, Path(), (), readers, suffixes)
    else:
        found = _look(source, Path(source.name), readers, asked_for=True)
        if found is not None:
            yield found


def _walk(
    folder: Path,
    relative: Path,
    above: tuple[tuple[int, int], ...],
    readers: Sequence[Reader],
    suffixes: Collection[str],
) -> Iterator[ScannedFile | SkippedEntry]:
    try:
        here = folder.stat()
        names = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        yield SkippedEntry(folder, f"the folder cannot be read ({error.strerror})", failed=True)
        return
    identity = (here.st_dev, here.st_ino)
    if identity in above:
        yield SkippedEntry(folder, "a link that leads back to a folder above it")
        return
    if above and (folder / STATE_FOLDER / "journal.jsonl").exists():
        yield SkippedEntry(folder, "an output folder of batchcolor")
        return
    for name in names:
        path = folder / name
        if name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, relative / name, (*above, identity), readers, suffixes)
        elif not suffixes or path.suffix.lower() in suffixes:
            found = _look(path, relative / name, readers)
            if found is not None:
                yield found


def _look(
    path: Path, relative: Path, readers: Sequence[Reader], *, asked_for: bool = False
) -> ScannedFile | SkippedEntry | None:
    """What one directory entry is; None where it is nothing of ours."""
    suffix = path.suffix.lower()
    claims = asked_for or suffix in VIDEO_SUFFIXES or is_picture_suffix(suffix, readers)
    try:
        status = path.stat()
    except OSError as error:
        if path.is_symlink():
            return SkippedEntry(path, "a link to nothing")
        if claims:  # listed a moment ago: it is a picture that fails, not one that never was
            return ScannedFile(path, relative, GONE, 0, None)
        return SkippedEntry(path, f"cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return SkippedEntry(path, "not a regular file (pipe, device or socket)")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        head = b""  # the decoder will say why it cannot be read
    kind = sniff(head, readers)
    if kind is not None and kind.film and suffix in AUDIO_SUFFIXES and not asked_for:
        return None
    raw = kind in FORMATS and suffix in CAMERA_RAW  # its thumbnail: not the photograph
    if raw or (kind is None and not claims):
        unread = suffix in PLUGIN_ONLY_SUFFIXES
        return SkippedEntry(path, f"{suffix} is read only with a plugin for it") if unread else None
    note = ""
    if kind is not None and suffix and suffix not in kind.suffixes:
        note = f"is {kind.name.upper()} by content, whatever its suffix says"
    return ScannedFile(path, relative, status.st_size, status.st_mtime_ns, kind, note)
