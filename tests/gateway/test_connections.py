"""Connections to an upstream: kept, renewed, through a proxy, and what they read when it is compressed."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from metamodel.gateway.connections import decoded
from metamodel.gateway.errors import UpstreamFaultError
from metamodel.gateway.plans import UpstreamPlan
from metamodel.gateway.upstream import Upstream

CONTENT = b'{"choices": []}' * 500


class Server:
    """Answers every request with the same bytes.

    Attributes:
        heads: First line and headers of each request.
        n_connections: How often something connected.
        url: Where it is.
    """

    def __init__(self, content: bytes, *, encoding: str, closes: bool) -> None:
        self.heads: list[bytes] = []
        self.n_connections = 0
        self.url = ""
        close = b"Connection: close\r\n" if closes else b""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        coding = f"Content-Encoding: {encoding}\r\n" if encoding else ""
        self._answer = head.encode() + coding.encode() + close + b"\r\n" + content
        self._closes = closes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.n_connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-len"))
                await reader.readexactly(length)
                writer.write(self._answer)
                await writer.drain()
                if self._closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def server(content: bytes = CONTENT, *, encoding: str = "", closes: bool = False) -> AsyncIterator[Server]:
    """Run one."""
    one = Server(content, encoding=encoding, closes=closes)
    listening = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        listening.close()


async def asked(upstream: Upstream) -> bytes:
    """Return the content of one reply."""
    call = upstream.call("POST", "/completions", content=b"{}", headers=[(b"x-mine", b"1")], is_stream=False)
    async with call as reply:
        return await reply.read()


def run(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run a scenario to its end."""
    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_connections_are_kept() -> None:
    """Calls one after the other share a connection, calls at once have their own, and the base's path is kept."""

    async def scenario() -> None:
        async with server() as one:
            upstream = Upstream(UpstreamPlan(base_url=f"{one.url}/v1/"))
            for _ in range(3):
                assert await asked(upstream) == CONTENT
            assert one.n_connections == 1
            await asyncio.gather(asked(upstream), asked(upstream))
            assert one.n_connections == 2
            await upstream.close()
            assert all(head.startswith(b"POST /v1/completions HTTP/1.1\r\n") for head in one.heads)
            assert all(f"host: {one.url.removeprefix('http://')}\r\n".encode() in head.lower() for head in one.heads)

    run(scenario)


def test_closed_connections_are_renewed() -> None:
    """An upstream that closes after each reply is reached again, without a failed call."""

    async def scenario() -> None:
        async with server(closes=True) as one:
            upstream = Upstream(UpstreamPlan(base_url=one.url))
            for _ in range(3):
                assert await asked(upstream) == CONTENT
            assert one.n_connections == 3
            await upstream.close()

    run(scenario)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_replies_are_read(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """An upstream that compresses although it was asked not to is understood."""

    async def scenario() -> None:
        async with server(pack(CONTENT), encoding=encoding) as one:
            upstream = Upstream(UpstreamPlan(base_url=one.url))
            assert await asked(upstream) == CONTENT
            await upstream.close()

    run(scenario)


@pytest.mark.parametrize("encoding", ["br", "gzip, br", "gzip"])
def test_unreadable_replies_are_faults(encoding: str) -> None:
    """What cannot be decompressed is the upstream's fault and reaches the client as one."""

    async def scenario() -> None:
        async with server(b"no gzip at all", encoding=encoding) as one:
            upstream = Upstream(UpstreamPlan(base_url=one.url))
            with pytest.raises(UpstreamFaultError) as caught:
                await asked(upstream)
            assert caught.value.api_error.code == "upstream_malformed"
            await upstream.close()

    run(scenario)


def test_a_bomb_comes_in_small_pieces() -> None:
    """A small reply that holds a gigabyte is given piece by piece, so that the limit on replies stops it."""

    async def scenario() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield gzip.compress(b"\0" * 50_000_000)

        sizes = [len(piece) async for piece in decoded(pieces(), [(b"Content-Encoding", b"gzip")])]
        assert max(sizes) <= 2**16
        assert sum(sizes) == 50_000_000

    run(scenario)


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint elsewhere is asked through the proxy that the environment names, one on this machine is not."""

    async def scenario() -> None:
        async with server() as proxy, server() as local:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "")
            upstream = Upstream(UpstreamPlan(base_url="http://models.test/v1"))
            assert await asked(upstream) == CONTENT
            assert proxy.heads[0].startswith(b"POST http://models.test/v1/completions HTTP/1.1\r\n")
            assert b"host: models.test\r\n" in proxy.heads[0].lower()
            await upstream.close()
            direct = Upstream(UpstreamPlan(base_url=local.url))
            assert await asked(direct) == CONTENT
            assert len(proxy.heads) == 1
            await direct.close()

    run(scenario)
