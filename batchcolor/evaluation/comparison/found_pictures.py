"""The pictures of a comparison: files, objects on remote storage, and members of archives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchcolor.errors import ProcessingError, UsageError, make_printable
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import Reader
from batchcolor.images.formats import VIDEO_SUFFIXES
from batchcolor.images.scan import ScannedFile, identify, is_expected_name, scan
from batchcolor.pipeline.planning.source_checks import check_no_results
from batchcolor.pipeline.planning.sources import Root, is_remote, list_roots, parse_sources
from batchcolor.storage.locations import describe_url
from batchcolor.storage.remote.errors import StorageError
from batchcolor.storage.remote.store import RemoteObject


@dataclass(frozen=True)
class FoundPicture:
    """A picture with the name that is shown for it; one that is no plain file is not here yet."""

    name: str
    path: Path
    file: ScannedFile | None
    root: Root
    found: RemoteObject | None = None

    @contextmanager
    def open(self, readers: Sequence[Reader]) -> Iterator[ScannedFile]:
        """Holds the file. Raises ProcessingError."""
        if self.file is not None:
            yield self.file
            return
        found, remote = self.found, self.root.remote
        assert found is not None
        assert remote is not None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            remote.session.retry.call(lambda: remote.store.fetch(found, self.path))
            file = identify(self.path, Path(found.key), readers, is_source=True)
            if not isinstance(file, ScannedFile):
                raise ProcessingError("scan", file.reason)
            yield file
        except StorageError as error:
            raise ProcessingError("scan", str(error)) from error
        finally:
            self.path.unlink(missing_ok=True)


@contextmanager
def open_pictures(sources: Sequence[str], plugins: Plugins) -> Iterator[list[FoundPicture]]:
    """Finds every picture once, and holds what is open on remote storage. Raises UsageError."""
    session = None
    if any(map(is_remote, sources)):
        from batchcolor.storage.remote.session import RemoteSession

        session = RemoteSession()
    try:
        parsed = parse_sources(sources, session)
        roots = list(list_roots(parsed, several=len(parsed) > 1))
        check_no_results(roots, has_option=False)
        pictures: dict[Path, FoundPicture] = {}
        for root in roots:
            for picture in _find_pictures(root, plugins.readers()):
                pictures.setdefault(picture.path, picture)
        if not pictures:
            names = ", ".join(map(describe_url, sources))
            raise UsageError(f"no pictures found in {names}")
        yield list(pictures.values())
    finally:
        if session is not None:
            session.close()


def _find_pictures(root: Root, readers: Sequence[Reader]) -> Iterator[FoundPicture]:
    """Yields the pictures of a source; those that are no plain files by their names."""
    if root.remote is None:
        for file in scan(root.path, readers=readers):
            if isinstance(file, ScannedFile) and not file.is_film:
                name = make_printable(root.below / file.relative)
                yield FoundPicture(name, file.path, file, root)
        return
    try:
        for found in root.remote.list():
            suffix = Path(found.key).suffix.lower()
            is_named = root.remote.single is not None or is_expected_name(found.key, readers)
            if is_named and suffix not in VIDEO_SUFFIXES:
                name = make_printable(root.below / found.key)
                path = root.path.joinpath(*found.key.split("/"))
                yield FoundPicture(name, path, None, root, found)
    except StorageError as error:
        raise UsageError(f"{root.remote.name}: {error}") from error
