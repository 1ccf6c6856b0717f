"""When and how often to try again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from metamodel.primaries.endpoint.faults import RetryableError
from metamodel.primaries.endpoint.pacing import Clock

if TYPE_CHECKING:
    from tenacity import RetryCallState

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter, and never sooner than the endpoint asks.

    Attributes:
        max_attempts: Requests for the same samples, the first included.
        backoff_s: The first wait is drawn from 0 to this, each further one from a range twice as long.
        max_wait_s: Longest wait. An endpoint that asks for a longer one is not asked again.
    """

    max_attempts: int
    backoff_s: float
    max_wait_s: float

    async def run(self, attempt: Callable[[], Awaitable[_Result]], clock: Clock) -> _Result:
        """Return the result of the first attempt that succeeds.

        Raises:
            RetryableError: The last attempt's.
        """
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        attempts = AsyncRetrying(
            stop=stop_after_attempt(self.max_attempts),
            retry=retry_if_exception(self._may_help),
            wait=self._wait_s,
            sleep=clock.sleep,
            reraise=True,
        )
        return await attempts(attempt)

    def _may_help(self, error: BaseException) -> bool:
        return isinstance(error, RetryableError) and (error.retry_after_s or 0.0) <= self.max_wait_s

    def _wait_s(self, state: RetryCallState) -> float:
        from tenacity import wait_random_exponential

        jitter_s = wait_random_exponential(multiplier=self.backoff_s, max=self.max_wait_s)(state)
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, RetryableError) else None
        # Jitter on top of what is asked: all who were refused together would come back together.
        return jitter_s if asked_s is None else asked_s + min(jitter_s, self.backoff_s)
