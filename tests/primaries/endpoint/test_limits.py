"""Limits a minute by a clock that only goes when told, and budgets that are never exceeded."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metamodel.collect import collect
from metamodel.primaries.capabilities import requests_for_all
from metamodel.primaries.endpoint.accounts import Prices
from metamodel.primaries.endpoint.component import OpenAIEndpoint
from metamodel.primaries.endpoint.faults import RetryableError
from metamodel.primaries.endpoint.pacing import Pace
from metamodel.primaries.endpoint.retries import RetryPolicy
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Failure, Generation, Prompt, Sampling


class FakeClock:
    """Time that stands still until everybody sleeps, then jumps to whoever wakes first."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.naps_s: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._n = 0

    def now_s(self) -> float:
        """Return the time."""
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        """Wait for the jump."""
        self.naps_s.append(seconds)
        self._n += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time_s + seconds, self._n, future))
        if len(self._sleepers) == 1:
            asyncio.get_running_loop().call_later(0.001, self._jump)
        await future

    def _jump(self) -> None:
        until_s, _, future = self._sleepers[0]
        self.time_s = max(self.time_s, until_s)
        if not future.done():
            future.set_result(None)
        heapq.heappop(self._sleepers)
        if self._sleepers:
            asyncio.get_running_loop().call_later(0.001, self._jump)


def prompts_of(n: int) -> list[Prompt]:
    """Return so many prompts."""
    return [Prompt.create(f"question number {index}", domain="d") for index in range(n)]


def test_no_minute_holds_more_than_the_limit() -> None:
    """Many that ask at once leave evenly spaced, so every minute holds as many as allowed and no more."""
    clock = FakeClock()
    pace = Pace(30, clock)
    times = []

    async def one() -> None:
        await pace.wait(1)
        times.append(clock.now_s())

    async def run() -> None:
        await asyncio.gather(*(one() for _ in range(90)))

    asyncio.run(run())
    assert times == pytest.approx([2.0 * turn for turn in range(90)])
    assert max(sum(start <= other < start + 60 for other in times) for start in times) == 30


def test_requests_per_minute(start_server: Callable[..., Any]) -> None:
    """Drawing keeps to the limit, requests that are tried again included."""
    clock = FakeClock()
    server = start_server(fault_rate=0.3, faults=("500",))
    endpoint = OpenAIEndpoint(
        model="m", base_url=server.url, requests_per_minute=30, max_in_flight=8, backoff_s=0.01, max_wait_s=0.01
    )
    outcomes = [
        row
        for batch in endpoint.draw_by(clock, requests_for_all(prompts_of(90), Sampling()), Sampling())
        for row in batch
    ]
    assert sum(isinstance(row, Generation) for row in outcomes) == 90
    assert len(server.requests) > 100
    assert clock.time_s >= 2.0 * (len(server.requests) - 1)


def test_tokens_per_minute_count_what_was_used() -> None:
    """An amount waits for the one before; what was expected too high is given back."""
    clock = FakeClock()
    pace = Pace(600, clock)

    async def run() -> list[float]:
        starts = []
        for _ in range(3):
            await pace.wait(100)
            starts.append(clock.now_s())
            pace.correct(expected=100, actual=40)
        return starts

    assert asyncio.run(run()) == pytest.approx([0.0, 4.0, 8.0])


def test_no_limit_never_waits() -> None:
    """Without a limit no clock is asked."""
    clock = FakeClock()

    async def run() -> None:
        for _ in range(5):
            await Pace(None, clock).wait(1e9)

    asyncio.run(run())
    assert clock.naps_s == []


def failing(times: int, retry_after_s: float | None) -> Callable[[], Any]:
    """Return an attempt that fails so often, then returns how often it was made."""
    made = 0

    async def attempt() -> int:
        nonlocal made
        made += 1
        if made <= times:
            raise RetryableError("busy", retry_after_s=retry_after_s)
        return made

    return attempt


def test_waits_grow_with_jitter_within_bounds() -> None:
    """Each wait is drawn from a range that doubles, so that many who failed together come back apart."""
    policy = RetryPolicy(max_attempts=9, backoff_s=1.0, max_wait_s=20.0)
    waits = []
    for _ in range(60):
        clock = FakeClock()
        assert asyncio.run(policy.run(failing(6, None), clock)) == 7
        waits.append(clock.naps_s)
    for step, bound_s in enumerate((1, 2, 4, 8, 16, 20)):
        drawn = [nap[step] for nap in waits]
        assert max(drawn) <= bound_s
        assert bound_s * 0.25 < sum(drawn) / len(drawn) < bound_s * 0.75
    assert len({nap[0] for nap in waits}) > 50


def test_retry_after_is_the_least_wait() -> None:
    """Never sooner than the endpoint asks, and not at all if that is too long."""
    policy = RetryPolicy(max_attempts=9, backoff_s=1.0, max_wait_s=20.0)
    clock = FakeClock()
    asyncio.run(policy.run(failing(3, 7.0), clock))
    assert len(clock.naps_s) == 3
    assert all(7.0 <= nap <= 8.0 for nap in clock.naps_s)
    clock = FakeClock()
    with pytest.raises(RetryableError):
        asyncio.run(policy.run(failing(3, 21.0), clock))
    assert clock.naps_s == []


def test_prices_add_up(start_server: Callable[..., Any]) -> None:
    """Money is tokens times prices, as the endpoint counts tokens."""
    server = start_server()
    endpoint = OpenAIEndpoint(
        model="m", base_url=server.url, prices=Prices(per_million_input=1_000_000, per_million_output=10_000_000)
    )
    list(endpoint.generate(prompts_of(5), Sampling()))
    assert endpoint.usage_summary() == {
        "n_requests": 5,
        "n_retries": 0,
        "n_unmetered": 0,
        "n_unmetered_tokens": 0,
        "n_prompt_tokens": 15,
        "n_completion_tokens": 20,
        "cost": 215.0,
        "unmetered_cost": 0.0,
    }
    assert endpoint.usage.n_tokens == 35


@pytest.mark.parametrize("limit", [{"budget_tokens": 700}, {"budget": 700.0}])
def test_a_budget_stops_cleanly_and_a_later_run_goes_on(
    start_server: Callable[..., Any], tmp_path: Path, limit: dict[str, Any]
) -> None:
    """The budget is never exceeded, what it does not pay for is a retryable failure, and retrying draws just that."""
    server = start_server(fault_rate=0.2, faults=("choice_count", "500"))
    settings: dict[str, Any] = {
        "model": "m",
        "base_url": server.url,
        "prices": Prices(per_million_input=1e6, per_million_output=1e6),
        "backoff_s": 0.01,
        "max_in_flight": 8,
    }
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config={})
    job: dict[str, Any] = {"prompts": prompts_of(300), "sampling": Sampling(max_new_tokens=20)}
    endpoint = OpenAIEndpoint(**settings, **limit)
    report = collect(run, primaries={"p": endpoint}, **job).primaries["p"]
    assert 300 <= endpoint.usage.n_tokens <= 700
    assert 0 < report.n_drawn < 120
    errors = run.read("errors").to_pylist()
    assert report.n_drawn + len(errors) == 300
    assert all("does not pay for it" in row["reason"] and not row["is_final"] for row in errors)
    n_sent = len(server.requests)
    server.fault_rate = 0.0
    rest = collect(run, primaries={"p": OpenAIEndpoint(**settings)}, **job, retry_errors=True).primaries["p"]
    assert rest.n_drawn == 300 - report.n_drawn == len(server.requests) - n_sent
    assert run.read("errors").num_rows == 0


@pytest.mark.parametrize("settings", [{"fault_rate": 1.0, "faults": ("truncated",)}, {"answer": "no usage"}])
def test_requests_that_tell_no_cost_use_up_the_budget(
    start_server: Callable[..., Any], settings: dict[str, Any]
) -> None:
    """A server that bills without telling, or whose answers get lost, cannot spend without end."""
    if settings.get("answer"):
        choice = {"index": 0, "text": "a", "finish_reason": "stop"}
        settings = {"answer": lambda _headers, _body: (200, {}, {"choices": [choice]})}
    server = start_server(**settings)
    endpoint = OpenAIEndpoint(
        model="m", base_url=server.url, api="completions", budget_tokens=1000, backoff_s=0.01, max_attempts=3
    )
    outcomes = [row for batch in endpoint.generate(prompts_of(60), Sampling(max_new_tokens=20)) for row in batch]
    assert len(outcomes) == 60
    last = [row.reason for row in outcomes if isinstance(row, Failure)][-1]
    assert f"{len(server.requests)} requests without an answer counted at their most" in last
    assert len(server.requests) == endpoint.usage.n_unmetered < 13
    assert 900 < endpoint.usage.n_unmetered_tokens <= 1000


def test_a_budget_too_small_for_one_request_sends_none(start_server: Callable[..., Any]) -> None:
    """A budget of nothing costs nothing."""
    server = start_server()
    endpoint = OpenAIEndpoint(model="m", base_url=server.url, budget_tokens=0)
    outcomes = [row for batch in endpoint.generate(prompts_of(50), Sampling(n_samples=2)) for row in batch]
    assert len(outcomes) == 100
    assert all(isinstance(row, Failure) for row in outcomes)
    assert server.requests == []
    assert endpoint.usage.n_requests == 0
