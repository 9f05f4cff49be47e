"""The plan of a job from its settings: everything that makes the job impossible is found here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.images.scan import (
    SkippedEntry,
)
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.metrics_check import check_metrics
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.source_checks import (
    check_no_results,
    check_output,
    check_remote,
    check_report,
    is_plain_output,
    open_output,
)
from batchcolor.pipeline.planning.sources import (
    Source,
    check_folders,
    default_output,
    is_remote,
    list_roots,
    parse_sources,
)
from batchcolor.storage.locations import Url
from batchcolor.video.output.encoders import require_encoder

if TYPE_CHECKING:
    from batchcolor.storage.remote.any_output import AnyOutput
    from batchcolor.storage.remote.session import RemoteSession


def make_plan(settings: RunSettings, missing: Sequence[SkippedEntry] = ()) -> Plan:
    """The plan of a job. Raises UsageError before anything but folders is read.

    Names of results do not depend on which files of a list are `missing`.
    """
    require_encoder(settings.films)
    session = _open_session(settings)
    try:
        return _make_plan(settings, missing, session)
    except BaseException:
        if session is not None:
            session.close()
        raise


def _place_frames(source: Source) -> Source:
    """A source of `--frames`; one on remote storage with the folder to which it is fetched.

    Raises UsageError.
    """
    if source.remote is None:
        return source
    from batchcolor.pipeline.planning.remote_frames import find_frames_path

    return replace(source, path=find_frames_path(source.remote))


def _open_session(settings: RunSettings) -> RemoteSession | None:
    """What a job with URLs or archives needs; None where everything is a plain file."""
    if not (any(map(is_remote, settings.sources)) or isinstance(settings.output, Url)):
        return None
    return _make_session(settings)


def _make_session(settings: RunSettings) -> RemoteSession:
    from batchcolor.storage.remote.session import RemoteSession

    return RemoteSession(settings.temporary_space, settings.retries)


def _make_plan(
    settings: RunSettings, missing: Sequence[SkippedEntry], session: RemoteSession | None
) -> Plan:
    sources = parse_sources(
        settings.sources,
        session,
        include_results=settings.include_results,
        may_be_empty=settings.watch,
    )
    named = [*sources, *(Source(entry.path, "file") for entry in missing)]
    wanted = settings.output or default_output(named)
    remote_output: AnyOutput | None = None
    if isinstance(wanted, Path) and is_plain_output(wanted):
        output = wanted
    else:
        session = session or _make_session(settings)
        remote_output, output = open_output(wanted, settings, session)
    if settings.films.fps is not None:
        check_folders(sources)
        sources = [_place_frames(source) for source in sources]
    roots = tuple(list_roots(sources, several=len(named) > 1))
    if session is not None:
        check_remote(settings, roots, wanted)
    check_output(roots, output, is_default=settings.output is None)
    if not settings.include_results:
        check_no_results(roots)
    check_report(settings.report_path, roots)
    check_metrics(settings.metrics_path, roots)
    return Plan(
        settings,
        roots,
        output,
        missing=tuple(missing),
        session=session,
        remote_output=remote_output,
    )
