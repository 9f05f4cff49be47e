"""Reads and builds the text chunks of PNG, and the profiles that ImageMagick stores in them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

XMP_KEYWORD = "XML:com.adobe.xmp"
PROFILE_PREFIX = "Raw profile type "
HEX_PER_LINE = 72


@dataclass(frozen=True)
class Text:
    """The keyword and text of a tEXt, zTXt or iTXt chunk."""

    keyword: str
    text: str


MAX_TEXT_SIZE = 64 * 2**20
"""Bytes of an uncompressed text or profile; more is a decompression bomb."""


class TextTooLargeError(ValueError):
    """A text or profile has more than `MAX_TEXT_SIZE`."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_TEXT_SIZE >> 20} MB uncompressed")


def decompress(content: bytes) -> bytes:
    """Returns a decompressed text or profile. Raises TextTooLargeError, zlib.error."""
    inflater = zlib.decompressobj()
    found = inflater.decompress(content, MAX_TEXT_SIZE)
    if inflater.unconsumed_tail:
        raise TextTooLargeError
    return found


def parse_text(kind: str, content: bytes) -> Text | None:
    """Returns keyword and text of a chunk; None for a damaged one. Raises TextTooLargeError."""
    keyword, _, rest = content.partition(b"\0")
    encoding, is_compressed = "latin-1", kind == "zTXt"
    if kind == "zTXt":
        if rest[:1] != b"\0":  # another compression method
            return None
        rest = rest[1:]
    if kind == "iTXt":
        encoding, is_compressed = "utf-8", rest[:1] == b"\1"
        parts = rest[2:].split(b"\0", 2)  # language and translated keyword precede the text
        if len(parts) < 3:
            return None
        rest = parts[2]
    try:
        if is_compressed:
            rest = decompress(rest)
        return Text(keyword.decode("latin-1"), rest.decode(encoding))
    except (zlib.error, UnicodeDecodeError):
        return None


def build_text(text: Text) -> tuple[str, bytes]:
    """Returns type and content of an uncompressed iTXt chunk."""
    return "iTXt", text.keyword.encode("latin-1") + b"\0\0\0\0\0" + text.text.encode()


def parse_profile(text: Text) -> tuple[str, bytes]:
    """Returns the name and content of a profile that is stored as hexadecimal text.

    Both are empty for other texts and damaged profiles. The headers of EXIF and XMP segments are
    removed.
    """
    if not text.keyword.startswith(PROFILE_PREFIX):
        return "", b""
    lines = text.text.split("\n", 3)  # an empty line, the name, the length, the content
    try:
        content = bytes.fromhex(lines[3])[: int(lines[2])]
    except (ValueError, IndexError):
        return "", b""
    name = text.keyword.removeprefix(PROFILE_PREFIX).lower()
    content = content.removeprefix(b"Exif\0\0").removeprefix(b"http://ns.adobe.com/xap/1.0/\0")
    return name, content


def build_profile(name: str, content: bytes) -> tuple[str, bytes]:
    """Returns type and content of a zTXt chunk with a profile as hexadecimal text."""
    digits = content.hex()
    lines = [digits[i : i + HEX_PER_LINE] for i in range(0, len(digits), HEX_PER_LINE)]
    text = f"\n{name}\n{len(content):8}\n" + "\n".join(lines) + "\n"
    keyword = (PROFILE_PREFIX + name).encode()
    return "zTXt", keyword + b"\0\0" + zlib.compress(text.encode())
