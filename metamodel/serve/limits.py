"""Read a request's body, and no more of it than is allowed."""

from __future__ import annotations

from starlette.types import Message, Receive, Scope

from metamodel.serve.errors import Disconnected, Refusal, busy


class BodyBudget:
    """How many bytes of bodies a worker holds at once: many large bodies together are refused like one too many."""

    def __init__(self, most_bytes: int) -> None:
        """Start with none."""
        self.most_bytes, self.held_bytes = most_bytes, 0

    def take(self, n_bytes: int) -> None:
        """Hold so many more.

        Raises:
            Refusal: There is no room for them.
        """
        if self.held_bytes + n_bytes > self.most_bytes:
            raise busy(1)
        self.held_bytes += n_bytes

    def give_back(self, n_bytes: int) -> None:
        """Hold so many less."""
        self.held_bytes -= n_bytes


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return a header's value, the first where it is sent twice."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None


def check_media_type(scope: Scope) -> None:
    """Let only JSON in.

    A page in a browser can post a form to a server on the same machine without asking, but not JSON.

    Raises:
        Refusal: The body is said to be something else.
    """
    said = header(scope, b"content-type") or b""
    if said.split(b";", 1)[0].strip().lower() != b"application/json":
        raise Refusal(415, "media_type", "the request must say Content-Type: application/json")
    if (header(scope, b"content-encoding") or b"identity").strip().lower() != b"identity":
        raise Refusal(415, "encoding", "compressed bodies are not read: send the JSON as it is")


async def read_body(scope: Scope, receive: Receive, *, most_bytes: int, budget: BodyBudget) -> bytes:
    """Return the body; stop reading where it grows too large, whatever its headers said of it.

    The caller gives the body's bytes back to the budget when it is done with them.

    Raises:
        Refusal: The body is larger than `most_bytes`, or there is no room for it now.
        Disconnected: The client went away, or was sent away because it took too long.
    """
    declared = header(scope, b"content-length")
    # The HTTP parser has made sure that it is a number.
    if declared is not None:
        _check_size(int(declared), most_bytes)
    pieces: list[bytes] = []
    n_bytes = 0
    try:
        while True:
            message = await receive()
            piece = _piece(message)
            _check_size(n_bytes + len(piece), most_bytes)
            budget.take(len(piece))
            n_bytes += len(piece)
            pieces.append(piece)
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    except BaseException:
        budget.give_back(n_bytes)
        raise


def _piece(message: Message) -> bytes:
    if message["type"] != "http.request":
        raise Disconnected
    piece: bytes = message.get("body", b"")
    return piece


def _check_size(n_bytes: int, most_bytes: int) -> None:
    if n_bytes > most_bytes:
        raise Refusal(413, "body_size", f"the body may have {most_bytes} bytes")
