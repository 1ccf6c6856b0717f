"""Server-sent events on their way through: nothing waits but the rest of an event that has begun."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from metamodel.gateway.errors import ApiError, upstream_fault

# An event ends with an empty line; lines end with LF, CRLF or CR.
_BOUNDARY: Final = re.compile(rb"\r\n\r\n|\n\r\n|\n\n|\r\r")
# In a text these would be written with escapes, and so do not match.
_ENDED: Final = re.compile(rb'^data:[ ]?\[DONE\]|^data:[ ]?\{\s*"error"|"finish_reason"\s*:\s*"', re.MULTILINE)
_LONGEST_EVENT: Final = 8 * 2**20


class EventRelay:
    r"""Lets whole events through as they come, so that a stream that breaks off ends between two events.

    >>> relay = EventRelay()
    >>> relay.feed(b"data: 1\n\ndata:"), relay.feed(b" 2\n\n"), relay.is_ended
    (b'data: 1\n\n', b'data: 2\n\n', False)
    """

    def __init__(self) -> None:
        """Begin with nothing held back."""
        self._held = b""
        self.is_ended = False

    def feed(self, piece: bytes) -> bytes:
        """Return all whole events up to here; empty where there is none.

        Raises:
            UpstreamFaultError: An event never ends.
        """
        ready = self._held + piece if self._held else piece
        if not ready.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
            start = max(len(self._held) - 3, 0)
            end = start
            for found in _BOUNDARY.finditer(ready, start):
                end = found.end()
            if end == start:
                self._hold(ready)
                return b""
            self._hold(ready[end:])
            ready = ready[:end]
        else:
            self._held = b""
        self.is_ended = self.is_ended or _ENDED.search(ready) is not None
        return ready

    def finish(self) -> bytes:
        """Return what is left where the last event lacks its empty line but ends the stream, else nothing."""
        left, self._held = self._held, b""
        if left and _ENDED.search(left) is not None and left.rstrip().endswith((b"]", b"}")):
            self.is_ended = True
            return left.rstrip() + b"\n\n"
        return b""

    def _hold(self, rest: bytes) -> None:
        if len(rest) > _LONGEST_EVENT:
            raise upstream_fault(
                HTTPStatus.BAD_GATEWAY,
                f"an event of the upstream's stream is longer than {_LONGEST_EVENT} bytes",
                code="upstream_too_long",
            )
        self._held = rest


def error_event(error: ApiError) -> bytes:
    """Return an error as an event; OpenAI's client raises it."""
    return b"data: " + error.body() + b"\n\n"
