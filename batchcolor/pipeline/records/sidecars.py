"""Sidecars on request: NAME.EXT.json and, as PREMIS 3, NAME.EXT.premis.xml beside a result.

They repeat outside of the file what the marks state inside, with the checksums of both files.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchcolor.errors import ProcessingError
from batchcolor.images.provenance_marks.provenance import SOFTWARE_NAME
from batchcolor.pipeline.records.result_record import ResultRecord
from batchcolor.storage.atomic import write_atomic
from batchcolor.version import __version__

JSON_SUFFIX, PREMIS_SUFFIX = ".json", ".premis.xml"
FORMAT_KEY = "batchcolor_sidecar"
"""Key of the JSON document whose value is the version of its form."""


def write_sidecars(record: ResultRecord, *, as_json: bool, as_premis: bool) -> list[str]:
    """Writes the sidecars of a result; returns a note for each that another file prevents.

    A sidecar of an earlier result is replaced. Raises OutputError where the disk is full or gone.
    """
    notes = []
    if as_json:
        document = json.dumps(build_document(record), indent=2, ensure_ascii=False) + "\n"
        notes += _write(record.target, JSON_SUFFIX, document.encode("utf-8", "backslashreplace"))
    if as_premis:
        from batchcolor.pipeline.records.premis import build_premis

        now = datetime.now(UTC).isoformat(timespec="seconds")
        notes += _write(record.target, PREMIS_SUFFIX, build_premis(record, now))
    return notes


def list_sidecars(target: Path, *, as_json: bool, as_premis: bool) -> list[Path]:
    """Returns the paths of a result's sidecars."""
    suffixes = [JSON_SUFFIX] * as_json + [PREMIS_SUFFIX] * as_premis
    return [target.with_name(target.name + suffix) for suffix in suffixes]


def build_document(record: ResultRecord) -> dict[str, Any]:
    """Returns the JSON document of a result. It has no time of its own."""
    changed = datetime.fromtimestamp(record.source_mtime_ns / 1e9, UTC)
    document = {
        FORMAT_KEY: 1,
        "software": f"{SOFTWARE_NAME} {__version__}",
        "action": record.action,
        "source": {
            "file": record.source.name,
            "format": record.source_format,
            "size": record.source_size,
            "modified": changed.isoformat(timespec="seconds"),
            "sha256": record.provenance.source_sha256,
        },
        "result": {
            "file": record.target.name,
            "format": record.target_format,
            "size": record.fixity.size,
            "sha256": record.fixity.sha256,
        },
        "notes": list(record.notes),
    }
    if record.action == "coloured":
        document |= {
            "digital_source_type": record.provenance.digital_source_type,
            "model": record.provenance.model,
            "weights_sha256": record.provenance.weights,
            "settings": dict(record.provenance.settings),
        }
    return document


def _write(target: Path, suffix: str, content: bytes) -> list[str]:
    path = target.with_name(target.name + suffix)
    try:
        if path.exists() and not _is_sidecar(path):
            return [f"no sidecar: {path.name} exists and is another file"]
        write_atomic(path, content)
    except (OSError, ProcessingError) as error:
        return [f"no sidecar: {path.name} cannot be written ({error})"]
    return []


def _is_sidecar(path: Path) -> bool:
    """Whether a file is a sidecar that batchcolor wrote."""
    with path.open("rb") as file:
        head = file.read(4096)
    marker = FORMAT_KEY.encode() if path.name.endswith(JSON_SUFFIX) else b"loc.gov/premis/v3"
    return marker in head
