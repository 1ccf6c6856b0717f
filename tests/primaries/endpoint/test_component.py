"""What the endpoint is asked and what its answers become: chat and completions, one choice and several."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from metamodel.collect import collect
from metamodel.config.components import build_component
from metamodel.errors import ConfigError
from metamodel.primaries.capabilities import DrawRequest, DrawsSamples
from metamodel.primaries.endpoint.asks import Server
from metamodel.primaries.endpoint.component import OpenAIEndpoint
from metamodel.primaries.endpoint.transport import is_local
from metamodel.protocols import PrimaryModel
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Failure, Generation, Prompt, Sampling, generation_key

PROMPT = Prompt.create("two plus two", domain="d")
SAMPLING = Sampling(n_samples=3, temperature=0.7, top_p=0.9, max_new_tokens=5, stop=("\n",), seed=4)


def drawn(endpoint: OpenAIEndpoint, sampling: Sampling = SAMPLING, prompt: Prompt = PROMPT) -> list[Generation]:
    """Return the generations of one prompt by sample."""
    outcomes = [outcome for batch in endpoint.generate([prompt], sampling) for outcome in batch]
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failure)], outcomes
    return sorted((o for o in outcomes if isinstance(o, Generation)), key=lambda o: o.sample)


def answering(choice: dict[str, Any], **fields: Any) -> Callable[..., Any]:  # noqa: ANN401 - JSON
    """Return an answer function whose every answer is one choice."""
    return lambda _headers, _body: (200, {}, {"choices": [{"index": 0, **choice}], **fields})


def test_it_is_a_primary_model_that_draws_samples() -> None:
    """The stages find what they look for, and an engine may send it to another process."""
    endpoint = OpenAIEndpoint(model="m")
    assert isinstance(endpoint, PrimaryModel)
    assert isinstance(endpoint, DrawsSamples)
    assert pickle.loads(pickle.dumps(endpoint)) == endpoint  # noqa: S301 - our own


def test_a_chat_request_says_the_sampling(start_server: Callable[..., Any]) -> None:
    """Each sample is a request with its own seed, and everything that shapes the distribution is sent."""
    server = start_server()
    endpoint = OpenAIEndpoint(
        model="m", base_url=server.url, system_prompt="Be brief.", logprobs=True, extra_body={"reasoning_effort": "low"}
    )
    generations = drawn(endpoint)
    assert {path for path, _, _ in server.requests} == {"/v1/chat/completions"}
    bodies = [body for _, _, body in server.requests]
    seeds = [body.pop("seed") for body in bodies]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert sorted(seeds) == sorted(generation.seed for generation in generations if generation.seed is not None)
    expected = {
        "model": "m",
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 5,
        "stop": ["\n"],
        "logprobs": True,
        "reasoning_effort": "low",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "two plus two"}],
    }
    assert bodies == [expected] * 3


def test_a_completions_request_sends_the_text_alone(start_server: Callable[..., Any]) -> None:
    """The older interface continues the prompt as it is."""
    server = start_server()
    drawn(OpenAIEndpoint(model="m", base_url=f"{server.url}/", api="completions", send_seed=False))
    path, headers, body = server.requests[0]
    assert path == "/v1/completions"
    assert "authorization" not in headers
    assert body == {
        "model": "m",
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 5,
        "stop": ["\n"],
        "prompt": "two plus two",
    }


@pytest.mark.parametrize(
    ("server_kind", "top_k", "extra"),
    [
        ("openai", 0, {}),
        ("openai", 7, {"top_k": 7}),
        ("vllm", 0, {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "return_token_ids": True}),
        ("llama.cpp", 0, {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0}),
    ],
)
def test_a_servers_own_defaults_are_overruled(
    start_server: Callable[..., Any], server_kind: Server, top_k: int, extra: dict[str, object]
) -> None:
    """A server would otherwise cut the distribution by its own top_k and min_p, unseen."""
    server = start_server()
    sampling = Sampling(top_k=top_k, max_new_tokens=5)
    drawn(OpenAIEndpoint(model="m", base_url=server.url, server=server_kind, limit_field="max_tokens"), sampling)
    (_, _, body) = server.requests[0]
    assert {name: value for name, value in body.items() if name in {"top_k", "min_p", *extra}} == extra


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_several_choices_a_request(start_server: Callable[..., Any], api: Any) -> None:  # noqa: ANN401 - a literal
    """With n > 1 every sample is one choice, in order; none of them can be drawn again by a seed of its own."""
    server = start_server()
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, api=api, samples_per_request=2, logprobs=True)
    first, second, third = drawn(endpoint)
    assert sorted(body.get("n", 1) for _, _, body in server.requests) == [1, 2]
    assert [first.text, second.text, third.text] == ["two plus two #0", "two plus two #1", "two plus two #0"]
    assert (first.seed, second.seed) == (None, None)
    assert third.seed is not None
    assert first.metadata["n_choices"] == 2
    assert first.n_tokens == 4  # from the log-probabilities: usage counts both choices
    assert third.n_tokens == 4


def test_only_the_samples_asked_for_are_drawn(start_server: Callable[..., Any]) -> None:
    """Growing k draws the new samples, with the seeds they would have had."""
    server = start_server()
    endpoint = OpenAIEndpoint(model="m", base_url=server.url)
    every = {generation.sample: generation.seed for generation in drawn(endpoint)}
    batches = endpoint.draw([DrawRequest(prompt=PROMPT, samples=(2,))], SAMPLING)
    ((only,),) = batches
    assert isinstance(only, Generation)
    assert (only.sample, only.seed) == (2, every[2])


def test_a_generation_holds_what_the_answer_says(start_server: Callable[..., Any]) -> None:
    """Key, log-probabilities, counts, and what the endpoint tells of itself."""
    server = start_server()
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, logprobs=True)
    (generation,) = drawn(endpoint, Sampling())
    assert generation.key == generation_key(
        primary_identity=endpoint.identity, prompt_id=PROMPT.id, sampling=Sampling(), sample=0
    )
    assert generation.logprobs == (-0.5,) * 4
    assert generation.token_ids is None
    assert generation.finish_reason == "stop"
    assert dict(generation.metadata) == {
        "model": "m-0613",
        "system_fingerprint": "fp_44709d6fcb",
        "prompt_tokens": 3,
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "reasoning_tokens": 0},
    }


def test_vllms_token_ids_end_with_the_end_token(start_server: Callable[..., Any]) -> None:
    """The server vLLM lists the end token, which counts as none of the output's tokens."""
    server = start_server(offers_token_ids=True)
    (generation,) = drawn(OpenAIEndpoint(model="m", base_url=server.url, server="vllm", logprobs=True), Sampling())
    assert generation.token_ids == (0, 1, 2, 3)
    assert generation.logprobs is not None
    assert (len(generation.logprobs), generation.n_tokens) == (4, 3)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"finish_reason": "stop", "stop_reason": "\n"}, "stop_string"),
        ({"finish_reason": "stop", "stop_reason": 128009}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "content_filter"}, "content_filter"),
        ({"finish_reason": "eos_token"}, "stop"),
        ({"finish_reason": "tool_calls"}, None),
        ({"finish_reason": None}, None),
        ({}, None),
        ({"finish_reason": ["stop"]}, None),
    ],
)
def test_finish_reasons(start_server: Callable[..., Any], choice: dict[str, object], expected: str | None) -> None:
    """A reason that we have no word for is unknown, not a guess."""
    server = start_server(answer=answering({"text": "a", **choice}))
    (generation,) = drawn(OpenAIEndpoint(model="m", base_url=server.url, api="completions"), Sampling())
    assert generation.finish_reason == expected


@pytest.mark.parametrize(
    ("message", "text", "metadata"),
    [
        ({"content": None, "refusal": "I cannot."}, "", {"refusal": "I cannot."}),
        ({"content": "", "reasoning_content": "Hm."}, "", {"reasoning": "Hm."}),
        ({"content": "4", "reasoning": "2 + 2"}, "4", {"reasoning": "2 + 2"}),
        ({"content": [{"type": "text", "text": "4"}, {"type": "text", "text": "!"}, 7]}, "4!", {}),
        ({}, "", {}),
        ({"content": "\ud800é"}, "\ud800é", {}),
    ],
)
def test_messages(
    start_server: Callable[..., Any], message: dict[str, object], text: str, metadata: dict[str, object]
) -> None:
    """A null content is an empty output; reasoning and refusals are kept beside it."""
    server = start_server(answer=answering({"message": message, "finish_reason": "stop"}))
    (generation,) = drawn(OpenAIEndpoint(model="m", base_url=server.url), Sampling())
    assert (generation.text, dict(generation.metadata)) == (text, metadata)
    assert generation.n_tokens is None  # no usage, no log-probabilities


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("[]", "no JSON object"),
        ("[" * 100_000, "no JSON"),
        ("{}", "no choices"),
        ('{"choices": ["a"]}', "no JSON object"),
        ('{"choices": [{}]}', "neither a text nor a message"),
        ('{"choices": [{"message": {"content": 3}}]}', "no text"),
        ('{"choices": [{"text": "a", "finish_reason": "abort"}]}', "broke the output off"),
        ('{"choices": [{"text": "a", "logprobs": {"token_logprobs": [null]}}]}', "no number"),
        ('{"choices": [{"text": "a", "logprobs": {"token_logprobs": [-Infinity]}}]}', "no number"),
        ('{"choices": [{"text": "a", "logprobs": {"content": [{"logprob": "x"}]}}]}', "no number"),
        ('{"choices": [{"text": "a", "token_ids": [1, -1]}]}', "token id"),
        ('{"choices": [{"text": "a", "token_ids": [1], "logprobs": {"token_logprobs": []}}]}', "0 log-prob"),
    ],
)
def test_an_answer_that_is_not_as_it_must_be_is_a_fault(
    start_server: Callable[..., Any], answer: str, reason: str
) -> None:
    """Whatever a broken server writes, the sample fails with a reason instead of a traceback or a wrong row."""
    server = start_server(answer=lambda _headers, _body: (200, {}, answer))
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, logprobs=True, max_attempts=1)
    (outcome,) = [row for batch in endpoint.generate([PROMPT], Sampling()) for row in batch]
    assert isinstance(outcome, Failure)
    assert reason in outcome.reason


def test_choices_without_numbers_are_a_fault(start_server: Callable[..., Any]) -> None:
    """Two choices with the same index cannot be told apart; a server without `n` is named as such."""
    endpoints = []
    for choices in ([{"index": 0, "text": "a"}] * 2, [{"index": 0, "text": "a"}]):
        server = start_server(answer=lambda _headers, _body, choices=choices: (200, {}, {"choices": choices}))
        endpoints.append(
            OpenAIEndpoint(model="m", base_url=server.url, api="completions", samples_per_request=2, max_attempts=1)
        )
    reasons = []
    for endpoint in endpoints:
        outcomes = [row for batch in endpoint.generate([PROMPT], Sampling(n_samples=2)) for row in batch]
        assert [type(row) for row in outcomes] == [Failure, Failure]
        reasons.append(next(row.reason for row in outcomes if isinstance(row, Failure)))
    assert "not numbered" in reasons[0]
    assert "set samples_per_request to 1" in reasons[1]


def test_a_logprob_too_low_to_tell_leaves_them_unknown(start_server: Callable[..., Any]) -> None:
    """OpenAI's -9999 is a mark, not a number that statistics may use."""
    told = {"token_logprobs": [-0.1, -9999.0]}
    server = start_server(answer=answering({"text": "a b", "logprobs": told, "finish_reason": "length"}))
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, api="completions", logprobs=True)
    (generation,) = drawn(endpoint, Sampling())
    assert generation.logprobs is None
    assert (generation.n_tokens, dict(generation.metadata)) == (2, {"n_untold_logprobs": 1})


def test_identity_is_what_changes_outputs() -> None:
    """Speed and limits leave the keys of generations alone; weights, prompt and parameters do not."""
    base = OpenAIEndpoint(model="m", base_url="https://api.example.org/v1/")
    assert base.identity == "chat:api.example.org/v1/m"
    same = OpenAIEndpoint(
        model="m",
        base_url="https://api.example.org/v1",
        api_key_env="KEY",
        max_in_flight=3,
        timeout_s=5,
        requests_per_minute=60,
    )
    assert same.identity == base.identity
    other = [
        OpenAIEndpoint(model="n", base_url="https://api.example.org/v1"),
        OpenAIEndpoint(model="m", base_url="https://api.example.org/v2"),
        OpenAIEndpoint(model="m", base_url="https://api.example.org/v1", api="completions"),
        OpenAIEndpoint(model="m", base_url="https://api.example.org/v1", system_prompt="s"),
        OpenAIEndpoint(model="m", base_url="https://api.example.org/v1", system_prompt=""),
        OpenAIEndpoint(model="m", base_url="https://api.example.org/v1", extra_body={"min_p": 0.1}),
        OpenAIEndpoint(model="m", base_url="https://api.example.org/v1", server="vllm"),
    ]
    assert len({endpoint.identity for endpoint in [base, *other]}) == len(other) + 1


def test_a_server_that_moves_goes_on_with_the_run(start_server: Callable[..., Any], tmp_path: Path) -> None:
    """With named weights, another port or machine draws nothing again."""
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config={})
    for n_drawn in (3, 0):
        server = start_server()
        endpoint = OpenAIEndpoint(model="m", base_url=server.url, weights="org/m@abc123")
        report = collect(run, primaries={"p": endpoint}, prompts=[PROMPT], sampling=SAMPLING)
        assert report.primaries["p"].n_drawn == len(server.requests) == n_drawn


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"model": ""}, "model is empty"),
        ({"base_url": "localhost:8000"}, "base_url is no address"),
        ({"base_url": "ftp://a.org"}, "base_url is no address"),
        ({"base_url": "http://a.org:99999999/v1"}, "base_url is no address"),
        ({"base_url": "https://u:p@a.org/v1"}, "a user name, a password or a query"),
        ({"base_url": "https://a.org/v1?key=1"}, "a user name, a password or a query"),
        ({"base_url": "http://a.org/v1", "api_key_env": "KEY"}, "unencrypted to a.org"),
        ({"api_key_env": "sk-abc123"}, "must be the name of an environment variable"),
        ({"api_key_env": "gsk_abc123"}, "must be the name of an environment variable"),
        ({"api": "completions", "system_prompt": "s"}, "system_prompt is for api: chat"),
        ({"extra_body": {"seed": 1, "n": 2}}, "extra_body holds n, seed"),
        ({"budget": 1.0}, "budget is set without prices"),
        ({"max_in_flight": 0}, "max_in_flight is 0"),
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"backoff_s": -1}, "backoff_s is -1"),
        ({"api": "responses"}, "api"),
        ({"max_inflight": 3}, "did you mean max_in_flight"),
    ],
)
def test_senseless_configs_are_refused(options: dict[str, Any], problem: str) -> None:
    """The message names the field and what is allowed, and no key that was written where it must not be."""
    with pytest.raises(ConfigError, match=re.escape(problem)) as caught:
        build_component("primaries", {"kind": "openai", "model": "m", **options}, at="primaries.0")
    assert "abc123" not in str(caught.value)
    assert "u:p" not in str(caught.value)


def test_config_options_reach_the_component() -> None:
    """Nested prices and free-form fields are read from YAML's plain data."""
    spec = {
        "kind": "openai",
        "model": "m",
        "base_url": "http://a.org/v1",
        "api_key_env": "KEY",
        "allow_http": True,
        "prices": {"per_million_input": 1, "per_million_output": 2.5},
        "budget": 3,
        "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
    }
    endpoint = build_component("primaries", spec, at="primaries.0")
    assert endpoint.prices.per_million_output == 2.5
    assert json.loads(json.dumps(endpoint.usage_summary()))["cost"] == 0
    assert '"enable_thinking": false' in endpoint.identity


def test_only_this_machine_is_local() -> None:
    """A name that merely begins like a local one is another machine."""
    local = {"http://localhost:1/v1", "http://127.0.0.5", "http://[::1]:3/v1"}
    remote = {"http://localhost.evil.org", "http://127.0.0.1.evil.org", "http://10.0.0.1", "http://0.0.0.0", "http://a"}
    assert {url for url in local | remote if is_local(url)} == local


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_requests_and_test_answers_have_openais_shape(start_server: Callable[..., Any], api: str) -> None:
    """OpenAI's own package agrees with what we send, and with what the server of these tests answers."""
    package = {"chat": "openai.types.chat", "completions": "openai.types"}[api]
    types = pytest.importorskip(package, reason="the openai package is not installed")
    asked = types.completion_create_params.CompletionCreateParamsNonStreaming
    answered = types.ChatCompletion if api == "chat" else types.Completion
    server = start_server()
    options = {"base_url": server.url, "api": api, "logprobs": True, "samples_per_request": 3}
    drawn(build_component("primaries", {"kind": "openai", "model": "m", **options}, at="primaries.0"))
    ((_, _, body),) = server.requests
    assert body["n"] == 3
    assert body.keys() <= asked.__optional_keys__ | asked.__required_keys__
    TypeAdapter(asked).validate_python(body)
    answer = answered.model_validate(server.completion(body))
    assert len(answer.choices) == 3
