"""The jobs that wrote to an output folder: their sources and options, in `.batchcolor/jobs.jsonl`.

From it `batchcolor review` knows where the sources are, and repeats a job for changed decisions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from batchcolor.errors import UsageError
from batchcolor.pipeline.options.option import declared_options
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.storage.atomic import write_atomic
from batchcolor.storage.journal import STATE_FOLDER, absolute_source
from batchcolor.storage.json_lines import read_json_lines
from batchcolor.storage.locations import Url, describe_url, is_url
from batchcolor.video.time_range import TimeRange

RECORD_NAME = "jobs.jsonl"
MAX_JOBS = 20
"""Jobs with different sources that are kept, the last one last."""
ONE_RUN = frozenset(
    {
        *("watch", "settle", "report", "shard", "metrics", "retry_failed", "if_exists", "no_lock"),
        *("temporary_space", "retries", "cluster"),
        *("batch_size", "device", "precision", "backend", "workers", "max_memory"),
    }
)
"""Options that no result depends on; they are not repeated."""


def record_job(output: Path, settings: RunSettings) -> None:
    """Adds a job to the record; it replaces an earlier one with the same sources.

    Raises OutputError.
    """
    values = _to_values(settings)
    jobs = [job for job in _read_lines(output) if job.get("sources") != values["sources"]]
    if _read_lines(output)[-1:] == [values]:
        return
    lines = [json.dumps(job) for job in [*jobs, values][-MAX_JOBS:]]
    write_atomic(output / STATE_FOLDER / RECORD_NAME, "".join(f"{x}\n" for x in lines).encode())


def read_jobs(output: Path, location: Path | Url | None = None) -> list[RunSettings]:
    """Returns the settings of the recorded jobs, the last one last.

    `location` is their output where it is not the folder that has the record. A job that this
    version cannot repeat, as its options are unknown, is skipped.
    """
    jobs = []
    for values in _read_lines(output):
        try:
            known = {**values, "sources": tuple(values["sources"]), "output": location or output}
            if isinstance(known.get("c2pa"), list):
                known["c2pa"] = tuple(map(Path, known["c2pa"]))
            jobs.append(RunSettings(**known))
        except (UsageError, KeyError, TypeError):
            continue
    return jobs


def _read_lines(output: Path) -> list[dict[str, Any]]:
    lines = read_json_lines(output / STATE_FOLDER / RECORD_NAME)
    return [values for values in lines if values is not None]


def _to_values(settings: RunSettings) -> dict[str, Any]:
    """The options that differ from their defaults; paths are absolute."""
    values: dict[str, Any] = {"sources": [_absolute(path) for path in settings.sources]}
    for name, declared in declared_options(RunSettings).items():
        value = getattr(settings, name)
        if name not in ("sources", "output", *ONE_RUN) and value != declared.default:
            if declared.option.has_path_values:
                value = tuple((key, _absolute(path)) for key, path in value)
            values[name] = _to_json(value)
    return values


def _to_json(value: Any) -> Any:
    if isinstance(value, Path):
        return _absolute(value)
    if isinstance(value, Fraction | TimeRange):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, tuple):
        is_pairs = all(isinstance(item, tuple) and len(item) == 2 for item in value)
        return dict(value) if is_pairs else [_to_json(item) for item in value]
    return value


def _absolute(path: str | Path) -> str:
    if is_url(path):
        return describe_url(str(path))
    return absolute_source(Path(path))  # links are kept, and so are patterns
