"""Signs results with C2PA Content Credentials, by c2pa-python (C2PA specification 2.x).

A manifest says that the scan was opened (`c2pa.opened`, the scan as parent ingredient) and that its
colours were computed (`c2pa.edited`, with the digital source type). It is added to the encoded
file; samples are not touched. Signed files differ each time: each manifest has a name of its own.
"""

from __future__ import annotations

import importlib.util
import io
import json
import threading
from pathlib import Path
from typing import Any, BinaryIO

from batchcolor.errors import ProcessingError, UsageError
from batchcolor.images.formats import Format
from batchcolor.images.provenance_marks.provenance import SOFTWARE_NAME, Provenance
from batchcolor.version import __version__

MIME_TYPES = {
    **{"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "tiff": "image/tiff"},
    **{"avif": "image/avif", "heif": "image/heic", "gif": "image/gif", "jxl": "image/jxl"},
    **{"apng": "image/png", "awebp": "image/webp"},
    **{"mp4": "video/mp4", "mov": "video/quicktime"},
}
"""Types that c2pa-python reads and writes, by the name of the format."""
UNKNOWN_TYPE = "application/octet-stream"
"""Type of a source that c2pa-python does not read: the manifest has its name and digest."""
SETTINGS = {"builder": {"thumbnail": {"enabled": False}}}
"""A thumbnail of the grey scan in each result would be shown in place of it."""
PARENT = "scan"
"""Label of the parent ingredient, by which the action refers to it."""
GENERATOR = {"name": SOFTWARE_NAME, "version": __version__}


class ContentCredentials:
    """A certificate chain and its private key, for any number of files. Thread-safe."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises UsageError for files that cannot be read or do not fit."""
        if importlib.util.find_spec("c2pa") is None:
            raise UsageError("--c2pa needs one more package: pip install 'batchcolor[c2pa]'")
        import c2pa

        self._library: Any = c2pa
        self._lock = threading.Lock()
        chain, private_key = _read(certificate), _read(key)
        try:
            algorithm = _find_algorithm(private_key)
            info = c2pa.C2paSignerInfo(algorithm, chain, private_key, None)
            self._signer: Any = c2pa.Signer.from_info(info)
            self._context: Any = c2pa.Context.from_dict(SETTINGS)
            self._try_out()
        except (ValueError, TypeError, c2pa.C2paError) as error:
            raise UsageError(f"--c2pa {certificate} {key}: cannot sign ({error})") from error

    def sign(self, data: bytes, target: Format, source: Path, provenance: Provenance) -> bytes:
        """Returns the encoded file with a manifest. Raises ProcessingError."""
        result = io.BytesIO()
        self._sign_stream(io.BytesIO(data), result, target, source, provenance)
        return result.getvalue()

    def sign_file(
        self, unsigned: Path, signed: Path, target: Format, source: Path, provenance: Provenance
    ) -> None:
        """Writes a file with a manifest as `signed`, which exists. Raises ProcessingError, OSError.

        Files may be larger than the memory.
        """
        with unsigned.open("rb") as data, signed.open("w+b") as result:
            self._sign_stream(data, result, target, source, provenance)

    def _sign_stream(
        self,
        data: BinaryIO,
        result: BinaryIO,
        target: Format,
        source: Path,
        provenance: Provenance,
    ) -> None:
        mime_type = MIME_TYPES.get(target.name)
        if mime_type is None:
            raise ProcessingError(
                "encode", f"{target.name} cannot hold Content Credentials: choose another --format"
            )
        try:
            scan = source.open("rb")
        except OSError as error:
            reason = f"the source cannot be read any more: {error.strerror}"
            raise ProcessingError("encode", reason) from error
        with scan:
            try:
                self._sign(data, result, mime_type, source.name, scan, provenance)
            except self._library.C2paError as error:
                raise ProcessingError("encode", f"Content Credentials: {error}") from error

    def _sign(
        self,
        data: BinaryIO,
        result: BinaryIO,
        mime_type: str,
        name: str,
        scan: BinaryIO,
        provenance: Provenance,
    ) -> None:
        title = name.encode("utf-8", "backslashreplace").decode()
        manifest = {
            "claim_generator_info": [GENERATOR],
            "title": title,
            "format": mime_type,
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": _actions(provenance)}}],
        }
        ingredient = {"title": title, "relationship": "parentOf", "label": PARENT}
        with self._lock, self._library.Builder(json.dumps(manifest), self._context) as builder:
            builder.add_ingredient(json.dumps(ingredient), _find_mime_type(scan), scan)
            builder.sign(self._signer, mime_type, data, result)

    def _try_out(self) -> None:
        """Signs a picture of one pixel, so that an unsuitable certificate is known at once."""
        from PIL import Image

        picture = io.BytesIO()
        Image.new("RGB", (1, 1)).save(picture, "JPEG")
        picture.seek(0)
        trial, scan = Provenance("", "", "", "", ""), io.BytesIO(picture.getvalue())
        self._sign(picture, io.BytesIO(), "image/jpeg", "trial", scan, trial)


def _actions(provenance: Provenance) -> list[dict[str, Any]]:
    edited: dict[str, Any] = {
        "action": "c2pa.edited",
        "softwareAgent": GENERATOR,
        "description": f"Colours computed by the model {provenance.model}",
        "parameters": {f"org.{SOFTWARE_NAME}.parameters": json.dumps(provenance.parameters)},
    }
    if provenance.digital_source_type:
        edited["digitalSourceType"] = provenance.digital_source_type
    return [{"action": "c2pa.opened", "parameters": {"ingredientIds": [PARENT]}}, edited]


def can_sign(target: Format) -> bool:
    """Whether files of this format can hold Content Credentials."""
    return target.name in MIME_TYPES


def _find_mime_type(scan: BinaryIO) -> str:
    from batchcolor.images.sniff import HEAD_SIZE, sniff

    kind = sniff(scan.read(HEAD_SIZE))
    scan.seek(0)
    return MIME_TYPES.get(kind.name if kind else "", UNKNOWN_TYPE)


def _find_algorithm(private_key: bytes) -> bytes:
    """Returns the C2PA name of the key's signature algorithm. Raises ValueError, TypeError."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(private_key, None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {256: b"es256", 384: b"es384", 521: b"es512"}[key.curve.key_size]
    if isinstance(key, rsa.RSAPrivateKey):
        return b"ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return b"ed25519"
    raise ValueError("C2PA knows no signature by this kind of key")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--c2pa: {path} cannot be read ({error.strerror})") from error
