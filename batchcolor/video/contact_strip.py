"""Contact strip of a film: one frame of each shot, with its time, on one sheet."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from batchcolor.errors import ProcessingError
from batchcolor.images.picture import RgbArray
from batchcolor.images.sheets.contact_sheet import (
    SheetCell,
    SheetColumn,
    SheetRow,
    SheetSection,
    layout_sheet,
)
from batchcolor.images.sheets.sheet_page import DARK, encode_page
from batchcolor.video.color_conversion import to_upright_rgb
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.planes import read_luma
from batchcolor.video.probe import probe
from batchcolor.video.temporal.motion import SIDE
from batchcolor.video.temporal.shots import PREFERRED_FRAME, ShotTracker

FRAME_WIDTH = 240
"""Width of one frame on the sheet, in pixels."""
COLUMNS = 6
MAX_SHOTS = 240
"""Shots on a sheet; of a longer film every second shot is shown, then every fourth, and so on."""


def render_contact_strip(path: Path, max_pixels: int) -> bytes:
    """Renders the contact strip of a film as a JPEG. Raises ProcessingError."""
    shots: list[tuple[float, RgbArray]] = []
    film = probe(path, max_pixels)
    tracker = ShotTracker()
    frame_in_shot, interval, shot = 0, 1, -1
    for frame in VideoDecoder(film, strict=False):
        is_shot_start = tracker.track(read_luma(frame, film.frame_format, SIDE)).is_shot_start
        shot += is_shot_start
        frame_in_shot = 0 if is_shot_start else frame_in_shot + 1
        if shot % interval or frame_in_shot not in (0, PREFERRED_FRAME):
            continue
        picture = to_upright_rgb(frame, film.frame_format, FRAME_WIDTH)
        if is_shot_start:
            shots.append((float(frame.time or 0), picture))
        else:
            shots[-1] = (float(frame.time or 0), picture)
        if len(shots) > MAX_SHOTS:
            shots, interval = shots[::2], interval * 2
    if not shots:
        raise ProcessingError("commit", "no frame for the contact strip")
    return _render_sheet(shots, path.name)


def _render_sheet(shots: list[tuple[float, RgbArray]], title: str) -> bytes:
    """Returns the shots, each with the time of its frame below it, as a JPEG."""
    cells = [
        SheetCell(picture, caption=str(timedelta(seconds=int(seconds))))
        for seconds, picture in shots
    ]
    columns = min(COLUMNS, len(cells))
    rows = [SheetRow(tuple(cells[i : i + columns])) for i in range(0, len(cells), columns)]
    section = SheetSection((SheetColumn(),) * columns, tuple(rows))
    (page,) = layout_sheet([section], FRAME_WIDTH, title=title, theme=DARK)
    return encode_page(page, "JPEG")
