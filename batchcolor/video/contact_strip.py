"""A contact strip of a film: one frame of each shot, with its time, on one sheet."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from batchcolor.errors import ProcessingError
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.planes import frame_luma
from batchcolor.video.probe import probe
from batchcolor.video.temporal.motion import SIDE
from batchcolor.video.temporal.shots import ShotTracker

WIDTH = 240
"""Pixels across of one frame on the sheet."""
COLUMNS = 6
MARGIN, CAPTION = 6, 16
INTO = 12
"""The frame of a shot that is shown, counted from its cut: past a blurred first one."""
MOST = 240
"""ShotTracker on a sheet; of a film with more, every second one, and so on."""


def render_contact_strip(path: Path, max_pixels: int) -> bytes:
    """The contact strip of a film, as JPEG. Raises ProcessingError."""
    shots: list[tuple[float, Image.Image]] = []
    film = probe(path, max_pixels)
    places = ShotTracker()
    since, every, number = 0, 1, -1
    for frame in VideoDecoder(film, strict=False):
        begins = places.follow(frame_luma(frame, film, SIDE)).begins
        number += begins
        since = 0 if begins else since + 1
        if number % every or since > INTO or (since and since < INTO):
            continue
        # The first frame stands for its shot until a better one comes.
        height = max(2, round(frame.height * WIDTH / frame.width / 2) * 2)
        small = frame.reformat(width=WIDTH, height=height, format="rgb24").to_ndarray()
        upright = np.rot90(small, film.rotation // 90).astype(np.uint8)
        shown = (float(frame.time or 0), Image.fromarray(np.ascontiguousarray(upright)))
        if begins:
            shots.append(shown)
        else:
            shots[-1] = shown
        if len(shots) > MOST:
            shots, every = shots[::2], every * 2
    if not shots:
        raise ProcessingError("commit", "no frame for its strip")
    return _sheet(shots)


def _sheet(shots: list[tuple[float, Image.Image]]) -> bytes:
    width, height = shots[0][1].size
    columns = min(COLUMNS, len(shots))
    rows = -(-len(shots) // columns)
    cell = (width + MARGIN, height + CAPTION + MARGIN)
    sheet = Image.new("RGB", (columns * cell[0] + MARGIN, rows * cell[1] + MARGIN), (16, 16, 16))
    pen = ImageDraw.Draw(sheet)
    for index, (seconds, picture) in enumerate(shots):
        left = MARGIN + index % columns * cell[0]
        top = MARGIN + index // columns * cell[1]
        sheet.paste(picture, (left, top))
        time = str(timedelta(seconds=int(seconds)))
        pen.text((left, top + height + 2), time, fill=(200, 200, 200))
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=90)
    return file.getvalue()
