"""Checks that no result and no report can replace a source, or be taken for one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.errors import OutputError, UsageError
from batchcolor.images.scan import is_output_folder
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.sources import Root
from batchcolor.pipeline.report import is_report
from batchcolor.storage.access import denied_access_error, is_reachable_folder, resolve_links
from batchcolor.storage.journal import JOURNAL_NAME, STATE_FOLDER, Journal
from batchcolor.storage.locations import Url, find_archive_kind

if TYPE_CHECKING:
    from batchcolor.storage.remote.any_output import AnyOutput
    from batchcolor.storage.remote.session import RemoteSession


def check_output(roots: Sequence[Root], output: Path, *, is_default: bool) -> None:
    """Raises UsageError where results would be written among the sources.

    Raises OutputError for an output in a folder without access. `is_default`: the user gave no
    --output.
    """
    try:
        is_file = output.exists() and not output.is_dir()
    except OSError as error:
        raise OutputError(f"{output} cannot be written ({error.strerror})") from error
    if is_file:
        if is_default:
            raise UsageError(f"{output} is a file; name a folder for the results with --output")
        raise UsageError(f"--output {output} is a file; name a folder")
    given = f"the default output {output}" if is_default else f"--output {output}"
    choose = "choose a folder outside with --output" if is_default else "choose a folder outside"
    resolved = output.resolve()
    for root in roots:
        source = resolve_links(root.path)
        if not is_reachable_folder(source):
            if (resolved / root.below / root.path.name).resolve() == source:
                raise UsageError(
                    f"{given} is the folder of {root.path}: a result would replace its source; "
                    f"{choose}"
                )
        elif resolved == source:
            raise UsageError(f"{given} is the source itself; {choose}")
        elif source in resolved.parents:
            raise UsageError(f"{given} lies inside the source {root.path}; {choose}")


def check_remote(settings: RunSettings, roots: Sequence[Root], output: Path | Url) -> None:
    """Raises UsageError for options that take plain folders, where a source or the output is not
    one, and for an output among the sources."""
    has_remote_sources = any(root.remote is not None for root in roots)
    if settings.frames and has_remote_sources:
        _check_remote_frames(settings)
    is_remote = has_remote_sources or isinstance(output, Url)
    if settings.gallery and settings.cluster is not None and is_remote:
        raise UsageError(
            "--gallery with --cluster shows files that all nodes see as files, and a source or the "
            "output is on remote storage; run the same command with --gallery and without "
            "--cluster afterwards"
        )

    if isinstance(output, Url):
        _check_remote_output(settings, roots, output)


def _check_remote_frames(settings: RunSettings) -> None:
    """Raises UsageError for what does not go with frames on remote storage."""
    options = {
        "--watch": settings.watch,
        "--gallery": settings.gallery,
        "--cluster": settings.cluster is not None,
    }
    for option, is_given in options.items():
        if is_given:
            raise UsageError(
                f"{option} with --frames takes folders on this computer: copy the frames there "
                f"first, or leave {option} out"
            )


def _check_remote_output(settings: RunSettings, roots: Sequence[Root], output: Url) -> None:
    if settings.to_frames:
        raise UsageError("--to-frames writes folders on this computer: choose another --output")
    if settings.gallery and settings.shard is not None:
        raise UsageError(
            f"--gallery shows the results of all shards, and shards on several computers cannot "
            f"write one gallery at {output.shown}; run the same command with --gallery and without "
            f"--shard when all are done"
        )
    place = f"{output.shown.rstrip('/')}/"
    for root in roots:
        if root.remote is None or root.remote.single is not None:
            continue
        source = f"{root.remote.mount.url.rstrip('/')}/"
        if place == source:
            raise UsageError(f"--output {output.shown} is the source itself; choose another one")
        if place.startswith(source):
            raise UsageError(
                f"--output {output.shown} lies inside the source {source}; choose another one"
            )


def is_plain_output(output: Path) -> bool:
    """Whether results are plain files in a folder, and not packed into a tar file.

    Raises UsageError for an archive of another kind.
    """
    if find_archive_kind(output.name) is None:
        return True
    from batchcolor.storage.remote.packed_output import is_packed

    return not is_packed(output)


def open_output(
    wanted: Path | Url, settings: RunSettings, session: RemoteSession
) -> tuple[AnyOutput, Path]:
    """The output of a job that is no plain folder, and its local folder.

    Raises UsageError, OutputError.
    """
    from batchcolor.storage.remote.packed_output import PackedOutput, is_packed
    from batchcolor.storage.remote.remote_output import RemoteOutput

    output: AnyOutput
    if is_packed(wanted):
        _check_packed(settings, wanted)
        output = PackedOutput(wanted, session)
    else:
        assert isinstance(wanted, Url)
        output = RemoteOutput(wanted, session)
    output.open()
    return output, output.folder


def _check_packed(settings: RunSettings, output: Path | Url) -> None:
    options = {
        "--shard": settings.shard is not None,
        "--cluster": settings.cluster is not None,
        "--gallery": settings.gallery,
        "--sidecar": settings.sidecar,
        "--premis": settings.premis,
        "--strip": settings.strip,
        "--to-frames": settings.to_frames,
        "--watch": settings.watch,
    }
    for option, is_given in options.items():
        if is_given:
            name = output.shown if isinstance(output, Url) else output
            raise UsageError(f"--output {name}: {option} goes with a folder, not with a tar file")


def check_writable(output: Path, *, has_work: bool) -> None:
    """Raises OutputError where a job could not write to its output folder. Writes nothing.

    The state folder, or the folder in which it would be made, has to be writable; with `has_work`
    the output folder as well, where it exists.
    """
    journal = output.absolute() / STATE_FOLDER / JOURNAL_NAME
    needed = [next(folder for folder in journal.parents if folder.exists())]
    needed += [path for path in (journal, output) if path.exists() and (has_work or path != output)]
    for path in needed:
        if not os.access(path, os.W_OK | os.X_OK if path.is_dir() else os.W_OK):
            reason = denied_access_error(path).strerror
            raise OutputError(f"{output} cannot be written ({reason})")


def check_report(report: Path | Url | None, roots: Sequence[Root]) -> None:
    """Raises UsageError where the report would replace another file or lie inside a source.

    Raises OutputError where it cannot be written.
    """
    if report is None:
        return
    if isinstance(report, Url):
        from batchcolor.storage.remote.write_location import check_writable_url

        check_writable_url(report, "--report")
        return
    if report.is_dir():
        raise UsageError(f"--report {report} is a folder; name a file, as report.json")
    if report.is_file() and not is_report(report):
        raise UsageError(
            f"--report {report} exists and is not a report of batchcolor; name another file"
        )
    parent = next(folder for folder in report.absolute().parents if folder.exists())
    if not os.access(report if report.exists() else parent, os.W_OK):
        raise OutputError(f"--report {report} cannot be written; name a file in another folder")
    for root in roots:
        if is_reachable_folder(root.path) and resolve_links(root.path) in report.resolve().parents:
            raise UsageError(
                f"--report {report} lies inside the source {root.path}; name a file outside"
            )


def check_no_results(roots: Sequence[Root], *, has_option: bool = True) -> None:
    """Raises UsageError where a source is a result of batchcolor: it would be coloured twice.

    `has_option`: whether the command has --include-results, which the message then names.
    """
    option = ", or give --include-results to colour results again" if has_option else ""
    journals: dict[Path, Journal] = {}
    folders: dict[Path, Path | None] = {}
    for root in roots:
        source = resolve_links(root.path)
        start = source if is_reachable_folder(source) else source.parent
        if start not in folders:
            above = (start, *start.parents)
            folders[start] = next((folder for folder in above if is_output_folder(folder)), None)
        output = folders[start]
        if output is None:
            continue
        if output not in journals:
            journals[output] = Journal(output, lock=False)
        if output == source or journals[output].has_target(source.relative_to(output)):
            raise UsageError(
                f"{root.path} holds results of batchcolor; name the original pictures{option}"
            )


class OverwriteGuard:
    """Tells whether a result would replace a source or lie among the sources."""

    def __init__(self, roots: Sequence[Root]) -> None:
        self._roots = roots
        self._last: tuple[Path | None, Path, bool] = (None, Path(), False)

    @cached_property
    def _sources(self) -> tuple[frozenset[Path], frozenset[Path]]:
        """The folders and the files that are sources, with links resolved."""
        paths = [resolve_links(root.path) for root in self._roots]
        folders = frozenset(path for path in paths if is_reachable_folder(path))
        return folders, frozenset(paths) - folders

    def find_conflict(self, target: Path) -> str:
        """The reason why a result must not be written to `target`; empty where it may."""
        folders, files = self._sources
        parent, is_among_sources = self._resolve_folder(target.parent)
        is_link = os.path.islink(target)  # noqa: PTH114  (Path.is_symlink fails for names that are too long)
        if is_link:
            is_among_sources = not folders.isdisjoint(target.resolve().parents)
        if files and (target.resolve() if is_link else parent / target.name) in files:
            return "its result would replace a source; choose another --output"
        if is_among_sources:
            return "its result would lie among the sources; choose another --output"
        return ""

    def _resolve_folder(self, folder: Path) -> tuple[Path, bool]:
        """The folder with links resolved, and whether it is a source folder or inside one.

        Keeps the last answer: tasks come folder by folder, and resolving each path anew takes
        most of the time of planning.
        """
        last, resolved, is_among_sources = self._last
        if last != folder:
            resolved = folder.resolve()
            is_among_sources = not self._sources[0].isdisjoint((resolved, *resolved.parents))
            self._last = (folder, resolved, is_among_sources)
        return resolved, is_among_sources
