"""Parameters of encoders that write static HDR metadata into the bitstream."""

from __future__ import annotations

from fractions import Fraction

from batchcolor.video.frame_metadata import HdrMetadata

ORDER = (2, 4, 0, 6)
"""Places of G, B, R and white in `HdrMetadata.mastering`, in the order of the parameters."""
NAMES = ("G", "B", "R", "WP")
PRIMARY_UNIT, LUMINANCE_UNIT = 50000, 10000
"""Units of chromaticity and of cd/m2 in the messages of H.264 and H.265."""
HDR_PARAMETERS = {
    # encoder: its option, and the names of its parameters
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}


def list_hdr_parameters(encoder: str, metadata: HdrMetadata) -> dict[str, list[str]]:
    """Returns the parameters of an encoder, by the option that takes them."""
    names = HDR_PARAMETERS.get(encoder)
    if names is None:
        return {}
    option, mastering, light_level = names
    parameters = []
    if metadata.mastering:
        parameters.append(f"{mastering}={_format_mastering(encoder, metadata.mastering)}")
    if metadata.light_level:
        parameters.append(f"{light_level}={','.join(map(str, metadata.light_level))}")
    return {option: parameters} if parameters else {}


def _format_mastering(encoder: str, numbers: tuple[Fraction, ...]) -> str:
    """Returns primaries, white and luminance, as integers of their units or, for AV1, decimals."""
    is_decimal = encoder == "libsvtav1"
    units = (*(PRIMARY_UNIT,) * 8, LUMINANCE_UNIT, LUMINANCE_UNIT)
    texts = [
        f"{float(number):.5f}" if is_decimal else str(round(number * unit))
        for number, unit in zip(numbers, units, strict=True)
    ]
    points = [
        f"{name}({texts[place]},{texts[place + 1]})"
        for name, place in zip(NAMES, ORDER, strict=True)
    ]
    lowest, highest = texts[8:10]
    return f"{''.join(points)}L({highest},{lowest})"
