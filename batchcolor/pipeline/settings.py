"""RunSettings: what one job was asked to do; frozen, validated, hashable."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from batchcolor.errors import UsageError
from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.images.formats import Format, format_by_name
from batchcolor.inference.load_options import LoadOptions
from batchcolor.video.output.codecs import USUAL_CODEC, VideoSettings
from batchcolor.video.temporal.stabilizer import MODES, Stabilize

MIB = 1024 * 1024
LEAST_MEMORY = 16 * MIB
MOST_EVERY = 12
"""Half a second of most films: what enters the picture has borrowed colours until then."""
MAX_PIXELS = 400_000_000

IfExists = Literal["skip", "overwrite", "error"]


def default_memory() -> int:
    """Bytes that pictures may take at once: a quarter of the machine's, at most 2 GiB."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        machine = 4096 * MIB
    return int(max(256 * MIB, min(2048 * MIB, machine // 4)))


def check_strength(strength: float) -> None:
    """Raises UsageError for what is no factor of chroma."""
    if not (math.isfinite(strength) and 0 <= strength <= 2):
        raise UsageError(f"--strength {strength}: a number from 0 to 2")


@dataclass(frozen=True)
class RunSettings:
    """One job. `max_memory` in bytes."""

    sources: tuple[str, ...]
    output: Path | None = None
    model: str = DEFAULT_MODEL
    strength: float = 1.0
    format: str | None = None
    quality: int | None = None
    loading: LoadOptions = field(default_factory=LoadOptions)
    workers: int | None = None
    max_memory: int | None = None
    max_pixels: int = MAX_PIXELS
    if_exists: IfExists = "skip"
    retry_failed: bool = False
    films: VideoSettings = field(default_factory=VideoSettings)
    stabilize: Stabilize = "fast"
    every: int = 1
    """Of so many frames of a shot one goes to the model, and its colours are carried on."""
    strip: bool = False
    """Whether a sheet with one frame a shot is written beside each film."""
    report: Path | None = None
    """Where the report goes as JSON."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise UsageError("nothing to colour: name a folder, files or a glob")
        check_strength(self.strength)
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(f"--quality {self.quality}: a number from 1 to 100")
        counts = {"workers": self.workers, "max_pixels": self.max_pixels}
        counts["batch_size"] = self.loading.batch_size
        for name, value in counts.items():
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} {value}: at least 1")
        if self.max_memory is not None and self.max_memory < LEAST_MEMORY:
            raise UsageError(
                f"--max-memory: not enough memory for one picture; give at least "
                f"{LEAST_MEMORY // MIB} MiB"
            )
        if self.stabilize not in MODES:
            raise UsageError(f"--stabilize {self.stabilize}: {', '.join(MODES)}")
        if not 1 <= self.every <= MOST_EVERY:
            raise UsageError(f"--every {self.every}: from 1 to {MOST_EVERY}")
        if self.every > 1 and self.stabilize == "off":
            raise UsageError(
                f"--every {self.every}: colours are carried by --stabilize fast or best"
            )
        if self.strip and self.films.to_frames:
            raise UsageError("--strip goes with films, and --to-frames writes pictures")
        if self.films.to_frames or self.films.fps:
            self._check_frames()
        if self.format is not None:
            asked = format_by_name(self.format)
            films = self.films.within(asked) if self.films.codec == USUAL_CODEC else self.films
            if asked.film and asked not in films.video_codec.containers:
                takes = " or ".join(known.name for known in self.films.video_codec.containers)
                raise UsageError(
                    f"--format {self.format}: {self.films.codec} is written to {takes}"
                )

    def _check_frames(self) -> None:
        asked = format_by_name(self.format) if self.format else None
        if asked is not None and asked.film and self.films.to_frames:
            raise UsageError(f"--format {self.format}: --to-frames writes pictures")
        if asked is not None and not asked.film and not self.films.to_frames:
            raise UsageError(
                f"--format {self.format}: --frames makes films; --to-frames writes pictures again"
            )

    @property
    def target_format(self) -> Format | None:
        """The format asked for, or None for each picture's own."""
        return format_by_name(self.format) if self.format else None

    @property
    def memory(self) -> int:
        """Bytes that pictures may take at once."""
        return self.max_memory or default_memory()

    @property
    def threads(self) -> int:
        """Threads that decode, and as many that encode."""
        return self.workers or os.cpu_count() or 1

    @cached_property
    def pixels_hash(self) -> str:
        """Hash of what changes the pixels: two jobs with the same one make the same pictures.

        A file that a model's option names counts by its content, as weights do.
        """
        own = [
            (key, sha256_of(Path(value)) if Path(value).is_file() else value)
            for key, value in sorted(self.loading.options)
        ]
        like = sha256_of(self.loading.like) if self.loading.like else ""
        pixels = (self.model, self.strength, self.format, self.quality, own, like)
        return hashlib.sha256(json.dumps(pixels).encode()).hexdigest()[:16]

    def hash_for(self, *, film: bool) -> str:
        """`pixels_hash`, for a film with what its encoder is told."""
        if not film:
            return self.pixels_hash
        film_only = f"{self.pixels_hash} {self.films} {self.stabilize} {self.every}"
        return hashlib.sha256(film_only.encode()).hexdigest()[:16]


def sha256_of(path: Path) -> str:
    """A file's sha256 in hex; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def parse_memory(text: str) -> int:
    """Bytes of `512M`, `2G`, `800 MiB` or a plain number of MiB. Raises UsageError."""
    number = text.strip().lower().removesuffix("ib").removesuffix("b").strip()
    factor = {"k": 1024, "m": MIB, "g": 1024 * MIB}.get(number[-1:], 0)
    try:
        value = float(number[:-1] if factor else number) * (factor or MIB)
        return int(value)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--max-memory {text}: write it as 512M or 2G") from error
