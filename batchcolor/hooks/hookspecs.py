"""Every hook that batchcolor calls, on one page.

Register an implementation with `@batchcolor.hookimpl` in a module that the entry-point
group `batchcolor` names. All hooks are called in the process of the job. A hook that raises
is named with its package and version and skipped; nothing else breaks.
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
    """Give colorizers.

    When: once, when a command first needs the list of models (`models`, `run`, `train`).
    May: return any number of specs; must not import torch (do that in the spec's `build`).
    Errors: an exception costs this plugin's colorizers; two plugins with one name cost that name.
    """


@hookspec
def batchcolor_readers() -> Iterable[Reader]:  # type: ignore[empty-body]
    """Give readers of more still formats.

    When: once, before a job scans its sources.
    May: add formats; a file is asked of the built-in readers first.
    Errors: an exception in `sniff` or `decode` costs that picture only, which is named.
    """


@hookspec
def batchcolor_commands(app: typer.Typer) -> None:
    """Add sub-commands to the typer app.

    When: at every start of the command, before the arguments are read.
    May: call `app.command()`; must be quick and must not import torch.
    Errors: an exception costs the plugin's commands.
    """


@hookspec
def batchcolor_chroma(
    chroma: NDArray[np.float32], luma: NDArray[np.float32], picture: PictureInfo
) -> NDArray[np.float32] | None:
    """Filter the small chroma field of one picture.

    When: after the colorizer and its guard, before chroma is joined to the full luma; once a
    picture, in registration order, each plugin seeing what the one before it returned.
    May: return a new `(2, s, s)` field, Cb and Cr in -0.5..0.5, or None to leave it; `luma` is
    the `(S, S)` square in 0..1, `picture` has `path`, `width` and `height`.
    Errors: an exception or a field of wrong shape, NaN or out of range costs that picture.
    """


@hookspec
def batchcolor_done(outcome: Outcome) -> None:
    """Be told of every finished picture: done, skipped or failed.

    When: after its line is in the journal; one call at a time, in the order of finishing.
    May: look; what it returns is ignored.
    Errors: an exception is named once; the job goes on.
    """
