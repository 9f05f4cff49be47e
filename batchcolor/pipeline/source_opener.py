"""SourceOpener: opens a source as far as shows how much memory it needs."""

from __future__ import annotations

from typing import TypeAlias

from batchcolor.errors import LIMITS, ProcessingError
from batchcolor.pipeline.films.film_prober import FilmProber
from batchcolor.pipeline.films.video_task import VideoTask
from batchcolor.pipeline.job_context import JobContext
from batchcolor.pipeline.pictures.animation_task import open_animation
from batchcolor.pipeline.pictures.document_task import DocumentContext, DocumentTask, open_document
from batchcolor.pipeline.pictures.kept_grey import COPY_MEMORY, is_byte_copy
from batchcolor.pipeline.pictures.picture_decoder import PictureDecoder
from batchcolor.pipeline.planning.task import Task

OpenedSource: TypeAlias = tuple[Task, int] | VideoTask | DocumentTask
"""A picture and its share of memory; a film; a file with several pages."""


class SourceOpener:
    """Opens the sources of one job, in the thread that plans."""

    def __init__(
        self,
        context: JobContext,
        decoder: PictureDecoder,
        prober: FilmProber,
        documents: DocumentContext,
    ) -> None:
        self.context, self.decoder = context, decoder
        self.prober, self.documents = prober, documents

    def open(self, task: Task) -> tuple[OpenedSource, int]:
        """The source and the bytes that it needs from decoding to writing.

        Raises ProcessingError where it cannot be coloured, or not within `--max-memory`.
        """
        item, share = self._open(task)
        limit = self.context.budget.limit
        if share > limit:
            self.context.report.too_large += 1
            raise ProcessingError(
                LIMITS,
                f"needs about {share // 2**20 + 1} MiB, more than --max-memory allows "
                f"({limit // 2**20} MiB)",
            )
        return item, share

    def _open(self, task: Task) -> tuple[OpenedSource, int]:
        if is_byte_copy(task):
            return (task, COPY_MEMORY), COPY_MEMORY
        if task.source.is_film:
            self.decoder.check_frames(task.source)
            film = VideoTask(task, self.prober.probe(task), self.context)
            return film, film.share
        document = open_animation(task, self.documents) or open_document(task, self.documents)
        if document:
            return document, document.share
        share = self.decoder.estimate_memory(task.source)
        return (task, share), share
