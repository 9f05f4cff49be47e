"""Decoders of imagecodecs for compressed DICOM that pydicom does not decode by itself.

A plugin of `pydicom.pixels`: the three names without an underscore before them are its contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom import uid

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

LABEL = "batchcolor"
JPEG = (uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000)
DECODER_DEPENDENCIES = dict.fromkeys((*JPEG, *JPEG_LS, *JPEG_2000), ("imagecodecs",))


def is_available(syntax: str) -> bool:
    """Whether frames with this transfer syntax are decoded here."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(encoded: bytes, runner: DecodeRunner) -> bytes:
    """Returns the samples of a frame, interleaved. Raises what imagecodecs raises."""
    import imagecodecs

    syntax = runner.transfer_syntax
    if syntax in JPEG:
        samples: Any = imagecodecs.jpeg_decode(encoded)
    elif syntax in JPEG_LS:
        samples = imagecodecs.jpegls_decode(encoded)
    else:
        samples = imagecodecs.jpeg2k_decode(encoded)
        if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
            runner.set_option("photometric_interpretation", "RGB")
    runner.set_option("bits_allocated", 8 * samples.itemsize)
    runner.set_option("planar_configuration", 0)
    return bytes(samples.tobytes())


def register() -> None:
    """Adds these decoders to pydicom, once."""
    from pydicom.pixels.decoders import base

    for syntax in DECODER_DEPENDENCIES:
        decoder = base.get_decoder(syntax)
        if LABEL not in decoder.available_plugins:
            decoder.add_plugin(LABEL, (__name__, decode_frame.__name__))
