"""A server on this machine that speaks as OpenAI-compatible servers do, and fails as they do, by seed."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest

FAULTS = (
    "429",
    "429_retry_after",
    "500",
    "503",
    "reset",
    "hang",
    "truncated",
    "malformed",
    "choice_count",
    "nan_logprob",
    "slow_stream",
)
Reply = tuple[int, dict[str, str], dict[str, Any] | str]


@dataclass
class LoopbackServer:
    """What it does, and what it was asked.

    Attributes:
        fault_rate: Share of requests that fail.
        faults: Kinds of failure, drawn evenly.
        seed: Of the draws, which depend on the request and how often it came, not on the order of requests.
        answer: Replaces the usual answer: from headers and body to a status, headers and a body.
        delay_s: Before each answer.
        offers_token_ids: Whether it is like vLLM, whose answers hold token ids.
        requests: Path, headers and body of each request.
        n_faults: By kind.
    """

    fault_rate: float = 0.0
    faults: tuple[str, ...] = FAULTS
    seed: int = 0
    answer: Callable[[dict[str, str], dict[str, Any]], Reply | None] = lambda _headers, _body: None
    delay_s: float = 0.0
    offers_token_ids: bool = False
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    n_faults: Counter[str] = field(default_factory=Counter)
    n_open: int = 0
    most_open: int = 0
    url: str = ""
    _seen: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._serve_one(reader, writer):
                    pass
        finally:
            writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether the connection goes on."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
        self.requests.append((lines[0].split()[1], headers, body))
        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)
        try:
            await asyncio.sleep(self.delay_s)
            return await self._respond(writer, headers, body)
        finally:
            self.n_open -= 1

    async def _respond(self, writer: asyncio.StreamWriter, headers: dict[str, str], body: dict[str, Any]) -> bool:
        """Write an answer or a fault; returns whether the connection goes on."""
        fault = self._fault(body)
        if fault is not None:
            self.n_faults[fault] += 1
            return await self._fail(writer, fault, body)
        status, extra, content = self.answer(headers, body) or (200, {}, self.completion(body))
        text = content if isinstance(content, str) else json.dumps(content)
        await send(writer, status, text, extra)
        return True

    def _fault(self, body: dict[str, Any]) -> str | None:
        name = sha256(json.dumps([self.seed, body], sort_keys=True).encode()).hexdigest()
        self._seen[name] += 1
        dice = random.Random(f"{name} {self._seen[name]}")  # noqa: S311 - faults, not secrets
        return dice.choice(self.faults) if dice.random() < self.fault_rate else None

    async def _fail(self, writer: asyncio.StreamWriter, fault: str, body: dict[str, Any]) -> bool:
        if fault.startswith(("429", "500", "503")):
            extra = {"Retry-After": "0.02"} if fault.endswith("retry_after") else {}
            await send(writer, int(fault[:3]), json.dumps({"error": {"message": "overloaded"}}), extra)
            return True
        good = self.completion(body)
        if fault == "malformed":
            await send(writer, 200, json.dumps(good)[:-7] + "}]}", {})
        elif fault == "choice_count":
            await send(writer, 200, json.dumps(good | {"choices": good["choices"] * 2}), {})
        elif fault == "nan_logprob":
            text = json.dumps(self.completion(body, logprob=float("nan")))
            await send(writer, 200, text, {})
        elif fault == "truncated":
            text = json.dumps(good)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text[:20]}".encode())
            writer.write_eof()
            await asyncio.sleep(0.05)  # the bytes arrive before the connection ends
            return False
        elif fault == "hang":
            await asyncio.sleep(30)
            return False
        elif fault == "slow_stream":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            for _ in range(600):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
            return False
        else:
            return False  # reset
        return True

    def completion(self, body: dict[str, Any], *, logprob: float = -0.5) -> dict[str, Any]:
        """Return the answer to a request: the prompt again, its length in words as tokens."""
        prompt = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
        n = body.get("n", 1)
        choices = [self._choice(body, f"{prompt} #{index}", index, logprob) for index in range(n)]
        n_prompt, n_drawn = len(prompt.split()), sum(len(f"{prompt} #".split()) for _ in range(n))
        return {
            "id": "cmpl-1",
            "object": "text_completion" if "prompt" in body else "chat.completion",
            "created": 1700000000,
            "model": f"{body['model']}-0613",
            "system_fingerprint": "fp_44709d6fcb",
            "choices": choices,
            "usage": {
                "prompt_tokens": n_prompt,
                "completion_tokens": n_drawn,
                "total_tokens": n_prompt + n_drawn,
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }

    def _choice(self, body: dict[str, Any], text: str, index: int, logprob: float) -> dict[str, Any]:
        words = text.split()
        choice: dict[str, Any] = {"index": index, "finish_reason": "stop", "logprobs": None}
        if self.offers_token_ids and body.get("return_token_ids"):
            choice |= {"token_ids": list(range(len(words))), "stop_reason": None}
        if "prompt" in body:
            choice["text"] = text
            if body.get("logprobs") is not None:
                choice["logprobs"] = {"tokens": words, "token_logprobs": [logprob] * len(words)}
        else:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
            if body.get("logprobs"):
                content = [{"token": word, "logprob": logprob, "bytes": None, "top_logprobs": []} for word in words]
                choice["logprobs"] = {"content": content, "refusal": None}
        return choice


async def send(writer: asyncio.StreamWriter, status: int, text: str, extra: dict[str, str]) -> None:
    """Write one response."""
    headers = {"Content-Type": "application/json", "Content-Length": str(len(text.encode())), **extra}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} Status\r\n{lines}\r\n{text}".encode())
    await writer.drain()


@pytest.fixture
def start_server() -> Iterator[Callable[..., LoopbackServer]]:
    """Return a function that starts a server; all are stopped after the test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def start(**settings: Any) -> LoopbackServer:  # noqa: ANN401 - fields of the server
        server = LoopbackServer(**settings)
        listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(server.serve, "127.0.0.1", 0), loop).result()
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        listeners.append(listening)
        return server

    listeners: list[asyncio.Server] = []
    yield start

    async def stop() -> None:
        for listening in listeners:
            listening.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # the aborted connections are closed

    asyncio.run_coroutine_threadsafe(stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
