"""The shots of films under review: found once in the background, with one frame of each."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from batchcolor.errors import BatchcolorError, OutputError, ProcessingError
from batchcolor.pipeline.options.settings import MAX_PIXELS
from batchcolor.pipeline.previews import encode_preview, shrink
from batchcolor.review.review_files import ReviewFiles
from batchcolor.review.review_item import ReviewItem
from batchcolor.storage.atomic import write_atomic
from batchcolor.storage.journal import STATE_FOLDER
from batchcolor.video.color_conversion import to_upright_rgb
from batchcolor.video.ffmpeg import MEDIA_ERRORS, format_av_error, open_container
from batchcolor.video.frame_conversion import fit_frame
from batchcolor.video.frame_format import FrameFormat
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.planes import read_luma
from batchcolor.video.probe import probe
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.motion import SIDE
from batchcolor.video.temporal.shots import ShotTracker

FRAME_WIDTH, QUALITY = 1280, 90
"""Of the frames that are kept."""
SHOWN_FRAME = 12
"""Number of the frame that represents a shot; the first frames may be blurred by the cut."""
MAX_SHOTS, MAX_FRAMES = 300, 100_000
"""Where the search ends; the rest of a longer film belongs to no listed shot."""

INDEXED = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"
"""FFmpeg's names of the containers that lead to exact frames; MPEG streams lead to later ones, or
number frames otherwise after a seek."""


@dataclass(frozen=True)
class Shot:
    """A shot of a film. `frame` is the number of its first frame, from 0."""

    frame: int
    time: float
    """Of the first frame, in seconds."""
    pts: int | None
    """Timestamp of the first frame."""
    shown: int
    """The frame that represents it, counted from its first."""

    @property
    def shown_frame(self) -> int:
        """Number of the frame that represents it."""
        return self.frame + self.shown


@dataclass(frozen=True)
class ShotList:
    """The shots of a film in order; `is_complete` is False for a film beyond the limits."""

    shots: tuple[Shot, ...]
    is_complete: bool


class FilmShots:
    """Finds the shots of films, one film at a time, and keeps them in `OUT/.batchcolor/thumbs`.

    `found` is called with the id of an item whose search has ended. Thread-safe.
    """

    def __init__(self, files: ReviewFiles, found: Callable[[str], None]) -> None:
        self._files, self._found = files, found
        self._folder = files.output / STATE_FOLDER / "thumbs"
        self._lists: dict[str, ShotList | BatchcolorError] = {}
        self._running: set[str] = set()
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def find(self, item: ReviewItem) -> ShotList | None:
        """The shots; None while they are searched. Raises ProcessingError."""
        name = self._name(item)
        with self._lock:
            known = self._lists.get(name) or self._load(name)
            if known is None:
                if name not in self._running:
                    self._running.add(name)
                    thread = threading.Thread(target=self._search, args=(item, name), daemon=True)
                    thread.start()
                return None
            self._lists[name] = known
        if isinstance(known, BatchcolorError):
            raise known
        return known

    def read(self, item: ReviewItem, shot: Shot, side: int) -> Image.Image:
        """The luma of the frame that represents a shot, upright, at most `side` pixels long.

        Raises ProcessingError.
        """
        try:
            data = self._frame_path(self._name(item), shot).read_bytes()
            with Image.open(io.BytesIO(data)) as image:
                return shrink(image.convert("L"), side)
        except OSError:  # removed from the cache since, or never written as the disk was full
            with self._files.open_source(item) as path:
                film = probe(path, MAX_PIXELS)
                for number, frame in enumerate(read_from(film, shot)):
                    if number == shot.shown:
                        return shrink(to_upright_luma(frame, film.frame_format), side)
        raise ProcessingError("decode", f"frame {shot.shown_frame} cannot be decoded")

    def _name(self, item: ReviewItem) -> str:
        """Begins the names of the files of a film; changes with its content."""
        version = self._files.describe_source(item) or "0"
        digest = hashlib.sha256(version.encode("utf-8", "surrogateescape")).hexdigest()[:10]
        return f"{item.id}-{digest}-shot"

    def _frame_path(self, name: str, shot: Shot) -> Path:
        return self._folder / f"{name}-{shot.frame}.jpg"

    def _load(self, name: str) -> ShotList | None:
        try:
            values = json.loads((self._folder / f"{name}.json").read_bytes())
            shots = tuple(Shot(**shot) for shot in values["shots"])
            return ShotList(shots, bool(values["complete"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not searched yet, or a damaged file, which is written again

    def _search(self, item: ReviewItem, name: str) -> None:
        found: ShotList | BatchcolorError
        with self._turn:
            try:
                with self._files.open_source(item) as path:
                    found = self._search_film(path, name)
            except BatchcolorError as error:
                found = error
            except MEDIA_ERRORS as error:
                found = ProcessingError("decode", format_av_error(error))
        with self._lock:
            self._lists[name] = found
            self._running.discard(name)
        self._found(item.id)

    def _search_film(self, path: Path, name: str) -> ShotList:
        if path.is_dir():
            raise ProcessingError("decode", "the shots of a folder of frames are not listed")
        film = probe(path, MAX_PIXELS)
        shots: list[Shot] = []
        tracker, is_complete = ShotTracker(), True
        for frame in VideoDecoder(film, strict=False):
            position = tracker.track(read_luma(frame, film.frame_format, SIDE))
            since = position.number - position.shot
            if position.is_shot_start:
                if len(shots) == MAX_SHOTS:
                    is_complete = False
                    break
                shots.append(Shot(position.number, float(frame.time or 0), frame.pts, 0))
            elif since == SHOWN_FRAME:
                shots[-1] = Shot(**{**asdict(shots[-1]), "shown": since})
            if since in (0, SHOWN_FRAME):
                self._keep(name, shots[-1], frame, film.frame_format)
            if position.number + 1 == MAX_FRAMES:
                is_complete = False
                break
        values = {"complete": is_complete, "shots": [asdict(shot) for shot in shots]}
        with contextlib.suppress(OutputError):  # it is searched again after a restart
            write_atomic(self._folder / f"{name}.json", json.dumps(values).encode())
        return ShotList(tuple(shots), is_complete)

    def _keep(self, name: str, shot: Shot, frame: VideoFrame, frame_format: FrameFormat) -> None:
        data = encode_preview(to_upright_luma(frame, frame_format), QUALITY)
        with contextlib.suppress(OutputError):  # a full or read-only disk costs only time
            write_atomic(self._frame_path(name, shot), data)


def to_upright_luma(frame: VideoFrame, frame_format: FrameFormat) -> Image.Image:
    """Returns the luma of a frame as a picture, upright, at most `FRAME_WIDTH` wide."""
    width = frame.height if frame_format.rotation % 180 else frame.width
    rgb = to_upright_rgb(frame, frame_format, min(FRAME_WIDTH, width))
    return Image.fromarray(rgb).convert("L")


def read_from(film: SourceInfo, shot: Shot) -> Iterator[VideoFrame]:
    """Yields the frames of a film from the first one of a shot on. Raises ProcessingError.

    Begins to decode at a key frame before it, or at the beginning of a file where none is found.
    """
    is_found = False
    if shot.pts is not None and not film.has_estimated_pts:
        for frame in _seek(film, shot.pts):
            is_found = True
            yield frame
    if not is_found:
        yield from VideoDecoder(film, strict=False, skip=shot.frame)


def _seek(film: SourceInfo, pts: int) -> Iterator[VideoFrame]:
    """Yields the frames from `pts` on; none where the file has no exact index."""
    try:
        with open_container(film.path) as container:
            stream = container.streams[film.stream]
            assert isinstance(stream, VideoStream)
            if container.format.name not in INDEXED:
                return
            container.seek(pts, stream=stream)
            is_exact = False
            for frame in container.decode(stream):
                is_exact |= frame.pts is not None and frame.pts <= pts
                if not is_exact:
                    return
                if frame.pts is not None and frame.pts >= pts:
                    yield fit_frame(
                        frame,
                        film.frame_format,
                        is_rgb=film.is_rgb,
                        is_full_range=film.frame_format.is_full_range,
                    )
    except MEDIA_ERRORS as error:
        raise ProcessingError("decode", format_av_error(error)) from error
