"""The shots of a film under review: found, shown, decided, previewed and written."""

from __future__ import annotations

import io
import json
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import batchcolor
from batchcolor.pipeline.options.settings import MAX_PIXELS
from batchcolor.review.film_shots import Shot, read_from
from batchcolor.video.input.decoder import VideoDecoder
from batchcolor.video.probe import probe

LENGTH = 20
"""Frames of each shot."""
SIZE = (96, 64)


def draw_shot(seed: int) -> Image.Image:
    areas = np.random.default_rng(seed).integers(40, 220, (6, 8), dtype=np.uint8)
    return Image.fromarray(areas).resize(SIZE, Image.Resampling.BICUBIC)


def encode_film(path: Path) -> None:
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(2 * LENGTH):
            grey = np.asarray(draw_shot(number // LENGTH))
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            film.mux(stream.encode(frame))
        film.mux(stream.encode())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a film of two shots, of a picture in colour and of a grey one."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "films").mkdir()
    encode_film(folder / "films" / "film.mkv")
    blue = Image.merge("RGB", [draw_shot(seed) for seed in (2, 2, 3)])
    blue.save(folder / "films" / "picture.png")  # in colour: its result is a copy
    draw_shot(4).save(folder / "films" / "grey.png")
    report = batchcolor.run(folder / "films", output=folder / "out", model="beta", codec="ffv1")
    assert report.done == 2
    assert not report.failures
    return folder / "out"


def wait_for_shots(page: Any, id_: str) -> Any:
    end = time.monotonic() + 300
    while (answer := page.get(f"/api/items/{id_}/shots")).get("searching"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return answer


def mean_chroma(frame: np.ndarray) -> float:
    """The mean distance of RGB from grey."""
    return float(np.ptp(frame.astype(int), axis=-1).mean())


def read_film(source: Any) -> list[np.ndarray]:
    with av.open(source) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def luma_error(frame: np.ndarray, seed: int) -> float:
    luma = np.asarray(Image.fromarray(frame).convert("L").resize(SIZE), float)
    return float(np.abs(luma - np.asarray(draw_shot(seed), float)).mean())


def test_shots_are_listed_shown_decided_previewed_and_written(review, results):
    page = review(results)
    film, picture = page.find("film.mkv"), page.find("picture.png")
    base = f"/api/items/{film['id']}"
    found = wait_for_shots(page, film["id"])
    assert found == {
        "shots": [{"frame": 0, "time": 0.0}, {"frame": LENGTH, "time": 2.0}],
        "complete": True,
    }
    for index in range(2):
        status, headers, content = page.request("GET", f"{base}/shots/{index}?side=400")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        frame = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert luma_error(frame, index) < 4 < luma_error(frame, 1 - index)
    kept = sorted(path.name for path in (results / ".batchcolor/thumbs").glob("*-shot*"))
    assert len(kept) == 3

    # A shot is shown with what is decided about it, and the others as they were.
    shots = [{"frame": 0, "reference_id": picture["id"]}, {"frame": LENGTH, "state": "rejected"}]

    def preview(index: int, decision: dict[str, Any]) -> np.ndarray:
        body = {"decision": decision, "side": 400, "shot": index}
        status, _, content = page.request("POST", f"{base}/preview", body)
        assert status == 200, content
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    assert luma_error(preview(1, {}), 1) < 6
    assert mean_chroma(preview(1, {})) > 5 > 2 > mean_chroma(preview(1, {"shots": shots}))
    strong = {"shots": [{"frame": 0, "strength": 2.0}]}
    assert mean_chroma(preview(0, strong)) > 1.3 * mean_chroma(preview(0, {}))
    assert np.abs(preview(0, {"shots": shots}).astype(int) - preview(0, {})).mean() > 1

    # On the disk, with the path of the reference, which the page knows by its number only.
    saved = page.decide("film.mkv", {"shots": shots})
    assert saved["pending"] is True
    assert saved["decision"]["shots"][0]["reference_id"] == picture["id"]
    lines = (results / ".batchcolor/decisions.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["shots"] == [
        {"frame": 0, "reference": page.find("picture.png")["name"]},
        {"frame": LENGTH, "state": "rejected"},
    ]
    assert page.decide("film.mkv", saved["decision"])["decision"] == saved["decision"]

    # The preview begins at the shot.
    for index, length in ((0, 30), (1, LENGTH)):
        body = {"decision": saved["decision"], "shot": index}
        status, _, content = page.request("POST", f"{base}/clip", body)
        assert status == 200, content
        frames = read_film(io.BytesIO(content))
        assert len(frames) == length
        assert luma_error(frames[2], index) < 8
        assert (mean_chroma(frames[2]) > 5) == (index == 0)
        assert mean_chroma(frames[-2]) < 4  # the second shot, in both
    assert not list((results / ".batchcolor/clips").iterdir())

    page.post("/api/write", {})
    assert page.wait_for_write()["failed"] == 0
    written = read_film(str(results / "film.mkv"))
    assert len(written) == 2 * LENGTH
    assert mean_chroma(written[5]) > 5
    assert mean_chroma(written[LENGTH]) < 2
    assert page.get("/api/state")["pending"] == []


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "mpg", "avi"])
def test_a_shot_is_read_from_its_first_frame_in_every_container(make_clip, tmp_path, ending):
    codec = {"mpg": "mpeg2video", "avi": "mpeg4"}.get(ending, "libx264")

    def setup(stream: Any) -> None:
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 12, 2

    path = make_clip(tmp_path / f"film.{ending}", codec=codec, frames=40, setup=setup,
                     time_base=Fraction(1, 25))  # fmt: skip
    film = probe(path, MAX_PIXELS)
    frames = list(VideoDecoder(film, strict=False))
    for number in (0, 17, 24, 39):
        shot = Shot(number, 0.0, frames[number].pts, 0)
        read = [frame.pts for frame in read_from(film, shot)]
        assert read == [frame.pts for frame in frames[number:]]


def test_notes_of_a_preview_are_those_of_its_shot(review, results):
    page = review(results)
    film = page.find("film.mkv")
    wait_for_shots(page, film["id"])
    decision = {"shots": [{"frame": 0, "reference_id": page.find("grey.png")["id"]}]}
    notes = []
    for shot in range(2):
        body = {"decision": decision, "side": 100, "shot": shot}
        status, headers, content = page.request("POST", f"/api/items/{film['id']}/preview", body)
        assert status == 200, content
        notes.append(json.loads(headers["batchcolor-notes"]))
    assert "grey.png: is toned or nearly grey" in notes[0][0]
    assert notes[1] == []


@pytest.mark.parametrize(
    ("shots", "reason"),
    [
        ([{"frame": 0, "reference": "/etc/passwd"}], "no such reference"),
        ([{"frame": 0, "reference_id": "../film"}], "no such picture"),
        ([{"frame": -1}], "frame"),
        ([{"frame": 0, "model": "beta"}], "no such key"),
        (["first"], "shots.0"),
        ("first", "shots"),
    ],
)
def test_wrong_decisions_about_shots_are_refused(shared_page, shots, reason):
    film = shared_page.find("film.mkv")
    changes = [{"id": film["id"], "decision": {"shots": shots}}]
    body = {"client": "test", "changes": changes}
    status, _, content = shared_page.request("POST", "/api/decisions", body)
    assert status in (400, 404)
    assert reason in json.loads(content)["error"]


def test_shots_that_do_not_exist_are_refused(shared_page):
    film, picture = (shared_page.find(name)["id"] for name in ("film.mkv", "picture.png"))
    wait_for_shots(shared_page, film)
    assert shared_page.request("GET", f"/api/items/{picture}/shots")[0] == 404
    for index in ("2", "-1", "x", "99999999999999999999"):
        assert shared_page.request("GET", f"/api/items/{film}/shots/{index}?side=400")[0] == 404
    for index in (2, -1, "0", True, 1.0, [0]):
        body = {"decision": {}, "side": 100, "shot": index}
        assert shared_page.request("POST", f"/api/items/{film}/preview", body)[0] == 404
    status, _, content = shared_page.request(
        "POST",
        "/api/decisions",
        {"client": "test", "changes": [{"id": picture, "decision": {"shots": [{"frame": 0}]}}]},
    )
    assert (status, json.loads(content)["error"]) == (400, "only films have shots")


def test_frames_removed_from_the_cache_are_decoded_again(shared_page, template):
    film = shared_page.find("film.mkv")["id"]
    wait_for_shots(shared_page, film)
    for path in (template / ".batchcolor/thumbs").glob("*-shot-*.jpg"):
        path.unlink()
    status, _, content = shared_page.request("GET", f"/api/items/{film}/shots/1?side=400")
    assert status == 200
    frame = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert luma_error(frame, 1) < 4
