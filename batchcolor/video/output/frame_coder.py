"""What turns the frames of a segment into packets, where this is no encoder of FFmpeg."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from av.video.frame import VideoFrame


@dataclass(frozen=True)
class CodedFrame:
    """A frame as it is stored; `pts` is the timestamp that the coder got with it."""

    pts: int
    data: bytes
    is_keyframe: bool
    """Whether it is shown without any frame before it."""


class FrameCoder(Protocol):
    """Codes the frames of one segment, each as one packet, in order."""

    def encode(self, frame: VideoFrame | None) -> list[CodedFrame]:
        """Takes a frame, or None after the last; returns the frames that are complete.

        Raises ProcessingError.
        """
