"""Who may talk to the server: only the page that it opened, in a browser of this user.

The server listens on loopback, but any web page that is open in a browser, and any program of
another user of the computer, can send requests there. So each request must have the token, name
this server as `Host` (which prevents DNS rebinding), and come from its own page.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
SAFE_METHODS = ("GET", "HEAD")
MAX_BODY = 8 * 2**20
"""Bytes of a request."""


class Access:
    """The tokens of one server."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self._single_use: set[str] = set()

    def make_single_use(self) -> str:
        """A token that is valid once: other users see the command line of a browser."""
        token = secrets.token_urlsafe(32)
        self._single_use.add(token)
        return token

    def redeem(self, given: str) -> bool:
        """Whether this is the token, or one for a single use that was not used yet."""
        if is_equal(given, self.token):
            return True
        found = next((token for token in self._single_use if is_equal(given, token)), None)
        if found is not None:
            self._single_use.discard(found)
        return found is not None


def is_equal(given: str, token: str) -> bool:
    """Compares in a time that does not depend on the content."""
    return hmac.compare_digest(given.encode(), token.encode())


class AccessMiddleware:
    """Refuses requests of others, and adds the headers of the policy to every response."""

    def __init__(self, app: ASGIApp, access: Access, port: int) -> None:
        self.app, self.access = app, access
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.origins = {f"http://{host}" for host in self.hosts}
        self.cookie = f"batchcolor-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with 400, 401, 403, 411 or 413."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.encode() not in present
                    ),
                ]
            await send(message)

        refusal = self._check(scope)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> Response | None:
        """The answer to a request that is not passed on."""
        headers = _Headers(scope["headers"])
        if headers.get("host") not in self.hosts:
            return PlainTextResponse("wrong Host", 400)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        is_safe = scope["method"] in SAFE_METHODS
        if (origin and origin not in self.origins) or (not is_safe and not origin):
            return PlainTextResponse("wrong Origin", 403)
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given and scope["path"] == "/" and is_safe and self.access.redeem(given):
            return self._accept()
        if site and site not in ("same-origin", "none"):
            return PlainTextResponse("request of another site", 403)
        if not is_equal(self._read_cookie(headers), self.access.token):
            return PlainTextResponse(
                "This page needs the address that `batchcolor review` has printed.", 401
            )
        if "transfer-encoding" in headers:
            return PlainTextResponse("the size of the body is not stated", 411)
        length = headers.get("content-length") or "0"
        if not length.isdecimal() or int(length) > MAX_BODY:
            return PlainTextResponse("too large", 413)
        return None

    def _accept(self) -> Response:
        """Stores the token in a cookie, and removes it from the address."""
        response = RedirectResponse("/", 303)
        response.set_cookie(
            self.cookie, self.access.token, httponly=True, samesite="strict", path="/"
        )
        return response

    def _read_cookie(self, headers: _Headers) -> str:
        """The token in the cookie of this server, or an empty string.

        Not with `http.cookies`, which reads none if one of them is malformed: those of
        all ports of a host arrive together, so other programs' cookies are among them.
        """
        for pair in headers.get("cookie").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self.cookie:
                return value
        return ""


class _Headers:
    """The headers of a request; one that is given twice has no value."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.decode("latin-1").lower(), []).append(
                value.decode("latin-1")
            )

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> str:
        """The value, or an empty string."""
        values = self._values.get(name, [])
        if name == "cookie":
            return "; ".join(values)
        return values[0] if len(values) == 1 else ""
