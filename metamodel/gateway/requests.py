"""What a client sends: bounded in time and size, and read by one meaning only."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias

from metamodel.gateway.errors import ApiError
from metamodel.gateway.header_rules import RawHeaders
from metamodel.gateway.plans import LimitPlan
from metamodel.primaries.endpoint.keys import ApiKey

# As ASGI has them: messages are open mappings.
Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

MODEL_PATH = "/v1/models"
_CHAT_PATH = "/v1/chat/completions"
COMPLETION_PATHS: dict[str, str] = {_CHAT_PATH: "chat", "/v1/completions": "completions"}


class ClientGoneError(Exception):
    """The client closed its connection."""


@dataclass(frozen=True, kw_only=True)
class ClientCall:
    """A request for a completion.

    Attributes:
        api: `chat` or `completions`.
        content: The body as it came.
        body: The same, parsed.
        headers: Of the request.
    """

    api: str
    content: bytes
    body: Mapping[str, object]
    headers: RawHeaders

    @property
    def is_chat(self) -> bool:
        """Whether the chat API is called."""
        return self.api == "chat"

    @property
    def is_stream(self) -> bool:
        """Whether the reply is asked for piece by piece."""
        return self.body.get("stream") is True

    @property
    def path(self) -> str:
        """Path behind an endpoint's base URL."""
        return "/chat/completions" if self.is_chat else "/completions"

    @property
    def model(self) -> str:
        """Name of the model that is asked for."""
        model = self.body.get("model")
        return model if isinstance(model, str) else ""


async def read_body(receive: Receive, headers: RawHeaders, limits: LimitPlan) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: It is too long, comes too slowly or in a coding.
        ClientGoneError: It does not come.
    """
    if header(headers, b"content-encoding") not in ("", "identity"):
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed", code="content_encoding")
    told = header(headers, b"content-length")
    too_long = ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is longer than {limits.max_body_bytes} bytes",
        code="request_too_large",
        headers={"connection": "close"},
    )
    if told.isdigit() and int(told[:20]) > limits.max_body_bytes:
        raise too_long
    received = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGoneError
                received += message.get("body", b"")
                if len(received) > limits.max_body_bytes:
                    raise too_long
                if not message.get("more_body", False):
                    return bytes(received)
    except TimeoutError:
        raise ApiError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not come within {limits.body_timeout_s:g} seconds",
            code="request_timeout",
            headers={"connection": "close"},
        ) from None


def parse_body(content: bytes) -> dict[str, object]:
    """Return a request's JSON object.

    A key that occurs twice is refused: of two values the pre-screen might read one and the upstream the other.

    Raises:
        ApiError: It is none.
    """
    try:
        parsed = json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats)
    except UnicodeDecodeError:
        raise _bad("the body is not UTF-8") from None
    except RecursionError:
        raise _bad("the body is nested too deeply") from None
    except ValueError as error:
        raise _bad(f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(parsed, dict):
        raise _bad(f"the body must be a JSON object, got {type(parsed).__name__}")
    return parsed


def check_key(headers: RawHeaders, key: ApiKey | None) -> None:
    """Do nothing where the client sends the key, or none is asked for.

    Raises:
        ApiError: It sends another or none.
    """
    if key is None:
        return
    sent = header(headers, b"authorization")
    if not hmac.compare_digest(sent.encode(), key.header().encode()):
        raise ApiError(
            HTTPStatus.UNAUTHORIZED,
            "the request's Authorization does not hold the gateway's key",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )


def header(headers: RawHeaders, name: bytes) -> str:
    """Return the value of a header, empty where it is not there; ASGI gives names in lower case."""
    return next((value.decode("latin-1") for found, value in headers if found == name), "")


def _without_repeats(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    listed = list(pairs)
    built = dict(listed)
    if len(built) != len(listed):
        raise ValueError("a key occurs twice in one object")
    return built


def _bad(message: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, message, code="invalid_body")
