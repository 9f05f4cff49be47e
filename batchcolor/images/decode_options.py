"""What the user decides about decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Luma = Literal["auto", "exact"]
"""`auto`: coded luma is copied of grey JPEG; `exact`: also of JPEG with three components."""
OutputProfile = Literal["keep", "srgb", "display-p3", "adobe-rgb"]
"""`keep`: the source's own RGB profile; sRGB for sources whose profile is not RGB."""


@dataclass(frozen=True)
class DecodeOptions:
    """Options of `run` that decoding depends on."""

    profile: OutputProfile = "keep"
    """The RGB space of the result."""
    embeds_profile: bool = True
    """Whether the result can hold a profile. Without one it is sRGB, whatever `profile` is."""
    page: int | None = None
    """The page of a TIFF, from 0. None: the first one, with a note if there are others."""
    page_offset: int | None = None
    """The position of that page's directory, where it is known: the other pages are not listed."""
    luma: Luma = "auto"
    """Which coded luma of JPEG is copied, where the result is a JPEG."""
    recolors: bool = True
    """Whether pictures that are in colour already are coloured."""
    salvage: bool = False
    """Colour what a damaged file still gives, with a note, instead of failing it."""


DEFAULT_OPTIONS = DecodeOptions()
