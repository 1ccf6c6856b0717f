"""One request over HTTP: bounded in time and size, no redirect followed, no key in any message."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from metamodel.primaries.endpoint.faults import RetryableError, UnreachableError
from metamodel.types import JSONObject

if TYPE_CHECKING:
    import httpx

    from metamodel.primaries.endpoint.keys import ApiKey

_MAX_BODY_BYTES: Final = 64 * 2**20
_HEADERS_READ: Final = ("retry-after", "retry-after-ms")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A response, read to its end.

    Attributes:
        status: HTTP status.
        headers: Those that are read, by lower-case name.
        body: Without the key.
    """

    status: int
    headers: Mapping[str, str]
    body: str


def is_local(base_url: str) -> bool:
    """Return whether a URL leads to this machine.

    >>> is_local("http://127.0.0.1:8000/v1"), is_local("http://[::1]/v1"), is_local("http://localhost.example.org")
    (True, True, False)
    """
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Transport:
    """Connections to one URL, open within `async with`.

    Each request in flight has a client with one connection: httpx searches a shared pool of n connections in n squared
    steps a request, which at 64 in flight takes five times as long as the request itself.
    """

    def __init__(self, url: str, *, key: ApiKey | None, timeout_s: float, connect_timeout_s: float) -> None:
        """Keep the settings; no connection is made yet."""
        self._url, self._key = url, key
        self._timeout_s, self._connect_timeout_s = timeout_s, connect_timeout_s
        self._clients: set[httpx.AsyncClient] = set()
        self._idle: list[httpx.AsyncClient] = []
        self._trust: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        """Open."""
        import httpx

        # Certificates take tens of milliseconds to read: once for all clients.
        self._trust = httpx.create_ssl_context()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        for client in self._clients:
            await client.aclose()

    async def post(self, body: JSONObject) -> Reply:
        """Send a body and return the whole response.

        Raises:
            RetryableError: No connection, a connection lost, a time-out, a response too large or cut off.
        """
        import httpx

        # Not chained: httpx's errors carry the request, and with it the key.
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(json.dumps(body).encode())
        except TimeoutError:
            raise RetryableError(f"no whole answer within timeout_s = {self._timeout_s:g} seconds") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnreachableError(f"no connection: {self._described(error)}") from None
        except httpx.RequestError as error:
            raise RetryableError(f"connection lost: {self._described(error)}") from None

    async def _exchange(self, content: bytes) -> Reply:
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            reply = await self._read(client, content)
        except BaseException:  # also a time-out: what is left of the connection is of no use
            self._clients.discard(client)
            await client.aclose()
            raise
        self._idle.append(client)
        return reply

    async def _read(self, client: httpx.AsyncClient, content: bytes) -> Reply:
        async with client.stream("POST", self._url, content=content) as response:
            received = bytearray()
            async for part in response.aiter_bytes():
                received += part
                if len(received) > _MAX_BODY_BYTES:
                    raise RetryableError(f"the answer is longer than {_MAX_BODY_BYTES} bytes")
            body = self._hidden(received.decode("utf-8", errors="replace"), is_output=response.is_success)
            headers = {name: response.headers[name] for name in _HEADERS_READ if name in response.headers}
            return Reply(status=response.status_code, headers=headers, body=body)

    def _new_client(self) -> httpx.AsyncClient:
        import httpx

        if self._trust is None:
            raise RuntimeError("the transport is not open")
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._key is not None:
            headers["Authorization"] = self._key.header()
        client = httpx.AsyncClient(
            headers=headers,
            follow_redirects=False,
            verify=self._trust,
            # Proxies of the environment are for other machines.
            trust_env=not is_local(self._url),
            timeout=httpx.Timeout(self._timeout_s, connect=self._connect_timeout_s),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )
        self._clients.add(client)
        return client

    def _hidden(self, text: str, *, is_output: bool = False) -> str:
        return text if self._key is None else self._key.hide(text, is_output=is_output)

    def _described(self, error: Exception) -> str:
        return self._hidden(str(error) or type(error).__name__)
