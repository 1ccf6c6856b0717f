"""The collector's list of faults, as a client of the gateway sees them."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

Start = Callable[..., Any]
# One client without certificates: to read them takes longer than a test.
HTTP = httpx.Client(
    verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "one good prompt"}]}
STATUS = {
    "429": (429, "rate_limit_exceeded"),
    "429_retry_after": (429, "rate_limit_exceeded"),
    "500": (500, "upstream_http_500"),
    "503": (503, "upstream_http_503"),
    "reset": (502, "upstream_reset"),
    "hang": (504, "upstream_timeout"),
    "slow_stream": (504, "upstream_timeout"),
    "truncated": (502, "upstream_cut_off"),
    "malformed": (502, "upstream_malformed"),
}


@pytest.mark.parametrize("fault", STATUS)
def test_each_fault_is_an_error_object(fault: str, start_upstream: Start, start_gateway: Start) -> None:
    """Whatever the upstream does, the client gets one JSON error that names it, and the gateway goes on."""
    upstream = start_upstream(fault_rate=1.0, faults=(fault,))
    gateway = start_gateway(upstream.url, upstream_options={"timeout_s": 1.0})
    reply = HTTP.post(f"{gateway.url}/chat/completions", json=CHAT)
    status, code = STATUS[fault]
    assert reply.status_code == status
    error = reply.json()["error"]
    assert error["code"] == code
    assert set(error) == {"message", "type", "param", "code"}
    assert reply.headers.get("retry-after") == ("0.02" if fault == "429_retry_after" else None)
    assert len(upstream.requests) == 1
    upstream.fault_rate = 0.0
    assert HTTP.post(f"{gateway.url}/chat/completions", json=CHAT).status_code == 200
    assert f'kind="{code if code.startswith("upstream_") else "upstream_http_429"}"' in metrics(gateway)


def metrics(gateway: Any) -> str:  # noqa: ANN401 - of conftest
    """Return what Prometheus reads."""
    return HTTP.get(f"{gateway.root}/metrics").text


def test_no_upstream_is_502(start_gateway: Start) -> None:
    """A gateway that is started first says what it misses, and does not say that it is not alive."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gateway = start_gateway(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        reply = HTTP.post(f"{gateway.url}/chat/completions", json=CHAT)
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_unreachable")
        assert HTTP.get(f"{gateway.root}/health").status_code == 200


@pytest.mark.parametrize("content_type", ["text/html", "text/event-stream"])
def test_a_wrong_content_type_is_502(content_type: str, start_upstream: Start, start_gateway: Start) -> None:
    """A page of some proxy in between is no completion, whatever its status says."""
    good = json.dumps({"choices": []})
    upstream = start_upstream(answer=lambda _headers, _body: (200, {"Content-Type": content_type}, good))
    reply = HTTP.post(f"{start_gateway(upstream.url).url}/chat/completions", json=CHAT)
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_malformed")


@pytest.mark.parametrize("content", ["[1]", '{"ok": true}', "[" * 100_000])
def test_json_that_is_no_completion_is_502(content: str, start_upstream: Start, start_gateway: Start) -> None:
    """A client that reads `choices` must find them."""
    upstream = start_upstream(answer=lambda _headers, _body: (200, {}, content))
    reply = HTTP.post(f"{start_gateway(upstream.url).url}/chat/completions", json=CHAT)
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_malformed")


@pytest.mark.parametrize(
    ("fault", "code"), [("cut", "upstream_cut_off"), ("quiet", "upstream_cut_off"), ("silent", "upstream_timeout")]
)
def test_a_stream_that_breaks_off_ends_in_an_error_event(
    fault: str, code: str, start_upstream: Start, start_gateway: Start
) -> None:
    """A client must not take half a reply for a whole one; what came before stays, in whole events."""
    gateway = start_gateway(start_upstream(stream_fault=fault).url, upstream_options={"silence_s": 0.3})
    seen = []
    with openai.OpenAI(base_url=gateway.url, api_key="k", max_retries=0) as client:
        stream = client.chat.completions.create(**CHAT, stream=True)  # type: ignore[call-overload] # plain data
        with pytest.raises(openai.APIError) as caught:  # noqa: PT012 - the error comes after some pieces
            for chunk in stream:
                seen.append(chunk.choices[0].delta.content)  # noqa: PERF401 - what came before the error counts
    assert seen == ["one ", "good "]
    assert caught.value.code == code


@pytest.mark.parametrize("fault", ["429_retry_after", "500", "reset", "hang"])
def test_a_stream_that_never_begins_is_a_plain_error(fault: str, start_upstream: Start, start_gateway: Start) -> None:
    """Before the first event the status still can say what happened, so that clients try again as they are used to."""
    upstream = start_upstream(fault_rate=1.0, faults=(fault,))
    gateway = start_gateway(upstream.url, upstream_options={"silence_s": 0.3})
    reply = HTTP.post(f"{gateway.url}/chat/completions", json={**CHAT, "stream": True})
    assert reply.status_code == STATUS[fault][0]
    assert reply.json()["error"]["code"] == STATUS[fault][1]


def test_a_stream_answered_whole_is_an_error(start_upstream: Start, start_gateway: Start) -> None:
    """A client that waits for events would wait for ever."""
    gateway = start_gateway(start_upstream(stream_fault="json").url)
    reply = HTTP.post(f"{gateway.url}/chat/completions", json={**CHAT, "stream": True})
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_malformed")


def test_the_upstreams_error_events_and_bare_ends_go_through(start_upstream: Start, start_gateway: Start) -> None:
    """An error that the upstream words itself is not followed by another, and a missing last line is no fault."""
    told = start_gateway(start_upstream(stream_fault="error").url)
    reply = HTTP.post(f"{told.url}/chat/completions", json={**CHAT, "stream": True})
    assert reply.text.count('"error"') == 1
    assert "out of memory" in reply.text
    bare = start_gateway(start_upstream(stream_fault="bare_end").url)
    assert HTTP.post(f"{bare.url}/chat/completions", json={**CHAT, "stream": True}).text.endswith("data: [DONE]\n\n")


def test_a_generation_is_asked_for_again_only_where_configured(start_upstream: Start, start_gateway: Start) -> None:
    """Each attempt may cost money and gives another output."""
    upstream = start_upstream(fault_rate=0.5, faults=("503", "reset", "malformed"), seed=3)
    gateway = start_gateway(upstream.url, upstream_options={"max_attempts": 8, "backoff_s": 0.01})
    bodies = [{**CHAT, "seed": seed} for seed in range(6)]
    assert {HTTP.post(f"{gateway.url}/chat/completions", json=body).status_code for body in bodies} == {200}
    assert upstream.n_faults.total() > 0
    assert len(upstream.requests) == 6 + upstream.n_faults.total()


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_client_that_leaves_cancels_the_upstream(
    start_upstream: Start, start_gateway: Start, *, is_stream: bool
) -> None:
    """Tokens that nobody reads must not be paid for."""
    upstream = start_upstream(pause_s=0.3) if is_stream else start_upstream(delay_s=1.5)
    gateway = start_gateway(upstream.url)
    host, port = gateway.root.removeprefix("http://").split(":")
    body = json.dumps({**CHAT, "stream": is_stream, "messages": [{"role": "user", "content": "word " * 50}]}).encode()
    with socket.create_connection((host, int(port))) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        if is_stream:
            assert client.recv(10_000).startswith(b"HTTP/1.1 200")
        else:
            wait_for(lambda: bool(upstream.requests))
    wait_for(lambda: "metamodel_gateway_clients_gone_total 1.0" in metrics(gateway))
    wait_for(lambda: "metamodel_gateway_in_flight 0.0" in metrics(gateway))
    if is_stream:
        wait_for(lambda: upstream.n_cancelled == 1)


def wait_for(is_true: Callable[[], bool]) -> None:
    """Wait until something holds, and fail where it never does."""
    for _ in range(500):
        if is_true():
            return
        time.sleep(0.01)
    pytest.fail("it never came true")
