"""An animated PNG, WebP or AVIF: coloured frame after frame, like the pages of a document."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.images.animation import AnimationHeader, AnimationReader, read_animation_header
from batchcolor.images.animation_writer import (
    AnimationWriter,
    find_frame_format,
    open_animation_writer,
)
from batchcolor.images.decode_errors import describe_error
from batchcolor.images.formats import AVIF, PNG, WEBP
from batchcolor.images.header import BYTES_PER_PIXEL
from batchcolor.images.picture import Picture, check_size
from batchcolor.images.tiff.tiff_file import PageHeader
from batchcolor.pipeline.pictures.document_task import DocumentContext, DocumentTask
from batchcolor.pipeline.pictures.page_store import StoredPage
from batchcolor.pipeline.pictures.picture_decoder import DECODE
from batchcolor.pipeline.planning.task import Task

ENCODER_BYTES_PER_PIXEL = {AVIF.name: 100}
"""The frames that an encoder of video keeps, measured with libaom, by format name."""


ANIMATED_FORMATS = (PNG, WEBP, AVIF)


class AnimationTask(DocumentTask):
    """One animation. The first frame decides whether it is in colour already."""

    part = "frame"

    def __init__(self, task: Task, header: AnimationHeader, context: DocumentContext) -> None:
        pixels = header.width * header.height
        memory = task.source.size + pixels * BYTES_PER_PIXEL
        page = PageHeader(header.width, header.height, memory, 4 * pixels, 0, "<")
        # The default image of a PNG is none of the frames that other formats show.
        self._skipped = int(header.has_default_image and task.format != PNG)
        frames = header.frames - self._skipped
        super().__init__(task, [page] * frames, context)
        self.share += pixels * ENCODER_BYTES_PER_PIXEL.get(task.format.name, 0)
        self._header = header
        self._page_task = replace(task, format=find_frame_format(task.format))
        self._reader: AnimationReader | None = None
        self._animation: AnimationWriter | None = None
        self._durations: dict[int, float] = {}
        self._is_colored = False

    def run(self) -> None:
        """Colours and commits the animation, or reports its failure."""
        try:
            super().run()
        finally:
            if self._reader is not None:
                self._reader.close()

    def _open_writer(self, file: BinaryIO) -> None:
        with self.context.decoder.hold(self.task.source.path, DECODE):
            try:
                self._reader = AnimationReader(self.task.source, self.context.settings.decoding)
            except Exception as error:  # Pillow raises any type of error
                raise ProcessingError("decode", describe_error(error)) from error
        if self._reader.frames != self._header.frames:
            raise ProcessingError("decode", "damaged: its number of frames is not that stated")
        size = self._header.width, self._header.height
        self._animation = open_animation_writer(
            *(file, self.task.format, size, len(self.pages), self._reader.loop),
            quality=self.context.settings.quality,
            has_default_image=self._header.has_default_image and not self._skipped,
        )

    def _close_writer(self) -> None:
        if self._animation is not None and self._copied == 0:
            self._animation.close()

    def _decode_page(self, number: int) -> Picture:
        assert self._reader is not None
        with self.context.decoder.hold(self.task.source.path, DECODE, number):
            try:
                picture, duration = self._reader.read(number + self._skipped)
            except Exception as error:  # Pillow raises any type of error
                raise ProcessingError("decode", describe_error(error)) from error
        self._durations[number] = duration
        if number == 0:
            self._is_colored = picture.is_colored
        picture.is_colored = self._is_colored
        return picture

    def _restore_pages(self) -> None:
        super()._restore_pages()
        self._is_colored = self._copied > 0  # as its first frame is

    def _write(self, number: int, page: StoredPage) -> None:
        super()._write(number, replace(page, duration=self._durations.pop(number)))

    def _append(self, number: int, page: StoredPage) -> None:
        self._note(number, page.notes)
        if page.content is None:  # the whole animation is in colour, and its file is copied
            self._copied += 1
        else:
            assert self._animation is not None
            self._animation.append(page.content, page.duration)

    def _format_notes(self) -> list[str]:
        loop = 0 if self._reader is None else self._reader.loop
        if not loop or self.task.format != AVIF or self._copied:
            return super()._format_notes()
        times = "once" if loop == 1 else f"{loop} times"
        return [*super()._format_notes(), f"is shown {times}: avif always repeats it"]

    def _count_written(self, temporary: Path) -> int:
        with Image.open(temporary) as image:
            return int(getattr(image, "n_frames", 1))


def open_animation(task: Task, context: DocumentContext) -> AnimationTask | None:
    """Returns the task of an animation whose frames are all to be coloured; else None.

    Raises ProcessingError where the format of the result holds one picture only.
    """
    if context.settings.pages == "first":
        return None
    header = read_animation_header(task.source.path, task.source.format)
    if header is None:
        return None
    context.decoder.check_frames(task.source)
    check_size(header.width, header.height, context.settings.max_pixels)
    if task.format not in ANIMATED_FORMATS:
        raise ProcessingError(
            LIMITS,
            f"is an animation of {header.frames} frames, and {task.format.name} is not written "
            f"animated; --pages first colours the first frame",
        )
    return AnimationTask(task, header, context)
