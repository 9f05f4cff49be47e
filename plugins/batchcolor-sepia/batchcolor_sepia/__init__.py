"""Darkroom toners for batchcolor: sepia, cyanotype, selenium and hand-tint; no network.

Each toner has a dataclass of its `--set` options here, and a function of luma in
`batchcolor_sepia.toners`, which is imported when a toner is built: listing the models must not
import torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from batchcolor import ALGORITHMICALLY_ENHANCED, Colorizer, ColorizerSpec, hookimpl


def float_option(default: float, low: float, high: float, text: str) -> Any:
    """Returns a float option with its range and help text."""
    return field(default=default, metadata={"help": text, "ge": low, "le": high})


@dataclass(frozen=True)
class SepiaOptions:
    """Sulphide toning: bleached silver turns brown, highlights first."""

    depth: float = float_option(
        0.7, 0, 1, "depth of the bleach: highlights first, then also the shadows"
    )
    tint: float = float_option(0.0, -1, 1, "yellow-brown at -1, red-brown at 1")
    highlight: float = float_option(0.4, 0, 1, "cream colour of the paper in the whites")


@dataclass(frozen=True)
class CyanotypeOptions:
    """Iron print: Prussian blue on white paper."""

    depth: float = float_option(0.7, 0, 1, "strength of the blue")
    tint: Literal["prussian", "washed", "tea"] = field(
        default="prussian",
        metadata={
            "help": "prussian: deep blue; washed: bleached by soda, greenish; "
            "tea: toned with tannin, blue-black on ochre paper"
        },
    )
    highlight: float = float_option(0.2, 0, 1, "stain of the sheet in the whites")


@dataclass(frozen=True)
class SeleniumOptions:
    """Selenium toning: shadows turn first, whites are unchanged."""

    depth: float = float_option(0.6, 0, 1, "strength of the bath")
    tint: float = float_option(0.0, -1, 1, "cool violet at -1, aubergine at 0, red-brown at 1")
    highlight: float = float_option(0.3, 0, 1, "brightest tones that are toned")


@dataclass(frozen=True)
class HandTintOptions:
    """Washes by position and tone, as on postcards of 1900; objects are not recognized."""

    sky: float = float_option(0.6, 0, 1, "pale blue on bright, smooth areas near the top")
    foliage: float = float_option(0.6, 0, 1, "olive on dark to medium, textured areas")
    skin: float = float_option(0.6, 0, 1, "peach on medium tones near the centre")
    wash: float = float_option(0.03, 0, 0.2, "width of the brush, as a share of the picture")


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
    """Returns the four toners."""
    rows: list[tuple[str, str, Any, type[Any]]] = [
        ("sepia", "warm brown on cream paper; a sulphide toner", _sepia, SepiaOptions),
        ("cyanotype", "Prussian blue; an iron print", _cyanotype, CyanotypeOptions),
        (
            "selenium",
            "aubergine shadows, clean whites; a selenium toner",
            _selenium,
            SeleniumOptions,
        ),
        (
            "hand-tint",
            "pale washes of sky blue, olive and peach by position and tone",
            _hand_tint,
            HandTintOptions,
        ),
    ]
    return [
        ColorizerSpec(
            name=name,
            summary=summary,
            working_size=512,
            build=build,
            options=options,
            licence="Apache-2.0",
            digital_source_type=ALGORITHMICALLY_ENHANCED,
        )
        for name, summary, build, options in rows
    ]
