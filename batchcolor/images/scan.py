"""Finds pictures and films: walks folders lazily in a fixed order, opens only regular files."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.hooks.types import Reader
from batchcolor.images.companion_files import (
    describe_hints_files,
    find_hinted_picture,
    is_decision_file,
    is_hints_file,
)
from batchcolor.images.film_signatures import is_text
from batchcolor.images.formats import (
    AUDIO_SUFFIXES,
    FORMATS_BY_SUFFIX,
    OTHER_FILM,
    UNREAD_SUFFIXES,
    VIDEO_OR_TEXT_SUFFIXES,
    VIDEO_SUFFIXES,
    Format,
    describe_missing_decoder,
    is_picture_suffix,
)
from batchcolor.images.sniff import HEAD_SIZE, sniff
from batchcolor.images.system_files import (
    describe_system_files,
    describe_system_folder,
    is_system_file,
)
from batchcolor.storage.access import is_reachable_folder, resolve_links
from batchcolor.storage.journal import STATE_FOLDER, has_journal

MISSING = (errno.ENOENT, errno.ENOTDIR)
VANISHED = -1
"""Size of a file that vanished between the listing of its folder and its stat."""


@dataclass(frozen=True)
class ScannedFile:
    """A file that is a picture or film by its content or, where that is unknown, by its suffix.

    `relative` is its path below its source. `format` is None for unknown content.
    """

    path: Path
    relative: Path
    size: int
    mtime_ns: int
    format: Format | None
    note: str = ""

    @property
    def is_film(self) -> bool:
        """Whether it is a film by its content or, where that is unknown, by its suffix."""
        if self.format is not None:
            return self.format.is_film
        return self.path.suffix.lower() in VIDEO_SUFFIXES


def check_unchanged(found: ScannedFile) -> None:
    """Raises ProcessingError where the file has changed since the scan, or is gone."""
    try:
        status = found.path.stat()
    except OSError as error:
        reason = f"the source cannot be read any more: {error.strerror}"
        raise ProcessingError("commit", reason) from error
    if (status.st_size, status.st_mtime_ns) != (found.size, found.mtime_ns):
        raise ProcessingError("commit", "the source changed while it was coloured")


@dataclass(frozen=True)
class SkippedEntry:
    """A directory entry that is not coloured, and the reason."""

    path: Path
    reason: str
    failed: bool = False
    """Whether it counts as a failure: an unreadable folder, or a source that cannot be read."""
    is_foreign: bool = False
    """Whether nothing suggests a picture or film: a text, a sidecar, a file of the system."""


@dataclass(frozen=True, slots=True)
class UnopenedFile:
    """A file that `scan` lists and does not open: millions may be kept, so folders are shared."""

    folder: Path
    name: str
    below: Path
    """The folder of the file, relative to its source."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name

    @property
    def relative(self) -> Path:
        """Its path below its source."""
        return self.below / self.name


def scan(
    source: Path,
    *,
    readers: Sequence[Reader] = (),
    suffixes: Collection[str] = (),
    include_results: bool = False,
    accept: Callable[[Path], bool] | None = None,
) -> Iterator[ScannedFile | SkippedEntry]:
    """Yields the pictures and films of `scan_listed`, with every file opened."""
    for found in scan_listed(
        source, readers=readers, suffixes=suffixes, include_results=include_results, accept=accept
    ):
        if not isinstance(found, UnopenedFile):
            yield found


def scan_listed(
    source: Path,
    *,
    readers: Sequence[Reader] = (),
    suffixes: Collection[str] = (),
    include_results: bool = False,
    accept: Callable[[Path], bool] | None = None,
    opens: Callable[[Path], bool] | None = None,
) -> Iterator[ScannedFile | UnopenedFile | SkippedEntry]:
    """Yields the pictures and films below a folder, or the one file, while it walks the folder.

    The order is depth first, names sorted. Everything else is yielded as SkippedEntry: links
    without a target, pipes, devices, sockets, pictures without a decoder, files that are no
    pictures by content or suffix (texts, sidecars), and hidden files, system files and painted
    colour hints, of which the files of one folder are one entry. With `suffixes`, files with any
    other suffix are not opened and not yielded; likewise files of a folder for which `accept` is
    false. Files of whose relative path `opens` is false are not opened, but yielded as
    UnopenedFile. Folders that batchcolor wrote are skipped, unless `include_results` is set.
    """
    if is_reachable_folder(source):
        for entry in _walk(source, Path(), _identify_folders_above(source), include_results):
            if isinstance(entry, SkippedEntry):
                yield entry
            elif not suffixes or _lower_suffix(entry[0]) in suffixes:
                name, folder, relative = entry
                path, below = folder / name, relative / name
                if accept is not None and not accept(path):
                    continue
                if opens is not None and not opens(below):
                    yield UnopenedFile(folder, name, relative)
                else:
                    yield identify(path, below, readers)
    elif is_hints_file(source.name) and (picture := find_hinted_picture(source)):
        yield SkippedEntry(source, f"colour hints of {picture.name}", is_foreign=True)
    elif opens is not None and not opens(Path(source.name)):
        yield UnopenedFile(source.parent, source.name, Path())
    else:
        yield identify(source, Path(source.name), readers, is_source=True)


def is_expected_name(name: str, readers: Sequence[Reader] = ()) -> bool:
    """Whether a file is a picture or film by its suffix."""
    suffix = _lower_suffix(name)
    return suffix in VIDEO_SUFFIXES or is_picture_suffix(suffix, readers)


def describe_undecodable(suffix: str, readers: Sequence[Reader] = ()) -> str:
    """Why files with a suffix are not read: their decoder is missing; empty where they are."""
    return _find_missing_decoder(None, suffix, readers)


def scan_suffixes(source: Path, *, include_results: bool = False) -> Iterator[str]:
    """Yields the lower-case suffix of every file that `scan` would consider. Opens no file."""
    if not is_reachable_folder(source):
        yield _lower_suffix(source.name)
        return
    for entry in _walk(source, Path(), _identify_folders_above(source), include_results):
        if not isinstance(entry, SkippedEntry):
            yield _lower_suffix(entry[0])


def scan_relative(source: Path, *, include_results: bool = False) -> Iterator[Path]:
    """Yields the relative path of every file that `scan` would consider. Opens no file."""
    if not is_reachable_folder(source):
        yield Path(source.name)
        return
    for entry in _walk(source, Path(), _identify_folders_above(source), include_results):
        if not isinstance(entry, SkippedEntry):
            yield entry[2] / entry[0]


def scan_paths(folder: Path, *, include_results: bool = False) -> Iterator[Path]:
    """Yields the path of every file below a folder that `scan` would consider. Opens no file."""
    for entry in _walk(folder, Path(), _identify_folders_above(folder), include_results):
        if not isinstance(entry, SkippedEntry):
            yield entry[1] / entry[0]


def _lower_suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  (four times faster than Path.suffix)


def _identify_folders_above(source: Path) -> tuple[tuple[int, int], ...]:
    """Returns device and inode of each folder above a source; a link to one of them is circular."""
    found = []
    for folder in resolve_links(source).parents:
        with contextlib.suppress(OSError):
            status = folder.stat()
            found.append((status.st_dev, status.st_ino))
    return tuple(found)


def _walk(
    folder: Path, relative: Path, parents: tuple[tuple[int, int], ...], include_results: bool
) -> Iterator[tuple[str, Path, Path] | SkippedEntry]:
    """Yields (name, folder, relative folder) of each file. Needs one stat a folder, none a file.

    `parents` are device and inode of the folders above, also of those above the source.
    """
    try:
        status = folder.stat()
        with os.scandir(folder) as listing:
            entries = sorted((entry.name, _is_folder(entry)) for entry in listing)
    except OSError as error:
        yield SkippedEntry(folder, f"the folder cannot be read ({error.strerror})", failed=True)
        return
    identity = (status.st_dev, status.st_ino)
    if identity in parents:
        yield SkippedEntry(folder, "a circular link: it leads to a folder above it")
        return
    if relative.parts and not include_results and is_output_folder(folder):
        reason = "a folder of results (--include-results colours it)"
        yield SkippedEntry(folder, reason)
        return
    system_files = [name for name, is_folder in entries if not is_folder and is_system_file(name)]
    if system_files:
        reason = describe_system_files(system_files)
        yield SkippedEntry(folder / system_files[0], reason, is_foreign=True)
    hints = [name for name, is_folder in entries if not is_folder and is_hints_file(name)]
    if hints:
        yield SkippedEntry(folder / hints[0], describe_hints_files(hints), is_foreign=True)
    for name, is_folder in entries:
        if not is_folder:
            if not is_system_file(name) and not is_hints_file(name):
                yield name, folder, relative
        elif reason := describe_system_folder(name):
            if name != STATE_FOLDER:
                yield SkippedEntry(folder / name, reason, is_foreign=True)
        else:
            yield from _walk(folder / name, relative / name, (*parents, identity), include_results)


def is_output_folder(folder: Path) -> bool:
    """Whether batchcolor wrote results to this folder."""
    return has_journal(folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link whose target cannot be reached
        return False


def identify(
    path: Path, relative: Path, readers: Sequence[Reader], *, is_source: bool = False
) -> ScannedFile | SkippedEntry:
    """Identifies a file by its content, or by its suffix if its content is unknown.

    With `is_source` the user asked for this file, so it is never skipped as no picture. Text is no
    film where its suffix is also one of text, as TypeScript (`.ts`); elsewhere it is a film that
    fails, such as an error page that was downloaded in its place.
    """
    suffix = path.suffix.lower()
    is_expected = is_source or suffix in VIDEO_SUFFIXES or is_picture_suffix(suffix, readers)
    try:
        status = path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return SkippedEntry(path, "a circular link: it leads to itself", failed=is_source)
        if error.errno not in MISSING:  # as a folder without access, or a link into one
            reason = f"cannot be read ({error.strerror})"
            return SkippedEntry(path, reason, failed=is_expected)
        if os.path.islink(path):  # noqa: PTH114  (no error for folders without access)
            return SkippedEntry(path, "a link without a target")
        if is_expected:  # it was listed: a picture that fails, not one that never existed
            return ScannedFile(path, relative, VANISHED, 0, None)
        return SkippedEntry(path, "vanished while the job ran")
    if not stat.S_ISREG(status.st_mode):
        return SkippedEntry(path, "not a regular file (pipe, device or socket)")
    head = _read_head(path)
    kind = sniff(head, suffix, readers)
    if kind is not None and kind.is_film and suffix in AUDIO_SUFFIXES and not is_source:
        return SkippedEntry(path, "audio", is_foreign=True)
    if kind is None and suffix in VIDEO_OR_TEXT_SUFFIXES and is_text(head):
        is_expected = is_source
    reason = _find_missing_decoder(kind, suffix, readers)
    if is_source and not reason and kind is None and _may_be_film(head, suffix, readers):
        kind = OTHER_FILM
    if reason:
        return SkippedEntry(path, reason, failed=is_source)
    if kind is None and not is_expected:
        what = "metadata of another file" if suffix == ".xmp" else "not a picture or film"
        what = "a decision on another picture" if is_decision_file(path.name) else what
        return SkippedEntry(path, what, is_foreign=True)
    note = ""
    if kind not in (None, OTHER_FILM) and suffix and suffix not in kind.suffixes:
        note = f"is {kind.name.upper()} by content, not by its suffix"
    return ScannedFile(path, relative, status.st_size, status.st_mtime_ns, kind, note)


def _may_be_film(head: bytes, suffix: str, readers: Sequence[Reader]) -> bool:
    """Whether a file of unknown content is tried as a film: no suffix speaks for a picture."""
    is_picture = suffix in FORMATS_BY_SUFFIX or is_picture_suffix(suffix, readers)
    return bool(head) and not is_picture and not is_text(head)


def _find_missing_decoder(kind: Format | None, suffix: str, readers: Sequence[Reader]) -> str:
    """Returns why a picture has no decoder, or an empty string where it has one or is none."""
    if kind is None and any(suffix in reader.suffixes for reader in readers):
        return ""
    expected = kind or FORMATS_BY_SUFFIX.get(suffix)
    if expected is not None:
        return describe_missing_decoder(expected)
    return f"{suffix} is read only with a plugin for it" if suffix in UNREAD_SUFFIXES else ""


def _read_head(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError:
        return b""  # decoding reports why it cannot be read
    try:
        return os.read(descriptor, HEAD_SIZE)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
