"""Where a shot of a film ends and the next begins, told from luma alone."""

from __future__ import annotations

from batchcolor.films.motion import Match

UNLIKE = 0.65
"""Correlation of two frames, below which they may belong to two shots."""
UNTRUSTED = 0.65
"""Mean trust in the motion between them, below which they do: a fast pan can still be followed."""
STRANGE = 0.2
"""Correlation at which they do in any case: out of black, into black."""


def is_cut(match: Match) -> bool:
    """Whether a frame begins a new shot.

    Correlation and trust know nothing of brightness and contrast of the whole frame, so neither
    flicker of exposure nor a flash is a cut.
    """
    unlike = match.likeness < UNLIKE and float(match.trust.mean()) < UNTRUSTED
    return unlike or match.likeness < STRANGE
