"""One TIFF with several pages: decoded, coloured and written page after page.

Pages share inference batches and encoding threads with other pictures. The thread that decodes
them holds the temporary file and publishes it after the last page, so a result has all pages or
does not exist. Each finished page is stored as well: a document that was interrupted is resumed by
the next run behind the last one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.formats import TIFF
from batchcolor.images.header import read_pages
from batchcolor.images.metadata.ifd import HEADER_SIZE, build_directory, build_header
from batchcolor.images.picture import Picture
from batchcolor.images.provenance_marks.provenance import Provenance
from batchcolor.images.scan import check_unchanged
from batchcolor.images.tiff.tiff_file import PageHeader, read_page_headers
from batchcolor.images.tiff.tiff_pages import CLASSIC_LIMIT, TiffPageWriter
from batchcolor.pipeline.items.document_item import PageItem
from batchcolor.pipeline.job_context import JobContext
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.pictures.colored_pictures import recolors
from batchcolor.pipeline.pictures.page_store import PageStore, StoredPage
from batchcolor.pipeline.pictures.picture_decoder import ENCODE, PictureDecoder
from batchcolor.pipeline.pictures.picture_encoder import PictureEncoder
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.result_signing import sign_in_place
from batchcolor.storage.atomic import publish, sync_to_disk, temporary_path

MIN_IN_FLIGHT, MAX_IN_FLIGHT = 4, 16
"""Pages between decoding and writing: few large ones keep every thread busy, small ones need a
batch for inference."""
SMALL = 64 * 2**20
"""Bytes that the pages in flight may need where they are more than `MIN_IN_FLIGHT`."""
LISTED_PAGES = 5


@dataclass(frozen=True)
class DocumentContext:
    """What a document uses of its job."""

    job: JobContext
    decoder: PictureDecoder
    encoder: PictureEncoder
    submit_encoding: Callable[[PageItem], None]
    """Passes a page to the encoding threads, which call `DocumentTask.encode`."""
    keep_colored: Callable[[Task, int], None]
    """Copies or skips a document whose pages are all in colour, and releases its memory."""

    @property
    def settings(self) -> RunSettings:
        """The options of the job."""
        return self.job.settings


class DocumentTask:
    """One document. `run` decodes in the calling thread and returns when the result is written."""

    part = "page"
    """What the messages call one picture of it."""

    def __init__(self, task: Task, pages: list[PageHeader], context: DocumentContext) -> None:
        self.task, self.pages, self.context = task, pages, context
        self._page_task = task
        """The same with the format in which pages are encoded."""
        largest = max(1, *(page.memory for page in pages))  # a damaged page may have no pixels
        fitting = context.job.budget.limit // 2 // largest
        useful = max(MIN_IN_FLIGHT, min(MAX_IN_FLIGHT, SMALL // largest))
        self.max_in_flight = max(1, min(useful, len(pages), fitting))
        self.share = self.max_in_flight * largest
        self._writer: TiffPageWriter | None = None
        self._lock = threading.RLock()
        self._ready: dict[int, StoredPage] = {}
        """Pages that wait for earlier ones."""
        self._begun = self._written = self._ended = 0
        """Pages that were begun, that are in the file, and that are encoded or have failed."""
        self._copied = 0
        self._provenance: Provenance | None = None
        self._sign: Callable[[Path], None] | None = None
        self._error: Exception | None = None
        self._store = PageStore(context.job.find_resume_point(task))
        self._resumed_at = 0
        self._notes: dict[str, list[int]] = {}

    def run(self) -> None:
        """Colours and commits the document, or reports its failure, or that the job stops."""
        try:
            self.context.job.open_output()
            with temporary_path(self.task.target) as temporary:
                is_complete = self._color(temporary)
        except FileExistsError:
            self._report(ProcessingError("commit", "its name was taken while the job ran"))
        except ProcessingError as error:
            self._report(error)
        else:
            if is_complete:
                self._store.remove()
                self._finish()
            else:
                self.context.job.budget.release(self.share)
        finally:
            self._store.close()

    def _color(self, temporary: Path) -> bool:
        """Colours and publishes the document; False where the job stops before its last page."""
        self._describe()
        self._store.open()
        with temporary.open("w+b") as file:
            self._open_writer(file)
            self._restore_pages()
            if not self._color_pages():
                return False
            self._close_writer()
        if self._copied < len(self.pages):
            self._publish(temporary)
        return True

    def _report(self, error: ProcessingError) -> None:
        self._store.remove()
        self.context.job.fail(self.task, error, self.share)

    def receive(self, item: PageItem, error: ProcessingError | None) -> None:
        """Takes a page back from inference."""
        if error is not None:
            self._fail(item.number, error)
        else:
            self.context.submit_encoding(item)

    def encode(self, item: PageItem) -> None:
        """Encodes a page, and writes it once those before it are written."""
        picture = item.picture
        try:
            with self.context.decoder.hold(picture.path, ENCODE, item.number):
                image = self.context.encoder.join(picture, item.chroma, self._page_task, item.hints)
                data = self.context.encoder.encode_page(image, picture, self._provenance)
            self._write(item.number, StoredPage(data, tuple(picture.notes)))
        except (ProcessingError, OSError) as error:
            self._fail(item.number, error)

    def _describe(self) -> None:
        """Prepares the marks and the signature. Raises ProcessingError."""
        is_marked, credentials = not self.context.settings.no_mark, self.context.job.credentials
        if credentials is not None and self.task.format == TIFF:
            credentials = None  # c2pa-python puts the manifest into one more page, without pixels
        if not is_marked and credentials is None:
            return
        provenance = self.context.encoder.provenance.describe(self.task)
        if is_marked:
            self._provenance = provenance
        if credentials is not None:
            self._sign = partial(sign_in_place, credentials, self.task, provenance=provenance)

    def _restore_pages(self) -> None:
        """Writes the pages that an earlier job finished."""
        for number, page in enumerate(self._store):
            self._append(number, page)
        self._begun = self._written = self._ended = self._resumed_at = len(self._store)

    def _color_pages(self) -> bool:
        """Passes the pages on and waits until they are written; False where the job stops.

        Raises what failed.
        """
        for number in range(self._begun, len(self.pages)):
            self._wait(self._has_free_slot)
            if self._error is not None or self._is_stopping:
                break
            self._begun += 1
            try:
                self._begin_page(number)
            except (ProcessingError, OSError) as error:
                self._fail(number, error)
        self._wait(lambda: self._begun == self._ended)
        if self._error is not None:
            raise self._error
        return self._begun == len(self.pages)

    @property
    def _is_stopping(self) -> bool:
        return self.context.job.cancellation.draining.is_set()

    def _open_writer(self, file: BinaryIO) -> None:
        size = sum(page.result_size for page in self.pages)
        is_big = size > CLASSIC_LIMIT
        self._writer = TiffPageWriter(file, self.pages[0].order, is_big=is_big)

    def _close_writer(self) -> None:
        """Completes the file after its last page; a TIFF is complete after each one."""

    def _decode_page(self, number: int) -> Picture:
        picture = self.context.decoder.decode(self.task, number, self.pages[number].offset)
        if not picture.metadata.exif:  # the encoder takes the byte order of the pages from it
            exif = _build_empty_exif(self.pages[0].order)
            picture.metadata = replace(picture.metadata, exif=exif)
        return picture

    def _append(self, number: int, page: StoredPage) -> None:
        """Writes a page of the result, and keeps its notes."""
        assert self._writer is not None
        self._note(number, page.notes)
        if page.content is not None:
            self._writer.append(page.content)
            return
        self._copied += 1
        self._note(number, self._writer.copy(self.task.source.path, self.pages[number].offset))

    def _count_written(self, temporary: Path) -> int:
        return len(read_page_headers(temporary, self.context.settings.max_pixels))

    def _has_free_slot(self) -> bool:
        is_free = self._begun - self._written < self.max_in_flight
        return is_free or self._error is not None or self._is_stopping

    def _begin_page(self, number: int) -> None:
        picture = self._decode_page(number)
        if picture.is_colored and not recolors(self.task):
            self._write(number, StoredPage(None, ("in colour already, copied",)))
            return
        side = self.context.job.find_working_size(self.task)
        square = self.context.decoder.make_square(picture, side)
        hints = self.context.decoder.prepare_hints(self.task, picture, number)
        self.context.job.submit(PageItem(self, number, picture, square, hints=hints))

    def _write(self, number: int, page: StoredPage) -> None:
        """Writes and stores a page and those after it that are ready, until one fails.

        Raises OSError where the result cannot be written.
        """
        with self._lock:
            self._ready[number] = page
            while self._error is None and self._written in self._ready:
                ready = self._ready.pop(self._written)
                try:
                    self._append(self._written, ready)
                    self._store.append(ready)
                except ProcessingError as error:
                    self._keep_error(self._written, error)
                    break
                self._written += 1
            self._ended += 1
        self.context.job.cancellation.wake()

    def _fail(self, number: int, error: Exception) -> None:
        """Keeps the first error; the pages in flight end without being written."""
        with self._lock:
            self._keep_error(number, error)
            self._ended += 1
        self.context.job.cancellation.wake()

    def _keep_error(self, number: int, error: Exception) -> None:
        if self._error is None:
            if isinstance(error, ProcessingError):
                error = ProcessingError(error.step, f"{self.part} {number + 1}: {error.reason}")
            self._error = error

    def _wait(self, is_ready: Callable[[], bool]) -> None:
        stop = self.context.job.cancellation
        with stop.changed:
            stop.wait_for(is_ready)

    def _note(self, number: int, notes: Iterable[str]) -> None:
        with self._lock:
            for note in notes:
                self._notes.setdefault(note, []).append(number + 1)

    def _publish(self, temporary: Path) -> None:
        if self._sign is not None:
            self._sign(temporary)
        sync_to_disk(temporary)
        try:
            found = self._count_written(temporary)
        except Exception as error:  # decoders raise any type of error
            reason = f"the written file cannot be read: {describe_error(error)}"
            raise ProcessingError("commit", reason) from error
        if found != len(self.pages):
            raise ProcessingError("commit", f"the written file has {found} pages")
        check_unchanged(self.task.source)
        mtime_ns = self.task.source.mtime_ns
        publish(temporary, self.task.target, replace=self.task.replaces, mtime_ns=mtime_ns)

    def _finish(self) -> None:
        if self._copied == len(self.pages):
            try:
                self.context.keep_colored(self.task, self.share)
            except ProcessingError as error:
                self.context.job.fail(self.task, error, self.share)
            return
        self.context.job.succeed(self.task, self._format_notes())
        self.context.job.budget.release(self.share)

    def _format_notes(self) -> list[str]:
        """Returns each note once, with its pages where it does not concern all of them."""
        lines = []
        if self.context.settings.c2pa is not None and self._sign is None:
            lines.append("not signed: Content Credentials would add an empty page to the TIFF")
        if self._resumed_at:
            lines.append(
                f"resumed after {self.part} {self._resumed_at}, where an earlier run stopped"
            )
        for note, numbers in self._notes.items():
            listed = ", ".join(map(str, sorted(numbers)[:LISTED_PAGES]))
            more = ", ..." if len(numbers) > LISTED_PAGES else ""
            word = self.part if len(numbers) == 1 else f"{self.part}s"
            is_all = len(numbers) == len(self.pages)
            lines.append(note if is_all else f"{word} {listed}{more}: {note}")
        return lines


def open_document(task: Task, context: DocumentContext) -> DocumentTask | None:
    """Returns the task of a TIFF with several pages that are all to be coloured; else None.

    Raises ProcessingError where the format of the result holds one page only.
    """
    if context.settings.pages == "first":
        return None
    pages = read_pages(task.source, context.settings.max_pixels)
    if len(pages) < 2:
        return None
    if task.format != task.source.format:
        raise ProcessingError(
            LIMITS,
            f"has {len(pages)} pages, and {task.format.name} holds one; "
            f"--pages first colours the first, --format tiff all",
        )
    return DocumentTask(task, pages, context)


def _build_empty_exif(order: str) -> bytes:
    """Returns an EXIF block without tags in a byte order."""
    return build_header(order, HEADER_SIZE) + build_directory((), order, HEADER_SIZE)
