"""RunSettings: the options of one job; frozen, validated, hashable."""

from __future__ import annotations

import dataclasses
import math
import os
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, InstanceOf

from batchcolor.errors import UsageError
from batchcolor.hooks.types import DEFAULT_MODEL
from batchcolor.images.decode_options import DecodeOptions, Luma, OutputProfile
from batchcolor.images.formats import Format, find_writable_format
from batchcolor.inference.load_options import LoadOptions
from batchcolor.pipeline.options.metrics_target import is_address
from batchcolor.pipeline.options.option import Option
from batchcolor.pipeline.options.option_values import (
    MIB,
    codec_names,
    format_names,
    model_names,
    parse_memory,
    read_frame_rate,
    read_memory,
    read_paths_by_name,
    read_shard,
    read_temporary_space,
    read_time_range,
)
from batchcolor.pipeline.options.settings_model import SettingsModel
from batchcolor.pipeline.options.shared_options import (
    Backend,
    BatchSize,
    ColorReference,
    Device,
    ModelOptions,
    Precision,
    Sources,
    Strength,
)
from batchcolor.storage.locations import Url, read_location
from batchcolor.storage.remote.input_location import read_local_copy
from batchcolor.storage.remote.retry import DEFAULT_RETRIES
from batchcolor.storage.shard import Shard
from batchcolor.video.time_range import TimeRange

if TYPE_CHECKING:
    from batchcolor.video.output.codecs import VideoSettings

__all__ = ["MAX_PIXELS", "RunSettings", "check_strength", "parse_memory"]

LEAST_MEMORY = 16 * MIB
MAX_EVERY = 12
MAX_PIXELS = 400_000_000

IfColored = Literal["recolor", "copy", "skip"]
Pages = Literal["all", "first"]
IfExists = Literal["skip", "overwrite", "error"]
Stabilize = Literal["off", "fast", "best"]


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


class RunSettings(SettingsModel):
    """The options of one job, each declared once.

    The command line of `run`, the configuration file, `batchcolor.run` and docs/options.md are
    generated from, or checked against, this class. Raises UsageError for values that do not fit.
    """

    sources: Sources = ()
    output: Annotated[
        Path | InstanceOf[Url] | None,
        BeforeValidator(read_location),
        Option(
            *(
                "Where",
                "Folder or URL for the results (default: SOURCE-colorized); - is a pipe.",
                ("--output", "-o"),
            ),
            metavar="FOLDER",
            takes_url=True,
        ),
    ] = None
    if_exists: Annotated[IfExists, Option("Where", "What to do where a result exists already.")] = (
        "skip"
    )
    retry_failed: Annotated[
        bool, Option("Where", "Process again what failed in an earlier run.")
    ] = False
    include_results: Annotated[
        bool, Option("Where", "Also colour folders that batchcolor wrote, which are skipped.")
    ] = False
    no_lock: Annotated[
        bool,
        Option("Where", "Do not lock the output folder: for file systems without locks."),
    ] = False
    shard: Annotated[
        InstanceOf[Shard] | None,
        BeforeValidator(read_shard),
        Option(
            *("Where", "Only part I of N of the files, as 1/4; the parts share the output folder."),
            metavar="I/N",
            is_text=True,
        ),
    ] = None
    watch: Annotated[
        bool,
        Option("Where", "Stay, and colour what arrives in the source folders; Ctrl-C ends."),
    ] = False
    settle: Annotated[
        float,
        Field(ge=0, le=3600, allow_inf_nan=False),
        Option("Where", "With --watch: seconds without a change after which a file is complete."),
    ] = 2.0
    salvage: Annotated[
        bool, Option("Where", "Colour what a damaged picture still gives, with a note.")
    ] = False
    model: Annotated[str, Option("Colour", "The model.", ("--model", "-m"), values=model_names)] = (
        DEFAULT_MODEL
    )
    strength: Strength = 1.0
    options: ModelOptions = ()
    like: ColorReference = None
    like_for: Annotated[
        tuple[tuple[str, str], ...],
        BeforeValidator(read_paths_by_name),
        Option(
            "Colour",
            "The reference of one folder or picture below the source, instead of --like; PICTURE "
            "may be a folder, as for --references.",
            metavar="PATH=PICTURE",
            is_text=True,
            has_path_values=True,
        ),
    ] = ()
    references: Annotated[
        Path | None,
        BeforeValidator(read_local_copy),
        Option(
            "Colour",
            "Transfer the colours of the picture in this folder whose luma is nearest; for films "
            "names may state a frame or time.",
            metavar="FOLDER",
            takes_url=True,
        ),
    ] = None
    weights: Annotated[
        Path | None,
        BeforeValidator(read_local_copy),
        Option("Colour", "Use this weights file.", metavar="FILE", takes_url=True),
    ] = None
    format: Annotated[
        str | None,
        Option(
            "Colour",
            "jpeg, png, webp, tiff, bmp, avif, heic or jxl; for films mp4, mkv, mov or gif "
            "(default: the source's own).",
            values=format_names,
        ),
    ] = None
    if_colored: Annotated[
        IfColored,
        Option(
            "Colour",
            "Pictures that are in colour already: copy them as they are, skip them, or recolor "
            "them from their luma. Toned and tinted pictures are always coloured.",
        ),
    ] = "copy"
    no_mark: Annotated[
        bool,
        Option("Colour", "Do not state in the result's metadata that its colours are computed."),
    ] = False
    profile: Annotated[
        OutputProfile,
        Option(
            *("Colour", "RGB space of pictures; keep: of the source's own RGB profile, else sRGB."),
        ),
    ] = "keep"
    luma: Annotated[
        Luma,
        Option(
            "Colour",
            "JPEG to JPEG; auto: the coded luma of a grey JPEG is copied. exact: also that of "
            "YCbCr, by jpeglib, in more time.",
        ),
    ] = "auto"
    pages: Annotated[
        Pages,
        Option(
            "Colour",
            "Pages of a TIFF that are coloured; the result has the same. first: also the first "
            "picture of another file with several.",
        ),
    ] = "all"
    quality: Annotated[
        int | None,
        Field(ge=1, le=100),
        Option(
            "Colour",
            "1 to 100, for JPEG (default 96), WebP and AVIF (95), HEIC (80) and JPEG XL (97; "
            "100 is lossless).",
        ),
    ] = None
    codec: Annotated[
        str,
        Option(
            "Films",
            "auto, h264, h265, av1, prores, dnxhr, dv, ffv1, gif, h264_nvenc or hevc_nvenc; auto: "
            "h264, or in MXF, MOV and DV files the film's own codec for editing.",
            values=codec_names,
        ),
    ] = "auto"
    crf: Annotated[
        int | None,
        Option("Films", "Quality, lower is better (h264 18, h265 20, av1 28, nvenc 19 and 22)."),
    ] = None
    preset: Annotated[
        str | None, Option("Films", "Speed of the encoder (medium; av1: 8; nvenc: p5).")
    ] = None
    bit_depth: Annotated[
        int | None, Option("Films", "8, 10, 12, 14 or 16 (default: the film's own).")
    ] = None
    stabilize: Annotated[
        Stabilize, Option("Films", "Reduce colour flicker; best uses later frames as well.")
    ] = "fast"
    palette_lock: Annotated[
        bool,
        Option("Films", "Hold all shots to one palette: that of the first shot, or of --like."),
    ] = False
    every: Annotated[
        int,
        Field(ge=1, le=MAX_EVERY),
        Option("Films", "Run the model on every N-th frame; propagate along motion between."),
    ] = 1
    """The limit is half a second of most films: new areas have propagated colours until then."""
    preview: Annotated[
        InstanceOf[TimeRange] | None,
        BeforeValidator(read_time_range),
        Option(
            *(
                "Films",
                "Only a part of each film: 10s, 0:12:30+10s, or shots (a frame of each).",
            ),
            is_text=True,
        ),
    ] = None
    compare: Annotated[bool, Option("Films", "Show the grey source at the left of the result.")] = (
        False
    )
    frames: Annotated[
        bool, Option("Films", "Sources are folders of numbered frames; each becomes a film.")
    ] = False
    fps: Annotated[
        InstanceOf[Fraction] | None,
        BeforeValidator(read_frame_rate),
        Option(
            *("Films", "With --frames: frames per second, 24 (default), 23.976 or 30000/1001."),
            is_text=True,
        ),
    ] = None
    to_frames: Annotated[
        bool, Option("Films", "Write a folder of numbered pictures for each film.")
    ] = False
    strip: Annotated[
        bool, Option("Films", "Write a contact sheet with one frame per shot beside each film.")
    ] = False
    recode_sound: Annotated[
        bool, Option("Films", "Write audio that the container cannot hold as PCM.")
    ] = False
    strict: Annotated[
        bool, Option("Films", "Fail a damaged film instead of keeping its intact frames.")
    ] = False
    batch_size: BatchSize = None
    device: Device = "auto"
    precision: Precision = "auto"
    backend: Backend = "auto"
    cluster: Annotated[
        str | None,
        Option(
            "Machine",
            "Colour on the nodes of a Ray cluster: auto (the one that is running), local (this "
            "machine only), or ray://HOST:PORT.",
            metavar="ADDRESS",
        ),
    ] = None
    workers: Annotated[
        int | None,
        Field(ge=1),
        Option("Machine", "Threads that decode, and as many that encode (default: cores)."),
    ] = None
    max_memory: Annotated[
        int | None,
        BeforeValidator(read_memory),
        Option("Machine", "Memory for pictures in flight, as 512M or 2G.", is_text=True),
    ] = None
    """Bytes."""
    max_pixels: Annotated[
        int, Field(ge=1), Option("Machine", "Refuse pictures with more pixels than this.")
    ] = MAX_PIXELS
    temporary_space: Annotated[
        int | None,
        BeforeValidator(read_temporary_space),
        Option(
            "Machine",
            "Disk space for files of remote sources and results in work, as 20G (default: half of "
            "what is free).",
            is_text=True,
        ),
    ] = None
    """Bytes."""
    retries: Annotated[
        int,
        Field(ge=0, le=100),
        Option("Machine", "Repetitions of a request to remote storage that fails for the moment."),
    ] = DEFAULT_RETRIES
    c2pa: Annotated[
        tuple[Path, Path] | None,
        Option(
            *("Output", "Sign each result: certificate chain and private key, as PEM files."),
            metavar="CERT KEY",
            expected="two files",
            is_pair=True,
        ),
    ] = None
    sidecar: Annotated[
        bool,
        Option("Output", "Write NAME.json beside each result: checksums, settings, notes."),
    ] = False
    premis: Annotated[
        bool, Option("Output", "Write NAME.premis.xml beside each result: a PREMIS 3 event.")
    ] = False
    gallery: Annotated[
        bool,
        Option("Output", "Write a page that shows each picture before and after: OUTPUT-gallery."),
    ] = False
    metrics: Annotated[
        Path | None,
        Option(
            "Output",
            "Write metrics for Prometheus to this file, or serve them at :PORT or HOST:PORT.",
            metavar="FILE",
        ),
    ] = None
    report: Annotated[
        Path | InstanceOf[Url] | None,
        BeforeValidator(read_location),
        Option("Output", "Write the report as JSON to this file.", metavar="FILE", takes_url=True),
    ] = None

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
