"""Darkroom toners for batchcolor: sepia, cyanotype, selenium and hand-tint; no network.

Each toner is a dataclass of its `--set` options here, and a function of luma in
`batchcolor_sepia.toners`, which is imported only when a toner is built: listing models
must not import torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from batchcolor import Colorizer, ColorizerSpec, hookimpl


def number(default: float, low: float, high: float, text: str) -> Any:
    """A float option with its range and help text."""
    return field(default=default, metadata={"help": text, "ge": low, "le": high})


@dataclass(frozen=True)
class SepiaOptions:
    """Sulphide toning: silver bleached and turned brown, highlights first."""

    depth: float = number(0.7, 0, 1, "how far the bleach went: lights first, then the shadows too")
    tint: float = number(0.0, -1, 1, "yellow-brown at -1, red-brown at 1")
    highlight: float = number(0.4, 0, 1, "how much the cream of the paper shows in the whites")


@dataclass(frozen=True)
class CyanotypeOptions:
    """Iron print: Prussian blue on white paper."""

    depth: float = number(0.7, 0, 1, "strength of the blue")
    tint: Literal["prussian", "washed", "tea"] = field(
        default="prussian",
        metadata={
            "help": "prussian: deep blue; washed: bleached by soda, greenish; "
            "tea: toned with tannin, blue-black on ochre paper"
        },
    )
    highlight: float = number(0.2, 0, 1, "how much the sheet is stained in the whites")


@dataclass(frozen=True)
class SeleniumOptions:
    """Selenium toning: shadows turn first, the whites stay as they are."""

    depth: float = number(0.6, 0, 1, "strength of the bath")
    tint: float = number(0.0, -1, 1, "cool violet at -1, aubergine at 0, red-brown at 1")
    highlight: float = number(0.3, 0, 1, "how far up from the shadows the tone reaches")


@dataclass(frozen=True)
class HandTintOptions:
    """Washes by place and tone, as on postcards of 1900; it knows nothing of the picture."""

    sky: float = number(0.6, 0, 1, "pale blue on what is bright, smooth and high up")
    foliage: float = number(0.6, 0, 1, "olive on what is dark to middling and textured")
    skin: float = number(0.6, 0, 1, "peach on middle lights away from the edge")
    wash: float = number(0.03, 0, 0.2, "width of the brush, as a share of the picture")


def _sepia(options: SepiaOptions) -> Colorizer:
    from batchcolor_sepia.toners import sepia

    return lambda luma: sepia(luma, options)


def _cyanotype(options: CyanotypeOptions) -> Colorizer:
    from batchcolor_sepia.toners import cyanotype

    return lambda luma: cyanotype(luma, options)


def _selenium(options: SeleniumOptions) -> Colorizer:
    from batchcolor_sepia.toners import selenium

    return lambda luma: selenium(luma, options)


def _hand_tint(options: HandTintOptions) -> Colorizer:
    from batchcolor_sepia.toners import hand_tint

    return lambda luma: hand_tint(luma, options)


@hookimpl
def batchcolor_colorizers() -> Iterable[ColorizerSpec]:
    """The four toners."""
    rows: list[tuple[str, str, Any, type[Any]]] = [
        ("sepia", "sulphide toner: warm brown, cream paper", _sepia, SepiaOptions),
        ("cyanotype", "iron print: Prussian blue", _cyanotype, CyanotypeOptions),
        ("selenium", "selenium toner: aubergine shadows, clean whites", _selenium, SeleniumOptions),
        ("hand-tint", "pale washes by place and tone", _hand_tint, HandTintOptions),
    ]
    return [
        ColorizerSpec(
            name=name,
            summary=summary,
            working_size=512,
            build=build,
            options=options,
            licence="Apache-2.0",
        )
        for name, summary, build, options in rows
    ]
