"""Connections to an endpoint: one for each call in flight, kept for the next call.

httpcore's connections, not httpx's clients: what a client adds to a request (cookies, redirects, authentication flows)
is nothing that a gateway wants, and costs as much time as the request itself. A pool shared by n connections is
searched in n squared steps a request, so each call has a connection of its own.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.request import getproxies, proxy_bypass

from metamodel.gateway.header_rules import RawHeaders
from metamodel.primaries.endpoint.transport import is_local

if TYPE_CHECKING:
    import httpcore

    Connection: TypeAlias = httpcore.AsyncHTTPConnection | httpcore.AsyncHTTPProxy

_MOST_IDLE: Final = 64
_KEPT_IDLE_S: Final = 30.0
# Reads what gzip and what deflate wrote.
_ANY_ZLIB: Final = zlib.MAX_WBITS | 32


class Connections:
    """Connections to one endpoint that no call uses, and new ones."""

    def __init__(self, base: str) -> None:
        """Read what every connection needs; none is made yet.

        Args:
            base: The endpoint's URL, http or https.
        """
        import httpcore
        import httpx

        url = httpx.URL(base)
        self.host = url.netloc
        self._base = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path.rstrip(b"/")
        )
        # Certificates take tens of milliseconds to read: once, before any call, and only where they are asked for.
        self._trust = _trusted() if url.scheme == "https" else None
        # Proxies of the environment are for other machines.
        is_direct = is_local(base) or bool(proxy_bypass(url.host))
        self._proxy = None if is_direct else getproxies().get(url.scheme)
        self._idle: list[Connection] = []

    def url(self, path: str) -> httpcore.URL:
        """Return where a path below the base lies, given with its slash."""
        import httpcore

        base = self._base
        return httpcore.URL(
            scheme=base.scheme, host=base.host, port=base.port, target=base.target + path.encode("ascii")
        )

    def take(self) -> Connection:
        """Return a connection for one call."""
        import httpcore

        while self._idle:
            kept = self._idle.pop()
            if isinstance(kept, httpcore.AsyncHTTPProxy) or (kept.is_available() and not kept.has_expired()):
                return kept
        if self._proxy is not None:
            return httpcore.AsyncHTTPProxy(
                self._proxy, ssl_context=self._trust, max_connections=1, keepalive_expiry=_KEPT_IDLE_S
            )
        return httpcore.AsyncHTTPConnection(self._base.origin, ssl_context=self._trust, keepalive_expiry=_KEPT_IDLE_S)

    async def give_back(self, connection: Connection, *, is_whole: bool) -> None:
        """Keep a connection whose call came to its end, close another: that cancels its call."""
        if is_whole and len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def close(self) -> None:
        """Close the connections that no call uses."""
        while self._idle:
            await self._idle.pop().aclose()


async def decoded(pieces: AsyncIterator[bytes], headers: RawHeaders) -> AsyncIterator[bytes]:
    """Yield the content of a reply, decompressed where its sender compressed it although it was asked not to.

    Raises:
        ValueError: It is compressed in a way that is not known, or damaged.
    """
    codings = [value.strip().lower() for name, value in headers if name.lower() == b"content-encoding"]
    if codings in ([], [b"identity"], [b""]):
        async for piece in pieces:
            yield piece
        return
    if codings not in ([b"gzip"], [b"x-gzip"], [b"deflate"]):
        raise ValueError("its compression is not known here")
    decoder = zlib.decompressobj(_ANY_ZLIB)
    async for piece in pieces:
        rest = piece
        while rest:  # bounded steps: a small piece may hold a gigabyte of zeros
            try:
                yield decoder.decompress(rest, 2**16)
            except zlib.error as error:
                raise ValueError("its compressed content is damaged") from error
            rest = decoder.unconsumed_tail


def _trusted() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()
