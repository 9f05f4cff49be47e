"""One HTML file with a before/after slider a picture; nothing outside of it is needed."""

from __future__ import annotations

import base64
import html as markup
import io
import re
from collections.abc import Sequence
from importlib import resources

from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.comparison.panels import ComparisonRow
from batchcolor.evaluation.inference import RGB

QUALITY = 84
NARROWEST, WIDEST = 0.5, 3.0
"""Width by height of a slider; stranger pictures lie within it."""
TIMES = "\N{MULTIPLICATION SIGN}"


def render_html(rows: Sequence[ComparisonRow], title: str = "") -> bytes:
    """The page as UTF-8. Names and reasons are text, whatever they contain."""
    models = list(dict.fromkeys(model for row in rows for model, _ in row.outputs))
    strengths = sorted({strength for row in rows for _, strength in row.outputs})
    middle = min(strengths, key=lambda strength: abs(strength - 1), default=1.0)
    parts = {
        "title": markup.escape(title or f"Compared: {', '.join(models) or 'nothing'}"),
        "controls": _controls(models, strengths, middle, any(r.true is not None for r in rows)),
        "pictures": "\n".join(_picture(row, models[0] if models else "", middle) for row in rows),
    }
    template = (resources.files(__package__) / "page.html").read_text("utf-8")
    # In one pass, so that a name that looks like a place in the template stays a name.
    filled = re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)
    return filled.encode()


def _controls(models: list[str], strengths: list[float], middle: float, truth: bool) -> str:
    groups = [
        ("model", "Model", [(name, name) for name in models], models[0] if models else ""),
        ("strength", "Strength", [(f"{s:g}", f"{s:g}") for s in strengths], f"{middle:g}"),
        ("left", "Left side", [("grey", "grey"), *([("true", "true")] if truth else [])], "grey"),
    ]
    made = [_choice(*group) for group in groups if len(group[2]) > 1]
    return f'<form class="controls" autocomplete="off">{"".join(made)}</form>' if made else ""


def _choice(name: str, label: str, options: list[tuple[str, str]], chosen: str) -> str:
    buttons = "".join(
        f'<label><input type="radio" name="{name}" value="{markup.escape(value)}"'
        f"{' checked' if value == chosen else ''}><span>{markup.escape(text)}</span></label>"
        for value, text in options
    )
    return f"<fieldset><legend>{label}</legend><div>{buttons}</div></fieldset>"


def _picture(row: ComparisonRow, model: str, strength: float) -> str:
    name = markup.escape(row.name)
    if row.grey is None:
        return (
            f'<figure class="broken"><p class="reason"><b>no result</b> '
            f"{markup.escape(row.failure)}</p>"
            f"<figcaption><bdi>{name}</bdi></figcaption></figure>"
        )
    height, width = row.grey.shape[:2]
    shape = min(max(width / height, NARROWEST), WIDEST)
    keys = list(row.outputs)
    first = min(keys, key=lambda key: (key[0] != model, abs(key[1] - strength)))
    layers = [_layer("left", "grey", "", row.grey, shown=True)]
    if row.true is not None:
        layers.append(_layer("left", "true", "", row.true, shown=False))
    for key, output in row.outputs.items():
        layers.append(_layer("right", key[0], f"{key[1]:g}", output, shown=key == first))
    return (
        f'<figure style="--shape:{shape:.4f};--most:{max(2 * width, 480)}px">'
        f'<div class="pair">{"".join(layers)}'
        f'<span class="tag before" aria-hidden="true"></span>'
        f'<span class="tag after" aria-hidden="true"></span>'
        f'<div class="handle" role="slider" tabindex="0" aria-label="{name}: before and after" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="50" aria-orientation="horizontal">'
        f"</div></div>"
        f"<figcaption><bdi>{name}</bdi> <small>{row.size[0]} {TIMES} {row.size[1]}</small>"
        f"</figcaption></figure>"
    )


def _layer(side: str, kind: str, strength: str, what: RGB | ProcessingError, *, shown: bool) -> str:
    """One of the pictures that lie above each other, or the reason why it is missing."""
    about = (
        f'class="{side}" data-kind="{markup.escape(kind)}" data-strength="{strength}"'
        f"{'' if shown else ' hidden'}"
    )
    if isinstance(what, ProcessingError):
        reason = markup.escape(what.reason)
        return f'<div {about}><p class="reason"><b>no result</b> {reason}</p></div>'
    return f'<img {about} alt="" draggable="false" src="{_embedded(what)}">'


def _embedded(rgb: RGB) -> str:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "WEBP", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
