"""Names of results: the format and the path of each result below the output folder.

A result has the name of its source. No two sources share a result, also on file systems that
ignore letter case, and a source keeps the result that it had in an earlier job.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from batchcolor.images.animation import read_animation_header
from batchcolor.images.formats import IMAGE_SEQUENCE, PNG, Format
from batchcolor.images.scan import ScannedFile, SkippedEntry, UnopenedFile
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.name_owners import NameOwners
from batchcolor.pipeline.planning.postponed_files import PostponedFile, PostponedFiles
from batchcolor.storage.journal import Journal, absolute_source
from batchcolor.video.output.codec_choice import choose_container

FILM_ENDING = re.compile(r"(-compare)?(-preview(-\d+h\d\dm\d\d(_\d+)?s|-shots)?)?(-frames)?$")
"""What `VideoSettings.name_suffix` adds to the stem of a film's result."""


@dataclass(frozen=True)
class TargetName:
    """The format of a result, its path and that of its contact strip in the output folder."""

    format: Format
    relative: Path
    strip: Path | None = None


class TargetNames:
    """Chooses the name of each result of one job; remembers the names that are in use.

    `is_forbidden` tells whether a contact strip cannot have a path relative to the output folder.
    `identify` opens a file of another shard.
    """

    def __init__(
        self,
        settings: RunSettings,
        journal: Journal,
        is_forbidden: Callable[[Path], bool],
        identify: Callable[[UnopenedFile], ScannedFile | SkippedEntry],
    ) -> None:
        self.settings, self.journal = settings, journal
        self._is_forbidden, self._identify = is_forbidden, identify
        self._owners = NameOwners()
        """The source of each name of this job, by its name in lower case."""
        self._postponed = PostponedFiles()
        self._order = 0
        """Number of the files so far, of this shard and of others."""

    def choose(self, below: Path, file: ScannedFile) -> TargetName:
        """The name of the result of a file, which has to be the next one of the scan.

        `below` is the folder of the file's source in the output folder.
        """
        self._order += 1
        return self._choose(below, file, self._order)

    def postpone(self, below: Path, file: UnopenedFile) -> None:
        """Adds the next file of the scan, which is one of another shard.

        It is opened if a name depends on it, so that names are those of a job without shards.
        """
        self._order += 1
        self._postponed.add(PostponedFile(below, file, self._order))

    def _choose(self, below: Path, file: ScannedFile, order: int) -> TargetName:
        format_ = self.choose_format(file)
        relative = self._choose_path(below, file, format_, order)
        strip = None
        if self.settings.strip and file.is_film:
            strip = self._choose_strip_path(relative, file, order)
        return TargetName(format_, relative, strip)

    def choose_format(self, file: ScannedFile) -> Format:
        """The format of a result: the one asked for where it fits, else the source's own.

        A picture whose format cannot be written becomes PNG.
        """
        asked = self.settings.target_format
        if file.is_film and self.settings.films.to_frames:
            return asked or PNG
        if file.is_film:
            if asked is not None and asked.is_film:
                return asked
            return choose_container(self.settings.films, file.format)
        if asked is not None and not asked.is_film:
            return asked
        if asked is not None and asked.still is not None and _is_animation(file):
            return asked.still
        return file.format.result_format if file.format is not None else PNG

    def _choose_path(self, below: Path, file: ScannedFile, format_: Format, order: int) -> Path:
        source = absolute_source(file.path)
        is_folder = file.is_film and self.settings.films.to_frames
        relative = self._previous_name(file, format_, is_folder=is_folder)
        if relative is None:
            relative = self._plain_name(below / file.relative, file, format_)
        suffix = "" if is_folder else relative.suffix
        stem = relative.name.removesuffix(suffix)
        for name in _candidates(stem, file.path.suffix[1:] or "picture", suffix):
            candidate = relative.with_name(name)
            key = str(candidate).casefold()
            self._name_postponed(key, order)
            is_free = self._owners.is_free(key, source)
            if is_free and self.journal.owner(key) in (None, source):
                self._owners.add(key, source)
                return candidate
        raise AssertionError("the candidates never end")

    def _choose_strip_path(self, relative: Path, file: ScannedFile, order: int) -> Path:
        """The path of a film's contact strip: one that no source and no result has or had.

        `relative` is the name of the film's result.
        """
        for name in _candidates(relative.stem, relative.suffix[1:], "-strip.jpg"):
            candidate = relative.with_name(name)
            key = str(candidate).casefold()
            self._name_postponed(key, order)
            is_taken = key in self._owners or self.journal.owner(key) is not None
            if not is_taken and not self._is_forbidden(candidate):
                self._owners.add(key, f"{absolute_source(file.path)} strip")
                return candidate
        raise AssertionError("the candidates never end")

    def _name_postponed(self, key: str, order: int) -> None:
        """Names the results of earlier files of other shards that may want this name."""
        for postponed in self._postponed.take(key, order):
            found = self._identify(postponed.file)
            if isinstance(found, ScannedFile):
                self._choose(postponed.below, found, postponed.order)

    def _plain_name(self, relative: Path, file: ScannedFile, format_: Format) -> Path:
        """The source's name with the suffix of the format."""
        suffix = relative.suffix.lower() if file.format != IMAGE_SEQUENCE else ""
        stem = relative.name[: -len(suffix)] if suffix else relative.name
        if file.is_film and self.settings.films.to_frames:
            return relative.with_name(stem + self.settings.films.name_suffix)
        is_unknown = file.format is None and not file.is_film  # it will fail under its own name
        keeps_suffix = suffix in format_.suffixes or is_unknown
        suffix = relative.suffix if keeps_suffix else format_.suffixes[0]
        ending = self.settings.films.name_suffix if file.is_film else ""
        return relative.with_name(stem + ending + suffix)

    def _previous_name(self, file: ScannedFile, format_: Format, *, is_folder: bool) -> Path | None:
        """The name that the source's result has from an earlier job, if it still fits."""
        previous = self.journal.previous_target(file.path)
        if previous is None:
            return None
        has_suffix = Path(previous).suffix.lower() in format_.suffixes
        if has_suffix is is_folder:
            return None
        if file.is_film and _film_ending(previous) != self.settings.films.name_suffix:
            return None
        return Path(previous)


def _is_animation(file: ScannedFile) -> bool:
    return read_animation_header(file.path, file.format) is not None


def _candidates(stem: str, qualifier: str, ending: str) -> Iterator[str]:
    """Names for a result, the plain one first; `qualifier` distinguishes sources of one stem."""
    yield f"{stem}{ending}"
    yield f"{stem}-{qualifier}{ending}"
    for number in count(2):
        yield f"{stem}-{qualifier}-{number}{ending}"


def _film_ending(target: str) -> str:
    """The `VideoSettings.name_suffix` of a previous result."""
    found = FILM_ENDING.search(Path(target).stem)
    return found[0] if found else ""
