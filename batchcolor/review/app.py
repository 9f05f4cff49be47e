"""The HTTP interface of the review: addresses and their answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from batchcolor.errors import BatchcolorError, ModelError, make_printable
from batchcolor.pipeline.previews import encode_preview, read_result, read_source
from batchcolor.review.film_shots import Shot
from batchcolor.review.review_item import ReviewItem
from batchcolor.review.security import Access, AccessMiddleware
from batchcolor.review.session import RefusedError, ReviewSession
from batchcolor.version import __version__

CHECK_SECONDS = 1.0
"""Between two checks for changes by other programs."""
MAX_SIDE = 8000
"""Pixels of the longest picture that is sent to a page."""
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
CACHED = {"cache-control": "private, max-age=31536000, immutable"}
"""For pictures, whose addresses have the version of their files."""
NOT_CACHED = {"cache-control": "no-store"}
NOTES_HEADER = "batchcolor-notes"
"""Of a preview: a JSON list of sentences."""

Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(session: ReviewSession, access: Access, port: int) -> Starlette:
    """Returns the application; it answers only requests of its own page."""
    routes = _Routes(session)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        session.events.attach()
        checking = asyncio.create_task(_check_changes(session))
        try:
            yield
        finally:
            checking.cancel()

    def route(path: str, endpoint: Endpoint, method: str = "GET") -> Route:
        return Route(path, _answer_errors(endpoint), methods=[method])

    return Starlette(
        routes=[
            route("/", routes.page),
            route("/static/{name}", routes.static),
            route("/api/state", routes.state),
            route("/api/events", routes.events),
            route("/api/items/{id}/thumb", routes.thumb),
            route("/api/items/{id}/before", routes.before),
            route("/api/items/{id}/after", routes.after),
            route("/api/items/{id}/size", routes.size),
            route("/api/items/{id}/shots", routes.shots),
            route("/api/items/{id}/shots/{index:int}", routes.shot),
            route("/api/items/{id}/preview", routes.preview, "POST"),
            route("/api/items/{id}/colors", routes.colors, "POST"),
            route("/api/items/{id}/clip", routes.clip, "POST"),
            route("/api/decisions", routes.decide, "POST"),
            route("/api/write", routes.write, "POST"),
            route("/api/stop", routes.stop, "POST"),
        ],
        middleware=[Middleware(AccessMiddleware, access=access, port=port)],
        lifespan=lifespan,
    )


async def _check_changes(session: ReviewSession) -> None:
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        await run_in_threadpool(session.check_changes)


def _answer_errors(endpoint: Endpoint) -> Endpoint:
    """Answers errors with their reason as JSON."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except RefusedError as error:
            return JSONResponse({"error": str(error)}, error.code)
        except BatchcolorError as error:
            is_model = isinstance(error, ModelError)
            return JSONResponse({"error": make_printable(error), "model": is_model}, 422)

    return answer


class _Routes:
    """The endpoints. What computes runs in threads, so that the server stays responsive."""

    def __init__(self, session: ReviewSession) -> None:
        self.session = session
        self._page = _render_page()

    async def page(self, request: Request) -> Response:
        return HTMLResponse(self._page, headers=NOT_CACHED)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        folder = resources.files("batchcolor.review") / "static"
        known = {entry.name: entry for entry in folder.iterdir()}
        suffix = name[name.rfind(".") :]
        if name not in known or suffix not in TYPES:
            raise RefusedError("no such file", 404)
        return Response(known[name].read_bytes(), media_type=TYPES[suffix], headers=NOT_CACHED)

    async def state(self, request: Request) -> Response:
        described = await run_in_threadpool(self.session.describe)
        return JSONResponse(described, headers=NOT_CACHED)

    async def events(self, request: Request) -> Response:
        return StreamingResponse(
            self.session.events.stream(), media_type="text/event-stream", headers=NOT_CACHED
        )

    async def thumb(self, request: Request) -> Response:
        item = self._find(request)
        data = await run_in_threadpool(self.session.thumbnails.get, item)
        return Response(data, media_type="image/jpeg", headers=CACHED)

    async def before(self, request: Request) -> Response:
        item, side = self._find(request), _read_side(request.query_params.get("side"))

        def read() -> bytes:
            readers = self.session.plugins.readers()
            with self.session.files.open_source(item) as path:
                return encode_preview(read_source(path, side, readers), 92)

        return Response(await run_in_threadpool(read), media_type="image/jpeg", headers=CACHED)

    async def after(self, request: Request) -> Response:
        item, side = self._find(request), _read_side(request.query_params.get("side"))
        if item.target is None:
            raise RefusedError("there is no result", 404)

        def read() -> bytes:
            with self.session.files.open_result(item) as path:
                return encode_preview(read_result(path, side), 92)

        data = await run_in_threadpool(read)
        return Response(data, media_type="image/jpeg", headers=CACHED)

    async def size(self, request: Request) -> Response:
        width, height = await run_in_threadpool(self.session.engine.measure, self._find(request))
        return JSONResponse({"width": width, "height": height}, headers=NOT_CACHED)

    async def shots(self, request: Request) -> Response:
        item = self._find(request)
        if not item.is_film:
            raise RefusedError("only films have shots", 404)
        found = await run_in_threadpool(self.session.shots.find, item)
        if found is None:
            return JSONResponse({"searching": True}, headers=NOT_CACHED)
        shots = [{"frame": shot.frame, "time": shot.time} for shot in found.shots]
        return JSONResponse({"shots": shots, "complete": found.is_complete}, headers=NOT_CACHED)

    async def shot(self, request: Request) -> Response:
        item, side = self._find(request), _read_side(request.query_params.get("side"))

        def read() -> bytes:
            shot = self.session.find_shot(item, request.path_params["index"])
            return encode_preview(self.session.shots.read(item, shot, side))

        return Response(await run_in_threadpool(read), media_type="image/jpeg", headers=CACHED)

    async def preview(self, request: Request) -> Response:
        item, body = self._find(request), await _read_body(request)
        decision = self.session.parse_decision(item, body.get("decision"))
        side, job = _read_side(body.get("side")), self.session.find_job(item)

        def render() -> tuple[bytes, list[str]]:
            shot, engine = self._find_shot(item, body), self.session.engine
            data = encode_preview(engine.render(item, job, decision, side, shot))
            return data, engine.find_notes(item, job, decision, shot)

        data, notes = await run_in_threadpool(render)
        shown = json.dumps([make_printable(note) for note in notes])  # ASCII, as headers are
        return Response(data, media_type="image/jpeg", headers={**NOT_CACHED, NOTES_HEADER: shown})

    async def clip(self, request: Request) -> Response:
        item, body = self._find(request), await _read_body(request)
        if not item.is_film:
            raise RefusedError("only films have clips", 404)
        decision = self.session.parse_decision(item, body.get("decision"))
        job = self.session.find_job(item)

        def make() -> bytes:
            return self.session.clips.make(item, job, decision, self._find_shot(item, body))

        data = await run_in_threadpool(make)
        return Response(data, media_type="video/mp4", headers=NOT_CACHED)

    async def colors(self, request: Request) -> Response:
        item, body = self._find(request), await _read_body(request)
        decision = self.session.parse_decision(item, body.get("decision"))
        place = _read_share(body.get("x")), _read_share(body.get("y"))
        job = self.session.find_job(item)
        found = await run_in_threadpool(
            self.session.engine.likely_colors, item, job, decision, place
        )
        return JSONResponse({"colors": found}, headers=NOT_CACHED)

    async def decide(self, request: Request) -> Response:
        body = await _read_body(request)
        changes, client = body.get("changes"), body.get("client")
        if not isinstance(changes, list) or not isinstance(client, str):
            raise RefusedError("changes and client are missing")
        saved = await run_in_threadpool(self.session.save, changes, client)
        return JSONResponse({"changes": saved}, headers=NOT_CACHED)

    async def write(self, request: Request) -> Response:
        count = await run_in_threadpool(self.session.write)
        return JSONResponse({"count": count}, headers=NOT_CACHED)

    async def stop(self, request: Request) -> Response:
        self.session.writing.stop()
        return JSONResponse({}, headers=NOT_CACHED)

    def _find_shot(self, item: ReviewItem, body: dict[str, Any]) -> Shot | None:
        index = body.get("shot")
        return None if index is None else self.session.find_shot(item, index)

    def _find(self, request: Request) -> ReviewItem:
        return self.session.find(request.path_params["id"])


def _render_page() -> str:
    environment = Environment(
        loader=PackageLoader("batchcolor.review", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    build = uuid.uuid4().hex[:8]  # so that a page never runs the script of another version
    return environment.get_template("review.html").render(version=__version__, build=build)


async def _read_body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        raise RefusedError("the body is not JSON", 415)
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise RefusedError("the body is not JSON") from error
    if not isinstance(body, dict):
        raise RefusedError("the body is not a JSON object")
    return body


def _read_side(value: object) -> int:
    try:
        side = int(str(value))
    except ValueError as error:
        raise RefusedError("side is a number of pixels") from error
    if not 16 <= side <= MAX_SIDE:
        raise RefusedError(f"side is a number of pixels from 16 to {MAX_SIDE}")
    return side


def _read_share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RefusedError("x and y are numbers from 0 to 1")
    return float(value)
