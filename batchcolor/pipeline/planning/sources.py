"""The sources of a job: folders, files, globs and URLs, each with its folder below the output."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from batchcolor.errors import UsageError
from batchcolor.storage.access import is_reachable_folder, resolve_links
from batchcolor.storage.journal import absolute_source
from batchcolor.storage.locations import (
    ARCHIVE_SUFFIXES,
    Url,
    describe_url,
    find_archive_kind,
    is_url,
    strip_local_scheme,
    url_name,
)

if TYPE_CHECKING:
    from batchcolor.pipeline.planning.remote_sources import RemoteFolder
    from batchcolor.storage.remote.session import RemoteSession

MAX_NAMED = 20
"""Missing sources that one message names."""


@dataclass(frozen=True)
class Root:
    """A folder or file to scan, and the folder of its results, relative to the output folder."""

    path: Path
    below: Path
    remote: RemoteFolder | None = None
    """What is there on remote storage or in an archive; `path` is its mount then."""


@dataclass(frozen=True)
class Source:
    """One SOURCE of the command line: a folder, a file, or a glob with its matches.

    `path` of a glob is the folder before its first wildcard.
    """

    path: Path
    kind: Literal["folder", "file", "glob", "remote"]
    matches: tuple[Path, ...] = ()
    remote: RemoteFolder | None = None
    text: str = ""
    """A URL or the path of an archive, as it was given."""


def parse_sources(
    texts: Iterable[str],
    session: RemoteSession | None = None,
    *,
    include_results: bool = False,
    may_be_empty: bool = False,
) -> list[Source]:
    """The sources with these names. Raises UsageError, which names all files that are missing.

    The URLs among them are opened in the `session`; with `may_be_empty` also those of folders
    without objects.
    """
    names = list(dict.fromkeys(name for text in texts for name in _expand_archives(text)))
    missing = [name for name in names if name and is_missing(name)]
    if len(missing) > 1:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise UsageError(
            f"no such file or folder: {', '.join(missing[:MAX_NAMED])}{more}; "
            f"correct the names or leave them out"
        )
    return [
        parse_source(name, session, include_results=include_results, may_be_empty=may_be_empty)
        for name in names
    ]


def is_missing(text: str) -> bool:
    """Whether there is no file or folder of this name, and it is no pattern and no URL."""
    return not is_url(text) and not os.path.lexists(text) and not glob.has_magic(text)


def is_remote(text: str) -> bool:
    """Whether a source is not read as plain files: a URL, or an archive."""
    if is_url(text) or find_archive_kind(text) is None:
        return is_url(text)
    # no error for folders without access: `parse_source` reports them
    return os.path.isfile(text) or glob.has_magic(text)  # noqa: PTH113


def _expand_archives(text: str) -> list[str]:
    """The archives that a pattern such as `shards/*.tar` names; every other text as it is."""
    is_pattern = glob.has_magic(text) and not os.path.lexists(text) and not is_url(text)
    if not is_pattern or find_archive_kind(text) is None:
        return [text]
    return sorted(glob.glob(text, recursive=True)) or [text]  # noqa: PTH207


def describe_missing(text: str) -> str | None:
    """Why a name in a list gives no source: nothing of the name, no access, an empty pattern.

    None where it gives one, and for a URL, which is asked for when the job begins.
    """
    if is_url(text):
        return None
    if reason := _describe_denial(text):
        return reason
    if os.path.lexists(text):
        return None
    if not glob.has_magic(text):
        return "no such file"
    is_empty = next(glob.iglob(text, recursive=True), None) is None  # noqa: PTH207
    return "the pattern matches nothing" if is_empty else None


def parse_source(
    text: str,
    session: RemoteSession | None = None,
    *,
    include_results: bool = False,
    may_be_empty: bool = False,
) -> Source:
    """The source with this name. Raises UsageError where there is none."""
    if not text:  # an unset shell variable; the current folder is `.`
        raise UsageError("a SOURCE is empty; name a folder, files or a glob")
    if session is not None and is_remote(text):
        return _parse_remote(
            text, session, include_results=include_results, may_be_empty=may_be_empty
        )
    if is_url(text):
        raise UsageError(f"{describe_url(text)}: name a folder or file on this computer")
    text = strip_local_scheme(text)
    path = Path(text)
    if is_reachable_folder(path):
        return Source(path, "folder")
    if reason := _describe_denial(text):
        raise UsageError(f"{text}: {reason}; correct the cause or leave it out")
    if os.path.lexists(path):
        return Source(path, "file")
    if glob.has_magic(text):
        fixed = Path(*_parts_before_wildcard(path.parts))
        # Not Path.glob: that one takes no absolute patterns and hides broken links.
        matches = {Path(match) for match in glob.glob(text, recursive=True)}  # noqa: PTH207
        chosen = tuple(sorted(m for m in matches if matches.isdisjoint(m.parents)))
        if chosen:
            return Source(fixed, "glob", chosen)
        raise UsageError(f"no pictures found in {text}: the pattern matches nothing")
    raise UsageError(f"no such file or folder: {text}; correct the name or leave it out")


def _describe_denial(text: str) -> str:
    """Why a file cannot be reached, as in a folder without access; empty where it is missing."""
    try:
        os.stat(text)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _parse_remote(
    text: str, session: RemoteSession, *, include_results: bool, may_be_empty: bool
) -> Source:
    from batchcolor.pipeline.planning import remote_sources

    kind = None if is_url(text) else find_archive_kind(text)
    if kind is not None:
        folder = remote_sources.open_local_archive(Path(text), kind, session)
    else:
        folder = remote_sources.open_remote_source(
            text, session, include_results=include_results, may_be_empty=may_be_empty
        )
    return Source(folder.mount.folder, "remote", remote=folder, text=text)


def _parts_before_wildcard(parts: Sequence[str]) -> list[str]:
    fixed = []
    for part in parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return fixed


def default_output(sources: Sequence[Source]) -> Path | Url:
    """SOURCE-colorized beside a single source; `colorized` in the common folder of several."""
    if any(source.kind == "remote" for source in sources):
        return _default_remote_output(sources)
    if len(sources) > 1:
        # `.` has a folder above it as well, so its path is made absolute first.
        parents = [os.path.dirname(os.path.abspath(source.path)) for source in sources]  # noqa: PTH100, PTH120
        return Path(os.path.commonpath(parents)) / "colorized"
    only = sources[0]
    if only.kind == "file":
        return only.path.with_name(f"{only.path.stem}-colorized")
    folder = only.path if only.path.name not in ("", "..") else only.path.resolve()
    if not folder.name:
        raise UsageError(f"{folder} has no folder beside it: name one with --output")
    return folder.with_name(f"{folder.name}-colorized")


def _default_remote_output(sources: Sequence[Source]) -> Path | Url:
    if len(sources) > 1:
        raise UsageError("several sources, and not all on this computer: name a folder with -o")
    text = sources[0].text
    if is_url(text):
        from batchcolor.pipeline.planning.remote_sources import default_remote_output

        return default_remote_output(text)
    archive = Path(text)
    return archive.with_name(f"{_archive_stem(archive.name) or 'archive'}-colorized")


def _archive_stem(name: str) -> str:
    """A name without the suffix of an archive."""
    ends = sorted(ARCHIVE_SUFFIXES, key=len, reverse=True)
    return next((name[: -len(end)] for end in ends if name.lower().endswith(end)), name)


def check_folders(sources: Sequence[Source]) -> None:
    """With `--frames` every source is a folder."""
    for source in sources:
        for path in source.matches if source.kind == "glob" else (source.path,):
            if not is_reachable_folder(path):
                raise UsageError(
                    f"--frames takes folders of numbered frames, and {path} is a file; "
                    f"--to-frames writes the frames of a film"
                )


def list_roots(sources: Sequence[Source], *, several: bool) -> Iterator[Root]:
    """Yields what is scanned. With `several`, each folder gets an output folder of its own name."""
    names: dict[str, int] = {}
    for source in sources:
        if source.kind == "file":
            yield Root(source.path, Path())
            continue
        below = Path()
        is_single = source.remote is not None and source.remote.single is not None
        is_pattern = source.remote is not None and source.remote.pattern is not None
        if several and source.kind in ("folder", "remote") and not (is_single or is_pattern):
            name = _archive_stem(url_name(source.text)) if source.text else ""
            name = name or resolve_links(source.path).name
            name = name or "root"
            names[name] = names.get(name, 0) + 1
            below = Path(name if names[name] == 1 else f"{name}-{names[name]}")
        if source.kind in ("folder", "remote"):
            yield Root(source.path, below, source.remote)
        for match in source.matches:
            relative = match.relative_to(source.path)
            yield Root(match, relative if is_reachable_folder(match) else relative.parent)


def has_nested(roots: Sequence[Root]) -> bool:
    """Whether a file can be found below two of the roots."""
    paths = sorted(os.path.join(absolute_source(root.path), "") for root in roots)  # noqa: PTH118
    return any(path.startswith(former) for former, path in pairwise(paths))


def frames_name(root: Root) -> Path:
    """The name of a folder of frames, relative to the folder of its root in the output."""
    return Path() if root.below.parts else Path(resolve_links(root.path).name)
