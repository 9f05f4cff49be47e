"""Gives a shot the palette of a reference picture, or of the shots before it.

The moments of chroma are those of the shot, not of single frames, so a frame whose content differs
keeps its difference. A reference that shows the shot itself, as a coloured frame of it does, also
gives its colours directly where its luma matches that of a frame; they are propagated along motion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchcolor.images.chroma_moments import Moments, MomentTransfer, measure_moments
from batchcolor.video.temporal.motion import Field, match_frames
from batchcolor.video.temporal.scenes import MIN_CORRELATION, compute_signature

Arrays = dict[str, NDArray[Any]]

MEASURED_FRAMES = 8
"""Frames of a shot of which the moments are measured."""
MIN_CONFIDENCE = np.float32(0.3)
"""Confidence of the match below which a sample does not get the colour of the reference."""
REFERENCE_WEIGHT = np.float32(20.0)
"""Frames that a colour of the reference counts for in the mean along motion."""
LOCK_STRENGTH = 0.75
"""Share of the transfer to the palette of the film."""
MIN_LUMA_STD = 0.05
"""Standard deviation of luma below which a shot is taken for a title or black leader."""


@dataclass(frozen=True)
class ShotReference:
    """A reference: moments `(bands, 6)`, luma `(SIDE, SIDE)` and chroma `(2, SIDE, SIDE)`."""

    moments: Moments
    guide: Field
    chroma: Field
    note: str = ""
    """What is reported about the shot; empty where one reference holds for all."""


@dataclass(frozen=True)
class ShotPalette:
    """How the chroma of the frames of one shot is changed; the default changes nothing."""

    transfer: MomentTransfer | None = None
    reference: ShotReference | None = None
    """A reference that shows the shot itself."""

    def apply(self, guide: Field, chroma: Field) -> tuple[Field, Field | None]:
        """Returns the chroma of a frame and its weight `(SIDE, SIDE)`; None for a weight of 1."""
        if self.transfer is not None:
            chroma = self.transfer.apply(guide, chroma)
        if self.reference is None:
            return chroma, None
        match = match_frames(self.reference.guide, guide)
        share = np.where(match.confidence < MIN_CONFIDENCE, 0, match.confidence).astype(np.float32)
        seen = self.reference.chroma[:, match.rows, match.columns]
        return chroma + share * (seen - chroma), 1 + REFERENCE_WEIGHT * share

    def state(self) -> Arrays:
        """Returns the palette as arrays."""
        arrays: Arrays = {}
        if self.transfer is not None:
            arrays |= {"source": self.transfer.source, "target": self.transfer.target}
            arrays["strength"] = np.array(self.transfer.strength)
        if self.reference is not None:
            arrays |= {"guide": self.reference.guide, "chroma": self.reference.chroma}
        return arrays

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> ShotPalette:
        """Returns the palette of a `state`."""
        transfer = reference = None
        if "source" in arrays:
            strength = float(arrays["strength"])
            transfer = MomentTransfer(arrays["source"], arrays["target"], strength)
            if "guide" in arrays:
                reference = ShotReference(arrays["target"], arrays["guide"], arrays["chroma"])
        return cls(transfer, reference)


def measure_shot(guides: Sequence[Field], fields: Sequence[Field]) -> Moments:
    """Returns the moments of a shot from luma and chroma of its first frames."""
    count = min(MEASURED_FRAMES, len(guides))
    picked = [round(index) for index in np.linspace(0, len(guides) - 1, count)]
    luma = np.concatenate([guides[index].ravel() for index in picked])
    chroma = np.concatenate([fields[index].reshape(2, -1) for index in picked], axis=1)
    return measure_moments(luma, chroma)


def adopt_reference(
    guides: Sequence[Field], fields: Sequence[Field], reference: ShotReference, strength: float
) -> ShotPalette:
    """Returns the palette of a shot, from its first frames, that a reference gives it."""
    transfer = MomentTransfer(measure_shot(guides, fields), reference.moments, strength)
    signature = compute_signature(reference.guide)
    correlation = max(float(signature @ compute_signature(guide)) for guide in guides)
    return ShotPalette(transfer, reference if correlation >= MIN_CORRELATION else None)


@dataclass(frozen=True)
class FilmPalette:
    """The moments to which all shots of a film are held: those of its first shot with content."""

    moments: Moments | None = None

    def hold(
        self, guides: Sequence[Field], fields: Sequence[Field]
    ) -> tuple[FilmPalette, ShotPalette]:
        """Returns the palette with a new shot, and how the shot is changed."""
        if max(float(guide.std()) for guide in guides) < MIN_LUMA_STD:
            return self, ShotPalette()
        own = measure_shot(guides, fields)
        if self.moments is None:
            return FilmPalette(own), ShotPalette()
        return self, ShotPalette(MomentTransfer(own, self.moments, LOCK_STRENGTH))
