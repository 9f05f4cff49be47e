"""Films that several workers colour in parts: the result is that of one machine, byte for byte."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import batchcolor
import batchcolor.video.output.segments as segments_module
from batchcolor.cluster import run_on_cluster
from batchcolor.errors import ExitCode
from batchcolor.hooks.manager import DISABLE
from batchcolor.pipeline.films import film_parts
from batchcolor.storage.journal import STATE_FOLDER
from batchcolor.video.temporal.film_colors import FilmColors
from batchcolor.video.temporal.scene_survey import SurveyedShot, find_independent_shots
from tests.cluster.thread_cluster import ThreadCluster
from tests.film_plugins import LUMA_DEPENDENT
from tests.grey_media import grey_picture

SEGMENT = 8
INDEPENDENT = "aba cdc efe ghg"
"""Shots of which each has a letter, those that return the same one; scenes end at the blanks."""
LENGTH = 8
FRAMES = 12 * LENGTH


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_module, "SEGMENT_FRAMES", SEGMENT)
    monkeypatch.setattr(film_parts, "SEGMENTS_OF_PART", 2)
    monkeypatch.setenv(DISABLE, "")  # workers change it


@pytest.fixture
def color(
    plugin: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., batchcolor.Report]:
    """Runs a job on these nodes; on one machine without them."""
    plugin("lumapack", LUMA_DEPENDENT)

    def run(
        source: Path, nodes: ThreadCluster | None, name: str = "out", **options: Any
    ) -> batchcolor.Report:
        if nodes is not None:
            monkeypatch.setattr(run_on_cluster, "RayCluster", nodes.connect)
        cluster = None if nodes is None else "auto"
        return batchcolor.run(
            source,
            output=tmp_path / name,
            cluster=cluster,
            **{"model": "luma-dependent", "batch_size": 1, "preset": "ultrafast", **options},
        )

    return run


def write_film(path: Path, shots: str, length: int = LENGTH) -> Path:
    """Writes a film with a shot for each letter: a picture along which a bright square moves."""
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"g": "12", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.thread_count = 1
        for index, shot in enumerate(shots.replace(" ", "")):
            for step in range(length):
                grey = np.asarray(grey_picture(64, 48, ord(shot))).copy()
                grey[16:28, 2 * step : 2 * step + 12] = 230
                frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
                frame.pts, frame.time_base = index * length + step, Fraction(1, 25)
                film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


def read_results(output: Path) -> dict[str, bytes]:
    files = (path for path in output.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files if STATE_FOLDER not in path.parts}


def watch_parts(nodes: ThreadCluster) -> list[tuple[str, int | None]]:
    """The node and the part of each chunk that is coloured, as they begin."""
    begun: list[tuple[str, int | None]] = []
    nodes.before_color = lambda node, tasks: begun.append((node, tasks[0].part))
    return begun


def list_parts(begun: Sequence[tuple[str, int | None]]) -> list[int | None]:
    return [part for _, part in begun]


def test_a_film_in_parts_equals_that_of_one_machine(color, tmp_path):
    film, nodes = write_film(tmp_path / "film.mp4", INDEPENDENT), ThreadCluster("a", "b")
    begun = watch_parts(nodes)
    report = color(film, nodes)
    alone = color(film, None, "alone")
    assert (report.done, report.exit_code) == (1, ExitCode.DONE)
    *parts, last = list_parts(begun)
    assert (sorted(part for part in parts if part is not None), last) == ([0, 1, 2, 3], None)
    assert report.frames == report.frames_expected == alone.frames == FRAMES
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")
    assert not [*(tmp_path / "out" / STATE_FOLDER).glob("films*")]
    notes = " ".join(report.notes)
    assert "coloured in 4 parts" in notes
    assert "4 of 12 shots have the colours of an earlier shot" in notes
    assert set(alone.notes) < set(report.notes)


@pytest.mark.parametrize("stabilize", ["best", "off"])
def test_parts_that_a_lost_worker_and_a_stopped_job_left_equal_one_machine(
    color, tmp_path, stabilize
):
    film, nodes = write_film(tmp_path / "film.mov", INDEPENDENT), ThreadCluster("a", "b")
    begun, deaths = watch_parts(nodes), []
    count = nodes.before_color

    def die_once(node: str, tasks: tuple[Any, ...]) -> None:
        count(node, tasks)
        if tasks[0].part == 1 and not deaths:
            deaths.append(node)
            raise ConnectionError("the process is gone")
        if tasks[0].part is None:
            raise ConnectionError("the process is gone")

    nodes.before_color = die_once
    report = color(film, nodes, stabilize=stabilize)
    assert report.failures[0].step == "worker"
    assert list_parts(begun).count(1) == 2
    again = color(film, None, stabilize=stabilize, retry_failed=True)
    assert again.done == 1
    assert again.frames < FRAMES / 2  # the segments of the parts are used
    color(film, None, "alone", stabilize=stabilize)
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")


@pytest.mark.parametrize(
    ("shots", "options", "note"),
    [
        ("abcab", {}, "its shots return throughout"),
        ("abcde", {"palette_lock": True}, "references, or one palette"),
    ],
)
def test_a_film_whose_parts_depend_on_each_other_stays_whole_with_a_note(
    color, tmp_path, shots, options, note
):
    film, nodes = write_film(tmp_path / "film.mp4", shots), ThreadCluster("a", "b")
    begun = watch_parts(nodes)
    report = color(film, nodes, **options)
    assert list_parts(begun) == [None]
    assert report.done == 1
    assert any("coloured by one worker" in text and note in text for text in report.notes)


@pytest.mark.parametrize("films", [["abcde", "fghij"], ["ab"]], ids=["two", "short"])
def test_films_stay_whole_where_each_worker_has_one_and_where_they_are_short(
    color, tmp_path, films
):
    for number, shots in enumerate(films):
        write_film(tmp_path / "films" / f"{number}.mp4", shots)
    nodes = ThreadCluster("a", "b")
    begun = watch_parts(nodes)
    note = nodes.before_color

    def wait_for_all(node: str, tasks: tuple[Any, ...]) -> None:
        note(node, tasks)
        while len(begun) < len(films):
            time.sleep(0.01)

    nodes.before_color = wait_for_all
    report = color(tmp_path / "films", nodes)
    assert list_parts(begun) == [None] * len(films)
    assert (report.done, report.notes) == (len(films), [])


@pytest.mark.parametrize(
    ("scenes", "independent"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 1, 0, 3], [0, 3]),
        ([0, 1, 2, 1, 2, 5], [0, 1, 5]),
        ([0, 1, 2, 0], [0]),
        ([], []),
    ],
)
def test_a_part_begins_where_no_shot_returns_from_before(scenes, independent):
    shots = [SurveyedShot(start, scene, FilmColors()) for start, scene in enumerate(scenes)]
    assert [shot.start for shot in find_independent_shots(shots)] == independent


def test_parts_begin_at_the_first_segment_after_a_shot_and_are_of_similar_length():
    every_shot = range(0, 1000, 5)
    assert film_parts.choose_boundaries(every_shot, 1000, 4) == [
        *((0, 0), (256, 255), (512, 510), (768, 765))
    ]
    assert film_parts.choose_boundaries([0, 3, 500], 1000, 4) == [(0, 0), (504, 500)]
    assert film_parts.choose_boundaries([0, 995], 1000, 4) == [(0, 0)]
    assert film_parts.choose_boundaries([0], 1000, 4) == [(0, 0)]


def test_a_damaged_plan_of_parts_costs_only_the_parts(color, tmp_path):
    film, nodes = write_film(tmp_path / "film.mp4", "abcde"), ThreadCluster("a", "b")
    begun = watch_parts(nodes)
    count = nodes.before_color

    def damage(node: str, tasks: tuple[Any, ...]) -> None:
        count(node, tasks)
        for path in (tmp_path / "out" / STATE_FOLDER / "films").glob("*/parts.npz"):
            path.write_bytes(path.read_bytes()[:-100])

    nodes.before_color = damage
    report = color(film, nodes)
    assert 0 in list_parts(begun)
    assert (report.done, report.failed) == (1, 0)
    color(film, None, "alone")
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")


def test_a_job_that_is_stopped_between_parts_goes_on_with_them(color, tmp_path, default_signals):
    film, nodes = write_film(tmp_path / "film.mp4", "abcdef"), ThreadCluster("a", "b")
    begun = watch_parts(nodes)
    count = nodes.before_color

    def stop(node: str, tasks: tuple[Any, ...]) -> None:
        count(node, tasks)
        if tasks[0].part == 1:
            signal.raise_signal(signal.SIGINT)

    nodes.before_color = stop
    stopped = color(film, nodes)
    assert (stopped.done, stopped.exit_code) == (0, ExitCode.SIGINT)
    assert None not in list_parts(begun)
    report = color(film, ThreadCluster("a", "b"))
    assert (report.done, report.exit_code) == (1, ExitCode.DONE)
    assert not any("by one worker" in note for note in report.notes)
    color(film, None, "alone")
    assert read_results(tmp_path / "out") == read_results(tmp_path / "alone")
