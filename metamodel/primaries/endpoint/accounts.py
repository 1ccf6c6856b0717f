"""What drawing costs: counters, prices, and a budget that is never exceeded."""

from __future__ import annotations

import asyncio
import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

from metamodel.types import JSONObject

_MILLION = 1_000_000


class TokenCount(NamedTuple):
    """Tokens of one request.

    Attributes:
        prompt: Read.
        completion: Drawn, all choices together.
    """

    prompt: int
    completion: int


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Money for a million tokens.

    Attributes:
        per_million_input: Tokens read.
        per_million_output: Tokens drawn.
    """

    per_million_input: float = 0.0
    per_million_output: float = 0.0

    def cost(self, tokens: TokenCount) -> float:
        """Return the money that tokens cost.

        >>> Prices(per_million_input=1.0, per_million_output=4.0).cost(TokenCount(1000, 500))
        0.003
        """
        return (tokens.prompt * self.per_million_input + tokens.completion * self.per_million_output) / _MILLION


@dataclass(kw_only=True)
class Usage:
    """What a primary model has used up since it was built, all draws together.

    Attributes:
        n_requests: Requests sent, those tried again among them.
        n_retries: Of those, how many were tried again.
        n_unmetered: Requests whose answer never came or did not say its tokens; what they cost is not known.
        n_unmetered_tokens: The most tokens that those can have cost; no figure below holds them.
        n_prompt_tokens: Read, as the endpoint counts.
        n_completion_tokens: Drawn, as the endpoint counts.
        cost: Money, by the price table.
        unmetered_cost: The most money that the unmetered requests can have cost.
    """

    n_requests: int = 0
    n_retries: int = 0
    n_unmetered: int = 0
    n_unmetered_tokens: int = 0
    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0
    cost: float = 0.0

    unmetered_cost: float = 0.0

    @property
    def n_tokens(self) -> int:
        """Tokens read and drawn."""
        return self.n_prompt_tokens + self.n_completion_tokens

    def add(self, tokens: TokenCount, cost: float) -> None:
        """Count what the endpoint says that a request used."""
        self.n_prompt_tokens += tokens.prompt
        self.n_completion_tokens += tokens.completion
        self.cost += cost

    def add_unmetered(self, most: TokenCount, cost: float) -> None:
        """Count a request that may have cost so much."""
        self.n_unmetered += 1
        self.n_unmetered_tokens += most.prompt + most.completion
        self.unmetered_cost += cost

    def to_dict(self) -> JSONObject:
        """Return the counters, ready for JSON."""
        return asdict(self) | {"cost": round(self.cost, 6), "unmetered_cost": round(self.unmetered_cost, 6)}


class BudgetSpentError(Exception):
    """What is left does not pay for the request."""


class Budget:
    """Lets a request through only if the budget holds even where it and all others in flight cost their most."""

    def __init__(
        self, usage: Usage, *, prices: Prices, money: float | None = None, n_tokens: int | None = None
    ) -> None:
        """Keep the limits.

        Args:
            usage: Counters that settled requests are added to.
            prices: Of tokens.
            money: The most to spend; None for no limit.
            n_tokens: The most tokens to read and draw; None for no limit.
        """
        self._usage, self._prices = usage, prices
        self._money = math.inf if money is None else money
        self._n_tokens = math.inf if n_tokens is None else n_tokens
        self._reserved: list[TokenCount] = []
        self._settled = asyncio.Condition()

    async def reserve(self, most: TokenCount) -> None:
        """Set aside what a request costs at most; waits where requests in flight may turn out cheaper.

        Raises:
            BudgetSpentError: It does not fit even with nothing in flight.
        """
        async with self._settled:
            while not self._fits(most):
                if not self._reserved:
                    raise BudgetSpentError(self._reason())
                await self._settled.wait()
            self._reserved.append(most)

    async def settle(self, most: TokenCount, used: TokenCount | None) -> None:
        """Replace what was set aside by what was used; None where the endpoint did not say."""
        async with self._settled:
            self._reserved.remove(most)
            if used is None:
                self._usage.add_unmetered(most, self._prices.cost(most))
            else:
                self._usage.add(used, self._prices.cost(used))
            self._settled.notify_all()

    def _fits(self, most: TokenCount) -> bool:
        if math.isinf(self._money) and math.isinf(self._n_tokens):
            return True
        counts = [*self._reserved, most]
        # What may have been spent counts as spent: a budget that ends early costs a retry, the other way costs money.
        n_tokens = (
            self._usage.n_tokens
            + self._usage.n_unmetered_tokens
            + sum(count.prompt + count.completion for count in counts)
        )
        money = self._usage.cost + self._usage.unmetered_cost + sum(self._prices.cost(count) for count in counts)
        return n_tokens <= self._n_tokens and money <= self._money

    def _reason(self) -> str:
        used, limits = self._usage, []
        if not math.isinf(self._money):
            limits.append(f"{used.cost + used.unmetered_cost:.6g} of budget {self._money:g}")
        if not math.isinf(self._n_tokens):
            limits.append(f"{used.n_tokens + used.n_unmetered_tokens} of budget_tokens {self._n_tokens}")
        unknown = f", {used.n_unmetered} requests without an answer counted at their most" if used.n_unmetered else ""
        return (
            f"not drawn, the rest of the budget does not pay for it (used: {', '.join(limits)}{unknown}): raise it and "
            "collect with --retry-errors"
        )
