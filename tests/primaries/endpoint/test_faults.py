"""A faulty endpoint costs retries, never a sample: each ends as one generation or one failure."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from metamodel.collect import collect
from metamodel.errors import MetamodelError
from metamodel.primaries.capabilities import DrawRequest
from metamodel.primaries.endpoint.asks import Api
from metamodel.primaries.endpoint.component import OpenAIEndpoint
from metamodel.primaries.endpoint.faults import retry_after_s
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Failure, Generation, Prompt, Sampling

FAST: dict[str, Any] = {"timeout_s": 30.0, "backoff_s": 0.01, "max_wait_s": 0.2, "max_in_flight": 32}


def prompts_of(n: int) -> list[Prompt]:
    """Return so many prompts."""
    return [Prompt.create(f"question number {index}", domain=f"d{index % 3}") for index in range(n)]


def drawn(endpoint: OpenAIEndpoint, prompts: list[Prompt], sampling: Sampling) -> list[Generation | Failure]:
    """Return every outcome."""
    return [outcome for batch in endpoint.generate(prompts, sampling) for outcome in batch]


def places(outcomes: list[Generation | Failure]) -> Counter[tuple[str, int]]:
    """Count outcomes by prompt and sample."""
    return Counter((outcome.prompt_id, outcome.sample) for outcome in outcomes)


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_2000_requests_at_30_percent_faults(start_server: Callable[..., Any], tmp_path: Path, api: Api) -> None:
    """Every sample ends in generations/ or errors/, none twice, none missing; retrying then draws just those."""
    server = start_server(fault_rate=0.3)
    # Few attempts, so that some samples fail for good.
    settings = FAST | {"timeout_s": 1.0, "max_attempts": 4, "max_in_flight": 64, "max_failures_in_row": 2000}
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, api=api, logprobs=True, **settings)
    prompts = prompts_of(1000)
    run = RunDirectory.create_or_open(str(tmp_path / "run"), config={})
    sampling = Sampling(n_samples=2, max_new_tokens=8)
    report = collect(run, primaries={"p": endpoint}, prompts=prompts, sampling=sampling)
    generations, errors = run.read("generations").to_pylist(), run.read("errors").to_pylist()
    ended = Counter((row["prompt_id"], row["sample"]) for row in [*generations, *errors])
    assert ended == Counter((prompt.id, sample) for prompt in prompts for sample in range(2))
    assert report.primaries["p"].n_failed == len(errors) > 0
    assert all(row["reason"] and not row["is_final"] for row in errors)
    assert len({row["key"] for row in generations}) == len(generations)
    assert set(server.n_faults) == set(server.faults)
    texts = {prompt.id: prompt.text for prompt in prompts}
    assert all(row["text"] == f"{texts[row['prompt_id']]} #0" for row in generations)
    summary = endpoint.usage_summary()
    assert summary["n_requests"] - summary["n_retries"] == 2000
    server.fault_rate, server.requests = 0.0, []
    retried = collect(run, primaries={"p": endpoint}, prompts=prompts, sampling=sampling, retry_errors=True)
    assert retried.primaries["p"].n_drawn == len(server.requests) == len(errors)
    assert run.read("errors").num_rows == 0
    assert run.read("generations").num_rows == 2000
    assert not [thread for thread in threading.enumerate() if thread.name == "metamodel-endpoint"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("429", "HTTP 429: overloaded"),
        ("429_retry_after", "HTTP 429: overloaded"),
        ("500", "HTTP 500"),
        ("503", "HTTP 503"),
        ("reset", "connection lost"),
        ("hang", "no whole answer within timeout_s = 0.2 seconds"),
        ("truncated", "connection lost"),
        ("malformed", "no JSON"),
        ("choice_count", "2 choices, asked for were 1"),
        ("nan_logprob", "log-probability of the answer is no number"),
        ("slow_stream", "no whole answer within timeout_s = 0.2 seconds"),
    ],
)
def test_each_fault_is_tried_again_and_told(start_server: Callable[..., Any], fault: str, reason: str) -> None:
    """A fault that stays uses up the attempts and ends as a failure that says which fault it was."""
    server = start_server(fault_rate=1.0, faults=(fault,))
    endpoint = OpenAIEndpoint(
        model="m", base_url=server.url, logprobs=True, **FAST | {"timeout_s": 0.2, "max_attempts": 2}
    )
    (outcome,) = drawn(endpoint, prompts_of(1), Sampling(max_new_tokens=8))
    assert isinstance(outcome, Failure)
    assert reason in outcome.reason
    assert "attempts: 2" in outcome.reason
    assert not outcome.is_final
    assert 1 <= server.n_faults[fault] <= 2  # on a busy machine a time-out may come before the request does


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_prompt_is_final_and_alone(start_server: Callable[..., Any], status: int) -> None:
    """A prompt beyond the context is not sent again, and the others are drawn."""
    server = start_server()
    message = "This model's maximum context length is 8 tokens"
    server.answer = lambda _headers, body: (
        (status, {}, {"error": {"message": message}}) if "number 1" in body["messages"][-1]["content"] else None
    )
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, **FAST | {"max_in_flight": 1})
    outcomes = drawn(endpoint, prompts_of(3), Sampling())
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert [(failure.prompt_id, failure.is_final) for failure in failures] == [(prompts_of(3)[1].id, True)]
    assert failures[0].reason == f"HTTP {status}: {message}"
    assert len(server.requests) == len(outcomes) == 3


def test_a_refused_request_is_not_taken_for_a_refused_prompt(start_server: Callable[..., Any]) -> None:
    """Where a field of the config is what is refused, nothing is final, and the run stops after a few."""
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server = start_server(answer=lambda _headers, _body: (400, {}, {"error": {"message": message}}))
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, **FAST | {"max_failures_in_row": 20})
    outcomes = drawn(endpoint, prompts_of(9), Sampling())
    assert [row.is_final for row in outcomes if isinstance(row, Failure)] == [False] * 9
    with pytest.raises(MetamodelError, match=r"failed 21 times in a row.*max_completion_tokens"):
        drawn(endpoint, prompts_of(900), Sampling())
    assert len(server.requests) < 100
    server.answer = lambda _headers, _body: (400, {}, {"error": {"code": "context_length_exceeded", "message": "!"}})
    outcomes = drawn(endpoint, prompts_of(90), Sampling())
    assert [row.is_final for row in outcomes if isinstance(row, Failure)] == [True] * 90


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (401, {}, "environment variable SOME_KEY"),
        (403, {}, "environment variable SOME_KEY"),
        (402, {}, "credit"),
        (429, {"error": {"code": "insufficient_quota", "message": "pay"}}, "credit"),
        (404, {"error": {"message": "no model m"}}, "no model m: correct base_url"),
        (307, {}, "redirect"),
    ],
)
def test_what_every_prompt_would_meet_stops_the_run(
    start_server: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
    body: dict[str, object],
    advice: str,
) -> None:
    """A wrong key, address or model is one error at once, not a failure a prompt."""
    monkeypatch.setenv("SOME_KEY", "abc")
    server = start_server(answer=lambda _headers, _body: (status, {"Location": "http://127.0.0.1:1/"}, body))
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, api_key_env="SOME_KEY", **FAST)
    with pytest.raises(MetamodelError, match=advice):
        drawn(endpoint, prompts_of(500), Sampling())
    assert len(server.requests) <= 64
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_after_success_is_about_the_prompt(start_server: Callable[..., Any], status: int) -> None:
    """Where the key and the address have proved right, a moderated prompt does not stop the run."""
    server = start_server()
    server.answer = lambda _headers, body: (
        (status, {}, {"error": {"message": "flagged"}}) if "number 5" in body["messages"][-1]["content"] else None
    )
    outcomes = drawn(
        OpenAIEndpoint(model="m", base_url=server.url, **FAST | {"max_in_flight": 1}), prompts_of(9), Sampling()
    )
    assert [(o.reason, o.is_final) for o in outcomes if isinstance(o, Failure)] == [(f"HTTP {status}: flagged", False)]
    assert len(outcomes) == 9


def test_a_server_that_is_not_there_is_one_error() -> None:
    """Nobody wants a failure a prompt because the server was not started."""
    endpoint = OpenAIEndpoint(model="m", base_url="http://127.0.0.1:9/v1", **FAST | {"max_attempts": 2})
    with pytest.raises(MetamodelError, match=r"cannot be reached.*Start the server"):
        drawn(endpoint, prompts_of(5), Sampling())


def test_a_server_that_dies_stops_the_run(start_server: Callable[..., Any]) -> None:
    """After so many failures in a row the rest of a long run is left for later, undrawn."""
    server = start_server()
    server.answer = lambda _headers, body: (
        (500, {}, "") if int(body["messages"][0]["content"].split()[-1]) >= 20 else None
    )
    endpoint = OpenAIEndpoint(
        model="m", base_url=server.url, **FAST | {"max_attempts": 1, "max_failures_in_row": 10, "max_in_flight": 4}
    )
    outcomes: list[Generation | Failure] = []

    def collect_outcomes() -> None:
        for batch in endpoint.generate(prompts_of(1000), Sampling()):
            outcomes.extend(batch)

    with pytest.raises(MetamodelError, match="failed 11 times in a row"):
        collect_outcomes()
    assert sum(isinstance(outcome, Generation) for outcome in outcomes) == 20
    assert len(server.requests) < 60


def test_retry_after_is_obeyed_or_given_up(start_server: Callable[..., Any]) -> None:
    """A wait of hours is not sat through: the sample fails, to be drawn by a later run."""
    server = start_server(answer=lambda _headers, _body: (429, {"Retry-After": "7200"}, {}))
    (outcome,) = drawn(OpenAIEndpoint(model="m", base_url=server.url, **FAST), prompts_of(1), Sampling())
    assert isinstance(outcome, Failure)
    assert "asks to wait 7200 seconds" in outcome.reason
    assert len(server.requests) == 1


def test_retry_after_is_read_in_all_its_forms() -> None:
    """Seconds, milliseconds, an HTTP date in any zone; nonsense and the past do no harm."""
    now = datetime(2024, 5, 1, 12, tzinfo=UTC)
    later = now + timedelta(seconds=90)
    forms = {
        "7": 7.0,
        "-3": 0.0,
        "nan": None,
        "inf": None,
        "soon": None,
        "": None,
        format_datetime(later, usegmt=True): 90.0,
        format_datetime(later.astimezone(timezone(timedelta(hours=2)))): 90.0,
        format_datetime(now - timedelta(days=1), usegmt=True): 0.0,
    }
    for text, seconds in forms.items():
        assert retry_after_s({"retry-after": text}, now=now) == seconds, text
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "9"}, now=now) == 0.25


def test_reading_ahead_and_flight_are_bounded(start_server: Callable[..., Any]) -> None:
    """A million prompts are never held, and the server never sees more requests than it was promised."""
    server = start_server(delay_s=0.01)
    taken = 0

    def requests() -> Iterator[DrawRequest]:
        nonlocal taken
        for prompt in prompts_of(200):
            taken += 1
            yield DrawRequest(prompt=prompt, samples=(0,))

    endpoint = OpenAIEndpoint(model="m", base_url=server.url, **FAST | {"max_in_flight": 5})
    n_received = 0
    for batch in endpoint.draw(requests(), Sampling()):
        n_received += len(batch)
        assert taken - n_received <= 10
    assert n_received == 200
    assert server.most_open <= 5


def test_closing_early_leaves_nothing_behind(start_server: Callable[..., Any]) -> None:
    """A consumer that stops, by Ctrl-C or break, ends thread and requests though the server hangs."""
    server = start_server()
    server.answer = None  # type: ignore[assignment] # never reached: the delay is longer than the test
    server.delay_s = 30.0
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, **FAST | {"timeout_s": 60.0})

    def interrupting() -> Iterator[DrawRequest]:
        for prompt in prompts_of(10):
            yield DrawRequest(prompt=prompt, samples=(0,))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(endpoint.draw(interrupting(), Sampling()))
    server.delay_s, server.answer = 0.0, lambda _headers, _body: None
    batches = endpoint.generate(prompts_of(300), Sampling())
    next(batches)
    batches.close()  # type: ignore[attr-defined] # a generator
    assert not [thread for thread in threading.enumerate() if thread.name == "metamodel-endpoint"]
    assert len(server.requests) < 150
