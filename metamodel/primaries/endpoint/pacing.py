"""Limits a minute, and the clock that they and retries wait by."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def now_s(self) -> float:
        """Return seconds since some moment, never going back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The real one."""

    def now_s(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Pace:
    """Spreads amounts evenly over time: each occupies its share of a minute, and the next one starts after it.

    Even spacing, for providers count per second what they limit per minute: a minute's worth at once would be refused.
    """

    def __init__(self, per_minute: float | None, clock: Clock) -> None:
        """Keep the limit; None for none."""
        self._per_minute, self._clock = per_minute, clock
        self._free_at_s = clock.now_s()

    async def wait(self, amount: float) -> None:
        """Wait until it is this amount's turn."""
        if self._per_minute is None:
            return
        now_s = self._clock.now_s()
        turn_s = max(now_s, self._free_at_s)
        self._free_at_s = turn_s + 60.0 * amount / self._per_minute
        if turn_s > now_s:
            await self._clock.sleep(turn_s - now_s)

    def correct(self, *, expected: float, actual: float) -> None:
        """Move what comes next by the difference between an amount as it was expected and as it turned out."""
        if self._per_minute is not None:
            self._free_at_s += 60.0 * (actual - expected) / self._per_minute
