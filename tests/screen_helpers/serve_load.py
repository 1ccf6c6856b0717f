"""Clients of a served pre-screen for tests: raw sockets, most of them civil and some hostile."""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from metamodel.screen import load_screen

N_CLIENTS = 12
PIPELINED = 20
HOSTILE_SHARE = 0.2
MIB = 2**20
# Bodies that are refused, with the status of the refusal.
BAD_BODIES = (
    (b'{"prompts": "a"', 400),
    (b"\xff\xfe{}", 400),
    (b'{"prompts": "\xff"}', 400),
    (b'{"prompts": "a\x00b"}', 400),
    (b'{"prompts": "\\ud800"}', 400),
    (b'{"prompts": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
    (b'{"prompts": {"a": 1}}', 422),
    (b'{"prompts": [1, null]}', 422),
    (b'{"prompts": "a", "words": "many"}', 422),
    (b'{"prompts": "a", "behaviors": ["none such"]}', 422),
    (b"[]", 422),
)


@dataclass
class Found:
    """What clients saw.

    Attributes:
        statuses: How often each status came.
        wrong: Answers that belong to another request, or statuses other than due.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def request_of(body: bytes, *, length: int | None = None) -> bytes:
    """Return a request to screen."""
    head = "POST /v1/screen HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def ask(*prompts: str) -> bytes:
    """Return a request to screen prompts."""
    return request_of(json.dumps({"prompts": prompts}).encode())


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return status and body of the next answer, and read no further."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError(f"the server closed the connection after {head!r}")
        head += byte
    length, body = _length(head), b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return int(head[9:12]), body


async def soak(port: int, folder: Path, *, n_requests: int, seed: int) -> Found:
    """Ask many times at once and return what came back; a fifth of the requests is hostile."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    prompts = [f"{rng.choice(('red', 'blue'))} {rng.choice(('stone', 'river', 'cloud'))} {n}" for n in range(400)]
    expected = [one.failures for one in load_screen(folder)(prompts)]
    found = Found()
    n_odd = n_requests // 100
    n_civil = n_requests - n_odd
    clients = [
        _civil(port, found, list(zip(prompts, expected, strict=True)), n_civil // N_CLIENTS, random.Random(seed + n))  # noqa: S311 - no secret
        for n in range(N_CLIENTS)
    ]
    await asyncio.gather(*clients, _odd(port, found, n_odd))
    return found


async def _civil(port: int, found: Found, known: list[tuple[str, object]], n_requests: int, rng: random.Random) -> None:
    """Send requests in rows on one connection, bad bodies among them, and check each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(math.ceil(n_requests / PIPELINED)):
        due: list[tuple[int, list[object]]] = []
        for _ in range(PIPELINED):
            if rng.random() < HOSTILE_SHARE:
                body, status = rng.choice(BAD_BODIES)
                writer.write(request_of(body))
                due.append((status, []))
            else:
                chosen = rng.sample(known, rng.choice((1, 1, 1, 3)))
                writer.write(ask(*(prompt for prompt, _ in chosen)))
                due.append((200, [failures for _, failures in chosen]))
        await writer.drain()
        for status, failures in due:
            seen, body = await _answer(reader)
            found.statuses[seen] += 1
            if seen != status:
                found.wrong.append(f"{seen} in place of {status}: {body[:200]!r}")
            elif failures and [one["failures"] for one in json.loads(body)["screened"]] != failures:
                found.wrong.append(f"an answer to another prompt: {body[:200]!r}")
    writer.close()


async def _odd(port: int, found: Found, n_requests: int) -> None:
    """Be every other kind of bad client, a few at a time."""
    kinds = (_large, _large_without_length, _slow, _half_closed, _gone, _no_http)
    limit = asyncio.Semaphore(24)

    async def one(number: int) -> None:
        async with limit:
            # Large bodies are rare: they are a load on the client above all.
            kind = kinds[number % len(kinds)] if number % 30 < len(kinds) else kinds[2 + number % 4]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            # A server that sends a client away need not read on.
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await kind(reader, writer)
                status, _ = await _answer(reader)
                found.statuses[status] += 1
            writer.close()

    await asyncio.gather(*(one(number) for number in range(n_requests)))


async def _large(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(request_of(b"", length=10 * MIB))
    for _ in range(10):
        writer.write(b"a" * MIB)
        await writer.drain()


async def _large_without_length(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (
        b"POST /v1/screen HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head)
    for _ in range(10):
        writer.write(b"100000\r\n" + b"a" * MIB + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def _slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(ask("red stone")[:-4])


async def _half_closed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(ask("red stone"))
    writer.write_eof()


async def _gone(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(ask("red stone")[:-4])
    writer.close()
    raise ConnectionError


async def _no_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01\x02\x00" + bytes(range(256)) + b"\r\n\r\n")


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head[9:12]), await reader.readexactly(_length(head))


def _length(head: bytes) -> int:
    return int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
