"""Sends events to every open page (server-sent events, HTML standard)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

HEARTBEAT_SECONDS = 15.0
MAX_WAITING = 1000
"""Events that wait for a page; one that reads none is closed and connects again."""


class Broadcaster:
    """Events for all pages. `send` may be called by any thread."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Uses the event loop that runs."""
        self._loop = asyncio.get_running_loop()

    def send(self, kind: str, **values: Any) -> None:
        """Sends an event to every page."""
        text = f"event: {kind}\ndata: {json.dumps(values)}\n\n"
        self._call(text)

    def close(self) -> None:
        """Ends every stream."""
        self._call(None)

    def _call(self, text: str | None) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, text)

    def _put(self, text: str | None) -> None:
        for queue in list(self._queues):
            if queue.qsize() > MAX_WAITING:
                self._queues.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(text)

    async def stream(self) -> AsyncIterator[str]:
        """Yields the events of one page, and comments that keep its connection open."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield "retry: 1000\n\n"
            while True:
                try:
                    text = await asyncio.wait_for(queue.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    text = ": waiting\n\n"
                if text is None:
                    return
                yield text
        finally:
            self._queues.discard(queue)
