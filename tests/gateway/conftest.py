"""A gateway on this machine, in front of an upstream on this machine that streams, and fails as upstreams do."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

from metamodel.gateway.app import Gateway
from metamodel.gateway.config import build_gateway_config
from metamodel.labels import Binary
from metamodel.screen import Screen, ScreenRule
from metamodel.types import FloatArray, Predictions

# The collector's fault-injecting server: the gateway meets the same faults.
_SPEC = importlib.util.spec_from_file_location(
    "faulty_endpoint", Path(__file__).parents[1] / "primaries" / "endpoint" / "conftest.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
_ENDPOINT = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _ENDPOINT  # dataclasses look themselves up
_SPEC.loader.exec_module(_ENDPOINT)


class PlantedMetamodel:
    """Knows that prompts with the word "bad" fail, and that those with "loop" loop."""

    description_bits = 1.0
    n_calls = 0

    def predict(self, texts: Sequence[str], *, domains: Sequence[str] | None = None) -> Predictions:
        """Return nine tenths where the word is there, and one tenth where not."""
        del domains
        self.n_calls += 1
        if any("fault" in text for text in texts):
            raise RuntimeError("SECRET PROMPT")
        return {"fail": _told(texts, "bad"), "truncated": _told(texts, "loop")}

    def save(self, folder: Path) -> None:
        """Save nothing."""
        del folder


class PlantedFamiliarity:
    """Knows all prompts but those with the word "odd"."""

    limit = 0.95

    def unfamiliarity(self, texts: Sequence[str]) -> FloatArray:
        """Return 1 where the word is there, and a half where not."""
        return np.array([1.0 if "odd" in text else 0.5 for text in texts])


def _told(texts: Sequence[str], word: str) -> FloatArray:
    yes = np.array([0.9 if word in text else 0.1 for text in texts])
    return np.stack([1 - yes, yes], axis=1)


def planted_screen() -> Screen:
    """Return a pre-screen that stops prompts with "bad" or "loop"."""
    return Screen(
        PlantedMetamodel(),
        spaces={"fail": Binary(), "truncated": Binary()},
        rules=[
            ScreenRule(behavior="fail", failures=("yes",), threshold=0.5),
            ScreenRule(behavior="truncated", failures=("yes",), threshold=0.5),
        ],
        familiarity=PlantedFamiliarity(),
    )


@dataclass
class StreamingServer(_ENDPOINT.LoopbackServer):  # type: ignore[name-defined,misc] # loaded by path
    """An upstream that streams too.

    Attributes:
        stream_fault: "cut" breaks off inside an event, "quiet" ends after two events, "silent" falls silent, "json"
            answers with a whole completion, "error" sends an error as an event, "bare_end" leaves the last empty line
            out.
        pause_s: Between events.
        raw_requests: Method and path of each request.
        n_cancelled: Streams that the other side closed.
    """

    stream_fault: str = ""
    pause_s: float = 0.0
    raw_requests: list[tuple[str, str]] = field(default_factory=list)
    n_cancelled: int = 0

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = lines[0].split()
        self.raw_requests.append((method, path))
        if method == "GET":
            await _ENDPOINT.send(writer, 200, json.dumps({"object": "list", "data": [{"id": "m"}], "path": path}), {})
            return True
        body = json.loads(content)
        self.requests.append((path, headers, body))
        self.n_open += 1
        try:
            await asyncio.sleep(self.delay_s)
            if body.get("stream") and self._fault(body) is None and self.stream_fault != "json":
                return await self._stream(reader, writer, body)
            return await self._respond(writer, headers, body)
        finally:
            self.n_open -= 1

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any]) -> bool:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
            b"X-Request-Id: req-1\r\nConnection: keep-alive\r\n\r\n"
        )
        gone = asyncio.ensure_future(reader.read(1))
        for number, event in enumerate(self.events(body)):
            if number == 2 and self.stream_fault in ("cut", "quiet", "silent"):
                if self.stream_fault == "silent":
                    await asyncio.wait({gone}, timeout=20)
                elif self.stream_fault == "cut":
                    _chunk(writer, event[: len(event) // 2])
                    await writer.drain()
                    await asyncio.sleep(0.02)
                else:
                    _chunk(writer, b"")
                    await writer.drain()
                gone.cancel()
                return False
            _chunk(writer, event)
            await writer.drain()
            if self.pause_s:
                await asyncio.wait({gone}, timeout=self.pause_s)
            if gone.done():
                self.n_cancelled += 1
                return False
        _chunk(writer, b"")
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await gone
        return True

    def events(self, body: dict[str, Any]) -> list[bytes]:
        """Return a completion as events, a word each."""
        whole = self.completion({**body, "n": 1})
        is_chat = "messages" in body
        choice = whole["choices"][0]
        text = choice["message"]["content"] if is_chat else choice["text"]
        base = {"id": "c", "object": "chat.completion.chunk" if is_chat else "text_completion", "created": 1}
        parts = [f"{word} " for word in text.split()]
        events = []
        for part in parts:
            said = {"delta": {"content": part}} if is_chat else {"text": part}
            content = {**base, "model": "m", "choices": [{"index": 0, **said, "finish_reason": None}]}
            events.append(_event(content))
        if self.stream_fault == "error":
            return [*events, _event({"error": {"message": "out of memory", "type": "server_error"}})]
        said = {"delta": {}} if is_chat else {"text": ""}
        content = {**base, "model": "m", "choices": [{"index": 0, **said, "finish_reason": "stop"}]}
        end = b"data: [DONE]" if self.stream_fault == "bare_end" else b"data: [DONE]\n\n"
        return [*events, _event(content), end]


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def _chunk(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")


@pytest.fixture(scope="session")
def screen_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a pre-screen, as `metamodel export` writes it, that stops prompts with "bad"."""
    from metamodel.labels import LabeledPrompts, LabelTable
    from metamodel.protocols import FitContext
    from metamodel.screen.writing import screen_folder as written
    from trainers.tfidf_logistic import TfidfLogistic

    texts = tuple(f"{'this is bad' if row % 2 else 'all is good'} number {row}" for row in range(120))
    codes = np.arange(120).reshape(-1, 1) % 2
    labeled = LabeledPrompts(
        texts=texts, domains=("d",) * 120, labels={"fail": LabelTable(space=Binary(), codes=codes)}
    )
    halves = labeled.take(range(80)), labeled.take(range(80, 120))
    fitted = TfidfLogistic().fit(*halves, context=FitContext())
    folder = tmp_path_factory.mktemp("screens") / "prescreen"
    rules = [ScreenRule(behavior="fail", failures=("yes",), threshold=0.5)]
    with written(folder, fitted, spaces={"fail": Binary()}, rules=rules, source={}):
        pass
    return folder


@pytest.fixture
def start_upstream() -> Iterator[Callable[..., StreamingServer]]:
    """Return a function that starts an upstream; all are stopped after the test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listeners: list[asyncio.Server] = []

    def start(**settings: Any) -> StreamingServer:  # noqa: ANN401 - fields of the server
        server = StreamingServer(**settings)
        listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(server.serve, "127.0.0.1", 0), loop).result()
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        listeners.append(listening)
        return server

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


@dataclass
class RunningGateway:
    """A gateway that listens.

    Attributes:
        url: Its address, with /v1.
        server: What serves it.
        thread: Where.
    """

    url: str
    server: uvicorn.Server
    thread: threading.Thread

    @property
    def root(self) -> str:
        """Its address without /v1."""
        return self.url.removesuffix("/v1")

    def stop(self) -> None:
        """Stop it and wait until it has written down what waits."""
        self.server.should_exit = True
        self.thread.join(20)


@pytest.fixture
def start_gateway() -> Iterator[Callable[..., RunningGateway]]:
    """Return a function that starts a gateway from sections of a config; all are stopped after the test."""
    running: list[RunningGateway] = []

    def start(upstream: str, *, screen: Screen | None = None, **sections: Any) -> RunningGateway:  # noqa: ANN401
        named = sections.pop("upstream_options", {})
        config = build_gateway_config({"screen": "unused", "upstream": {"base_url": upstream, **named}, **sections})
        app = Gateway(config, screen or planted_screen())
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="on"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        running.append(RunningGateway(url=f"http://127.0.0.1:{port}/v1", server=server, thread=thread))
        return running[-1]

    yield start
    for one in running:
        one.stop()
