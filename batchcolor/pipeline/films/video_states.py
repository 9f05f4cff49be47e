"""States of a film, which its two threads change."""

from __future__ import annotations

import threading
from enum import Enum, auto

from batchcolor.errors import ProcessingError
from batchcolor.pipeline.stages import Cancellation


class VideoState(Enum):
    """States of a film, in order. Decoding and encoding overlap: segments are encoded in both."""

    PROBED = auto()
    """The header is read, and the output container and encoder accept its streams."""
    ADMITTED = auto()
    """Its memory is reserved; frames of an earlier job are found."""
    DECODING = auto()
    ENCODING = auto()
    """All frames are decoded; the rest is encoded into segments."""
    MUXING = auto()
    DONE = auto()
    INTERRUPTED = auto()
    """The job stopped before the last frame, or the part of the film that it colours is complete;
    the finished segments stay for the next job."""
    FAILED = auto()


TRANSITIONS = {
    VideoState.PROBED: {VideoState.ADMITTED, VideoState.FAILED},
    VideoState.ADMITTED: {VideoState.DECODING, VideoState.FAILED},
    VideoState.DECODING: {VideoState.ENCODING, VideoState.INTERRUPTED, VideoState.FAILED},
    VideoState.ENCODING: {VideoState.MUXING, VideoState.INTERRUPTED, VideoState.FAILED},
    VideoState.MUXING: {VideoState.DONE, VideoState.FAILED},
    VideoState.DONE: set(),
    VideoState.INTERRUPTED: {VideoState.FAILED},
    VideoState.FAILED: set(),
}


class FilmStatus:
    """The state of one film, and its first error."""

    def __init__(self, cancellation: Cancellation) -> None:
        self.state = VideoState.PROBED
        self.error: ProcessingError | None = None
        self._cancellation, self._lock = cancellation, threading.Lock()

    def enter(self, state: VideoState) -> bool:
        """Changes the state where the transition is allowed; False where it is not, as after a
        failure in the other thread."""
        with self._lock:
            if state not in TRANSITIONS[self.state]:
                return False
            self.state = state
            return True

    def fail(self, error: ProcessingError) -> None:
        """Enters FAILED; frames in flight are discarded. The first error is the one reported."""
        self.error = self.error or error
        self.enter(VideoState.FAILED)
        self._cancellation.wake()

    @property
    def is_ended(self) -> bool:
        """Whether no more frames are encoded."""
        return self.state in (VideoState.FAILED, VideoState.INTERRUPTED)
