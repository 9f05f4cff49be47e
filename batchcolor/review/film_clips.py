"""Seconds of a film as they would be with a decision: made by an ordinary job."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import Plugins
from batchcolor.pipeline.decisions.corrections import choose_reference, find_reference
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.reference_copies import (
    MissingReferenceError,
    ReferenceCopies,
    anchor_reference,
)
from batchcolor.pipeline.decisions.store import DecisionStore
from batchcolor.pipeline.job import run as run_job
from batchcolor.pipeline.options.settings import MAX_PIXELS, RunSettings
from batchcolor.review.film_shots import Shot, read_from, to_upright_luma
from batchcolor.review.review_files import ReviewFiles
from batchcolor.review.review_item import ReviewItem
from batchcolor.storage.atomic import temporary_folder
from batchcolor.storage.journal import STATE_FOLDER
from batchcolor.video.ffmpeg import MEDIA_ERRORS, format_av_error
from batchcolor.video.probe import probe
from batchcolor.video.time_range import TimeRange

SECONDS = 3.0


class FilmClips:
    """Makes clips, one at a time; each is given once and not kept."""

    def __init__(self, files: ReviewFiles, plugins: Plugins) -> None:
        self._files, self._plugins = files, plugins
        self._lock = threading.Lock()

    def make(
        self, item: ReviewItem, job: RunSettings, decision: Decision, shot: Shot | None = None
    ) -> bytes:
        """Returns an mp4 of the first seconds of a film, or of those from a shot on.

        Raises ProcessingError, UsageError, ModelError.
        """
        output = self._files.output
        with (
            self._lock,
            self._files.open_source(item) as source,
            temporary_folder(output / STATE_FOLDER / "clips" / item.id) as folder,
        ):
            decision = anchor_references(decision, output)
            if shot is not None and shot.frame:
                source = cut_film(source, shot, folder / "shot.mkv")
                decision = move_shots(decision, shot.frame)
            settings = make_clip_settings(item, source, job, decision, folder / "clip")
            if decision.shots:
                shots = Decision(source=source.name, shots=decision.shots)
                DecisionStore(folder / "clip").append(shots)
            report = run_job(settings, self._plugins, lambda report: None)
            made = sorted((folder / "clip").glob("*.mp4"))
            if not made:
                reasons = [outcome.reason for outcome in report.failures]
                raise ProcessingError("encode", reasons[0] if reasons else report.message)
            return made[0].read_bytes()


def make_clip_settings(
    item: ReviewItem, source: Path, job: RunSettings, decision: Decision, output: Path
) -> RunSettings:
    """The settings of the item's job with its decision, for a clip of `source` for browsers.

    A relative reference of the decision begins at the current folder.
    """
    is_own = decision.model in (None, job.model)
    given = dict(job.options) if is_own else {}
    reference = find_reference(job, decision, item.key)
    strength = job.strength if decision.strength is None else decision.strength
    return RunSettings(
        sources=(str(source),),
        output=output,
        model=decision.model or job.model,
        weights=job.weights if is_own else None,
        options=tuple({**given, **decision.options}.items()),
        strength=0.0 if decision.state == "rejected" else strength,
        **(choose_reference(reference) if reference else {}),
        stabilize=job.stabilize,
        every=job.every,
        format="mp4",
        preview=TimeRange(0.0, SECONDS),
        no_mark=True,
    )


def anchor_references(decision: Decision, folder: Path) -> Decision:
    """Returns the decision with absolute references; relative ones begin at `folder`.

    Those on remote storage are copied. Raises ProcessingError.
    """

    def place(reference: str | None) -> str | None:
        return None if reference is None else anchor_reference(reference, folder)

    shots = tuple(
        shot.model_copy(update={"reference": place(shot.reference)}) for shot in decision.shots
    )
    anchored = decision.model_copy(update={"reference": place(decision.reference), "shots": shots})
    try:
        return ReferenceCopies().place(anchored)
    except MissingReferenceError as error:
        raise ProcessingError("decision", str(error)) from error


def move_shots(decision: Decision, first: int) -> Decision:
    """Returns the decision about a film that begins at frame `first` of the whole one."""
    shots = tuple(
        shot.model_copy(update={"frame": shot.frame - first})
        for shot in decision.shots
        if shot.frame >= first
    )
    return decision.model_copy(update={"shots": shots})


def cut_film(path: Path, shot: Shot, target: Path) -> Path:
    """Writes the luma of the seconds from a shot on, upright and lossless; returns `target`.

    Raises ProcessingError.
    """
    film = probe(path, MAX_PIXELS)
    left = max(1, round(SECONDS * film.rate))
    try:
        with av.open(str(target), "w") as container:
            stream: VideoStream | None = None
            for number, frame in enumerate(read_from(film, shot)):
                if number == left:
                    break
                luma = np.asarray(to_upright_luma(frame, film.frame_format))
                if stream is None:
                    stream = container.add_stream("ffv1", rate=Fraction(film.rate))
                    stream.height, stream.width = luma.shape
                    stream.pix_fmt = "yuv420p"
                grey = VideoFrame.from_ndarray(luma, format="gray").reformat(format="yuv420p")
                grey.pts, grey.time_base = number, 1 / Fraction(film.rate)
                container.mux(stream.encode(grey))
            if stream is None:
                raise ProcessingError("decode", f"frame {shot.frame} cannot be decoded")
            container.mux(stream.encode())
    except MEDIA_ERRORS as error:
        raise ProcessingError("decode", format_av_error(error)) from error
    return target
