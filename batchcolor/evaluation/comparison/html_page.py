"""Renders a comparison as one HTML file with a before/after slider for each picture.

The file is self-contained: pictures are embedded as WebP.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from batchcolor.errors import ProcessingError
from batchcolor.evaluation.comparison.panels import ComparisonRow
from batchcolor.images.picture import RgbArray

WEBP_QUALITY = 84
MIN_ASPECT_RATIO, MAX_ASPECT_RATIO = 0.5, 3.0
"""Width by height of a slider; a narrower or wider picture is shown whole within it."""
MIN_MAX_WIDTH = 480
"""A picture is shown at up to twice its width in pixels, and a small one up to this width."""


@dataclass(frozen=True)
class ChoiceGroup:
    """Radio buttons that choose what all sliders show; `options` are values with labels."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]
    selected: str


@dataclass(frozen=True)
class SliderLayer:
    """One of the pictures that lie above each other in a slider, or the reason it is missing."""

    side: Literal["left", "right"]
    kind: str
    """`grey`, `true` or the name of a model."""
    strength: str
    description: str
    is_visible: bool
    data_uri: str = ""
    failure: str = ""


@dataclass(frozen=True)
class SliderFigure:
    """A picture with its slider and caption, or with the reason why it could not be read."""

    name: str
    size: tuple[int, int]
    aspect_ratio: float = 1.0
    max_width: int = 0
    """In CSS pixels."""
    layers: tuple[SliderLayer, ...] = ()
    failure: str = ""


def render_html(rows: Sequence[ComparisonRow], title: str = "") -> bytes:
    """Returns the page as UTF-8. Names and reasons are text, whatever they contain."""
    models = list(dict.fromkeys(model for row in rows for model, _ in row.outputs))
    strengths = sorted({strength for row in rows for _, strength in row.outputs})
    model = models[0] if models else ""
    strength = min(strengths, key=lambda value: abs(value - 1), default=1.0)
    sides = ["grey", "true"] if any(row.true is not None for row in rows) else ["grey"]
    groups = [
        _make_choice_group("model", "Model", models, model),
        _make_choice_group("strength", "Strength", [f"{s:g}" for s in strengths], f"{strength:g}"),
        _make_choice_group("left", "Left side", sides, "grey"),
    ]
    environment = Environment(
        loader=PackageLoader("batchcolor.evaluation.comparison"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("comparison.html").render(
        title=title or f"Compared: {', '.join(models) or 'nothing'}",
        groups=[group for group in groups if len(group.options) > 1],
        figures=[_make_figure(row, model, strength) for row in rows],
    )
    return page.encode()


def _make_choice_group(name: str, label: str, values: Sequence[str], selected: str) -> ChoiceGroup:
    return ChoiceGroup(name, label, tuple((value, value) for value in values), selected)


def _make_figure(row: ComparisonRow, model: str, strength: float) -> SliderFigure:
    """Returns a picture's figure; of its results, the one nearest to `strength` is visible."""
    if row.grey is None:
        return SliderFigure(row.name, row.size, failure=row.failure)
    height, width = row.grey.shape[:2]
    layers = [_make_layer(row.name, "left", "grey", None, row.grey, is_visible=True)]
    if row.true is not None:
        layers.append(_make_layer(row.name, "left", "true", None, row.true, is_visible=False))
    visible = min(
        row.outputs, key=lambda key: (key[0] != model, abs(key[1] - strength)), default=None
    )
    for key, output in row.outputs.items():
        layers.append(_make_layer(row.name, "right", *key, output, is_visible=key == visible))
    return SliderFigure(
        name=row.name,
        size=row.size,
        aspect_ratio=min(max(width / height, MIN_ASPECT_RATIO), MAX_ASPECT_RATIO),
        max_width=max(2 * width, MIN_MAX_WIDTH),
        layers=tuple(layers),
    )


def _make_layer(
    name: str,
    side: Literal["left", "right"],
    kind: str,
    strength: float | None,
    content: RgbArray | ProcessingError,
    *,
    is_visible: bool,
) -> SliderLayer:
    if strength is None:
        description = {"grey": f"{name} in grey", "true": f"{name} in its true colours"}[kind]
        shown_strength = ""
    else:
        description = f"{name} coloured by {kind}, strength {strength:g}"
        shown_strength = f"{strength:g}"
    common = (side, kind, shown_strength, description, is_visible)
    if isinstance(content, ProcessingError):
        return SliderLayer(*common, failure=content.reason)
    return SliderLayer(*common, data_uri=_encode_data_uri(content))


def _encode_data_uri(rgb: RgbArray) -> str:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "WEBP", quality=WEBP_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
