"""What a client is told when its request is not answered as asked.

No message quotes a prompt: what a client sent never comes back to it, and never reaches the log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping


class Refusal(Exception):  # noqa: N818 - no error of the server: an answer to a request
    """A request that is not answered as asked.

    Attributes:
        status: HTTP status.
        code: The reason as one word, for programs.
        message: The reason as a sentence, for people.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Keep what to answer."""
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})

    def body(self, request_id: str) -> bytes:
        """Return the JSON that is answered."""
        error = {"code": self.code, "message": self.message, "request_id": request_id}
        return json.dumps({"error": error}, separators=(",", ":")).encode()


def busy(retry_after_s: int) -> Refusal:
    """Return the refusal of a request that would have had to wait too long for its turn."""
    return Refusal(
        429,
        "busy",
        f"the queue is full: come back in {retry_after_s} s",
        headers={"Retry-After": str(retry_after_s)},
    )


def timed_out(timeout_s: float) -> Refusal:
    """Return the refusal of a request whose turn did not come in time."""
    return Refusal(
        503, "timeout", f"no prediction within {timeout_s:g} s: come back later", headers={"Retry-After": "1"}
    )


def bug() -> Refusal:
    """Return what is answered where the server made a mistake."""
    return Refusal(500, "bug", "the server made a mistake; its log says where, under this request's id")


class Disconnected(Exception):  # noqa: N818 - nothing went wrong here: the client went away
    """The client went away before its request was complete."""
