"""Faults of memory: one picture fails, and the job goes on; what was released is free."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from batchcolor.images.picture import Picture
from batchcolor.pipeline import executor
from batchcolor.pipeline.films import frame_decoding, frame_encoding
from batchcolor.pipeline.pictures import picture_decoder, picture_encoder


def exhaust_memory(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, call: int) -> None:
    """Makes one call of a function end as that of NumPy does where no memory is left."""
    original, calls = getattr(module, name), []

    def fail_once(*arguments: Any) -> Any:
        calls.append(name)
        if len(calls) == call:
            raise MemoryError("Unable to allocate 9.31 GiB")
        return original(*arguments)

    monkeypatch.setattr(module, name, fail_once)


@pytest.mark.parametrize(
    ("module", "name", "step"),
    [(picture_encoder, "join", "join"), (picture_decoder, "resize_luma", "decode")],
)
def test_a_picture_without_memory_fails_alone(
    command: Callable[..., Any],
    flat: str,
    album: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    step: str,
) -> None:
    exhaust_memory(monkeypatch, module, name, 2)
    ran = command("run", album(4), "-m", flat, "-o", "out", "--json")
    report = json.loads(ran.stdout)
    assert ran.returncode == 3
    assert report["done"] == 3
    assert [(f["step"], f["reason"][:17]) for f in report["failures"]] == [
        (step, "not enough memory")
    ]


@pytest.mark.parametrize(
    ("module", "name", "step"),
    [(frame_decoding, "read_luma", "decode"), (frame_encoding, "write_chroma", "encode")],
)
def test_a_film_without_memory_fails_alone(
    command: Callable[..., Any],
    flat: str,
    album: Callable[[int], Path],
    make_clip: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    step: str,
) -> None:
    source = album(2)
    make_clip(source / "film.mp4", frames=6)
    exhaust_memory(monkeypatch, module, name, 3)
    ran = command("run", source, "-m", flat, "-o", "out", "--json")
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["done"]) == (3, 2), ran.stderr
    (failure,) = report["failures"]
    assert (failure["step"], failure["reason"][:17]) == (step, "not enough memory")


def test_a_page_without_memory_fails_its_document_alone(
    command: Callable[..., Any],
    flat: str,
    album: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = album(1)
    with tifffile.TiffWriter(source / "album.tif") as writer:
        for level in (60, 90):
            writer.write(np.full((40, 60), level, np.uint8), metadata=None)
    original = picture_encoder.join

    def join(picture: Picture, *arguments: Any) -> Any:
        if picture.path.suffix == ".tif":
            raise MemoryError
        return original(picture, *arguments)

    monkeypatch.setattr(picture_encoder, "join", join)
    ran = command("run", source, "-m", flat, "-o", "out", "--json")
    report = json.loads(ran.stdout)
    assert (ran.returncode, report["done"]) == (3, 1)
    assert report["failures"][0]["step"] == "join"
    assert report["failures"][0]["reason"].startswith("page ")


def test_memory_is_free_when_its_budget_is(
    command: Callable[..., Any],
    flat: str,
    album: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures: list[weakref.ref[Picture]] = []
    alive: list[int] = []
    original = picture_decoder.decode

    def decode(*arguments: Any) -> Picture:
        gc.collect()
        alive.append(sum(reference() is not None for reference in pictures))
        picture = original(*arguments)
        pictures.append(weakref.ref(picture))
        return picture

    def make_budget(limit: int, max_items: int, stop: Any) -> Any:
        return budget_of_one(limit, 1, stop)

    budget_of_one = executor.ByteBudget
    monkeypatch.setattr(picture_decoder, "decode", decode)
    monkeypatch.setattr(executor, "ByteBudget", make_budget)  # one picture at a time
    assert command("run", album(6), "-m", flat, "-o", "out", "--workers", "2").returncode == 0
    assert len(alive) == 6
    assert max(alive) <= 1, "only that whose budget is released at this moment"
