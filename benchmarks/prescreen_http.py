"""What benchmarks/prescreen.py measures over HTTP: `metamodel serve` and `metamodel gateway`, each a process."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import yaml

RATE_PER_S = 500
_START_S = 30.0
_STOP_S = 20.0
_CONNECTIONS = 128


@contextmanager
def command(*arguments: str, ready: str) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Run a metamodel command until the block ends; give its process and its seconds from start to ready."""
    begin_s = time.perf_counter()
    program = [sys.executable, "-c", "from metamodel.cli import main; main()", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:  # noqa: S603 - this interpreter
        try:
            while time.perf_counter() - begin_s < _START_S and process.poll() is None:
                try:
                    if httpx.get(ready, timeout=1).status_code == httpx.codes.OK:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.005)
            else:
                raise RuntimeError(f"metamodel {arguments[0]} was not ready after {_START_S:.0f} s")
            yield process, time.perf_counter() - begin_s
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def served(folder: Path, prompts: Sequence[str], *, seconds: float) -> dict[str, float]:
    """Serve a pre-screen and ask it RATE_PER_S times a second, whatever it answers meanwhile."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with command("serve", str(folder), "--port", str(port), "--quiet", ready=f"{base}/ready") as (process, start_s):
        n_requests = int(seconds * RATE_PER_S)
        asyncio.run(open_loop(port, prompts, RATE_PER_S))  # warm
        waits_ms, n_failed = asyncio.run(open_loop(port, prompts, n_requests))
        found = {"start_s": start_s, "http_p50_ms": percentile(waits_ms, 50), "http_p99_ms": percentile(waits_ms, 99)}
        return {**found, "http_failed": float(n_failed), "served_rss_mb": rss_mb(process.pid)}


async def open_loop(port: int, prompts: Sequence[str], n_requests: int) -> tuple[list[float], int]:
    """Send requests at their times, not when the one before is answered; return the wait for each answer.

    Plain sockets that stay open: an HTTP library's own work would be a large part of what is measured. A wait counts
    from when its request is written, since the event loop's timers are late by up to a millisecond.
    """
    waits_ms: list[float] = []
    failed: Counter[str] = Counter()
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(_CONNECTIONS)]
    begin_s = time.perf_counter() + 0.05

    async def one(number: int) -> None:
        due_s = begin_s + number / RATE_PER_S
        await asyncio.sleep(max(due_s - time.perf_counter(), 0))
        if not idle:
            failed["no connection left"] += 1
            return
        reader, writer = idle.pop()
        sent_s = time.perf_counter()
        writer.write(screen_request(prompts[number % len(prompts)]))
        status = await answered(reader)
        idle.append((reader, writer))
        if status == httpx.codes.OK:
            waits_ms.append(1e3 * (time.perf_counter() - sent_s))
        else:
            failed[str(status)] += 1

    await asyncio.gather(*(one(number) for number in range(n_requests)))
    for _, writer in idle:
        writer.close()
    if failed:
        print(f"of {n_requests} requests failed: {dict(failed)}")
    if not waits_ms:
        raise RuntimeError(f"none of {n_requests} requests was answered")
    return waits_ms, failed.total()


def screen_request(prompt: str) -> bytes:
    """Return a request to screen one prompt."""
    body = json.dumps({"prompts": prompt}).encode()
    head = f"POST /v1/screen HTTP/1.1\r\nhost: local\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def answered(reader: asyncio.StreamReader) -> int:
    """Read one answer to its end; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


def gateway_added_ms(folder: Path, prompts: Sequence[str], *, n_calls: int, scratch: Path) -> float:
    """Return how much later the first token comes through `metamodel gateway` than from the endpoint itself."""
    upstream, port = free_port(), free_port()
    direct, behind = f"http://127.0.0.1:{upstream}/v1", f"http://127.0.0.1:{port}"
    config = scratch / "gateway.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "screen": str(folder),
                "listen": {"host": "127.0.0.1", "port": port},
                "upstream": {"base_url": direct},
                "policy": {"pass": "pass", "stop": "annotate", "unfamiliar": "annotate", "unscreened": "annotate"},
            }
        )
    )
    Thread(target=stub_endpoint, args=(upstream,), daemon=True).start()
    with command("gateway", str(config), ready=f"{behind}/ready"), httpx.Client(timeout=10) as client:
        for base in (direct, f"{behind}/v1"):
            for prompt in prompts[:20]:
                first_token_ms(client, base, prompt)
        pairs = [
            first_token_ms(client, f"{behind}/v1", prompt) - first_token_ms(client, direct, prompt)
            for prompt in (prompts[number % len(prompts)] for number in range(n_calls))
        ]
    return float(np.median(pairs))


def first_token_ms(client: httpx.Client, base: str, prompt: str) -> float:
    """Return the wait for the first streamed line."""
    body = {"model": "stub", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    begin_s = time.perf_counter()
    with client.stream("POST", f"{base}/chat/completions", json=body) as answer:
        answer.raise_for_status()
        lines = answer.iter_lines()
        next(line for line in lines if line.startswith("data:"))
        wait_ms = 1e3 * (time.perf_counter() - begin_s)
        for _ in lines:
            pass
    return wait_ms


def stub_endpoint(port: int) -> None:
    """Serve an OpenAI-compatible endpoint that streams three tokens at once."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    def lines() -> Iterator[str]:
        for place, token in enumerate(("one", " two", " three")):
            reason = "stop" if place == 2 else None  # noqa: PLR2004 - the last one
            choice = {"index": 0, "delta": {"content": token}, "finish_reason": reason}
            chunk = {
                "id": "stub",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": "stub",
                "choices": [choice],
            }
            yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"

    async def answer(request: Request) -> StreamingResponse:
        await request.body()
        return StreamingResponse(lines(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, port=port, log_level="error")).run()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process, as Linux tells it."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    kilobytes = next(line for line in lines if line.startswith("VmRSS:")).split()[1]
    return int(kilobytes) * 1024 / 1e6


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile."""
    return float(np.percentile(values, share))
