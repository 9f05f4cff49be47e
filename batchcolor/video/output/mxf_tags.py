"""Tags of MXF: FFmpeg's muxer writes few of its own, and any others as user comments."""

from __future__ import annotations

from collections.abc import MutableMapping

from batchcolor.video.film_mark import COMMENT_PREFIX

OWN_TAGS = frozenset({"timecode", "reel_name", "modification_date"})
"""Tags of the file that have places of their own in MXF."""
MOVED_TAGS = ("timecode", "reel_name")
"""Tags that other containers keep in the video stream and MXF in the file."""


def convert_tags(tags: MutableMapping[str, str], video: MutableMapping[str, str]) -> None:
    """Renames the tags of a file to those that MXF stores, and moves those of its video there."""
    for name in MOVED_TAGS:
        value = video.pop(name, None)
        if value is not None:
            tags.setdefault(name, value)
    for name in [name for name in tags if not is_stored(name)]:
        tags[COMMENT_PREFIX + name] = tags.pop(name)


def is_stored(name: str) -> bool:
    """Whether FFmpeg's muxer stores a tag of this name."""
    return name.lower() in OWN_TAGS or name.startswith(COMMENT_PREFIX)
