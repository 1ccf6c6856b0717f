"""A choice in plain words, the same in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from metamodel.bootstrap import Interval
from metamodel.metric_rows import Split
from metamodel.thresholds.choice import METHOD_NAMES, Choice

NO_VALUE: Final = "\N{EN DASH}"
SPLIT_WORDS: Final[dict[Split, str]] = {"held_out_domain": "held out", "in_distribution": "in distr."}
UNIT_WORDS: Final[dict[str, str]] = {
    "calls": "calls of the primary",
    "price": "price",
    "seconds": "seconds",
}
_MOST_NAMES: Final = 8


def percent_text(share: float | None, *, digits: int = 1) -> str:
    """Return a share as a percentage, or a dash.

    >>> percent_text(0.0412)
    '4.1 %'
    """
    return NO_VALUE if share is None else f"{100 * share:.{digits}f} %"


def interval_text(interval: Interval | None, *, digits: int = 1) -> str:
    """Return a share with its interval, in percent, or a dash.

    >>> interval_text(Interval(low=0.01, value=0.025, high=0.04))
    '2.5 % [1.0, 4.0]'
    """
    if interval is None:
        return NO_VALUE
    ends = f"[{100 * interval.low:.{digits}f}, {100 * interval.high:.{digits}f}]"
    return f"{percent_text(interval.value, digits=digits)} {ends}"


def amount_text(interval: Interval | None) -> str:
    """Return an amount with its interval, or a dash; what cannot vary has no interval.

    >>> amount_text(Interval(low=0.123456, value=0.2, high=0.3)), amount_text(Interval(low=1, value=1, high=1))
    ('0.2 [0.123, 0.3]', '1')
    """
    if interval is None:
        return NO_VALUE
    low, value, high = (f"{amount:.3g}" for amount in (interval.low, interval.value, interval.high))
    return value if low == high else f"{value} [{low}, {high}]"


def choice_sentences(choice: Choice) -> Iterator[str]:
    """Yield what was asked, what came of it, and where it does not hold."""
    asked = choice.request
    yield (
        f"failure of {choice.task} of {choice.primary}: {' or '.join(asked.failures)} "
        f"({percent_text(choice.base_rate)} of {choice.n_prompts:,} judged prompts)"
    )
    if choice.n_unlabeled:
        yield f"{choice.n_unlabeled:,} judged prompts have no label and were left out"
    if choice.threshold is None:
        yield from _problem(choice)
        return
    if choice.threshold < 0:
        yield "threshold: none passes: the fallback is the cheapest for every prompt"
    else:
        yield (
            f"threshold: probability of failure at most {choice.threshold:g}; lets {percent_text(choice.coverage)} of "
            f"the prompts through, of which {percent_text(choice.failure_rate)} fail"
        )
    yield from _promise(choice)
    yield from _shift(choice)


def _problem(choice: Choice) -> Iterator[str]:
    asked = choice.request
    yield choice.problem
    if choice.smallest_risk is not None:
        yield f"what would hold: a risk of {choice.smallest_risk:g} (found by looking at the same prompts: a hint)"
    if asked.method == "crc":
        return
    if choice.prompts_needed is None:
        yield (
            f"more prompts would not help: whatever share of at least {percent_text(asked.min_coverage, digits=0)} is "
            "let through, its failure rate is not below the risk"
        )
    else:
        yield f"with about {choice.prompts_needed:,} labeled prompts it would hold, were rates to stay as they are"


def _promise(choice: Choice) -> Iterator[str]:
    asked = choice.request
    if choice.guarantee is not None:
        yield (
            f"promise: the failure rate among prompts let through stays below {percent_text(asked.risk)} with "
            f"confidence {asked.confidence:g}, for prompts like those judged ({METHOD_NAMES[asked.method]})"
        )
    elif asked.risk is not None and asked.method == "crc":
        yield (
            f"promise: in expectation at most {percent_text(asked.risk)} of all prompts are let through and fail "
            f"({METHOD_NAMES['crc']}); nothing is promised of the rate among those let through"
        )
    else:
        yield "promise: none; the threshold is the cheapest on these prompts"


def _shift(choice: Choice) -> Iterator[str]:
    risk = choice.request.risk
    for check in choice.checks:
        where = "held-out domains" if check.split == "held_out_domain" else "the domains it was chosen on"
        if choice.guarantee is None:
            continue
        names = check.violating
        listed = ", ".join(names[:_MOST_NAMES]) + (f" and {len(names) - _MOST_NAMES} more" * (len(names) > _MOST_NAMES))
        kept = " the promise does not hold:" if check.total.verdict == "violates" else ""
        on_them = f"on {where}{kept or ','} the rate let through is {interval_text(check.total.rate)}"
        broken = f"above the risk of {percent_text(risk)} in {len(names)} of {len(check.domains)}"
        yield f"{on_them}; {broken}{f': {listed}' if names else ''}"
