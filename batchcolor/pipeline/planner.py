"""Settings and sources to what will be read, written, skipped, refused.

Everything that makes a job impossible is reported before anything is read. The rest is lazy: tasks
come while folders are still being walked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Literal

from batchcolor.errors import LIMITS, UsageError
from batchcolor.hooks.types import Reader
from batchcolor.images.formats import (
    IMAGE_SEQUENCE,
    PNG,
    VIDEO_SUFFIXES,
    Format,
    is_picture_suffix,
)
from batchcolor.images.scan import ScannedFile, SkippedEntry, scan, scan_suffixes
from batchcolor.pipeline.fingerprint import fingerprint
from batchcolor.pipeline.report import is_report
from batchcolor.pipeline.settings import RunSettings
from batchcolor.pipeline.sources import Root, check_folders, default_output, group_of, roots_of
from batchcolor.storage.journal import Journal, absolute_source
from batchcolor.video.numbered_frames import scan_image_sequence
from batchcolor.video.output.encoders import require_encoder

Action = Literal["colour", "done before", "failed before", "exists", "refused"]


@dataclass(frozen=True)
class Task:
    """One picture or film and what happens to it."""

    found: ScannedFile
    target: Path
    format: Format
    action: Action
    step: str = ""
    reason: str = ""
    strip: Path | None = None
    """Where a film's sheet with one frame a shot goes, where one is asked for."""


@dataclass(frozen=True)
class Plan:
    """Where to read, where to write."""

    settings: RunSettings
    roots: tuple[Root, ...]
    output: Path
    model_options: Mapping[str, Any] = field(default_factory=dict)
    """Those of `fingerprint.canonical_options`."""

    def tasks(
        self,
        journal: Journal,
        weights_hash: str,
        readers: Sequence[Reader] = (),
        suffixes: Collection[str] = (),
    ) -> Iterator[Task | SkippedEntry]:
        """Every picture once, with its target and what is to be done; the same order every time.

        With `suffixes` only files with one of them.
        """
        claimed: dict[str, str] = {}
        seen: set[str] = set()
        for root in self.roots:
            for found in self._scanned(root, readers, suffixes):
                if isinstance(found, SkippedEntry):
                    yield found
                    continue
                source = absolute_source(found.path)
                if source in seen:
                    continue  # named as a file, and in a folder that is named as well
                seen.add(source)
                kind = self._format(found)
                relative = self._named(root.below / found.relative, found, kind)
                relative = self._claim(relative, found, kind, claimed, journal)
                target = self.output / relative
                action = self._action(found, target, kind, journal, weights_hash)
                strip = self._strip(relative, found, claimed, journal)
                yield Task(found, target, kind, *action, strip=strip)

    def fingerprint(self, target: Format, *, is_film: bool) -> str:
        """The fingerprint of a result of this job in the format `target`."""
        key = (target.name, is_film)
        if key not in self._fingerprints:
            self._fingerprints[key] = fingerprint(
                self.settings, self.model_options, target, is_film=is_film
            )
        return self._fingerprints[key]

    @cached_property
    def _fingerprints(self) -> dict[tuple[str, bool], str]:
        return {}

    def count_files(
        self, readers: Sequence[Reader], is_cancelled: Callable[[], bool]
    ) -> tuple[int, bool]:
        """The number of files with the suffix of a picture or film, and whether a film is among
        them. Reads names only, so it is fast, and an estimate of the number of tasks."""
        if self.settings.films.fps is not None:
            return len(self.roots), True
        pictures = films = 0
        for root in self.roots:
            for suffix in scan_suffixes(root.path):
                if is_cancelled():
                    return pictures + films, False
                films += suffix in VIDEO_SUFFIXES
                pictures += is_picture_suffix(suffix, readers)
        return pictures + films, films > 0

    def _scanned(
        self, root: Root, readers: Sequence[Reader], suffixes: Collection[str]
    ) -> Iterator[ScannedFile | SkippedEntry]:
        if self.settings.films.fps is None:
            yield from scan(root.path, readers=readers, suffixes=suffixes)
            return
        name = Path(root.path.resolve().name)
        found = scan_image_sequence(root.path, Path() if root.below.parts else name)
        yield found or SkippedEntry(root.path, _without_frames(root.path))

    def _format(self, found: ScannedFile) -> Format:
        asked = self.settings.target_format
        if found.film and self.settings.films.to_frames:
            return asked or PNG
        if found.film:
            if asked is not None and asked.film:
                return asked
            return self.settings.films.container(found.format)
        if asked is not None and not asked.film:
            return asked
        return found.format if found.format is not None and found.format.writable else PNG

    def _named(self, relative: Path, found: ScannedFile, kind: Format) -> Path:
        """The name of a result, if no other source needs it: the suffix is that of its format."""
        suffix = relative.suffix.lower() if found.format != IMAGE_SEQUENCE else ""
        stem = relative.name[: -len(suffix)] if suffix else relative.name
        if found.film and self.settings.films.to_frames:
            return relative.with_name(stem + self.settings.films.ending)
        bare = found.format is None and not found.film  # nothing is known; it will be named
        suffix = relative.suffix if suffix in kind.suffixes or bare else kind.suffixes[0]
        ending = self.settings.films.ending if found.film else ""
        return relative.with_name(stem + ending + suffix)

    def _claim(
        self,
        relative: Path,
        found: ScannedFile,
        kind: Format,
        claimed: dict[str, str],
        journal: Journal,
    ) -> Path:
        """A target that no other source has or had, also on case-insensitive file systems."""
        source = absolute_source(found.path)
        folder = found.film and self.settings.films.to_frames
        former = journal.former_target(found.path)
        if (
            former is not None
            and (Path(former).suffix.lower() in kind.suffixes) is not folder
            and not (found.film and _ending(former) != self.settings.films.ending)
        ):
            relative = Path(former)
        ending = "" if folder else relative.suffix
        stem = relative.name.removesuffix(ending)
        for name in _names(stem, found.path.suffix[1:] or "picture", ending):
            candidate = relative.with_name(name)
            key = str(candidate).casefold()
            if claimed.get(key, source) == source and journal.owner(key) in (None, source):
                claimed[key] = source
                return candidate
        raise AssertionError("names never end")

    def _strip(
        self, relative: Path, found: ScannedFile, claimed: dict[str, str], journal: Journal
    ) -> Path | None:
        """A place for a film's strip that neither a result nor a source has, now or before."""
        if not (self.settings.strip and found.film):
            return None
        owner = f"{absolute_source(found.path)} strip"
        for name in _names(relative.stem, relative.suffix[1:], "-strip.jpg"):
            candidate = relative.with_name(name)
            key = str(candidate).casefold()
            place = self.output / candidate
            if key in claimed or journal.owner(key) is not None or self._would_harm(place):
                continue
            claimed[key] = owner
            return place
        raise AssertionError("names never end")

    @cached_property
    def _sources(self) -> tuple[frozenset[Path], frozenset[Path]]:
        """The folders and the files that were named, without links."""
        places = [root.path.resolve() for root in self.roots]
        folders = frozenset(place for place in places if place.is_dir())
        return folders, frozenset(places) - folders

    def _would_harm(self, place: Path) -> str:
        """The reason why a result must not be written to that place; empty where it may."""
        folders, files = self._sources
        parent, is_among_sources = self._resolve_folder(place.parent)
        resolved = parent / place.name
        if os.path.islink(place):  # noqa: PTH114  (Path.is_symlink fails for names that are too long)
            resolved = place.resolve()
            is_among_sources = not folders.isdisjoint(resolved.parents)
        if resolved in files:
            return "its result would take the place of a source; choose another --output"
        if is_among_sources:
            return "its result would lie among the sources; choose another --output"
        return ""

    def _resolve_folder(self, folder: Path) -> tuple[Path, bool]:
        """The folder without links, and whether it is a source folder or lies inside one.

        Keeps the last answer: tasks come folder by folder, and resolving each path anew takes
        most of the time of planning.
        """
        known, answer = self._last_resolved[-1]
        if known != folder:
            resolved = folder.resolve()
            is_among = not self._sources[0].isdisjoint((resolved, *resolved.parents))
            answer = (resolved, is_among)
            self._last_resolved[:] = [(folder, answer)]
        return answer

    @cached_property
    def _last_resolved(self) -> list[tuple[Path | None, tuple[Path, bool]]]:
        return [(None, (Path(), False))]

    def _action(
        self, found: ScannedFile, target: Path, kind: Format, journal: Journal, weights_hash: str
    ) -> tuple[Action, str, str]:
        try:
            exists = target.exists()
        except OSError as error:  # a name or path that is too long for the file system
            return (
                "refused",
                "plan",
                f"its result {target.name} cannot be written: {error.strerror}",
            )
        if exists and _same_file(target, found.path):
            return "refused", "plan", "its result would take its own place; choose another --output"
        if harm := self._would_harm(target):
            return "refused", "plan", harm
        former = journal.find(found.path, found.size, found.mtime_ns)
        same = former is not None and (former.settings, former.weights) == (
            self.fingerprint(kind, is_film=found.film),
            weights_hash,
        )
        if former is not None and same and former.outcome == "done" and exists:
            return "done before", "", ""
        if (
            former is not None
            and former.outcome == "failed"
            and not self.settings.retry_failed
            and former.step != LIMITS  # the limit may be another one now
            and (former.step == "decode" or same)  # no other setting makes it readable
        ):
            reason = f"{former.reason} (as before; --retry-failed tries again)"
            return "failed before", former.step, reason
        if exists and self.settings.if_exists != "overwrite":
            return "exists", "", "made with other settings" if former else "not made by this job"
        return "colour", "", ""


def _names(stem: str, own: str, ending: str) -> Iterator[str]:
    """Names for a result, the plain one first; `own` is what tells its source apart."""
    yield f"{stem}{ending}"
    yield f"{stem}-{own}{ending}"
    for number in count(2):
        yield f"{stem}-{own}-{number}{ending}"


def _ending(target: str) -> str:
    """That of a former result: see `VideoSettings.ending`."""
    stem = Path(target).stem
    found = ""
    for ending in ("-frames", "-preview", "-compare"):  # from the last to the first
        if stem.endswith(ending):
            stem, found = stem.removesuffix(ending), ending + found
    return found


def _without_frames(folder: Path) -> str:
    """The message for a folder that `--frames` finds no numbered pictures in."""
    if any(place.is_dir() for place in folder.iterdir()):
        return "holds no numbered pictures; for a film of each of its folders name them: FOLDER/*"
    return "holds no numbered pictures; --frames takes folders of frames, as film/0001.png"


def _same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.stat(), other.stat())
    except OSError:  # one of them vanished just now
        return False


def make_plan(settings: RunSettings) -> Plan:
    """The plan of a job. Raises UsageError before anything but folders is read."""
    require_encoder(settings.films)
    groups = [group_of(text) for text in dict.fromkeys(settings.sources)]
    output = settings.output or default_output(groups)
    if settings.films.fps is not None:
        check_folders(groups)
    roots = tuple(roots_of(groups))
    _check(roots, output)
    _check_report(settings.report, roots)
    return Plan(settings, roots, output)


def _check(roots: Sequence[Root], output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output {output} is a file; name a folder")
    place = output.resolve()
    for root in roots:
        source = root.path.resolve()
        if not source.is_dir():
            if (place / root.below / root.path.name).resolve() == source:
                raise UsageError(
                    f"--output {output} is the folder of {root.path}: a result would take its "
                    f"source's place; choose another folder"
                )
        elif place == source:
            raise UsageError(f"--output {output} is the source itself; choose another")
        elif source in place.parents:
            raise UsageError(
                f"--output {output} lies inside the source {root.path}; choose a folder outside"
            )


def _check_report(report: Path | None, roots: Sequence[Root]) -> None:
    """A report takes no photograph's place, and is not laid among them."""
    if report is None:
        return
    if report.is_dir():
        raise UsageError(f"--report {report} is a folder; name a file, as report.json")
    if report.is_file() and not is_report(report):
        raise UsageError(
            f"--report {report} is a file that is no report of a job, and would be lost; "
            f"name another"
        )
    for root in roots:
        if root.path.is_dir() and root.path.resolve() in report.resolve().parents:
            raise UsageError(
                f"--report {report} lies inside the source {root.path}; choose a place outside"
            )
