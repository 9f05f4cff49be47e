"""Encodes and commits a coloured picture: with its metadata, its marks and its signature."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import format_error
from batchcolor.images.encode import ENCODER_ERRORS, encode
from batchcolor.images.join import JoinedImage, join
from batchcolor.images.picture import Picture
from batchcolor.images.provenance_marks.provenance import Provenance, mark_metadata
from batchcolor.images.verify import verify_image
from batchcolor.inference.hints.picture_hints import PictureHints
from batchcolor.pipeline.memory_errors import memory_failure
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.task import Task
from batchcolor.pipeline.records.provenance_record import ProvenanceRecorder
from batchcolor.storage.atomic import commit
from batchcolor.storage.mounts import find_mount

if TYPE_CHECKING:
    from batchcolor.images.provenance_marks.content_credentials import ContentCredentials


class PictureEncoder:
    """Encodes the pictures of one job. Thread-safe."""

    def __init__(self, settings: RunSettings, provenance: ProvenanceRecorder) -> None:
        """Raises UsageError for a certificate and key that cannot sign."""
        self.settings, self.provenance = settings, provenance
        self.credentials = _load_credentials(settings)

    def join(
        self,
        picture: Picture,
        chroma: NDArray[np.float32],
        task: Task,
        hints: PictureHints | None = None,
    ) -> JoinedImage:
        """As `join.join`, with the strength and the colour hints of the source.

        Strength applies to the model's colours: a hint has the colour that a person gave.

        Raises ProcessingError where there is no memory for it.
        """
        with memory_failure("join"):
            strength = task.settings.strength
            if hints is None:
                return join(picture, chroma, strength, task.format)
            return join(picture, hints.apply(chroma * np.float32(strength)), 1.0, task.format)

    def encode(self, image: JoinedImage, picture: Picture, task: Task) -> bytes:
        """Returns the content of the result. Raises ProcessingError.

        A picture that stays grey has no computed colours that a mark could state.
        """
        if task.correction.is_rejected:
            return self.encode_page(image, picture, None)
        provenance = None
        if self.credentials is not None or not self.settings.no_mark:
            is_file = image.grey_jpeg is not None and image.grey_jpeg.is_file
            digest = image.grey_jpeg.sha256 if image.grey_jpeg and is_file else ""
            provenance = self.provenance.describe(task, digest)
        data = self.encode_page(image, picture, None if self.settings.no_mark else provenance)
        if self.credentials is None or provenance is None:
            return data
        return self.credentials.sign(data, image.format, picture.path, provenance)

    def encode_page(
        self, image: JoinedImage, picture: Picture, provenance: Provenance | None
    ) -> bytes:
        """Returns the content of a file, marked with `provenance` unless it is None.

        Raises ProcessingError.
        """
        metadata = image.metadata
        if provenance is not None:
            metadata = mark_metadata(metadata, provenance, image.format, picture.notes)
        try:
            return encode(image, metadata, self.settings.quality, picture.notes)
        except ENCODER_ERRORS as error:
            raise ProcessingError("encode", format_error(error)) from error


def commit_picture(data: bytes, task: Task) -> None:
    """Writes a result under its name. Raises ProcessingError, OutputError."""
    try:
        commit(
            data,
            task.target,
            partial(verify_image, expected=task.format),
            replace=task.replaces,
            mtime_ns=task.source.mtime_ns,
            durable=find_mount(str(task.target)) is None,  # else it is put and removed here
        )
    except FileExistsError as error:
        raise ProcessingError("commit", "its name was taken while the job ran") from error


def _load_credentials(settings: RunSettings) -> ContentCredentials | None:
    if settings.c2pa is None:
        return None
    from batchcolor.images.provenance_marks.content_credentials import ContentCredentials

    return ContentCredentials(*settings.c2pa)
