"""Locations: plain paths, and URLs of remote storage and archives, as a person writes them.

A URL names what fsspec opens: `s3://`, `gs://`, `az://`, `https://`, `memory://`, an archive
`zip://album.zip` or `tar://album.tar`, and chains such as `zip://scans::s3://bucket/album.zip`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
COLLAPSED = re.compile(r"[a-z][a-z0-9+.-]+:/(?!/)", re.IGNORECASE)
"""What `str(Path(url))` makes of the beginning of a URL."""
URL_IN_TEXT = re.compile(r"[a-z][a-z0-9+.-]+://[^\s'\"<>)]+", re.IGNORECASE)
CHAIN = "::"
ARCHIVE_SUFFIXES = {
    ".zip": "zip",
    **dict.fromkeys((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"), "tar"),
}
"""Suffixes of archives that are sources by their name alone, and the file system of each."""
LOCAL_SCHEMES = ("file://", "local://")


class Url(str):
    """A URL of fsspec, where an option takes a path or a URL. `str` of it has the credentials."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """What is printed: without user, password, query and fragment."""
        return describe_url(self)


def is_url(text: object) -> bool:
    """Whether a text names remote storage or an archive; False for `file://` and every path."""
    if not isinstance(text, str):
        return False
    return bool(SCHEME.match(text)) and not text.lower().startswith(LOCAL_SCHEMES)


def read_location(value: object) -> object:
    """The Url or Path of a text; other values as they are."""
    if isinstance(value, Url) or not isinstance(value, str):
        return value
    if is_url(value):
        return Url(value)
    return Path(strip_local_scheme(value))


def strip_local_scheme(text: str) -> str:
    """The path of a `file://` URL; other texts as they are."""
    for scheme in LOCAL_SCHEMES:
        if text.lower().startswith(scheme):
            return text[len(scheme) :]
    return text


def describe_url(text: str) -> str:
    """A URL as it is printed and recorded: without user, password, query and fragment."""
    return CHAIN.join(_describe_one(part) for part in text.split(CHAIN))


def _describe_one(text: str) -> str:
    if not SCHEME.match(text):
        return text
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if scheme.lower() in ("http", "https"):
        parts = urlsplit(text)
        host, path = parts.netloc.rpartition("@")[2], parts.path.removeprefix("/")
        slash = "/" if parts.path else ""
    else:
        path = path.partition("?")[0]
    return f"{scheme}://{host}{slash}{path}"


def describe_text(text: str) -> str:
    """A message of a library without the credentials in the URLs that it quotes."""
    return URL_IN_TEXT.sub(lambda match: describe_url(match[0]), text)


def find_archive_kind(name: str) -> str | None:
    """The file system, `zip` or `tar`, for an archive by its suffix; None for other names."""
    lower = name.lower()
    return next((kind for end, kind in ARCHIVE_SUFFIXES.items() if lower.endswith(end)), None)


def url_name(text: str) -> str:
    """The last part of a URL's path: the name of its folder or file; of a bucket, its own."""
    shown = describe_url(text.split(CHAIN)[-1] if CHAIN in text else text).rstrip("/")
    return (shown.partition("://")[2] or shown).rpartition("/")[2]


def join_url(text: str, parts: Sequence[str]) -> str:
    """The URL of something below a folder; a query stays at the end of its own part."""
    first, chain, rest = text.partition(CHAIN)
    return "/".join([first.rstrip("/"), *parts]) + chain + rest
