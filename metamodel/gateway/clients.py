"""The client's side of a call: what was sent to it so far, and whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Final

from metamodel.gateway.errors import ApiError
from metamodel.gateway.header_rules import RawHeaders
from metamodel.gateway.requests import ClientGoneError, Receive, Send
from metamodel.gateway.streaming import error_event

JSON_TYPE: Final = b"application/json"
EVENTS_TYPE: Final = b"text/event-stream; charset=utf-8"


class Client:
    """Writes one response.

    Attributes:
        status: HTTP status that was sent; 0 before.
        is_complete: Whether the whole response was sent.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        """Keep the connection's two ends."""
        self._receive, self._send = receive, send
        self._is_stream = False
        self.status = 0
        self.is_complete = False

    async def answer(self, status: int, content: bytes, headers: RawHeaders, *, kind: bytes = JSON_TYPE) -> None:
        """Send a whole response."""
        length = (b"content-length", str(len(content)).encode())
        await self._start(status, [*_without_type(headers), (b"content-type", kind), length])
        await self._last(content)

    async def begin_stream(self, status: int, headers: RawHeaders) -> None:
        """Send the head of a stream of events."""
        self._is_stream = True
        await self._start(status, [*_without_type(headers), (b"content-type", EVENTS_TYPE)])

    async def push(self, piece: bytes) -> None:
        """Send a piece of the stream."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end_stream(self) -> None:
        """End the stream."""
        await self._last(b"")

    async def fail(self, error: ApiError, headers: Mapping[str, str]) -> None:
        """Send an error: as the response where none has begun, else as the last event of the stream."""
        if self.status == 0:
            await self.answer(error.status, error.body(), to_raw({**error.headers, **headers}))
        elif self._is_stream and not self.is_complete:
            await self.push(error_event(error))
            await self.end_stream()

    async def unless_gone(self, work: Coroutine[object, object, None]) -> None:
        """Do the work, and cancel it when the client closes its connection before the response is complete.

        Raises:
            ClientGoneError: It did.
        """
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(self._disconnected())
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if self.is_complete and not task.done():
                # A complete response ends the connection's messages too; what is left of the work goes on.
                await asyncio.wait({task})
        finally:
            was_done = task.done()
            task.cancel()
            gone.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)
        if not was_done:
            raise ClientGoneError
        await task

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _start(self, status: int, headers: RawHeaders) -> None:
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _last(self, content: bytes) -> None:
        # Before it is sent: the connection may say at once that it is over.
        self.is_complete = True
        await self._send({"type": "http.response.body", "body": content, "more_body": False})


def to_raw(headers: Mapping[str, str]) -> RawHeaders:
    """Return headers as ASGI has them; what a header cannot hold becomes a question mark."""
    return [
        (name.lower().encode("latin-1"), _one_line(value).encode("latin-1", errors="replace"))
        for name, value in headers.items()
    ]


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ").replace("\0", " ")


def _without_type(headers: RawHeaders) -> RawHeaders:
    return [(name.lower(), value) for name, value in headers if name.lower() != b"content-type"]
