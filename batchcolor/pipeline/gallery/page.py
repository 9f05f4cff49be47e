"""Renders the pages of a gallery. Nothing is loaded from elsewhere; names are text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from batchcolor.errors import make_printable
from batchcolor.pipeline.gallery.entries import GalleryEntry
from batchcolor.version import __version__

PER_PAGE = 60
FIRST_PAGE = "index.html"
GENERATOR = b'<meta name="generator" content="batchcolor'
"""Text in every page; a folder without it is no gallery and is not written to."""


def render_pages(entries: Sequence[GalleryEntry], title: str, model: str) -> dict[str, bytes]:
    """Returns the pages by file name, the first page first; at least one."""
    environment = Environment(
        loader=PackageLoader("batchcolor.pipeline.gallery", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("gallery.html")
    style, script = _read("gallery.css"), _read("gallery.js")
    shown = [(entry, make_printable(entry.name), make_printable(entry.reason)) for entry in entries]
    count = max(1, -(-len(shown) // PER_PAGE))
    names = [FIRST_PAGE, *(f"page-{number}.html" for number in range(2, count + 1))]
    coloured = sum(entry.kind == "coloured" for entry in entries)
    return {
        name: template.render(
            title=make_printable(title),
            version=__version__,
            model=model,
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
            items=shown[index * PER_PAGE : (index + 1) * PER_PAGE],
            first_number=index * PER_PAGE + 1,
            total=len(shown),
            coloured=coloured,
            copied=sum(entry.kind == "copied" for entry in entries),
            failed=sum(entry.kind == "failed" for entry in entries),
            pages=names,
            current=index,
        ).encode()
        for index, name in enumerate(names)
    }


def _read(name: str) -> str:
    folder = resources.files("batchcolor.pipeline.gallery") / "templates"
    return (folder / name).read_text()


def _hash(text: str) -> str:
    """The hash by which the page's policy permits this style or script, and no other."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
