"""A proxy before a storage server of the tests, which answers some requests with faults."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import parse_qs, quote, unquote, urlsplit

ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
    "<Message>{message}</Message></Error>"
)
CODES = {
    **{403: "AccessDenied", 405: "MethodNotAllowed", 409: "ConditionalRequestConflict"},
    **{429: "TooManyRequests", 500: "InternalError", 501: "NotImplemented", 503: "SlowDown"},
}


@dataclass
class Fault:
    """A fault of the requests that match: `kind` is a status, "torn", "silent" or "hidden"."""

    kind: int | str
    method: str
    part: str
    """Is in the path and query of the request."""
    times: int = 10**9
    hide: str = ""
    """For "hidden": the key that a listing lacks."""
    header: str = ""
    """A header that the request has."""
    message: str = ""
    """In the answer; empty: the code of the status."""
    before: Callable[[], object] = lambda: None
    """Called before the request is answered."""


@dataclass
class FaultProxy:
    """The proxy; `faults` may be changed while it runs."""

    target: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    latency: float = 0.0
    clock: float = 0.0
    """Seconds by which the clock of its own answers is ahead."""
    checks_generations: bool = False
    """Whether the proxy refuses what `ifGenerationMatch` excludes: the server of Google Cloud
    Storage of the tests ignores it."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> str:
        """Starts the proxy, and returns its address."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, method: str, part: str = "") -> int:
        """The number of requests that match."""
        return sum(method == one and part in path for one, path in self.requests)

    def take(self, method: str, path: str, headers: Message) -> Fault | None:
        for fault in self.faults:
            has_header = not fault.header or fault.header in headers
            if fault.times > 0 and fault.method == method and fault.part in path and has_header:
                fault.times -= 1
                return fault
        return None


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time in its own answers."""
        now = time.time() if timestamp is None else timestamp
        return super().date_time_string(now + self.proxy.clock)

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else b""
        path = unquote(self.path)
        self.proxy.requests.append((self.command, path))
        time.sleep(self.proxy.latency)
        fault = self.proxy.take(self.command, path, self.headers)
        if fault is not None:
            fault.before()
        if fault is not None and isinstance(fault.kind, int):
            code = CODES[fault.kind]
            text = ERROR.format(code=code, message=fault.message or f"{code} of the test")
            content = b"" if self.command == "HEAD" else text.encode()
            self._answer(fault.kind, {"Content-Type": "application/xml"}, content, len(content))
            return
        if fault is not None and fault.kind == "silent":
            time.sleep(3)
            self.close_connection = True
            return
        with self.proxy.lock if self.proxy.checks_generations else contextlib.nullcontext():
            if self.proxy.checks_generations and not self._has_generation(body):
                self._answer(412, {}, b"{}", 2)
                return
            status, headers, content = self._forward(body)
        if fault is not None and fault.kind == "torn":
            self._answer(status, headers, content[: len(content) // 2], len(content))
            self.close_connection = True
            return
        if fault is not None and fault.kind == "hidden":
            start = content.find(f"<Key>{fault.hide}</Key>".encode())
            start = content.rfind(b"<Contents>", 0, start)
            end = content.find(b"</Contents>", start) + len(b"</Contents>")
            content = content[:start] + content[end:]
        lengths = [int(text) for name, text in headers.items() if name.lower() == "content-length"]
        size = lengths[0] if lengths else len(content)
        self._answer(status, headers, content, size if self.command == "HEAD" else len(content))

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def _has_generation(self, body: bytes) -> bool:
        """Whether an object has the generation that is the condition of the request."""
        parts = urlsplit(self.path)
        wanted = parse_qs(parts.query).get("ifGenerationMatch")
        if wanted is None:
            return True
        path = parts.path
        if self.command == "POST":
            name = json.loads(body.split(b"\r\n")[3])["name"]
            path = f"{path.removeprefix('/upload')}/{quote(name, safe='')}"
        status, _, content = self._ask("GET", path, b"", {})
        return wanted[0] == (json.loads(content)["generation"] if status == 200 else "0")

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        return self._ask(self.command, self.path, body, headers)

    def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.proxy.target).netloc, timeout=300)
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        dropped = ("transfer-encoding", "connection", "date", "server")
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in dropped}
        return answer.status, kept, content

    def _answer(self, status: int, headers: dict[str, str], content: bytes, size: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
