"""Starts the review: a server on loopback, and the browser."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from batchcolor.errors import BatchcolorError, UsageError
from batchcolor.hooks.manager import Plugins
from batchcolor.storage.locations import Url

HOST = "127.0.0.1"
STOP_SECONDS = 1
"""How long open connections may take at the end."""


def serve(
    output: Path | Url,
    plugins: Plugins,
    *,
    temporary_space: int | None = None,
    port: int = 0,
    open_browser: bool = True,
    report: Callable[[str], None],
) -> None:
    """Serves the review of an output until SIGINT or SIGTERM.

    `port` 0: one that is free. `report` is given the address, which holds the token;
    `temporary_space` limits the bytes of local copies of remote files. Raises UsageError where the
    output has no results, the port is taken, or a package is missing, and OutputError where
    decisions about an output on remote storage cannot be sent there at the end.
    """
    for package in ("starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"batchcolor review needs the package {package}: pip install 'batchcolor[review]'"
            )
    import uvicorn

    from batchcolor.review.app import build_app
    from batchcolor.review.security import Access
    from batchcolor.review.session import ReviewSession

    with (
        _listen(port) as listener,
        closing(ReviewSession(output, plugins, temporary_space)) as session,
    ):
        bound = listener.getsockname()[1]
        access = Access()
        app = build_app(session, access, bound)
        server = _make_server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
                ws="none",
            ),
            session.events.close,
        )
        address = f"http://{HOST}:{bound}/?token="
        report(address + access.token)
        warming = threading.Thread(target=_warm_up, args=(session,), name="warm-up")
        warming.start()
        if open_browser:
            url = address + access.make_single_use()
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        server.run(sockets=[listener])
        warming.join()  # a thread in native code must not outlive the interpreter


def _make_server(config: Any, close_streams: Callable[[], None]) -> Any:
    """A server that ends the event streams of open pages when it is stopped."""
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            close_streams()
            await super().shutdown(sockets)

        def handle_exit(self, sig: int, frame: Any) -> None:
            self.should_exit = True  # uvicorn itself would raise the signal again at the end

    return Server(config)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()  # a browser may connect before the server accepts
    except OSError as error:
        listener.close()
        raise UsageError(
            f"port {port} cannot be used ({error.strerror}); choose another --port"
        ) from error
    return listener


def _warm_up(session: Any) -> None:
    """Loads the model of the last job: the first preview need not wait for it."""
    if session.items.jobs:
        with contextlib.suppress(BatchcolorError):  # the page shows it with a preview
            session.engine.warm_up(session.items.jobs[-1])
