"""One call to an endpoint: its reply piece by piece, its faults as errors that a client understands."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from metamodel.gateway.errors import UpstreamFaultError, refused_by_upstream, timed_out, upstream_fault
from metamodel.gateway.header_rules import RawHeaders, forwarded_to_client, forwarded_to_upstream
from metamodel.gateway.plans import UpstreamPlan
from metamodel.primaries.endpoint.keys import ApiKey
from metamodel.primaries.endpoint.transport import is_local

if TYPE_CHECKING:
    import httpx

_MAX_ERROR_BYTES: Final = 2**20
_MOST_IDLE: Final = 64


class UpstreamReply:
    """A success whose content may still be on its way."""

    def __init__(self, response: httpx.Response, plan: UpstreamPlan) -> None:
        """Keep the response; it is closed by who opened it."""
        self._response, self._plan = response, plan
        self.status = response.status_code
        self.headers: RawHeaders = forwarded_to_client(response.headers.raw)
        self.content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the content as it comes.

        Raises:
            UpstreamFaultError: The connection is lost, or silent for too long.
        """
        import httpx

        try:
            async for piece in self._response.aiter_bytes():
                yield piece
        except httpx.TimeoutException:
            raise timed_out("further piece", self._plan.silence_s) from None
        except httpx.RequestError:
            raise upstream_fault(
                HTTPStatus.BAD_GATEWAY, "the upstream broke its reply off", code="upstream_cut_off"
            ) from None

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
    """Connections to an endpoint.

    Each call in flight has a client with one connection: httpx searches a pool shared by n connections in n squared
    steps a request.
    """

    def __init__(self, plan: UpstreamPlan) -> None:
        """Read the key; no connection is made yet.

        Raises:
            MetamodelError: The environment variable with the key is not set.
        """
        self.plan = plan
        self._key = None if plan.api_key_env is None else ApiKey(plan.api_key_env)
        self._base = plan.base_url.rstrip("/")
        # Certificates take tens of milliseconds to read: once, before any call, and only where they are asked for.
        is_secure = self._base.startswith("https:")
        self._trust = _trusted() if is_secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._idle: list[httpx.AsyncClient] = [self._new_client()]

    async def close(self) -> None:
        """Close the connections that no call uses."""
        while self._idle:
            await self._idle.pop().aclose()

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
        import httpx

        client = self._idle.pop() if self._idle else self._new_client()
        is_whole = False
        silence_s = self.plan.silence_s if is_stream else self.plan.timeout_s
        request = client.build_request(
            method,
            f"{self._base}{path}",
            content=content,
            headers=self._headers(headers),
            timeout=httpx.Timeout(silence_s, connect=self.plan.connect_timeout_s),
        )
        try:
            response = await self._sent(client, request, silence_s)
            try:
                if not response.is_success:
                    raise await self._refused(response)
                yield UpstreamReply(response, self.plan)
                is_whole = response.is_stream_consumed
            finally:
                await response.aclose()
        finally:
            if is_whole and len(self._idle) < _MOST_IDLE:
                self._idle.append(client)
            else:
                await client.aclose()

    async def _sent(self, client: httpx.AsyncClient, request: httpx.Request, silence_s: float) -> httpx.Response:
        import httpx

        # Not chained: httpx's errors carry the request, and with it the key.
        try:
            return await client.send(request, stream=True)
        except httpx.ConnectTimeout:
            raise timed_out("connection", self.plan.connect_timeout_s) from None
        except httpx.TimeoutException:
            raise timed_out("answer", silence_s) from None
        except httpx.ConnectError:
            raise upstream_fault(
                HTTPStatus.BAD_GATEWAY, "the upstream cannot be reached", code="upstream_unreachable"
            ) from None
        except httpx.RequestError:
            raise upstream_fault(
                HTTPStatus.BAD_GATEWAY, "the upstream closed the connection without an answer", code="upstream_reset"
            ) from None

    async def _refused(self, response: httpx.Response) -> Exception:
        import httpx

        received = bytearray()
        try:
            async for piece in response.aiter_bytes():
                received += piece
                if len(received) > _MAX_ERROR_BYTES:
                    break
        except httpx.RequestError:
            pass  # what came of the body may still say why
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        kept = {name.decode("latin-1").lower() for name, _ in forwarded_to_client(response.headers.raw)}
        return refused_by_upstream(
            response.status_code,
            bytes(received),
            {name: value for name, value in headers.items() if name in kept - {"content-type"}},
            passes_key=self.plan.pass_key,
            hide=self._hidden,
        )

    def _hidden(self, text: str) -> str:
        return text if self._key is None else self._key.hide(text)

    def _headers(self, headers: RawHeaders) -> RawHeaders:
        # Compressed pieces would wait for one another in the decoder.
        sent = [*forwarded_to_upstream(headers, pass_key=self.plan.pass_key), (b"accept-encoding", b"identity")]
        if self._key is not None:
            sent.append((b"authorization", self._key.header().encode()))
        return sent

    def _new_client(self) -> httpx.AsyncClient:
        import httpx

        return httpx.AsyncClient(
            headers={"user-agent": "metamodel-gateway"},
            follow_redirects=False,
            verify=self._trust,
            # Proxies of the environment are for other machines.
            trust_env=not is_local(self._base),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )


def _trusted() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


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
