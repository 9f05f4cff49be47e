"""`batchcolor run SOURCE...`: colour files, folders, globs, films."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from batchcolor.cli import common_options as options
from batchcolor.cli.console import only_json, print_json, say, screen, table
from batchcolor.hooks.types import DEFAULT_MODEL

if TYPE_CHECKING:
    from batchcolor.hooks.manager import Plugins
    from batchcolor.pipeline.settings import RunSettings


def run(
    sources: Annotated[
        list[str], typer.Argument(help="Folders, files or globs.", metavar="SOURCE")
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="The colorizer.")] = DEFAULT_MODEL,
    output: options.Output = None,
    strength: options.Strength = 1.0,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="jpeg, png, webp, tiff or bmp; mp4, mkv, mov or gif for films (default: its own).",
        ),
    ] = None,
    quality: Annotated[
        int | None, typer.Option(help="1 to 100, for JPEG (default 96) and WebP (default 95).")
    ] = None,
    codec: Annotated[
        str,
        typer.Option(help="For films: h264, h265, av1, prores, ffv1, gif, h264_nvenc, hevc_nvenc."),
    ] = "h264",
    crf: Annotated[
        int | None,
        typer.Option(
            help="For films: quality, lower is better (h264 18, h265 20, av1 28, nvenc 19, 22)."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="For films: the encoder's speed (medium; av1: 8; nvenc: p5).")
    ] = None,
    bit_depth: Annotated[
        int | None, typer.Option(help="For films: 8 or 10 (default: the film's own).")
    ] = None,
    stabilize: Annotated[
        Literal["off", "fast", "best"],
        typer.Option(help="For films: colours that do not flicker; best looks ahead as well."),
    ] = "fast",
    every: Annotated[
        int,
        typer.Option(help="For films: only every N-th frame of a shot goes to the model."),
    ] = 1,
    preview: Annotated[
        str | None,
        typer.Option(help="For films: only so much of their beginning, as 10s or 2m."),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="For films: the grey source at the left of the result."),
    ] = False,
    frames: Annotated[
        bool,
        typer.Option("--frames", help="Sources are folders of numbered frames: a film of each."),
    ] = False,
    fps: Annotated[
        str | None,
        typer.Option(help="With --frames: frames a second, 24 (default), 23.976 or 30000/1001."),
    ] = None,
    to_frames: Annotated[
        bool,
        typer.Option("--to-frames", help="For films: a folder of numbered pictures of each."),
    ] = False,
    strip: Annotated[
        bool, typer.Option("--strip", help="For films: a sheet with one frame a shot beside each.")
    ] = False,
    recode_sound: Annotated[
        bool,
        typer.Option(
            "--recode-sound", help="For films: sound that their container cannot hold becomes PCM."
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail a damaged film instead of taking what is left.")
    ] = False,
    set_: options.Set = None,
    like: options.Like = None,
    weights: Annotated[
        Path | None,
        typer.Option(parser=options.named, metavar="FILE", help="Use this weights file."),
    ] = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    workers: Annotated[
        int | None, typer.Option(help="Threads that read, and as many that write (default: cores).")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option(help="Memory for pictures on their way, as 512M or 2G.")
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(help="Refuse pictures with more pixels than this.")
    ] = 400_000_000,
    if_exists: Annotated[
        Literal["skip", "overwrite", "error"], typer.Option(help="Where a result exists already.")
    ] = "skip",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed in a former run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            parser=options.named, metavar="FILE", help="Write the report as JSON into this file."
        ),
    ] = None,
    no_plugins: options.NoPlugins = False,
    as_json: options.AsJson = False,
    verbose: options.Verbose = 0,
    quiet: options.Quiet = False,
) -> int:
    """Colour files, folders (with all below them) and globs; run it again to go on."""
    from batchcolor.hooks.manager import load_plugins
    from batchcolor.hooks.options import parse_key_values
    from batchcolor.inference.load_options import LoadOptions
    from batchcolor.pipeline.settings import RunSettings, parse_memory
    from batchcolor.video.output.codecs import VideoSettings, frame_rate, parse_time

    settings = RunSettings(
        sources=tuple(sources),
        output=output,
        model=model,
        strength=strength,
        format=format,
        quality=quality,
        loading=LoadOptions(
            tuple(parse_key_values(set_ or []).items()),
            weights,
            device,
            precision,
            batch_size,
            like,
        ),
        workers=workers,
        max_memory=None if max_memory is None else parse_memory(max_memory),
        max_pixels=max_pixels,
        if_exists=if_exists,
        retry_failed=retry_failed,
        films=VideoSettings(
            *(codec, crf, preset, bit_depth, strict),
            preview=None if preview is None else parse_time(preview),
            compare=compare,
            recode_sound=recode_sound,
            fps=frame_rate(fps, frames=frames),
            to_frames=to_frames,
        ),
        stabilize=stabilize,
        every=every,
        strip=strip,
        report=report,
    )
    with only_json(as_json) as stdout:
        plugins = load_plugins(not no_plugins)
        if dry_run:
            return _preview(settings, plugins, as_json, stdout)

        from batchcolor.cli.run_display import RunView
        from batchcolor.pipeline.job import run as run_job

        with RunView(verbose=verbose, quiet=quiet) as view:
            result = run_job(settings, plugins, view.watch)
        view.summary(result, plugins)
        if report is not None:
            _write_report(report, result.as_json())
        if as_json:
            print_json(result.as_json(), stdout)
    return result.exit_code


def _preview(settings: RunSettings, plugins: Plugins, as_json: bool, stdout: TextIO) -> int:
    from batchcolor.images.scan import SkippedEntry
    from batchcolor.pipeline.job import preview

    plan, tasks = preview(settings, plugins)
    rows: list[tuple[object, ...]] = []
    passed: list[tuple[object, ...]] = []
    for task in tasks:
        if isinstance(task, SkippedEntry):
            passed.append((task.path, task.reason))
        else:
            rows.append((task.found.path, task.target, task.action, task.reason))
    if as_json:
        document = [
            dict(zip(("source", "target", "action", "reason"), map(str, row), strict=True))
            for row in rows
        ]
        over = [{"source": str(path), "reason": reason} for path, reason in passed]
        content = {"output": str(plan.output), "planned": document, "passed_over": over}
        print_json(content, stdout)
    else:
        console = screen(stderr=False)
        console.print(table("source", "target", "action", "why", rows=rows))
        if passed:
            console.print(table("passed over", "reason", rows=passed))
        taken = sum(action == "colour" for _, _, action, _ in rows)
        say(
            console,
            f"{taken} of {len(rows)} pictures and films would be tried; nothing was read beyond "
            f"their beginnings, nothing was written (--dry-run)",
        )
    return 0


def _write_report(path: Path, document: dict[str, object]) -> None:
    from batchcolor.errors import OutputError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"the report {path} cannot be written ({error.strerror})") from error
