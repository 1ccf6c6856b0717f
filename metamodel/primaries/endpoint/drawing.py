"""Draw samples from an endpoint: so many requests in flight, each sample ending as one outcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from metamodel.primaries.endpoint.accounts import Budget, BudgetSpentError, TokenCount, Usage
from metamodel.primaries.endpoint.answers import Choice, parse_body, read_choices, read_metadata, read_usage
from metamodel.primaries.endpoint.asks import Ask, AskFormat
from metamodel.primaries.endpoint.background import Background
from metamodel.primaries.endpoint.faults import (
    EndpointError,
    RefusedError,
    RetryableError,
    UnreachableError,
    check_status,
)
from metamodel.primaries.endpoint.pacing import Clock, Pace
from metamodel.primaries.endpoint.retries import RetryPolicy
from metamodel.primaries.endpoint.transport import Transport
from metamodel.types import Failure, Generation, JSONObject, Outcome, Sampling, generation_key

_logger = logging.getLogger(__name__)

# Asks begun for each request in flight, so that one that waits to try again leaves its place to another.
_READ_AHEAD: Final = 2


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a drawing needs to know.

    Attributes:
        identity: Of the primary model.
        url: Where requests go.
        key_name: Environment variable that the key came from.
        format: How bodies are written.
        retries: When to try again.
        max_in_flight: Requests at a time.
        max_failures_in_row: Samples that may fail one after another before the run stops.
        requests_per_minute: Limit; None for none.
        tokens_per_minute: Limit; None for none.
    """

    identity: str
    url: str
    key_name: str | None
    format: AskFormat
    retries: RetryPolicy
    max_in_flight: int
    max_failures_in_row: int
    requests_per_minute: float | None
    tokens_per_minute: float | None


class Drawing:
    """One call of `draw`, on its way."""

    def __init__(
        self,
        settings: Settings,
        sampling: Sampling,
        *,
        transport: Transport,
        budget: Budget,
        usage: Usage,
        clock: Clock,
    ) -> None:
        """Begin; no request is sent yet."""
        self._settings, self._sampling, self._transport = settings, sampling, transport
        self._budget, self._usage, self._clock = budget, usage, clock
        self._slots = asyncio.Semaphore(settings.max_in_flight)
        self._requests = Pace(settings.requests_per_minute, clock)
        self._tokens = Pace(settings.tokens_per_minute, clock)
        self._has_succeeded = False
        self._n_failures_in_row = 0

    def batches(self, asks: Iterable[Ask]) -> Iterator[list[Outcome]]:
        """Yield the outcomes of asks as they come; closing the generator cancels what is in flight.

        Raises:
            EndpointError: The endpoint would refuse every request; what was drawn has been yielded before.
        """
        waiting = iter(asks)
        n_places = _READ_AHEAD * self._settings.max_in_flight
        background: Background[list[Outcome]] = Background(self._transport)
        try:
            with background:
                while True:
                    for ask in islice(waiting, n_places - background.n_running):
                        background.start(self.outcomes(ask))
                    if not background.n_running:
                        return
                    finished = background.wait()
                    batch = [outcome for outcomes in finished.results for outcome in outcomes]
                    if batch:
                        yield batch
                    if finished.error is not None:
                        raise finished.error
        finally:
            _logger.info("%s used %s", self._settings.identity, self._usage.to_dict())

    async def outcomes(self, ask: Ask) -> list[Outcome]:
        """Return one outcome for each sample of an ask.

        Raises:
            EndpointError: The endpoint would refuse every request.
        """
        n_attempts = 0

        async def attempt() -> list[Outcome]:
            nonlocal n_attempts
            n_attempts += 1
            async with self._slots:
                return await self._attempt(ask, is_retry=n_attempts > 1)

        try:
            drawn = await self._settings.retries.run(attempt, self._clock)
        except RefusedError as error:
            if not (error.is_final or self._has_succeeded):
                self._count_failure(error, str(error))
            return _failures(ask, str(error), is_final=error.is_final)
        except BudgetSpentError as error:
            return _failures(ask, str(error), is_final=False)
        except RetryableError as error:
            reason = f"{error} (attempts: {n_attempts}{self._asked(error)})"
            self._count_failure(error, reason)
            return _failures(ask, reason, is_final=False)
        self._has_succeeded, self._n_failures_in_row = True, 0
        return drawn

    async def _attempt(self, ask: Ask, *, is_retry: bool) -> list[Outcome]:
        settings, n = self._settings, len(ask.samples)
        most = settings.format.most_tokens(ask.prompt, self._sampling, n=n)
        likely = settings.format.likely_tokens(ask.prompt, self._sampling, n=n)
        seed = ask.seed(self._sampling)
        body = settings.format.body(ask.prompt, self._sampling, n=n, seed=seed)
        await self._budget.reserve(most)
        used: TokenCount | None = TokenCount(0, 0)  # until something is sent
        try:
            await self._requests.wait(1)
            await self._tokens.wait(likely)
            self._usage.n_requests += 1
            self._usage.n_retries += is_retry
            used = None
            try:
                reply = await self._transport.post(body)
            except UnreachableError:
                used = TokenCount(0, 0)
                raise
            if reply.status >= 400:  # noqa: PLR2004 - HTTP's border between answers and refusals, which cost nothing
                used = TokenCount(0, 0)
            check_status(
                reply.status,
                reply.headers,
                reply.body,
                url=settings.url,
                key_name=settings.key_name,
                has_succeeded=self._has_succeeded,
            )
            answer = parse_body(reply.body)
            used = read_usage(answer)
            if used is not None:
                self._tokens.correct(expected=likely, actual=used.prompt + used.completion)
            choices = read_choices(
                answer,
                n=n,
                wants_logprobs=settings.format.logprobs,
                counts_end_token=settings.format.server != "openai",
            )
        finally:
            await self._budget.settle(most, used)
        return self._generations(ask, choices, seed, read_metadata(answer))

    def _asked(self, error: RetryableError) -> str:
        is_too_long = (error.retry_after_s or 0.0) > self._settings.retries.max_wait_s
        return f"; asks to wait {error.retry_after_s:.0f} seconds, beyond max_wait_s" if is_too_long else ""

    def _count_failure(self, error: Exception, reason: str) -> None:
        """Stop the run where the endpoint has never answered, refuses whatever it is asked, or no longer answers.

        Raises:
            EndpointError: So it is.
        """
        if isinstance(error, UnreachableError) and not self._has_succeeded:
            raise EndpointError(
                f"{self._settings.url} cannot be reached: {reason}. Start the server, or correct base_url"
            ) from None
        self._n_failures_in_row += 1
        if self._n_failures_in_row > self._settings.max_failures_in_row:
            raise EndpointError(
                f"{self._settings.url} failed {self._n_failures_in_row} times in a row, the last time: {reason}. "
                "What was drawn is kept: mend the endpoint or the config, and go on with --retry-errors"
            ) from None

    def _generations(self, ask: Ask, choices: list[Choice], seed: int, told: JSONObject) -> list[Outcome]:
        settings, is_alone = self._settings, len(choices) == 1
        shared = told if is_alone else told | {"n_choices": len(choices)}
        if settings.format.send_seed and not is_alone:
            shared = shared | {"request_seed": seed}
        return [
            Generation(
                key=generation_key(
                    primary_identity=settings.identity,
                    prompt_id=ask.prompt.id,
                    sampling=self._sampling,
                    sample=sample,
                ),
                prompt_id=ask.prompt.id,
                primary=settings.format.model,
                sample=sample,
                # Several choices share a request's seed: none of them can be drawn again by itself.
                seed=seed if settings.format.send_seed and is_alone else None,
                text=choice.text,
                token_ids=choice.token_ids,
                logprobs=choice.logprobs,
                finish_reason=choice.finish_reason,
                n_tokens=choice.n_tokens,
                metadata=shared | choice.metadata,
            )
            for sample, choice in zip(ask.samples, choices, strict=True)
        ]


def _failures(ask: Ask, reason: str, *, is_final: bool) -> list[Outcome]:
    return [Failure(prompt_id=ask.prompt.id, sample=sample, reason=reason, is_final=is_final) for sample in ask.samples]
