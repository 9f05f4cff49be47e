"""Every hook that batchcolor calls, on one page.

Register an implementation with `@batchcolor.hookimpl` in a module that the entry-point group
`batchcolor` names. Hooks run in the process of the job, in pluggy's order: the plugin that is
registered last is called first, `tryfirst`, `trylast`, `wrapper` and `hookwrapper` work as
pluggy documents them. An implementation that raises is reported with its package, version and
error, and costs only what its hook names below under "Errors".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from batchcolor.hooks.types import ColorizerSpec, Outcome, PictureInfo, Reader

if TYPE_CHECKING:
    import numpy as np
    import typer
    from numpy.typing import NDArray

hookspec = pluggy.HookspecMarker("batchcolor")
hookimpl = pluggy.HookimplMarker("batchcolor")


@hookspec
def batchcolor_colorizers() -> Iterable[ColorizerSpec]:  # type: ignore[empty-body]
    """Return colorizers.

    When: once a process, when a command first needs the models (`models`, `run`, `train`).
    May: return any number of specs; must not import torch (import it in the spec's `build`).
    Errors: an exception costs this plugin's colorizers, a wrong spec costs only itself. A
    built-in model keeps its name; a name of two plugins is refused for both.
    """


@hookspec
def batchcolor_readers() -> Iterable[Reader]:  # type: ignore[empty-body]
    """Return readers of more still formats.

    When: once a process, before a job scans its sources.
    May: add formats; the built-in readers are asked first.
    Errors: an exception in `decode`, or a wrong result of it, fails that picture only.
    """


@hookspec
def batchcolor_commands(app: typer.Typer) -> None:
    """Add sub-commands to the typer app.

    When: at every start of the command, before the arguments are parsed (not for `--version`).
    May: call `app.command()`; must be fast and must not import torch.
    Errors: an exception costs the plugin's commands.
    """


@hookspec
def batchcolor_chroma(
    chroma: NDArray[np.float32], luma: NDArray[np.float32], picture: PictureInfo
) -> NDArray[np.float32] | None:
    """Filter the chroma field of one picture or frame.

    When: after the colorizer and its validation, before chroma is joined to the full luma, in
    several threads. Each filter gets a copy of the field that the one before returned.
    May: return a new `(2, s, s)` field, Cb and Cr in -0.5..0.5, or None to keep it. `luma` is
    the `(S, S)` square in 0..1. A wrapper gets the list of the returned fields; the last field
    of the list that it returns is used.
    Errors: an exception, a wrong shape, NaN or a value out of range fails that picture.
    """


@hookspec
def batchcolor_done(outcome: Outcome) -> None:
    """Get the result of every picture: done, skipped or failed.

    When: after its line is in the journal; one call at a time, in the order of completion.
    May: read it; what the hook returns is ignored.
    Errors: the first exception is reported; the job continues.
    """
