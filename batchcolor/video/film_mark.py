"""States in the tags of a film that its colours are computed, and how."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping, Sequence

from batchcolor.images.provenance_marks.provenance import (
    Provenance,
    make_provenance,
    parse_parameters,
)

COMMENT_PREFIX = "comment_"
"""Begins FFmpeg's names of user comments in MXF (SMPTE ST 377-1, tagged values)."""
MARK_START = "Colours computed by "
FILM_TAGS = ("comment", "description", "synopsis")
"""Tags of MP4 and Matroska, by FFmpeg's names; the first one that is free is used."""
COMMENT_ONLY = ("comment",)
"""Of those, the ones that QuickTime files get of FFmpeg, and that GIF has."""


def add_film_mark(
    tags: MutableMapping[str, str], provenance: Provenance, usable: Sequence[str] = FILM_TAGS
) -> None:
    """Adds one line of words and JSON to the tags of a container; all others are kept.

    The line follows the newest mark if there is one, so that marks of several runs keep their
    order. Else it gets a tag of its own, or becomes the last line of the comment where no tag is
    free.
    """
    names = {name.lower(): name for name in tags}
    parameters = {"digital_source_type": provenance.digital_source_type, **provenance.parameters}
    line = f"{MARK_START}{provenance.software}: {json.dumps(parameters, sort_keys=True)}"
    marked = _find_newest_tag({name.lower(): value for name, value in tags.items()})
    free = next((name for name in usable if name not in names), None)
    if marked is not None and marked in usable:
        tags[names[marked]] += f"\n{line}"
    elif free is not None:
        tags[free] = line
    else:
        tags[names["comment"]] += f"\n{line}"


def read_film_mark(tags: Mapping[str, str]) -> Provenance | None:
    """Returns the newest mark in the tags of a container, or None."""
    values = {name.lower().removeprefix(COMMENT_PREFIX): text for name, text in tags.items()}
    newest = _find_newest_tag(values)
    if newest is None:
        return None
    software, _, text = _find_marks(values[newest])[-1].partition(": ")
    parameters = parse_parameters(text)
    kind = str(parameters.pop("digital_source_type", ""))
    return make_provenance(software, kind, parameters)


def _find_newest_tag(values: Mapping[str, str]) -> str | None:
    """Returns the tag whose last mark is the newest, or None where no tag has a mark.

    Results of earlier versions have each mark in the next free tag; only where none was free it was
    appended to the comment, which then holds more than one mark.
    """
    marked = [name for name in FILM_TAGS if _find_marks(values.get(name, ""))]
    if not marked:
        return None
    comment = values.get("comment", "").splitlines()
    if "comment" in marked and not (len(comment) == 1 and comment[0].startswith(MARK_START)):
        return "comment"
    return marked[-1]


def _find_marks(text: str) -> list[str]:
    """Returns the marks in the lines of a tag without their beginning, the oldest first."""
    lines = text.splitlines()
    return [line.removeprefix(MARK_START) for line in lines if line.startswith(MARK_START)]
