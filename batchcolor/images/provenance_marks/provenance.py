"""States in a result's metadata that its colours are computed, and how.

XMP has the digital source type (IPTC Photo Metadata Standard 2023.1), the creator tool, and an
entry of the history (Adobe XMP specification, part 2, ResourceEvent) whose parameters are JSON.
EXIF has the software. Pixels are not touched. No time is stored: equal sources, settings and
versions give equal files. `read_provenance` returns the entry of a result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batchcolor.images.formats import BMP, DPX, JPEG, JPEG_XL, Format
from batchcolor.images.metadata.jpeg import MAX_EXIF
from batchcolor.images.metadata.model import Metadata
from batchcolor.images.provenance_marks.exif_software import read_software, write_software
from batchcolor.images.sniff import HEAD_SIZE, sniff
from batchcolor.version import __version__

SOFTWARE_NAME = "batchcolor"


@dataclass(frozen=True)
class Provenance:
    """What coloured a picture or film, and from what."""

    digital_source_type: str
    """A URI of the IPTC vocabulary `digitalsourcetype`."""
    model: str
    weights: str
    """sha256 of the weights; empty for a model without weights."""
    source: str
    """File name of the source, without its folder."""
    source_sha256: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Options of `batchcolor run` that differ from their defaults, by their names."""
    software: str = f"{SOFTWARE_NAME} {__version__}"

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON document of the history entry."""
        return {
            "model": self.model,
            "weights": self.weights,
            "settings": dict(self.settings),
            "source": self.source,
            "source_sha256": self.source_sha256,
        }


def mark_metadata(
    metadata: Metadata, provenance: Provenance, target: Format, notes: list[str]
) -> Metadata:
    """Returns the metadata with the marks; all else in it is kept.

    Adds a note where a damaged or full block prevents a mark. BMP and DPX have no place for marks;
    the header of DPX names batchcolor.
    """
    if target in (BMP, DPX):
        return metadata
    from batchcolor.images.provenance_marks.xmp_history import InvalidXmpError, add_history_entry

    previous = read_software(metadata.exif) if metadata.exif else ""
    replaced = {"Software": previous} if previous else {}
    exif, xmp = metadata.exif, metadata.xmp
    try:
        exif = write_software(metadata.exif, provenance.software)
    except ValueError:
        notes.append("not marked in EXIF: the block is damaged")
    try:
        xmp = add_history_entry(
            metadata.xmp,
            provenance.digital_source_type,
            provenance.software,
            provenance.parameters,
            replaced,
        )
    except InvalidXmpError as error:
        notes.append(f"not marked in XMP: the packet is damaged ({error})")
    if target == JPEG and len(exif) > MAX_EXIF >= len(metadata.exif):
        exif = metadata.exif
        notes.append("not marked in EXIF: the block is full")
    return replace(metadata, exif=exif, xmp=xmp)


def read_provenance(xmp: bytes) -> Provenance | None:
    """Returns the last entry of batchcolor in the history of an XMP packet, or None."""
    from batchcolor.images.provenance_marks.xmp_history import InvalidXmpError, read_history

    try:
        kind, entries = read_history(xmp)
    except InvalidXmpError:
        return None
    for agent, text in reversed(entries):
        if agent.split(" ")[0] == SOFTWARE_NAME:
            return make_provenance(agent, kind, parse_parameters(text))
    return None


def parse_parameters(text: str) -> dict[str, Any]:
    """Returns the JSON document of a mark; empty where it is damaged."""
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def make_provenance(software: str, kind: str, values: Mapping[str, Any]) -> Provenance:
    """Returns the provenance of a mark with these `parameters`; `kind` is its source type."""
    settings = values.get("settings")
    names = ("model", "weights", "source", "source_sha256")
    return Provenance(
        digital_source_type=kind,
        settings=settings if isinstance(settings, dict) else {},
        software=software,
        **{name: str(values.get(name, "")) for name in names},
    )


def read_marks(path: Path) -> Provenance | None:
    """Returns the provenance that a picture states in its metadata; None where it states none.

    Raises UnidentifiedImageError (an OSError) for a file that is no picture, OSError.
    """
    from batchcolor.images.header import open_with_pillow
    from batchcolor.images.readers.jpeg_xl_header import read_boxes

    with path.open("rb") as file:
        kind = sniff(file.read(HEAD_SIZE))
        if kind == JPEG_XL:
            file.seek(0)
            return read_provenance(read_boxes(file, frozenset({b"xml "})).get(b"xml ", b""))
    with open_with_pillow(path, kind or JPEG) as image:
        xmp = image.info.get("xmp") or getattr(image, "tag_v2", {}).get(XMP_TAG) or b""
    return read_provenance(xmp.encode() if isinstance(xmp, str) else bytes(xmp))


XMP_TAG = 700
"""TIFF tag of the XMP packet (XMP specification, part 3)."""
