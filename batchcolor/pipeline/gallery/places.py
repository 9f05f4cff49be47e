"""Where a gallery is: a folder on this computer, or one on remote storage, beside the output."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.errors import OutputError, UsageError
from batchcolor.pipeline.gallery.entries import GalleryEntry, describe_file
from batchcolor.pipeline.gallery.page import FIRST_PAGE, GENERATOR
from batchcolor.storage.atomic import write_atomic
from batchcolor.storage.locations import Url

if TYPE_CHECKING:
    from batchcolor.storage.remote.any_output import AnyOutput
    from batchcolor.storage.remote.remote_output import RemoteOutput

HEAD_SIZE = 2000
"""Bytes of a page in which it states what wrote it."""


class GalleryPlace:
    """The folder of a gallery beside an output folder, so that it can be sent alone."""

    def __init__(self, output: Path) -> None:
        """`output` is the folder of results on this computer."""
        self.output = output
        absolute = output.absolute()
        self.folder = absolute.with_name(f"{absolute.name}-gallery")

    @property
    def name(self) -> str:
        """The folder in messages."""
        return str(self.folder)

    @property
    def first_page(self) -> str:
        """The path or URL of the first page."""
        return str(self.folder / FIRST_PAGE)

    def check(self) -> None:
        """Raises UsageError where the folder belongs to something else, OutputError where it
        cannot be read."""
        folder, first = self.folder, self.folder / FIRST_PAGE
        is_gallery = first.is_file() and GENERATOR in first.read_bytes()[:HEAD_SIZE]
        if folder.exists() and not is_gallery and (not folder.is_dir() or any(folder.iterdir())):
            raise self._make_error()

    def _make_error(self) -> UsageError:
        return UsageError(
            f"--gallery writes to {self.name}, which exists and is not a gallery; rename it"
        )

    def open(self) -> None:
        """Reads what is there. Raises OutputError."""

    def has(self, entry: GalleryEntry) -> bool:
        """Whether all files of an entry are there."""
        return all((self.folder / name).is_file() for name in entry.files)

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, whole or not at all. Raises OutputError."""
        write_atomic(self.folder / name, content)

    def list_pages(self) -> Iterable[str]:
        """The names of the pages behind the first one."""
        return [path.name for path in self.folder.glob("page-*.html")]

    def remove(self, name: str) -> None:
        """Removes a page. Raises OSError, OutputError."""
        (self.folder / name).unlink(missing_ok=True)

    def describe_result(self, target: Path) -> str:
        """What a result is now: changes with it, empty where there is none."""
        return describe_file(target)

    def has_result(self, name: str) -> bool:
        """Whether there is a result of this name."""
        return (self.output / name).exists()

    def fetch_result(self, target: Path, folder: Path) -> Path:
        """A local file with a result that is not here; it may be put into `folder`.

        Raises ProcessingError.
        """
        return target


class RemoteGalleryPlace(GalleryPlace):
    """The folder of a gallery beside an output on remote storage."""

    def __init__(self, output: RemoteOutput) -> None:
        """Raises UsageError for an output that has no place beside it."""
        super().__init__(output.folder)
        self._results, self._store = output, output.opened.store
        self._base = f"{output.opened.path.rstrip('/')}-gallery"
        self.url = Url(f"{output.url.shown.rstrip('/')}-gallery")
        if "/" not in output.url.shown.rstrip("/").partition("://")[2]:
            raise UsageError(
                f"--gallery writes beside the results, and {output.url.shown} is a whole bucket; "
                f"choose a folder in it as --output"
            )
        self._names: set[str] = set()

    @property
    def name(self) -> str:
        """As `GalleryPlace.name`."""
        return self.url.shown

    @property
    def first_page(self) -> str:
        """As `GalleryPlace.first_page`."""
        return f"{self.url.shown}/{FIRST_PAGE}"

    def check(self) -> None:
        """As `GalleryPlace.check`."""
        from batchcolor.storage.remote.errors import StorageError
        from batchcolor.storage.remote.store import RemoteObject

        first = RemoteObject(f"{self._base}/{FIRST_PAGE}", FIRST_PAGE, None)
        retry = self._results.retry
        try:
            if retry.call(lambda: self._store.has_object(first.path)):
                head = retry.call(lambda: self._store.read_head(first, HEAD_SIZE))
                is_free = GENERATOR in head
            else:
                is_free = next(self._store.list(self._base), None) is None
        except StorageError as error:
            if error.kind != "missing":
                raise OutputError(f"{self.name} cannot be used: {error}") from error
            is_free = True
        if not is_free:
            raise self._make_error()

    def open(self) -> None:
        """As `GalleryPlace.open`."""
        from batchcolor.storage.remote.errors import StorageError

        try:
            self._names = {found.key for found in self._store.list(self._base)}
        except StorageError as error:
            if error.kind != "missing":
                raise OutputError(f"{self.name} cannot be read: {error}") from error

    def has(self, entry: GalleryEntry) -> bool:
        """As `GalleryPlace.has`."""
        return self._names.issuperset(entry.files)

    def write(self, name: str, content: bytes) -> None:
        """As `GalleryPlace.write`."""
        self._change(lambda: self._store.write(content, f"{self._base}/{name}"))
        self._names.add(name)

    def list_pages(self) -> Iterable[str]:
        """As `GalleryPlace.list_pages`."""
        return [name for name in self._names if name.startswith("page-")]

    def remove(self, name: str) -> None:
        """As `GalleryPlace.remove`."""
        self._change(lambda: self._store.delete(f"{self._base}/{name}"))
        self._names.discard(name)

    def _change(self, operation: Callable[[], object]) -> None:
        from batchcolor.storage.remote.errors import StorageError

        try:
            self._results.retry.call(operation)
        except StorageError as error:
            if error.kind != "missing":
                raise OutputError(f"{self.name} cannot be written: {error}") from error

    def describe_result(self, target: Path) -> str:
        """As `GalleryPlace.describe_result`."""
        return self._results.describe_result(target)

    def has_result(self, name: str) -> bool:
        """As `GalleryPlace.has_result`."""
        return bool(self._results.describe_result(self.output / name))

    def fetch_result(self, target: Path, folder: Path) -> Path:
        """As `GalleryPlace.fetch_result`."""
        local = folder / target.name
        self._results.fetch_result(target, local)
        return local


def find_place(output: Path, remote: AnyOutput | None) -> GalleryPlace:
    """The place of the gallery of a job. Raises UsageError where there is none."""
    if remote is None:
        return GalleryPlace(output)
    from batchcolor.storage.remote.remote_output import RemoteOutput

    assert isinstance(remote, RemoteOutput)  # a tar file has no gallery
    return RemoteGalleryPlace(remote)
