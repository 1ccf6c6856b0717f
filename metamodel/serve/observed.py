"""Around every request: its id, its line in the log, its place in the metrics, and an answer even to a bug."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metamodel.serve.errors import Disconnected, Refusal, bug
from metamodel.serve.limits import header
from metamodel.serve.logs import log, places
from metamodel.serve.settings import ServeSettings

if TYPE_CHECKING:
    from metamodel.serve.metrics import Metrics

FACTS = "metamodel.facts"
_CLIENT_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# Paths that are counted by name; a stranger must not be able to fill the metrics with names.
_PATHS = frozenset({"/v1/screen", "/health", "/ready", "/metrics", "/openapi.json", "/docs"})
_CLIENT_CLOSED_REQUEST = 499
Handler: TypeAlias = Callable[[Scope, Receive], Awaitable[Response]]


@dataclass(kw_only=True)
class Facts:
    """What the log will say of a request.

    Attributes:
        request_id: The client's own, or a new one.
        refused: Why it was not answered as asked; empty where it was.
        logged: Further facts.
    """

    request_id: str
    refused: str = ""
    logged: dict[str, object] = field(default_factory=dict)


def new_request_id() -> str:
    """Return an id that no other request has."""
    return os.urandom(12).hex()


class ObservedApp:
    """An ASGI application that watches over another."""

    def __init__(
        self, app: ASGIApp, settings: ServeSettings, metrics: Metrics, *, direct: Mapping[tuple[str, str], Handler]
    ) -> None:
        """Put it around `app`.

        Args:
            app: What answers.
            settings: How to serve.
            metrics: Where requests are counted.
            direct: What answers to a method and path instead, because finding a route costs `app` more than the answer.
        """
        self._app, self.settings, self._metrics, self._direct = app, settings, metrics, direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        given = header(scope, b"x-request-id")
        is_fine = given is not None and _CLIENT_ID.fullmatch(given) is not None
        facts = Facts(request_id=given.decode() if given is not None and is_fine else new_request_id())
        scope[FACTS] = facts
        status = 0

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", facts.request_id.encode())]
            await send(message)

        try:
            handler = self._direct.get((scope["method"], scope["path"]))
            if handler is None:
                await self._app(scope, receive, observed_send)
            else:
                await _answer_directly(handler, scope, receive, observed_send)
        except Disconnected:
            status = _CLIENT_CLOSED_REQUEST
            facts.refused = "disconnected"
        except Exception as error:  # noqa: BLE001 - the client was answered, and the log says where it came from
            status = 500
            facts.logged["error"] = places(error)
        self._note(scope, status, time.perf_counter() - begin, facts)

    def sent_away(self, refusal: Refusal, request_id: str) -> None:
        """Note a request that was refused before it was complete."""
        self._metrics.refused(refusal.code)
        self._metrics.answered("other", refusal.status, 0.0)
        if self.settings.log_requests:
            log("warning", "sent_away", request_id=request_id, status=refusal.status, refused=refusal.code)

    def _note(self, scope: Mapping[str, object], status: int, seconds: float, facts: Facts) -> None:
        path = str(scope["path"])
        path = path if path in _PATHS else "other"
        self._metrics.answered(path, status, seconds)
        if facts.refused:
            self._metrics.refused(facts.refused)
            facts.logged["refused"] = facts.refused
        level = "error" if "error" in facts.logged else "warning" if facts.refused else "info"
        is_wanted = path not in {"/health", "/ready", "/metrics"} and self.settings.log_requests
        if level == "error" or is_wanted:
            log(
                level,
                "request",
                request_id=facts.request_id,
                method=scope["method"],
                path=path,
                status=status,
                ms=round(seconds * 1000, 3),
                **facts.logged,
            )


async def _answer_directly(handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        response = await handler(scope, receive)
    except Refusal as refusal:
        response = refusal_response(scope, refusal)
    except Disconnected:
        raise
    except Exception:
        await refusal_response(scope, bug())(scope, receive, send)
        raise
    await response(scope, receive, send)


def refusal_response(scope: Scope, refusal: Refusal) -> Response:
    """Return the answer to a request that is refused, and remember why."""
    facts: Facts = scope[FACTS]
    facts.refused = refusal.code
    return Response(
        refusal.body(facts.request_id),
        status_code=refusal.status,
        headers=refusal.headers,
        media_type="application/json",
    )
