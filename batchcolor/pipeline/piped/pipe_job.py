"""A job whose result is a film on standard output: checks, colours, reports."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from batchcolor.errors import ExitCode, ProcessingError, UsageError
from batchcolor.hooks.manager import Plugins
from batchcolor.hooks.types import Outcome
from batchcolor.inference.runner import load_runner
from batchcolor.pipeline.job import Interrupt, check_model
from batchcolor.pipeline.options.option import declared_options
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.piped.piped_film import PipedFilm
from batchcolor.pipeline.report import Report
from batchcolor.signals import handle_signals
from batchcolor.storage.standard_input import StandardInput
from batchcolor.video.frame_format import name_pixel_format
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.output.y4m_writer import Y4mWriter
from batchcolor.video.probe import probe
from batchcolor.video.source_info import SourceInfo
from batchcolor.video.y4m_reader import Y4mReader

PIPE = "-"
TICK = 0.1
EFFECTIVE = frozenset(
    {
        *("sources", "output", "model", "strength", "options", "like", "weights", "stabilize"),
        *("every", "preview", "compare", "strict", "batch_size", "device", "precision", "backend"),
        *("max_memory", "max_pixels", "report"),
    }
)
"""Settings that matter for a film on a pipe."""
NO_MARK = "a film on a pipe has no metadata: it does not state that its colours are computed"
PICTURE_ONLY = "only the picture is written: a film on a pipe has neither sound nor times"


def run_pipe(
    settings: RunSettings,
    plugins: Plugins,
    watch: Callable[[Report], None],
    standard_input: StandardInput | None,
    output: BinaryIO,
    signals: Callable[[Interrupt], AbstractContextManager[None]] = handle_signals,
) -> Report:
    """Colours the film of `standard_input`, or the film file that is the source, to `output`.

    `watch` is called ten times a second with the report so far. Raises UsageError and ModelError
    before anything is written, internal errors, and OSError where `output` cannot be written. A
    reader that ends early ends the job, without an error.
    """
    check_settings(settings, is_pipe=standard_input is not None)
    owned = plugins.find(settings.model)
    check_model(settings, owned)
    runner = load_runner(owned, settings.loading)
    report = Report(runner.name, PIPE, scanned=1, is_scanning=False)
    path = Path(settings.sources[0])
    try:
        frames, source, tags = _open_frames(settings, standard_input)
        film = PipedFilm(frames, source, runner, plugins, settings, report)
        with signals(_make_interrupt(film, report)):
            writer = Y4mWriter(
                output, source.frame_format, _size_as_written(source, settings), source.rate, tags
            )
            film.start(writer.write)
            try:
                while not film.wait(TICK):
                    watch(report)
            except BaseException as error:
                film.stop.fail(error)
                raise
            finally:
                film.close()
        if isinstance(frames, Y4mReader) and frames.damage:
            raise ProcessingError("decode", frames.damage)
        _note_source(report, source, frames.notes, is_file=standard_input is None)
    except ProcessingError as error:
        report.add(Outcome(path, None, "failed", error.step, error.reason))
    except BrokenPipeError:
        report.note(f"the reader of the pipe ended after {report.frames} frames")
        report.done = 1
    else:
        report.done = int(report.exit_code == ExitCode.DONE)
    for note in (*runner.notes, NO_MARK):
        report.note(note)
    report.finish()
    return report


def check_settings(settings: RunSettings, *, is_pipe: bool) -> None:
    """Raises UsageError for sources and options that do not go with a film on standard output."""
    if len(settings.sources) != 1:
        raise UsageError(f"--output -: one film goes to standard output, not {settings.sources}")
    if settings.preview is not None and settings.preview.is_shots:
        raise UsageError("--preview shots is not for a pipe; name a folder with --output")
    effective = EFFECTIVE - {"preview", "strict"} if is_pipe else EFFECTIVE
    for name, option in declared_options(RunSettings).items():
        if name not in effective and getattr(settings, name) != option.default:
            raise UsageError(
                f"{option.flags[0]} has no effect on a film on a pipe; leave it out, and set it in "
                f"the program that reads the pipe"
            )


def _open_frames(
    settings: RunSettings, standard_input: StandardInput | None
) -> tuple[Y4mReader | VideoDecoder, SourceInfo, list[str]]:
    """Returns the frames, their properties and the tags of a pipe. Raises ProcessingError."""
    if standard_input is not None:
        reader = Y4mReader(standard_input, settings.max_pixels)
        return reader, reader.source, reader.tags
    path = Path(settings.sources[0])
    if not path.is_file():
        raise UsageError(f"{path}: is not a film; with --output -, name one film, or - for a pipe")
    source = probe(path, settings.max_pixels, settings.memory)
    own = source.frame_format
    opaque = replace(own, pixel_format=name_pixel_format(own.chroma, own.bits))
    source = replace(source, frame_format=opaque)
    decoder = VideoDecoder(source, strict=settings.strict, preview=settings.preview)
    return decoder, source, []


def _size_as_written(source: SourceInfo, settings: RunSettings) -> tuple[int, int]:
    """Width and height of the result; a comparison has two pictures side by side."""
    size, is_turned = (source.width, source.height), source.frame_format.rotation % 180
    if not settings.compare:
        return size
    return (size[0], 2 * size[1]) if is_turned else (2 * size[0], size[1])


def _note_source(report: Report, source: SourceInfo, notes: list[str], *, is_file: bool) -> None:
    """Notes what of a film is not in its frames, and what its decoder reports."""
    if is_file:
        report.note(PICTURE_ONLY)
    if source.frame_format.rotation:
        report.note(
            f"players rotate this film by {source.frame_format.rotation} degrees, which a pipe "
            f"cannot state: its frames are written as they are stored"
        )
    for note in dict.fromkeys([*source.notes, *notes]):
        report.note(note)


def _make_interrupt(film: PipedFilm, report: Report) -> Interrupt:
    def interrupt(code: ExitCode) -> None:
        report.exit_code = code
        report.message = "stopped; a film on a pipe cannot be resumed"
        film.stop.draining.set()

    return interrupt
