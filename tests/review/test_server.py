"""What the review server does with decisions, results and jobs. Plain HTTP against a process."""

from __future__ import annotations

import io
import json
import os
import socket
import sys

import av
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from batchcolor.pipeline.decisions.store import DecisionStore
from batchcolor.review.remote_access import RemoteAccess
from batchcolor.review.review_files import ReviewFiles
from batchcolor.review.thumbnails import Thumbnails


def read_image(page, path):
    status, _, content = page.request("GET", path)
    assert status == 200, content
    return Image.open(io.BytesIO(content))


def test_items_have_their_pictures_and_state(review, results):
    page = review(results)
    state = page.get("/api/state")
    assert len(state["items"]) == 4
    assert state["job"]["model"] == "beta"
    item = page.find("001.jpg")
    assert item["state"] == "done"
    thumb = read_image(page, f"/api/items/{item['id']}/thumb")
    before = read_image(page, f"/api/items/{item['id']}/before?side=500")
    after = read_image(page, f"/api/items/{item['id']}/after?side=500")
    assert thumb.size == before.size == after.size == (96, 64)
    assert before.mode == "L"
    assert np.ptp(np.asarray(after, int), axis=2).max() > 10
    assert page.get(f"/api/items/{item['id']}/size") == {"width": 96, "height": 64}
    assert [path.suffix for path in (results / ".batchcolor" / "thumbs").iterdir()] == [".jpg"]


def test_a_preview_is_what_the_job_writes(review, results, command, flat):
    page = review(results)
    item = page.find("001.jpg")
    body = {"decision": {"strength": 0.3}, "side": 400}
    status, _, content = page.request("POST", f"/api/items/{item['id']}/preview", body)
    assert status == 200, content
    preview = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), float)
    page.decide("001.jpg", {"strength": 0.3})
    assert page.post("/api/write", {}) == {"count": 1}
    assert page.wait_for_write()["failed"] == 0
    written = np.asarray(Image.open(results / "001.jpg").convert("RGB"), float)
    assert np.abs(preview - written).mean() < 3


def test_a_decision_is_on_the_disk_when_it_is_answered(review, results):
    page = review(results)
    saved = page.decide("001.jpg", {"state": "approved"})
    assert saved["pending"] is False
    decision = DecisionStore(results).find("001.jpg")
    assert decision is not None
    assert decision.state == "approved"
    assert page.find("001.jpg")["decision"] == {"state": "approved"}


def test_write_makes_only_what_changed_and_reset_makes_it_as_before(review, results):
    page = review(results)
    content = {path: path.read_bytes() for path in results.rglob("*.jpg")}
    assert page.decide("001.jpg", {"state": "rejected"})["pending"] is True
    assert page.get("/api/state")["pending"] == [page.find("001.jpg")["id"]]
    page.post("/api/write", {})
    status = page.wait_for_write()
    assert (status["done"], status["failed"]) == (1, 0)
    changed = [path.name for path in content if path.read_bytes() != content[path]]
    assert changed == ["001.jpg"]
    pixels = np.asarray(Image.open(results / "001.jpg").convert("RGB"), int)
    assert np.ptp(pixels, axis=2).max() == 0
    assert page.get("/api/state")["pending"] == []
    assert page.decide("001.jpg", {})["pending"] is True
    page.post("/api/write", {})
    page.wait_for_write()
    assert (results / "001.jpg").read_bytes() == content[results / "001.jpg"]


def test_two_pages_see_each_others_decisions_and_the_last_one_wins(review, results):
    page = review(results)
    with socket.create_connection(("127.0.0.1", page.port), timeout=300) as stream:
        request = f"GET /api/events HTTP/1.1\r\nHost: {page.host}\r\nCookie: {page.cookie}\r\n\r\n"
        stream.sendall(request.encode())
        received = b""
        while b"retry" not in received:
            received += stream.recv(4096)
        page.decide("001.jpg", {"state": "approved"})
        page.decide("001.jpg", {"state": "rejected"})
        while b'"rejected"' not in received:
            received += stream.recv(4096)
    assert received.count(b"event: decisions") == 2
    assert page.find("001.jpg")["decision"] == {"state": "rejected"}


def test_a_running_job_makes_it_read_only_until_its_end(review, results):
    page = review(results)
    item = page.find("001.jpg")
    body = {"client": "x", "changes": [{"id": item["id"], "decision": {"state": "approved"}}]}
    with FileLock(results / ".batchcolor" / "lock"):
        status, _, content = page.request("POST", "/api/decisions", body)
        assert status == 409
        assert "a job is running" in json.loads(content)["error"]
        assert page.request("POST", "/api/write", {})[0] == 409
        assert page.get("/api/state")["locked"] is True
    assert page.request("POST", "/api/decisions", body)[0] == 200


def test_deleted_and_changed_results_are_shown_as_such(review, results):
    (results / "001.jpg").unlink()
    (results / "003.jpg").write_bytes((results / "003.jpg").read_bytes() + b"more")
    page = review(results)
    missing, changed = page.find("001.jpg"), page.find("003.jpg")
    assert (missing["state"], changed["state"]) == ("missing", "changed")
    assert read_image(page, f"/api/items/{missing['id']}/thumb").size == (96, 64)


def test_failures_are_items_with_a_reason(review, command, album, tmp_path):
    source = album(1)
    (source / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    assert command("run", source, "-m", "beta", "-o", "out").returncode == 3
    page = review(tmp_path / "out")
    item = page.find("torn.jpg")
    assert item["state"] == "failed"
    assert item["reason"]
    assert page.request("GET", f"/api/items/{item['id']}/thumb")[0] == 422


def test_damaged_lines_of_decisions_are_reported_with_their_number(review, results):
    path = results / ".batchcolor" / "decisions.jsonl"
    path.write_text('{"version": 1, "source": "001.jpg", "state": "approved"}\n{torn\n')
    page = review(results)
    (fault,) = page.get("/api/state")["faults"]
    assert "line 2" in fault
    page.decide("003.jpg", {"state": "approved"})
    assert "{torn" in path.read_text()
    assert page.find("001.jpg")["decision"] == {"state": "approved"}


def test_a_hint_outside_the_picture_or_an_unknown_model_fails_alone(review, results):
    page = review(results)
    page.decide("001.jpg", {"model": "absent"})
    page.decide("003.jpg", {"state": "rejected"})
    page.post("/api/write", {})
    status = page.wait_for_write()
    assert status["done"] == 1
    item = page.find("001.jpg")
    body = {"decision": {"model": "absent"}, "side": 100}
    status, _, content = page.request("POST", f"/api/items/{item['id']}/preview", body)
    assert status == 422
    assert "absent" in json.loads(content)["error"]
    assert json.loads(content)["model"] is True  # the page offers it no longer


def test_a_preview_says_that_hints_contradict_each_other(review, results):
    page = review(results)
    address = f"/api/items/{page.find('001.jpg')['id']}/preview"
    hints = [{"points": [[20, 20]], "color": color} for color in ("#c03030", "#3030c0")]
    notes = {}
    for count in (1, 2):
        body = {"decision": {"hints": hints[:count]}, "side": 100}
        status, headers, content = page.request("POST", address, body)
        assert status == 200, content
        notes[count] = json.loads(headers["batchcolor-notes"])
    assert notes[1] == []
    assert "at the same place" in notes[2][0]


def test_likely_colours_have_the_luma_of_their_place(review, results):
    page = review(results)
    item = page.find("001.jpg")
    body = {"x": 0.5, "y": 0.5, "decision": {}}
    colors = page.post(f"/api/items/{item['id']}/colors", body)["colors"]
    assert len(colors) >= 5
    rgb = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors])
    luma = rgb @ [0.299, 0.587, 0.114]
    assert np.ptp(luma) < 3


def test_the_first_seconds_of_a_film_are_shown_with_a_look(review, command, tmp_path, make_clip):
    source = tmp_path / "films"
    source.mkdir()
    make_clip(source / "film.mkv", frames=100)
    assert command("run", source, "-m", "beta", "-o", "out").returncode == 0
    page = review(tmp_path / "out")
    item = page.find("film.mkv")
    assert item["film"] is True
    body = {"decision": {"strength": 2.0}}
    status, headers, content = page.request("POST", f"/api/items/{item['id']}/clip", body)
    assert status == 200, content
    assert headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(content)) as film:
        frames = list(film.decode(video=0))
    assert len(frames) == 75
    assert not list((tmp_path / "out" / ".batchcolor" / "clips").iterdir())
    assert page.get("/api/state")["pending"] == []


def test_a_folder_without_results_is_refused(process, tmp_path):
    result = process("review", tmp_path, "--no-browser")
    assert result.returncode == 2
    assert "has no journal" in result.stderr


def test_a_port_that_is_taken_is_refused(process, results):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = process("review", results, "--no-browser", "--port", str(port))
    assert result.returncode == 2
    assert "--port" in result.stderr


def test_without_the_packages_the_message_names_the_extra(command, results, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    result = command("review", results, "--no-browser")
    assert result.returncode == 2
    assert "pip install 'batchcolor[review]'" in result.stderr


def test_thumbnails_are_bounded_and_the_oldest_go_first(tmp_path):
    folder = tmp_path / ".batchcolor" / "thumbs"
    folder.mkdir(parents=True)
    for number in range(10):
        path = folder / f"{number}.jpg"
        path.write_bytes(bytes(100))
        os.utime(path, (number, number))
    Thumbnails(ReviewFiles(tmp_path, RemoteAccess()), (), max_bytes=350)
    assert sorted(path.name for path in folder.iterdir()) == ["7.jpg", "8.jpg", "9.jpg"]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>.jpg".replace("/", "\u2215"), 'a"b\n.jpg']
)
def test_names_with_markup_and_newlines_are_data(review, command, tmp_path, grey_picture, name):
    source = tmp_path / "odd"
    source.mkdir()
    grey_picture(96, 64).save(source / name)
    assert command("run", source, "-m", "beta", "-o", "out").returncode == 0
    page = review(tmp_path / "out")
    (item,) = page.get("/api/state")["items"]
    assert "\n" not in item["name"]
    page.decide(item["name"], {"state": "approved"})
    assert DecisionStore(tmp_path / "out").find(name) is not None
