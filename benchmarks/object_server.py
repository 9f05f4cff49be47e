"""A small S3 server on loopback, in a process of its own: objects in memory, latency on request.

It knows the few requests that jobs make. `--names N` lists N objects that do not exist otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bench"
PAGE = 1000
STAMP = datetime(2026, 1, 1, tzinfo=UTC)
ISO, HTTP = STAMP.strftime("%Y-%m-%dT%H:%M:%S.000Z"), STAMP.strftime("%a, %d %b %Y %H:%M:%S GMT")


class Objects:
    """The objects of one bucket, and names without objects in the folder `many`."""

    def __init__(self, folder: Path | None, names: int) -> None:
        self.names = names
        self.content: dict[str, tuple[bytes, str]] = {}
        for path in sorted(folder.iterdir()) if folder else ():
            self.put(f"in/{path.name}", path.read_bytes())
        self.sample = next(iter(self.content.values()), (b"", ""))

    def put(self, key: str, content: bytes) -> str:
        tag = hashlib.md5(content).hexdigest()
        self.content[key] = content, tag
        return tag

    def find(self, key: str) -> tuple[bytes, str] | None:
        is_named = key.startswith("many/") and key.endswith(".jpg")
        return self.sample if is_named else self.content.get(key)

    def list(self, prefix: str, token: str) -> tuple[list[tuple[str, int, str]], str]:
        """A page of keys, sizes and tags, and the token of the next one."""
        if prefix.startswith("many/"):
            start = int(token or 0)
            end = min(self.names, start + PAGE)
            size, tag = len(self.sample[0]), self.sample[1]
            page = [
                (f"many/{index // 1000:06d}/{index:09d}.jpg", size, tag)
                for index in range(start, end)
            ]
            return page, "" if end == self.names else str(end)
        keys = sorted(key for key in self.content if key.startswith(prefix) and key > token)
        page = [(key, len(self.content[key][0]), self.content[key][1]) for key in keys[:PAGE]]
        return page, page[-1][0] if len(keys) > PAGE else ""


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    objects: Objects
    latency: float

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        time.sleep(self.latency)
        split = urlsplit(self.path)
        key = unquote(split.path).removeprefix(f"/{BUCKET}").lstrip("/")
        query = parse_qs(split.query)
        if not key and self.command == "GET":
            self._list(query.get("prefix", [""])[0], query.get("continuation-token", [""])[0])
            return
        found = self.objects.find(key)
        match = self.headers.get("If-Match")
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>", {})
        elif match is not None and match.strip('"') != found[1]:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>", {})
        else:
            self._answer(200, found[0], {"ETag": f'"{found[1]}"', "Last-Modified": HTTP})

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.latency)
        key = unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            content = _read_chunks(content)
        self._answer(200, b"", {"ETag": f'"{self.objects.put(key, content)}"'})

    def _list(self, prefix: str, token: str) -> None:
        page, following = self.objects.list(prefix, token)
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{ISO}</LastModified>"
            f"<ETag>&quot;{tag}&quot;</ETag><Size>{size}</Size></Contents>"
            for key, size, tag in page
        )
        more = f"<NextContinuationToken>{following}</NextContinuationToken>" if following else ""
        truncated = "true" if following else "false"
        text = (
            f"<ListBucketResult><Name>{BUCKET}</Name><IsTruncated>{truncated}</IsTruncated>{more}"
            f"<KeyCount>{len(page)}</KeyCount>{entries}</ListBucketResult>"
        )
        self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _read_chunks(content: bytes) -> bytes:
    """The body of an upload in chunks with checksums."""
    parts: list[bytes] = []
    start = 0
    while True:
        end = content.index(b"\r\n", start)
        size = int(content[start:end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(content[end + 2 : end + 2 + size])
        start = end + 2 + size + 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--names", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args()
    attributes = {
        "objects": Objects(options.folder, options.names),
        "latency": options.latency,
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHandler", (Handler,), attributes))
    server.daemon_threads = True
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
