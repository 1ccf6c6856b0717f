"""One call to an endpoint: its reply piece by piece, its faults as errors that a client understands."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from metamodel.gateway.connections import Connections, decoded
from metamodel.gateway.errors import UpstreamFaultError, refused_by_upstream, timed_out, upstream_fault
from metamodel.gateway.header_rules import RawHeaders, forwarded_to_client, forwarded_to_upstream
from metamodel.gateway.plans import UpstreamPlan
from metamodel.primaries.endpoint.keys import ApiKey

if TYPE_CHECKING:
    import httpcore

    from metamodel.gateway.connections import Connection

_MAX_ERROR_BYTES: Final = 2**20
_SUCCESS: Final = range(200, 300)


class UpstreamReply:
    """A success whose content may still be on its way."""

    def __init__(self, response: httpcore.Response, plan: UpstreamPlan) -> None:
        """Keep the response; it is closed by who opened it."""
        self._response, self._plan = response, plan
        self.status = response.status
        self.is_whole = False
        self.headers: RawHeaders = forwarded_to_client(response.headers)
        kinds = [value for name, value in response.headers if name.lower() == b"content-type"]
        self.content_type = (kinds[-1] if kinds else b"").decode("latin-1").partition(";")[0].strip().lower()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the content as it comes.

        Raises:
            UpstreamFaultError: The connection is lost, or silent for too long, or the content cannot be read.
        """
        import httpcore

        try:
            async for piece in decoded(self._response.aiter_stream(), self._response.headers):
                yield piece
        except httpcore.TimeoutException:
            raise timed_out("further piece", self._plan.silence_s) from None
        except (httpcore.NetworkError, httpcore.ProtocolError):
            raise upstream_fault(
                HTTPStatus.BAD_GATEWAY, "the upstream broke its reply off", code="upstream_cut_off"
            ) from None
        except ValueError as error:
            raise _malformed(f"cannot be read: {error}") from None
        self.is_whole = True

    async def read(self) -> bytes:
        """Return the whole content.

        Raises:
            UpstreamFaultError: It is cut off or longer than `max_reply_bytes`.
        """
        received = bytearray()
        async for piece in self.pieces():
            received += piece
            if len(received) > self._plan.max_reply_bytes:
                raise upstream_fault(
                    HTTPStatus.BAD_GATEWAY,
                    f"the upstream's reply is longer than {self._plan.max_reply_bytes} bytes",
                    code="upstream_too_long",
                )
        return bytes(received)


class Upstream:
    """Calls to an endpoint."""

    def __init__(self, plan: UpstreamPlan) -> None:
        """Read the key; no connection is made yet.

        Raises:
            MetamodelError: The environment variable with the key is not set.
        """
        self.plan = plan
        self._key = None if plan.api_key_env is None else ApiKey(plan.api_key_env)
        self._connections = Connections(plan.base_url)

    async def close(self) -> None:
        """Close the connections that no call uses."""
        await self._connections.close()

    @asynccontextmanager
    async def call(
        self, method: str, path: str, *, content: bytes | None, headers: RawHeaders, is_stream: bool
    ) -> AsyncIterator[UpstreamReply]:
        """Send a request and give its reply; leaving before its end closes the connection, which cancels the call.

        Args:
            method: HTTP method.
            path: Behind the base URL, with its slash.
            content: Body.
            headers: Of the client's request.
            is_stream: Whether the reply is asked for piece by piece.

        Raises:
            ApiError: The upstream refuses this call.
            UpstreamFaultError: It fails.
        """
        import httpcore

        connection = self._connections.take()
        reply: UpstreamReply | None = None
        silence_s = self.plan.silence_s if is_stream else self.plan.timeout_s
        request = httpcore.Request(
            method,
            self._connections.url(path),
            headers=self._headers(headers, content),
            content=content,
            extensions={
                "timeout": {
                    "connect": self.plan.connect_timeout_s,
                    "read": silence_s,
                    "write": silence_s,
                    "pool": silence_s,
                }
            },
        )
        try:
            response = await self._sent(connection, request, silence_s)
            try:
                if response.status not in _SUCCESS:
                    raise await self._refused(response)
                reply = UpstreamReply(response, self.plan)
                yield reply
            finally:
                await response.aclose()
        finally:
            await self._connections.give_back(connection, is_whole=reply is not None and reply.is_whole)

    async def _sent(self, connection: Connection, request: httpcore.Request, silence_s: float) -> httpcore.Response:
        import httpcore

        # Not chained: the errors' frames hold the request, and with it the key.
        try:
            return await connection.handle_async_request(request)
        except httpcore.ConnectTimeout:
            raise timed_out("connection", self.plan.connect_timeout_s) from None
        except httpcore.TimeoutException:
            raise timed_out("answer", silence_s) from None
        except (httpcore.ConnectError, httpcore.ProxyError):
            raise upstream_fault(
                HTTPStatus.BAD_GATEWAY, "the upstream cannot be reached", code="upstream_unreachable"
            ) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ConnectionNotAvailable):
            raise upstream_fault(
                HTTPStatus.BAD_GATEWAY, "the upstream closed the connection without an answer", code="upstream_reset"
            ) from None

    async def _refused(self, response: httpcore.Response) -> Exception:
        import httpcore

        received = bytearray()
        try:
            async for piece in decoded(response.aiter_stream(), response.headers):
                received += piece
                if len(received) > _MAX_ERROR_BYTES:
                    break
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, ValueError):
            pass  # what came of the body may still say why
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        kept = {name.decode("latin-1").lower() for name, _ in forwarded_to_client(response.headers)}
        return refused_by_upstream(
            response.status,
            bytes(received),
            {name: value for name, value in headers.items() if name in kept - {"content-type"}},
            passes_key=self.plan.pass_key,
            hide=self._hidden,
        )

    def _hidden(self, text: str) -> str:
        return text if self._key is None else self._key.hide(text)

    def _headers(self, headers: RawHeaders, content: bytes | None) -> RawHeaders:
        forwarded = forwarded_to_upstream(headers, pass_key=self.plan.pass_key)
        # Compressed pieces would wait for one another in the decoder.
        sent = [(b"host", self._connections.host), *forwarded, (b"accept-encoding", b"identity")]
        if content is not None:
            sent.append((b"content-length", str(len(content)).encode()))
        if not any(name.lower() == b"user-agent" for name, _ in forwarded):
            sent.append((b"user-agent", b"metamodel-gateway"))
        if self._key is not None:
            sent.append((b"authorization", self._key.header().encode()))
        return sent


def checked_completion(content: bytes, content_type: str) -> bytes:
    """Return a reply that is no stream, as it came.

    Raises:
        UpstreamFaultError: It is no completion.
    """
    problem = None
    if content_type != "application/json" and not content_type.endswith("+json"):
        problem = f"is {content_type[:100] or 'of no type'}, not JSON"
    else:
        try:
            parsed = json.loads(content.decode("utf-8"))
        except (ValueError, RecursionError):
            problem = "is no JSON: cut off or malformed"
        else:
            if not isinstance(parsed, dict) or not isinstance(parsed.get("choices"), list):
                problem = "holds no choices"
    if problem is None:
        return content
    raise _malformed(problem)


def check_stream(content_type: str) -> None:
    """Do nothing for a stream of events.

    Raises:
        UpstreamFaultError: The reply is none.
    """
    if content_type != "text/event-stream":
        raise _malformed(f"is {content_type[:100] or 'of no type'}, not a stream of events")


def _malformed(problem: str) -> UpstreamFaultError:
    return upstream_fault(HTTPStatus.BAD_GATEWAY, f"the upstream's reply {problem}", code="upstream_malformed")
