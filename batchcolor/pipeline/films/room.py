"""States before the work starts what the films of a job need: frames, and room on the disk.

The room is an estimate: the size of a film depends on its grain and motion. The constants of h264,
h265, ffv1 and prores are those of four clips of 60 frames, grainy and clean, at the default
quality: docs/performance.md. Those of the other codecs are not measured.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from batchcolor.pipeline.films.video_admission import Admission

BITS_PER_PIXEL = {
    **{"h264": 0.15, "h265": 0.15, "av1": 0.1, "h264_nvenc": 0.2, "hevc_nvenc": 0.15},
    **{"prores": 5.4, "dnxhr": 5.4, "dv": 2.8, "ffv1": 3.3, "gif": 6.0},
    **{"apng": 12.0, "awebp": 2.0},
}
"""Bits of a coded pixel at 8 bits and the codec's default quality."""
PICTURE_BITS = 12.0
"""Bits of a pixel of a picture, as PNG."""
CRF_STEP = 6
"""`--crf` lower by so many doubles the size."""
GB = 10**9


class RoomEstimate:
    """Adds up what the films of a job need, in the folder of their results."""

    def __init__(self) -> None:
        self.films = self.frames = 0
        self._bytes = self._largest = 0
        self._folder: Path | None = None

    def add(self, admission: Admission, target: Path) -> None:
        """Adds a film; one whose header states no length counts without its room."""
        frames = count_frames(admission)
        size = estimate_bytes(admission, frames)
        self.films, self.frames = self.films + 1, self.frames + frames
        self._bytes, self._largest = self._bytes + size, max(self._largest, size)
        self._folder = self._folder or target.parent

    def describe(self) -> list[str]:
        """Returns what is needed, and a warning if there is plainly less."""
        if self._folder is None or not self._bytes:
            return []
        needed = self._bytes + self._largest  # the segments of the film that is joined
        free = shutil.disk_usage(_find_existing(self._folder)).free
        films = "1 film" if self.films == 1 else f"{self.films} films"
        lines = [
            f"{films}, {self.frames:,} frames: about {_format_size(needed)} of disk space are "
            f"needed, {_format_size(free)} are free"
        ]
        if needed > free:
            lines.append(
                "the disk will probably be full before the end: free space, name another "
                "--output, or raise --crf; a job that stops is resumed by the same command"
            )
        return lines


def count_frames(admission: Admission) -> int:
    """Returns the frames of a film that are coloured, as its header states them; 0 if unknown."""
    source, preview = admission.source, admission.output.settings.preview
    frames = source.frames or round(source.end * source.rate)
    if preview is None:
        return frames
    if preview.is_shots:
        return 0
    rest = max(0, frames - round(preview.start * source.rate))
    return min(rest, round(preview.length * source.rate))


def estimate_bytes(admission: Admission, frames: int) -> int:
    """Returns the bytes of the coloured picture of a film."""
    output = admission.output
    settings, frame = output.settings, output.frame_format
    if settings.to_frames:
        bits = PICTURE_BITS
    else:
        codec = settings.video_codec
        bits = BITS_PER_PIXEL.get(codec.name, max(BITS_PER_PIXEL.values()))
        if codec.crf is not None and settings.crf is not None:
            bits *= 2.0 ** ((codec.crf - settings.crf) / CRF_STEP)
    depth = frame.bits / 8 if settings.to_frames or settings.video_codec.is_lossless else 1.0
    return int(bits * depth * output.width * output.height * frames / 8)


def _find_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _format_size(size: int) -> str:
    if size >= GB:
        return f"{size / GB:.1f} GB"
    return f"{max(1, round(size / 10**6))} MB"
