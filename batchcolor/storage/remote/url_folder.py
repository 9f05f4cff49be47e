"""Local folders that stand for URLs, in the user's cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

from batchcolor.storage.locations import Url
from batchcolor.storage.user_cache import find_cache_folder


def find_url_folder(kind: str, url: Url, name: str) -> Path:
    """Returns the folder `name` that stands for a URL among the cached files of one kind.

    It need not exist; each URL has its own. Raises NoCacheFolderError.
    """
    digest = hashlib.sha256(url.shown.rstrip("/").encode()).hexdigest()[:16]
    return find_cache_folder(kind).path.resolve() / digest / name
