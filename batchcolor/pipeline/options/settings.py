"""RunSettings: the options of one job; frozen, validated, hashable."""

from __future__ import annotations

import dataclasses
import math
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from batchcolor.errors import UsageError
from batchcolor.images.decode_options import DecodeOptions
from batchcolor.images.formats import Format, find_writable_format
from batchcolor.inference.load_options import LoadOptions
from batchcolor.pipeline.options.color_options import ColorOptions
from batchcolor.pipeline.options.film_options import FilmOptions
from batchcolor.pipeline.options.machine_options import MAX_PIXELS, MachineOptions
from batchcolor.pipeline.options.metrics_target import is_address
from batchcolor.pipeline.options.option_values import MIB, parse_memory
from batchcolor.pipeline.options.output_options import OutputOptions
from batchcolor.pipeline.options.source_options import SourceOptions
from batchcolor.storage.locations import Url

if TYPE_CHECKING:
    from batchcolor.video.output.codecs import VideoSettings

__all__ = ["MAX_PIXELS", "RunSettings", "check_strength", "parse_memory"]

LEAST_MEMORY = 16 * MIB


def default_memory() -> int:
    """Bytes for pictures in flight: a quarter of the machine's memory, at most 2 GiB."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        machine = 4096 * MIB
    return int(max(256 * MIB, min(2048 * MIB, machine // 4)))


def check_strength(strength: float) -> None:
    """Raises UsageError for a factor of chroma outside 0..2."""
    if not (math.isfinite(strength) and 0 <= strength <= 2):
        raise UsageError(f"--strength {strength}: a number from 0 to 2")


class RunSettings(OutputOptions, MachineOptions, FilmOptions, ColorOptions, SourceOptions):
    """The options of one job, each declared once, in the classes that this one joins.

    pydantic takes fields from the last class to the first: sources come first in `--help`. The
    command line of `run`, the configuration file, `batchcolor.run` and docs/options.md are
    generated from, or checked against, this class. Raises UsageError for values that do not fit.
    """

    def _check_combinations(self) -> None:
        if not self.sources:
            raise UsageError("no SOURCE: name a folder, files or a glob")
        if self.max_memory is not None and self.max_memory < LEAST_MEMORY:
            raise UsageError(
                f"--max-memory: not enough memory for one picture; give at least "
                f"{LEAST_MEMORY // MIB} MiB"
            )
        if self.cluster is not None:
            self._check_cluster(self.cluster)
        if self.every > 1 and self.stabilize == "off":
            raise UsageError(
                f"--every {self.every}: colours are propagated by --stabilize fast or best"
            )
        if self.watch and self.shard is not None:
            raise UsageError("--watch colours all that arrives, and goes without --shard")
        if self.palette_lock and self.stabilize == "off":
            raise UsageError("--palette-lock goes with --stabilize fast or best")
        if self.palette_lock and self.references is not None:
            raise UsageError(
                "--palette-lock holds films to one palette and --references names several: "
                "name one picture with --like"
            )
        if self.watch and self.frames:
            raise UsageError("--watch takes folders of pictures and films, not --frames")
        if self.strip and self.to_frames:
            raise UsageError("--strip goes with films, and --to-frames writes pictures")
        if self.fps is not None and not self.frames:
            raise UsageError("--fps goes with --frames: a film has a rate of its own")
        if self.like is not None and self.references is not None:
            raise UsageError("--like names one reference and --references several: choose one")
        self._check_format(self.films)

    def _check_cluster(self, address: str) -> None:
        if address not in ("auto", "local") and not address.startswith("ray://"):
            raise UsageError(f"--cluster {address}: auto, local or ray://HOST:PORT")
        if self.watch:
            raise UsageError("--watch runs on this machine; run --cluster again for new files")

    def _check_format(self, films: VideoSettings) -> None:
        target = self.target_format
        if target is None:
            return
        if target.is_film and self.to_frames:
            raise UsageError(f"--format {self.format}: --to-frames writes pictures")
        if not target.is_film and self.frames and not self.to_frames:
            raise UsageError(
                f"--format {self.format}: --frames makes films; --to-frames writes pictures again"
            )
        if target.is_film and films.codec == RunSettings.model_fields["codec"].default:
            from batchcolor.video.output.codec_choice import resolve_codec

            films = resolve_codec(films, target)
        if target.is_film and target not in films.video_codec.containers:
            takes = " or ".join(known.name for known in films.video_codec.containers)
            raise UsageError(f"--format {self.format}: {films.codec} is written to {takes}")

    @cached_property
    def loading(self) -> LoadOptions:
        """How the model is loaded."""
        return LoadOptions.from_settings(self)

    @cached_property
    def decoding(self) -> DecodeOptions:
        """How pictures are decoded."""
        recolors = self.if_colored == "recolor"
        return DecodeOptions(
            profile=self.profile, salvage=self.salvage, luma=self.luma, recolors=recolors
        )

    @cached_property
    def films(self) -> VideoSettings:
        """How films are written. Raises UsageError where the codec does not take the values."""
        from batchcolor.video.output.codecs import DEFAULT_FPS, VideoSettings, parse_frame_rate

        names = {field.name for field in dataclasses.fields(VideoSettings)} - {"fps"}
        fps = self.fps or parse_frame_rate(DEFAULT_FPS)
        return VideoSettings(
            **{name: getattr(self, name) for name in names}, fps=fps if self.frames else None
        )

    @property
    def target_format(self) -> Format | None:
        """The format asked for, or None for each picture's own."""
        return find_writable_format(self.format) if self.format else None

    @property
    def report_path(self) -> Path | Url | None:
        """The file or URL of the report; of a shard, with the shard in its name."""
        if not isinstance(self.report, Url):
            return self._name_for_shard(self.report)
        if self.shard is None:
            return self.report
        folder, _, name = self.report.rpartition("/")
        return Url(f"{folder}/{self.shard.name_file(Path(name))}")

    @property
    def metrics_path(self) -> Path | None:
        """The file of metrics, likewise, or an address."""
        if self.metrics is not None and is_address(self.metrics):
            return self.metrics
        return self._name_for_shard(self.metrics)

    def _name_for_shard(self, path: Path | None) -> Path | None:
        return path if path is None or self.shard is None else self.shard.name_file(path)

    @property
    def memory(self) -> int:
        """Bytes that pictures may take at once."""
        return self.max_memory or default_memory()

    @property
    def threads(self) -> int:
        """Threads that decode, and as many that encode."""
        return self.workers or os.cpu_count() or 1
