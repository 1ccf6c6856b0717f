"""From a request to an action: which text counts, what the policy says of it, and what the client and upstream see."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import yaml

from metamodel.bundled_configs import find_config
from metamodel.errors import ConfigError, MetamodelError
from metamodel.gateway.config import build_gateway_config, load_gateway_config
from metamodel.gateway.plans import ReadPlan
from metamodel.gateway.rendering import read_prompts

Start = Callable[..., Any]
HTTP = httpx.Client(
    verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
)


def chat(text: object, **more: object) -> dict[str, object]:
    """Return a request."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def post(gateway: Any, body: object, **options: Any) -> httpx.Response:  # noqa: ANN401 - of conftest and httpx
    """Call the chat API."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTP.post(f"{gateway.url}/chat/completions", content=content, **options)


def test_each_decision_has_its_action(start_upstream: Start, start_gateway: Start) -> None:
    """The behavior that stopped a prompt decides, then the decision, then unfamiliarity; headers say what was done."""
    main, other = start_upstream(), start_upstream()
    gateway = start_gateway(
        main.url,
        fallbacks={"bigger": {"model": "big"}, "elsewhere": {"upstream": {"base_url": other.url}}},
        policy={
            "stop": {"action": "fallback", "to": "bigger"},
            "behaviors": {"truncated": {"action": "fallback", "to": "elsewhere"}},
            "unfamiliar": "annotate",
        },
    )
    plain, bad, loop, odd = (post(gateway, chat(text)) for text in ("good", "bad", "bad loop", "odd"))
    assert [body["model"] for _, _, body in main.requests] == ["m", "big", "m"]
    assert [body["model"] for _, _, body in other.requests] == ["m"]
    assert not [name for name in plain.headers if name.startswith("x-metamodel")]
    assert bad.headers["x-metamodel-decision"] == "stop"
    assert bad.headers["x-metamodel-action"] == "fallback"
    assert bad.headers["x-metamodel-probability-fail"] == "0.900000"
    assert loop.headers["x-metamodel-stopped-by"] == "fail, truncated"
    assert odd.headers["x-metamodel-unfamiliar"] == "true"
    assert odd.headers["x-metamodel-decision"] == "pass"


CHAT = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "First."},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": [{"type": "text", "text": "Second"}, {"type": "text", "text": "part."}]},
]


def test_which_text_of_a_chat_is_screened() -> None:
    """A metamodel knows prompts as it was trained on them, so that the rendering is a choice and not a guess."""

    def texts(plan: ReadPlan, messages: object = CHAT) -> tuple[str, ...]:
        return read_prompts({"messages": messages}, plan, is_chat=True, max_chars=1000).texts

    assert texts(ReadPlan()) == ("Second\n\npart.",)
    assert texts(ReadPlan(text="all_messages", separator="|")) == ("Be short.|First.|Yes?|Second|part.",)
    template = "{% for one in messages %}{{ one.role }}: {{ one.content }}\n{% endfor %}"
    assert texts(ReadPlan(text="template", template=template), CHAT[:2]) == ("system: Be short.\nuser: First.\n",)
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]
    assert texts(ReadPlan(), image) == ()
    assert texts(ReadPlan(), [{"role": "user", "content": "\ud800"}]) == ("\ufffd",)
    for messages in (None, 7, [], [7], [{"role": "user"}], [{"role": "system", "content": "x"}]):
        assert texts(ReadPlan(), messages) == ()


def test_completions_are_screened_by_their_prompts() -> None:
    """A field of the other API must not stand in for the one that the upstream reads."""
    both = {"messages": [{"role": "user", "content": "good"}], "prompt": "bad"}
    assert read_prompts(both, ReadPlan(), is_chat=False, max_chars=10).texts == ("bad",)
    assert read_prompts({"prompt": ["a", "b"]}, ReadPlan(), is_chat=False, max_chars=10).texts == ("a", "b")
    for prompt in ([1, 2], [[1], [2]], None, "x" * 11):
        read = read_prompts({"prompt": prompt}, ReadPlan(), is_chat=False, max_chars=10)
        assert (read.texts, len(read.warnings)) == ((), 1)


def test_what_cannot_be_screened_is_the_policys_to_decide(start_upstream: Start, start_gateway: Start) -> None:
    """Pictures, long texts and a metamodel that fails lead to `unscreened`, never to an error or a silent pass."""
    upstream = start_upstream(answer=lambda _headers, _body: (200, {}, {"choices": []}))
    gateway = start_gateway(upstream.url, limits={"max_screened_chars": 100})
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    for content in ([image], "x" * 101, "fault"):
        reply = post(gateway, chat(content))
        assert reply.status_code == 200
        assert reply.headers["x-metamodel-decision"] == "none"
    partly = post(gateway, chat([{"type": "text", "text": "bad"}, image]))
    assert partly.headers["x-metamodel-decision"] == "stop"
    assert "parts other than text" in partly.headers["x-metamodel-warning"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b'{"messages": [], "messages": []}', 400),
        (b"[" * 100_000, 400),
        (b'{"a": ' + b"9" * 5000 + b"}", 400),
        (b'{"a": "' + b"x" * 20_000 + b'"}', 413),
    ],
)
def test_hostile_bodies_never_reach_the_upstream(
    content: bytes, status: int, start_upstream: Start, start_gateway: Start
) -> None:
    """What the gateway and the upstream could read differently is refused: else it would go around the pre-screen."""
    upstream = start_upstream()
    gateway = start_gateway(upstream.url, limits={"max_body_bytes": 10_000 if status == 413 else 1_000_000})
    reply = post(gateway, content)
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert not upstream.requests


def test_limits_on_calls_and_slow_senders(start_upstream: Start, start_gateway: Start) -> None:
    """One more call than allowed is told when to come again, and nobody holds a place by sending slowly."""
    gateway = start_gateway(start_upstream().url, limits={"max_in_flight": 1, "body_timeout_s": 0.5})
    host, port = gateway.root.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        for _ in range(100):
            if HTTP.get(f"{gateway.root}/health").json()["in_flight"]:
                break
        busy = post(gateway, chat("good"))
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")
    assert post(gateway, chat("good")).status_code == 200


def test_keys_stay_where_they_belong(
    start_upstream: Start, start_gateway: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upstream gets the gateway's key or, where configured, the client's; neither gets to know the other's."""
    monkeypatch.setenv("UPSTREAM_KEY", "sk-upstream-secret-000")
    monkeypatch.setenv("CLIENT_KEY", "client-secret")
    told = {"error": {"message": "sk-upstream-secret-000 is slow", "code": "x"}}
    upstream = start_upstream(answer=lambda _headers, body: (429, {}, told) if "n" in body else None)
    gateway = start_gateway(
        upstream.url, upstream_options={"api_key_env": "UPSTREAM_KEY"}, listen={"client_key_env": "CLIENT_KEY"}
    )
    assert post(gateway, chat("good")).status_code == 401
    assert post(gateway, chat("good"), headers={"Authorization": "Bearer wrong"}).status_code == 401
    sent = {"Authorization": "Bearer client-secret", "Cookie": "c=1", "Connection": "x-hop", "X-Hop": "1", "X-End": "2"}
    assert post(gateway, chat("good"), headers=sent).status_code == 200
    _, headers, _ = upstream.requests[-1]
    assert headers["authorization"] == "Bearer sk-upstream-secret-000"
    assert "client-secret" not in str(headers)
    assert "x-end" in headers
    assert not {"cookie", "x-hop"} & set(headers)
    assert "sk-upstream" not in post(gateway, chat("good", n=1), headers=sent).text
    passing = start_gateway(upstream.url, upstream_options={"pass_key": True})
    post(passing, chat("good"), headers={"Authorization": "Bearer mine"})
    assert upstream.requests[-1][1]["authorization"] == "Bearer mine"


def test_paths_and_states(start_upstream: Start, start_gateway: Start) -> None:
    """What is not there is an error object; what a load balancer asks for is."""
    gateway = start_gateway(start_upstream().url)
    assert HTTP.get(f"{gateway.root}/ready").json()["status"] == "ok"
    assert HTTP.post(f"{gateway.url}/embeddings", json={}).status_code == 404
    assert HTTP.get(f"{gateway.url}/chat/completions").status_code == 405
    assert HTTP.get(f"{gateway.url}/models/%2e%2e/secret").status_code == 404
    assert "metamodel_gateway_in_flight 0.0" in HTTP.get(f"{gateway.root}/metrics").text


def test_no_prompt_in_any_log(start_upstream: Start, start_gateway: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """Without shadow mode nobody finds a prompt in what the gateway prints, not even when a part of it fails."""
    import logging

    logging.getLogger("metamodel").setLevel(logging.DEBUG)
    gateway = start_gateway(start_upstream(fault_rate=1.0, faults=("reset",)).url)
    post(gateway, chat("SECRET PROMPT fault"))
    gateway.stop()
    printed = capfd.readouterr()
    assert "SECRET PROMPT" not in printed.out + printed.err


def test_all_problems_of_a_config_at_once() -> None:
    """A user mends a config in one pass, each problem with its key path."""
    with pytest.raises(ConfigError) as caught:
        build_gateway_config(
            {
                "screeen": "x",
                "upstream": {"base_url": "ftp://x", "timout_s": 3},
                "fallbacks": {"big": {"model": "b"}, "none": {}, "far": {"upstream": {"base_url": "http://h", "k": 1}}},
                "policy": {"stop": {"action": "fallback", "to": "bigg"}, "pas": "pass", "pass": "drop"},
                "read": {"text": "template", "template": "{% for %}"},
                "limits": {"max_in_flight": 0},
                "shadow": {"folder": "f", "share": 2, "featurizers": ["correct", "truncatd"]},
                "listen": {"port": "80"},
            }
        )
    problems = "\n".join(caught.value.problems)
    for expected in (
        "screeen: unknown key, did you mean screen?",
        "screen: is missing",
        "upstream.timout_s: unknown key, did you mean timeout_s?",
        "base_url is 'ftp://x'",
        "fallbacks.none: neither model nor upstream is given",
        "fallbacks.far.upstream.k: unknown key",
        "policy.stop.to: did you mean big?",
        "policy.pas: unknown key, did you mean pass?",
        "policy.pass.action: input should be",
        "read.template:",
        "limits: max_in_flight is 0",
        "shadow: share is 2",
        "correct needs references",
        "did you mean truncated?",
        "listen.port: input should be a valid integer",
    ):
        assert expected in problems


def test_a_password_in_an_address_is_not_shown() -> None:
    """Addresses are pasted with credentials in them, and errors are pasted into tickets."""
    with pytest.raises(ConfigError) as caught:
        build_gateway_config({"screen": "x", "upstream": {"base_url": "http://user:hunter2@h/v1?a"}})
    assert "hunter2" not in str(caught.value)


def test_the_bundled_config_loads() -> None:
    """configs/gateway.yaml is what people start from, its commented parts included."""
    assert load_gateway_config(find_config("gateway")).policy.on_stop.to == "stronger"
    text = find_config("gateway").read_text(encoding="utf-8")
    shadow = text[text.index("# shadow:") :].replace("\n# ", "\n").removeprefix("# ")
    assert build_gateway_config({**yaml.safe_load(text), **yaml.safe_load(shadow)}).shadow is not None
    assert text.count("action: refuse") == 1


def test_a_missing_key_is_said_before_the_first_call(start_gateway: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway without its key would answer every call with an error."""
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(MetamodelError, match="NO_KEY"):
        start_gateway("http://localhost:1/v1", upstream_options={"api_key_env": "NO_KEY"})
