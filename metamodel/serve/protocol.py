"""What the HTTP server itself does not guard against: slow senders, endless headers, too many connections.

It also answers clients that close their sending side once the request is sent.
"""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from metamodel.serve.errors import Refusal, busy
from metamodel.serve.observed import ObservedApp, new_request_id

MOST_HEADER_BYTES = 32_768


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    _deadline: asyncio.TimerHandle | None = None
    _n_header_bytes = 0
    _has_begun = False
    _is_in_headers = True
    _is_in_body = False

    @property
    def _guarded(self) -> ObservedApp:
        return cast("ObservedApp", self.config.loaded_app)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Turn the connection away where there are too many, and wait for its first request."""
        super().connection_made(transport)
        if len(self.connections) > self._guarded.settings.max_connections:
            self._send_away(busy(1))
            return
        self._wait_for_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the headers have grown too long."""
        if self.transport.is_closing():
            return
        if self._is_in_headers:
            self._n_header_bytes += len(data)
        super().data_received(data)
        if self._is_in_headers and self._n_header_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
            self._send_away(Refusal(431, "header_size", f"the headers may have {MOST_HEADER_BYTES} bytes"))

    def on_message_begin(self) -> None:
        """Give a request its time."""
        self._is_in_headers, self._has_begun = True, True
        if self._deadline is None:
            self._wait_for_rest()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let the application begin."""
        self._is_in_headers, self._is_in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop waiting: the request is here."""
        self._is_in_headers, self._is_in_body, self._has_begun, self._n_header_bytes = True, False, False, 0
        self._stop_waiting()
        super().on_message_complete()

    def eof_received(self) -> bool | None:  # type: ignore[override] # asyncio lets it keep the connection half open
        """Keep the connection for the answer where a whole request came before its sender closed its side."""
        if self.cycle is None or self.cycle.response_complete or self._has_begun:
            return None
        self.cycle.keep_alive = False
        return True

    def _wait_for_rest(self) -> None:
        self._deadline = self.loop.call_later(self._guarded.settings.receive_s, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if not self._has_begun or self._is_answering():
            # Nothing was asked, or an answer is under way: what were sent now would be taken for a part of it.
            self.transport.close()
            return
        seconds = self._guarded.settings.receive_s
        self._send_away(Refusal(408, "slow", f"the request was not complete within {seconds:g} s"))

    def _is_answering(self) -> bool:
        if not self.cycle:
            return False
        if self._is_in_body:
            return self.cycle.response_started or bool(self.pipeline)
        # The request in its headers has no cycle yet: this is the one before it.
        return not self.cycle.response_complete

    def _send_away(self, refusal: Refusal) -> None:
        """Answer before, or instead of, the application."""
        self._stop_waiting()
        request_id = new_request_id()
        body = refusal.body(request_id)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "X-Request-ID": request_id,
            **refusal.headers,
            "Connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[refusal.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()
        self._guarded.sent_away(refusal, request_id)
