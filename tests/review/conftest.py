"""A review server as a process, and requests to it."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import batchcolor

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


class Page:
    """Requests to a running server, as its page sends them."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", address)
        assert match, address
        self.port, self.token = int(match[1]), match[2]
        self.host = f"127.0.0.1:{self.port}"
        self.cookie = f"batchcolor-{self.port}={self.token}"

    def request(
        self, method: str, path: str, body: object = None, **headers: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and content; a header that is None is not sent."""
        sent: dict[str, str | None] = {"Host": self.host, "Cookie": self.cookie}
        if method == "POST":
            sent |= {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        content = b"" if body is None else body if isinstance(body, bytes) else _dump(body)
        if method == "POST" and "Content-Length" not in sent:
            sent["Content-Length"] = str(len(content))
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(content or None)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        result = response.status, found, response.read()
        connection.close()
        return result

    def get(self, path: str) -> Any:
        """The JSON answer."""
        status, _, content = self.request("GET", path)
        assert status == 200, content
        return json.loads(content)

    def post(self, path: str, body: object) -> Any:
        """The JSON answer."""
        status, _, content = self.request("POST", path, body)
        assert status == 200, content
        return json.loads(content)

    def find(self, name: str) -> Any:
        """The item of a name."""
        (found,) = [item for item in self.get("/api/state")["items"] if item["name"] == name]
        return found

    def decide(self, name: str, decision: dict[str, Any]) -> Any:
        """Saves a decision."""
        changes = [{"id": self.find(name)["id"], "decision": decision}]
        return self.post("/api/decisions", {"client": "test", "changes": changes})["changes"][0]

    def wait_for_write(self) -> Any:
        """Waits until nothing is written; returns the status."""
        end = time.monotonic() + 300
        while (status := self.get("/api/state")["write"])["running"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        return status


def _dump(body: object) -> bytes:
    return json.dumps(body).encode()


def start_review(out: Path, *options: str) -> Page:
    """Starts `batchcolor review OUT`, and returns its page."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batchcolor", "review", str(out), "--no-browser", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    match = re.search(r"http://\S+", process.stdout.readline())
    assert match, process.communicate()[0]
    return Page(process, match[0])


@pytest.fixture
def review(started: list[subprocess.Popen[str]]) -> Callable[..., Page]:
    """Starts a server that ends with the test."""

    def start(out: Path, *options: str) -> Page:
        page = start_review(out, *options)
        started.append(page.process)
        return page

    return start


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of four pictures, of which two lie in a sub-folder: made once."""
    folder = tmp_path_factory.mktemp("review")
    for index in range(4):
        below = folder / "album" / ("" if index % 2 else "1931 summer")
        below.mkdir(parents=True, exist_ok=True)
        shapes = np.random.default_rng(index).integers(0, 256, (6, 6), dtype=np.uint8)
        picture = Image.fromarray(shapes).resize((96, 64), Image.Resampling.BICUBIC)
        picture.save(below / f"{index:03d}.jpg", quality=92)
    report = batchcolor.run(folder / "album", output=folder / "out", model="beta")
    assert report.done == 4
    return folder / "out"


@pytest.fixture
def results(template: Path, tmp_path: Path) -> Path:
    """A folder of four results, 001.jpg and 003.jpg at its top, that a test may change."""
    return Path(shutil.copytree(template, tmp_path / "out"))


@pytest.fixture(scope="module")
def shared_page(template: Path) -> Iterator[Page]:
    """A server for tests that change nothing."""
    page = start_review(template)
    yield page
    page.process.kill()
    page.process.communicate()
