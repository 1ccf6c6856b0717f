"""A chosen threshold with all that is known of it: plain data, ready for JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from metamodel.screen.rules import Guarantee, ScreenRule
from metamodel.thresholds.costs import Expense, Prices
from metamodel.thresholds.domains import SplitCheck
from metamodel.thresholds.savings import SavingsRow

Method: TypeAlias = Literal["auto", "binomial", "betting", "bentkus", "crc"]

METHOD_NAMES: dict[Method, str] = {
    "binomial": "learn then test, exact binomial tail",
    "betting": "learn then test, betting bound",
    "bentkus": "learn then test, Hoeffding-Bentkus bound",
    "crc": "conformal risk control, in expectation",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a threshold.

    Attributes:
        behavior: Name of the behavior.
        failures: Outcomes that count as failure; empty takes "yes" of a binary behavior.
        primary: Name of the primary model; empty where there is one alone.
        risk: Largest failure rate among prompts let through; None asks for the cheapest threshold alone.
        confidence: Probability that the rate stays below it.
        min_coverage: Smallest share of the prompts worth letting through.
        method: How the risk is held; `auto` takes the tightest bound that is valid for the labels.
        prices: What a prompt costs.
        seconds: The same in seconds.
        fallback: Another primary model of the run that answers where a prompt is stopped; empty where it is unknown.
        seed: Seed of bootstrap and cross-fitting.
    """

    behavior: str
    failures: tuple[str, ...] = ()
    primary: str = ""
    risk: float | None = 0.05
    confidence: float = 0.95
    min_coverage: float = 0.1
    method: Method = "auto"
    prices: Prices | None = None
    seconds: Prices | None = None
    fallback: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name, value in (("risk", self.risk), ("confidence", self.confidence)):
            if value is not None and not 0 < value < 1:
                raise ValueError(f"{name} is {value}, must be above 0 and below 1")
        if not 0 <= self.min_coverage <= 1:
            raise ValueError(f"min_coverage is {self.min_coverage}, must be from 0 to 1")
        if self.risk is None and (self.prices is None or self.prices.failure is None):
            raise ValueError("risk is missing: give it, or the price of a failure")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A threshold for one behavior, or why there is none.

    Attributes:
        task: The behavior as the metamodel names it: `PRIMARY/BEHAVIOR` for one of many primary models.
        primary: Name of the primary model.
        metamodel: Name of the metamodel in the config.
        fit: Name of its folder.
        request: What was asked for, with the outcomes that count as failure and the method filled in.
        n_prompts: Prompts that chose the threshold.
        n_samples: Most labels of one prompt.
        n_unlabeled: Judged prompts without a label, left out.
        base_rate: Failure rate of all of them.
        threshold: Largest probability of failure that is let through; below 0 stops all; None where none holds.
        coverage: Share of the prompts let through.
        failure_rate: Failure rate among those; None where none is.
        break_even: Probability of failure from which stopping is cheaper, were the probabilities right.
        problem: Why there is no threshold, in words; empty where there is one.
        smallest_risk: The smallest risk that some threshold of at least the minimum coverage holds.
        prompts_needed: About how many labeled prompts the asked risk takes; None where more do not help.
        checks: What the threshold does in each split and domain.
        savings: What sorting by this metamodel, the run's others, chance and an oracle is worth.
        expenses: What a prompt costs with the pre-screen.
    """

    task: str
    primary: str
    metamodel: str
    fit: str
    request: Request
    n_prompts: int
    n_samples: int
    n_unlabeled: int
    base_rate: float
    threshold: float | None
    coverage: float
    failure_rate: float | None
    break_even: float | None = None
    problem: str = ""
    smallest_risk: float | None = None
    prompts_needed: int | None = None
    checks: tuple[SplitCheck, ...] = ()
    savings: tuple[SavingsRow, ...] = ()
    expenses: tuple[Expense, ...] = ()

    @property
    def rule(self) -> ScreenRule | None:
        """The rule a pre-screen decides by; None where no threshold holds."""
        if self.threshold is None:
            return None
        return ScreenRule(
            behavior=self.task, failures=self.request.failures, threshold=self.threshold, guarantee=self.guarantee
        )

    @property
    def guarantee(self) -> Guarantee | None:
        """What is promised; None without a risk, and for `crc`, which promises nothing of the prompts let through."""
        asked = self.request
        if asked.risk is None or asked.method == "crc" or self.threshold is None:
            return None
        return Guarantee(
            risk=asked.risk,
            confidence=asked.confidence,
            coverage=self.coverage,
            failure_rate=self.failure_rate,
            n_prompts=self.n_prompts,
            method=METHOD_NAMES[asked.method],
        )
