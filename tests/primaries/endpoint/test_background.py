"""Asynchronous work behind a synchronous generator: nothing hangs, nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from metamodel.primaries.endpoint import transport
from metamodel.primaries.endpoint.background import Background
from metamodel.primaries.endpoint.component import OpenAIEndpoint
from metamodel.types import Failure, Generation, Prompt, Sampling

INTERRUPTED = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite that runs in the background ignores the signal
from metamodel.primaries.endpoint.component import OpenAIEndpoint
from metamodel.types import Prompt, Sampling

endpoint = OpenAIEndpoint(model="m", base_url=sys.argv[1])
prompts = [Prompt.create(f"question {index}", domain="d") for index in range(100)]
print("begins", flush=True)
try:
    list(endpoint.generate(prompts, Sampling()))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@asynccontextmanager
async def failing(*, at_start: bool) -> AsyncIterator[None]:
    """Fail on the way in or on the way out."""
    if at_start:
        raise OSError("no certificates")
    yield
    raise OSError("cannot close")


def test_a_resource_that_cannot_be_opened_is_an_error() -> None:
    """The thread that waits for the other one gets its exception instead of waiting for ever."""
    with pytest.raises(OSError, match="no certificates"), Background[int](failing(at_start=True)):
        pytest.fail("the block must not be entered")
    assert not [thread for thread in threading.enumerate() if thread.name == "metamodel-endpoint"]


def test_a_bug_in_a_coroutine_keeps_its_exception() -> None:
    """What returned beside it is not lost."""

    async def good() -> int:
        return 1

    async def bad() -> int:
        raise ZeroDivisionError

    results, errors = [], []
    with Background[int](failing(at_start=False)) as background:
        for coroutine in (good(), bad(), good()):
            background.start(coroutine)
        while background.n_running:
            finished = background.wait()
            results += finished.results
            errors += [finished.error] if finished.error else []
    assert results == [1, 1]
    assert [type(error) for error in errors] == [ZeroDivisionError]


@pytest.mark.slow
def test_ctrl_c_ends_a_process_whose_server_hangs(start_server: Callable[..., Any]) -> None:
    """The signal reaches the waiting thread at once, and the process ends without a complaint."""
    server = start_server(delay_s=30.0)
    command = [sys.executable, "-W", "error", "-c", INTERRUPTED, server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        while server.n_open < 16:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "interrupted\n", "")


def test_an_endless_answer_is_cut(start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server cannot fill our memory."""
    monkeypatch.setattr(transport, "_MAX_BODY_BYTES", 1000)
    server = start_server(answer=lambda _headers, _body: (200, {}, " " * 5000))
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, max_attempts=1)
    ((outcome,),) = endpoint.generate([Prompt.create("a", domain="d")], Sampling())
    assert isinstance(outcome, Failure)
    assert "longer than 1000 bytes" in outcome.reason


def test_a_proxy_of_the_environment_is_for_other_machines(
    start_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server on this machine is reached though HTTP_PROXY points elsewhere."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server = start_server()
    ((outcome,),) = OpenAIEndpoint(model="m", base_url=server.url).generate(
        [Prompt.create("a", domain="d")], Sampling()
    )
    assert isinstance(outcome, Generation)
