"""A picture of one page, from its file to its result: what the stages of the executor do to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.decode_watch import DecodeWatch
from batchcolor.pipeline.items.picture_item import PictureItem
from batchcolor.pipeline.job_context import JobContext
from batchcolor.pipeline.pictures.colored_pictures import copy_source, recolors
from batchcolor.pipeline.pictures.kept_grey import copy_file, is_byte_copy
from batchcolor.pipeline.pictures.picture_decoder import ENCODE, PictureDecoder
from batchcolor.pipeline.pictures.picture_encoder import PictureEncoder, commit_picture
from batchcolor.pipeline.planning.planner import Plan
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.records.recorder import Recorder
from batchcolor.storage.fixity import measure_bytes

NO_SQUARE = np.zeros((1, 1), np.float32)
"""The square of a picture that does not go to a model."""


class PictureStages:
    """Decodes and encodes the pictures of one job. Thread-safe.

    Every picture ends with an outcome in the report, and its share of memory is released.
    """

    def __init__(
        self,
        context: JobContext,
        plan: Plan,
        decoder: PictureDecoder,
        encoder: PictureEncoder,
        recorder: Recorder,
        watch: DecodeWatch,
        put_to_chroma: Callable[[PictureItem], None],
        put_to_encode: Callable[[PictureItem], None],
    ) -> None:
        self.context, self.plan, self.recorder, self.watch = context, plan, recorder, watch
        self.decoder, self.encoder = decoder, encoder
        self._put_to_chroma, self._put_to_encode = put_to_chroma, put_to_encode

    def decode(self, task: Task, share: int) -> None:
        """Passes the decoded picture on: to the model, or without it to the encoders."""
        try:
            self.context.report.current = str(task.source.relative)
            if is_byte_copy(task):
                self._keep_grey(task, share)
                return
            with self.watch.watch(task, share):
                picture = self.decoder.decode(task)
            if task.correction.is_rejected:
                self._put_to_encode(PictureItem(task, share, picture, NO_SQUARE))
                return
            if picture.is_colored and not recolors(task):
                self.keep_colored(task, share)
                return
            square = self.decoder.make_square(picture, self.context.find_working_size(task))
            hints = self.decoder.prepare_hints(task, picture)
            self._put_to_chroma(PictureItem(task, share, picture, square, hints=hints))
        except ProcessingError as error:
            self.context.fail(task, error, share)

    def encode(self, item: PictureItem) -> None:
        """Joins luma and chroma, and commits the result."""
        task, picture = item.task, item.picture
        try:
            with self.decoder.hold(task.source.path, ENCODE):
                image = self.encoder.join(picture, item.chroma, task, item.hints)
                data = self.encoder.encode(image, picture, task)
                del image
            self.context.open_output()
            commit_picture(data, task)
        except ProcessingError as error:
            self.context.fail(task, error, item.share)
        else:
            self.recorder.succeed(task, picture.notes, measure_bytes(data))
            self.context.budget.release(item.share)

    def keep_colored(self, task: Task, share: int) -> None:
        """Copies or skips a picture that is in colour already. Raises ProcessingError."""
        if self.context.settings.if_colored == "copy":
            self.context.open_output()
            target, data = copy_source(self.plan, task)
            self.recorder.copy(task, target, measure_bytes(data))
        else:
            self.recorder.skip_colored(task)
        self.context.budget.release(share)

    def _keep_grey(self, task: Task, share: int) -> None:
        """Copies a source that a person rejected. Raises ProcessingError."""
        self.context.open_output()
        self.recorder.succeed(task, [], copy_file(task))
        self.context.budget.release(share)
