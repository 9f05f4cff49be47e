"""Servers on loopback: HTTP with faults, and S3 by moto."""

from __future__ import annotations

import http.server
import importlib.util
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from batchcolor.storage.remote.session import RemoteSession
from batchcolor.storage.remote.store import Store

from .emulators import AZURE_CONNECTION, AZURE_KEY, serve_azure, serve_google
from .fault_proxy import FaultProxy


class FolderHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; each path in `faults` answers with what its list has next."""

    faults: dict[str, list[Any]]
    requests: list[str]

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.requests.append(self.path)
        faults = self.faults.get(self.path.partition("?")[0], [])
        fault = faults.pop(0) if faults and self.command == "GET" else None
        if isinstance(fault, int):
            self.send_error(fault)
        elif fault == "torn":
            content = (Path(self.directory) / self.path.lstrip("/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
        else:
            super().do_GET()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serves a folder on loopback, and returns its URL; `log` gets the paths of requests."""
    pytest.importorskip("aiohttp", reason="http:// needs aiohttp")
    servers = []

    def start(
        folder: Path, faults: dict[str, list[Any]] | None = None, log: list[str] | None = None
    ) -> str:
        log = [] if log is None else log
        handler = type("Handler", (FolderHandler,), {"faults": faults or {}, "requests": log})
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(handler, directory=str(folder))
        )
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The address of an S3 server on loopback."""
    for package in ("s3fs", "moto", "flask"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the S3 server of the tests needs {package}")
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(moto_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A new bucket `album` on the S3 server, as a file system of fsspec."""
    import s3fs

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": moto_url,
        "BATCHCOLOR_CACHE": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    system.mkdir("album")
    yield system
    system.rm("album", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def proxy(
    bucket: Any, moto_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[FaultProxy]:
    """A proxy before the S3 server, which jobs use; `bucket` reaches the server itself."""
    import s3fs

    made = FaultProxy(moto_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.start())
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))
    s3fs.S3FileSystem.clear_instance_cache()
    yield made
    s3fs.S3FileSystem.clear_instance_cache()
    made.stop()


@pytest.fixture(scope="session")
def google_url() -> Iterator[str]:
    """The address of a server of Google Cloud Storage on loopback."""
    yield from serve_google()


@pytest.fixture(scope="session")
def azure_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of Azure Blob Storage on loopback."""
    yield from serve_azure(tmp_path_factory.mktemp("azurite"))


@dataclass
class Cloud:
    """A storage service, the proxy before it, and a new bucket or container on it."""

    url: str
    """Of a folder in the bucket."""
    proxy: FaultProxy
    store: Store
    """Reaches the server through the proxy."""

    def put(self, folder: Path, below: str) -> None:
        """Puts the files of a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.write(f"{below}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def write(self, key: str, content: bytes) -> None:
        self.store.write(content, f"{self.path}/{key}")

    def read(self, key: str) -> bytes:
        return self.store.read(f"{self.path}/{key}")

    def delete(self, key: str) -> None:
        self.store.delete(f"{self.path}/{key}")

    def objects(self, below: str) -> dict[str, bytes]:
        """The objects of a folder without the state folder."""
        found = self.store.list(f"{self.path}/{below}")
        return {
            one.key: self.store.read(one.path)
            for one in found
            if not one.key.startswith(".batchcolor/")
        }

    @property
    def path(self) -> str:
        """The path of the folder in the store."""
        return self.url.partition("://")[2]


@pytest.fixture(params=["gs", "az"])
def cloud(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Cloud]:
    """A new bucket of Google Cloud Storage, or a new container of Azure."""
    kind = request.param
    target = request.getfixturevalue("google_url" if kind == "gs" else "azure_url")
    proxy = FaultProxy(target, checks_generations=kind == "gs")
    address, name = proxy.start(), f"album-{uuid4().hex[:12]}"
    for variable, value in {
        "STORAGE_EMULATOR_HOST": address,
        "NO_GCE_CHECK": "true",  # no search for credentials on the network
        "AZURE_STORAGE_CONNECTION_STRING": AZURE_CONNECTION.format(key=AZURE_KEY, url=address),
        "BATCHCOLOR_CACHE": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(variable, value)
    import fsspec

    system = fsspec.get_filesystem_class(kind)
    system.clear_instance_cache()
    system(use_listings_cache=False).mkdir(name)
    session = RemoteSession(retries=0)
    proxy.requests.clear()
    yield Cloud(f"{kind}://{name}/scans", proxy, session.open(f"{kind}://{name}").store)
    session.close()
    system.clear_instance_cache()
    proxy.stop()
