"""Prepares a film before any frame is coloured: properties, output, memory, decoder and sink."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.images.formats import ANIMATION, OTHER_FILM, Format
from batchcolor.pipeline.films.video_sink import AnimationSink, FileSink, FolderSink, VideoSink
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.task import Task
from batchcolor.video.ffmpeg import UnreadableFilmError
from batchcolor.video.input.animation_frames import AnimationFrames, probe_animation
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.input.image_sequence_reader import ImageSequenceReader, probe_image_sequence
from batchcolor.video.input.shot_frames import Frames, ShotFrames
from batchcolor.video.output.animation_muxer import check_streams
from batchcolor.video.output.codec_choice import describe_loss, resolve_codec
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.containers import FIXED_RATE_CONTAINERS, find_skippable_streams
from batchcolor.video.output.encoder_memory import EncoderLimits, fit_encoder
from batchcolor.video.output.image_sequence_writer import check_replaceable
from batchcolor.video.output.muxer import dry_run_mux
from batchcolor.video.output.output_spec import OutputSpec, resolve_output_spec
from batchcolor.video.probe import probe
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.temporal.stabilizer import HORIZONS, Stabilize
from batchcolor.video.time_range import TimeRange

MIN_FRAMES_IN_FLIGHT = 8
"""Frames that keep both threads of a film busy."""
DECODER_FRAMES = 8
"""Frames that a decoder buffers, approximately."""
HEADROOM = 256 * 2**20
"""Bytes that an encoder may use beyond the budget; budget and process stay below its 1 GB more."""
LIMITED = "the encoder looks {} frames ahead, as --max-memory permits: the file is a little larger"
WITHOUT_B_FRAMES = (
    "the encoder uses no B-frames and looks no frames ahead, as --max-memory permits: the file is "
    "up to twice as large"
)
TOO_LITTLE = "{} needs about {} MB for frames of this size, more than --max-memory leaves"


@dataclass(frozen=True)
class Admission:
    """A film that can be coloured, and the memory it needs."""

    source: SourceInfo
    output: OutputSpec
    notes: tuple[str, ...]
    """What the user should know before the film is coloured."""
    max_pixels: int
    max_in_flight: int
    """Limit of frames in flight."""
    share: int
    """Bytes of the memory budget."""
    decodes_twice: bool
    """Whether frames are decoded again when they are encoded, instead of kept until then: the
    stabilizer needs more frames than fit into memory."""


def probe_film(task: Task, job: RunSettings, memory: int, batch_size: int) -> Admission:
    """Probes a film, decides how it is written, and checks that the container accepts it.

    `memory` is the job's budget in bytes. Raises ProcessingError: unreadable, nothing to colour, a
    stream that the container cannot hold.
    """
    path, fps = task.source.path, job.films.fps
    if fps is not None:
        source = probe_image_sequence(path, fps, job.max_pixels)
    else:
        source = _probe_file(task, job.max_pixels, memory // MIN_FRAMES_IN_FLIGHT)
    settings = resolve_codec(job.films, task.format, source)
    if settings.to_frames:
        if task.target.exists():
            check_replaceable(task.target)
        output = resolve_output_spec(source, settings, task.format)
    elif settings.video_codec.is_animation:
        output = resolve_output_spec(source, settings, task.format)
        output = replace(output, notes=(*output.notes, *check_streams(source, output)))
    else:
        output = _resolve_film_output(source, settings, task.format)
    limits, encoder_memory = _limit_encoder(output, memory)
    output = replace(output, encoder_limits=limits)
    limited = _describe_limits(output, encoder_memory, memory)
    lossy = [describe_loss(job.films, settings, source)]
    own = filter(None, [task.source.note, *lossy])
    notes = (*own, *source.notes, *output.notes, *limited)
    frames = batch_size * job.every
    usage = _estimate_memory(output, encoder_memory, memory, frames, job.stabilize)
    return Admission(source, output, notes, job.max_pixels, *usage)


def _probe_file(task: Task, max_pixels: int, max_frame_bytes: int) -> SourceInfo:
    """Probes a film file. Raises ProcessingError, also for unknown content that is no film."""
    if task.source.format == ANIMATION:
        return probe_animation(task.source.path, max_pixels)
    try:
        return probe(task.source.path, max_pixels, max_frame_bytes)
    except UnreadableFilmError as error:
        if task.source.format != OTHER_FILM:
            raise
        reason = "not a picture or film in a known format"
        raise ProcessingError("decode", reason) from error


def _limit_encoder(output: OutputSpec, memory: int) -> tuple[EncoderLimits, int]:
    """Limits the encoder to what the decoder and the frames in flight leave; its bytes."""
    if output.settings.to_frames or output.settings.video_codec.is_animation:
        return EncoderLimits(), MIN_FRAMES_IN_FLIGHT * output.frame_bytes
    others = (MIN_FRAMES_IN_FLIGHT + DECODER_FRAMES) * output.frame_format.frame_bytes
    return fit_encoder(output.settings, output.frame_bytes, memory + HEADROOM - others)


def _describe_limits(output: OutputSpec, encoder_memory: int, memory: int) -> list[str]:
    """Returns notes of what the limits of the encoder cost, and of memory beyond the budget."""
    limits, notes = output.encoder_limits, []
    if not limits.has_b_frames:
        notes.append(WITHOUT_B_FRAMES)
    elif limits.lookahead is not None:
        notes.append(LIMITED.format(limits.lookahead))
    if limits != EncoderLimits() and encoder_memory > memory:
        notes.append(TOO_LITTLE.format(output.settings.codec, round(encoder_memory / 10**6)))
    return notes


def _estimate_memory(
    output: OutputSpec,
    encoder_memory: int,
    memory: int,
    batch_frames: int,
    stabilize: Stabilize,
) -> tuple[int, int, bool]:
    """Returns `max_in_flight`, `share` and `decodes_twice` of an `Admission`.

    `batch_frames` is the number of frames from which one inference batch is filled.
    """
    frame_bytes = output.frame_format.frame_bytes
    codecs = encoder_memory + DECODER_FRAMES * frame_bytes
    affordable = (memory - codecs) // (2 * frame_bytes)
    buffered = HORIZONS[stabilize].frames
    decodes_twice = stabilize == "best" or affordable < MIN_FRAMES_IN_FLIGHT + buffered
    minimum = MIN_FRAMES_IN_FLIGHT + (0 if decodes_twice else buffered)
    wanted = min(2 * batch_frames + minimum, affordable)
    max_in_flight = int(max(minimum, wanted))
    share = min(max_in_flight * frame_bytes + codecs, max(memory, 1))
    return max_in_flight, share, decodes_twice


def _resolve_film_output(
    source: SourceInfo, settings: VideoSettings, container: Format
) -> OutputSpec:
    """Decides how a film is written; data streams are skipped if its container refuses them.

    Raises ProcessingError if the container refuses the film without them as well.
    """
    output = resolve_output_spec(source, settings, container)
    try:
        dry_run_mux(source, output)
    except ProcessingError:
        skippable = find_skippable_streams(source)
        if not skippable:
            raise
        output = resolve_output_spec(source, settings, container, skippable)
        dry_run_mux(source, output)
    return output


def open_frames(admission: Admission) -> Frames | ShotFrames:
    """Opens the frames of a film, of a folder of numbered pictures or of an animation."""
    output = admission.output
    if not output.settings.has_only_shots:
        return open_part(admission, output.settings.preview, strict=output.settings.strict)
    # Each is shown for a second, or a frame where the rate is fixed; pictures keep their number.
    ticks = round(1 / output.time_base)
    if output.container in FIXED_RATE_CONTAINERS:
        ticks = round(1 / (output.rate * output.time_base))
    has_times = output.settings.to_frames and admission.source.is_image_sequence
    frames = open_part(admission, None, strict=output.settings.strict)
    return ShotFrames(frames, None if has_times else max(1, ticks))


def open_part(admission: Admission, preview: TimeRange | None, *, strict: bool) -> Frames:
    """Opens all frames of a part of a film; None for the whole film."""
    source, frame_format = admission.source, admission.output.frame_format
    settings = admission.output.settings
    if source.is_image_sequence:
        return ImageSequenceReader(
            source,
            frame_format,
            strict=strict,
            preview=preview,
            max_pixels=admission.max_pixels,
        )
    if source.is_animation:
        return AnimationFrames(
            source, frame_format, preview=preview, max_pixels=admission.max_pixels
        )
    has_fixed_rate = admission.output.container in FIXED_RATE_CONTAINERS
    repeats_last = has_fixed_rate or settings.to_frames or settings.video_codec.is_animation
    return VideoDecoder(
        source,
        frame_format,
        strict=strict,
        preview=preview,
        repeat_last_frame=repeats_last and not settings.has_only_shots,
        fills_gaps=has_fixed_rate and not settings.has_only_shots,
    )


def open_sink(task: Task, admission: Admission, folder: Path, quality: int | None) -> VideoSink:
    """Returns the sink for the coloured frames, with its segments in `folder`."""
    source, output = admission.source, admission.output
    if output.settings.to_frames:
        return FolderSink(task, source, output, folder, quality)
    if output.settings.video_codec.is_animation:
        return AnimationSink(task, source, output, folder, quality)
    return FileSink(task, source, output, folder)
