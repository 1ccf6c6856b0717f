"""The official client in front of the gateway: it must not notice that there is one."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

Start = Callable[..., Any]
GOOD = [{"role": "user", "content": "one good prompt"}]
BAD = [{"role": "user", "content": "one bad prompt"}]
REFUSE = {"stop": {"action": "refuse", "message": "Not this one."}}


def client_of(gateway: Any, **options: Any) -> openai.OpenAI:  # noqa: ANN401 - of conftest
    """Return a client that never tries again by itself."""
    http = httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), timeout=30)
    return openai.OpenAI(base_url=gateway.url, api_key="client-key", max_retries=0, http_client=http, **options)


def test_chat_and_completions_come_back_as_they_were_sent(start_upstream: Start, start_gateway: Start) -> None:
    """A call that passes must be the call that the upstream would have got, and its answer the answer."""
    upstream = start_upstream()
    with client_of(start_gateway(upstream.url)) as client:
        chat = client.chat.completions.create(model="m", messages=GOOD, n=2, temperature=0.5)  # type: ignore[arg-type] # plain data
        text = client.completions.create(model="m", prompt="one good prompt", max_tokens=4)
    assert [choice.message.content for choice in chat.choices] == ["one good prompt #0", "one good prompt #1"]
    assert text.choices[0].text == "one good prompt #0"
    (chat_path, headers, chat_body), (text_path, _, text_body) = upstream.requests
    assert (chat_path, text_path) == ("/v1/chat/completions", "/v1/completions")
    assert chat_body == {"model": "m", "messages": GOOD, "n": 2, "temperature": 0.5}
    assert text_body == {"model": "m", "prompt": "one good prompt", "max_tokens": 4}
    assert "client-key" not in str(headers)


def test_streams_come_piece_by_piece(start_upstream: Start, start_gateway: Start) -> None:
    """The first piece must arrive while the upstream is still at work, for chats and completions."""
    upstream = start_upstream(pause_s=0.05)
    with client_of(start_gateway(upstream.url)) as client:
        pieces = []
        n_open = []
        for chunk in client.chat.completions.create(model="m", messages=GOOD, stream=True):  # type: ignore[call-overload] # plain data
            pieces.append(chunk.choices[0].delta.content or "")
            n_open.append(upstream.n_open)
        texts = [one.choices[0].text for one in client.completions.create(model="m", prompt="a b", stream=True)]
    assert "".join(pieces) == "one good prompt #0 "
    assert n_open[0] == 1
    assert "".join(texts) == "a b #0 "


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_async_client_works_too(start_upstream: Start, start_gateway: Start, *, is_stream: bool) -> None:
    """Most services call from a loop."""
    import asyncio

    gateway = start_gateway(start_upstream().url)

    async def ask() -> str:
        async with openai.AsyncOpenAI(base_url=gateway.url, api_key="k", max_retries=0) as client:
            if not is_stream:
                whole = await client.chat.completions.create(model="m", messages=GOOD)  # type: ignore[arg-type] # plain data
                return whole.choices[0].message.content or ""
            stream = await client.chat.completions.create(model="m", messages=GOOD, stream=True)  # type: ignore[call-overload] # plain data
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(ask()).strip() == "one good prompt #0"


def test_a_refusal_is_a_completion(start_upstream: Start, start_gateway: Start) -> None:
    """What was stopped is answered in the shape that was asked for, says so, and never reaches the upstream."""
    upstream = start_upstream()
    with client_of(start_gateway(upstream.url, policy=REFUSE)) as client:
        chat = client.chat.completions.create(model="m", messages=BAD, n=2)  # type: ignore[arg-type] # plain data
        text = client.completions.create(model="m", prompt=["a bad one", "a good one"])
        chunks = list(
            client.chat.completions.create(
                model="m",
                messages=BAD,  # type: ignore[arg-type] # plain data
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        pieces = list(client.completions.create(model="m", prompt="bad", stream=True))
    assert [choice.message.content for choice in chat.choices] == ["Not this one."] * 2
    assert {choice.finish_reason for choice in chat.choices} == {"content_filter"}
    assert [choice.text for choice in text.choices] == ["Not this one."] * 2
    assert "".join(one.choices[0].delta.content or "" for one in chunks[:-1]) == "Not this one."
    assert chunks[-2].choices[0].finish_reason == "content_filter"
    assert chunks[-1].usage is not None
    assert pieces[-1].choices[0].finish_reason == "content_filter"
    assert not upstream.requests


def test_models_are_those_of_the_upstream(start_upstream: Start, start_gateway: Start) -> None:
    """Clients list models before they ask one."""
    upstream = start_upstream()
    with client_of(start_gateway(upstream.url)) as client:
        assert [model.id for model in client.models.list()] == ["m"]
        client.models.retrieve("org/name")
    assert upstream.raw_requests == [("GET", "/v1/models"), ("GET", "/v1/models/org/name")]


def test_errors_are_the_clients_own(start_upstream: Start, start_gateway: Start) -> None:
    """Each of the upstream's refusals must raise what the client would raise without the gateway."""
    refusals: dict[str, tuple[int, dict[str, str], Any]] = {
        "long": (400, {}, {"error": {"message": "too long", "type": "t", "code": "context_length_exceeded"}}),
        "fast": (429, {"Retry-After": "7"}, {"error": {"message": "slow down", "type": "requests", "code": "rate"}}),
        "key": (401, {}, {"error": {"message": "wrong key sk-123", "type": "auth", "code": "invalid_api_key"}}),
        "html": (503, {}, "<html>busy</html>"),
        "who": (404, {}, {"detail": "no such model"}),
    }
    upstream = start_upstream(answer=lambda _headers, body: refusals[body["messages"][0]["content"]])
    raised = {}
    with client_of(start_gateway(upstream.url)) as client:
        for name in refusals:
            with pytest.raises(openai.APIStatusError) as caught:
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": name}])
            raised[name] = caught.value
    assert isinstance(raised["long"], openai.BadRequestError)
    assert raised["long"].code == "context_length_exceeded"
    assert isinstance(raised["fast"], openai.RateLimitError)
    assert raised["fast"].response.headers["retry-after"] == "7"
    assert raised["key"].status_code == 502
    assert "sk-123" not in str(raised["key"])
    assert raised["html"].status_code == 503
    assert isinstance(raised["who"], openai.NotFoundError)
    assert "no such model" in str(raised["who"])
    assert all(error.body["message"] for error in raised.values())  # type: ignore[index,call-overload] # an object
