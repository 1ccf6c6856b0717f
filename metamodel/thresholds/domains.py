"""Whether a threshold holds its risk in each domain, trained on or held out.

Shapes in this file: n = prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from metamodel.bootstrap import Interval
from metamodel.metric_rows import Split
from metamodel.thresholds.intervals import rate_interval
from metamodel.types import FloatArray

DomainVerdict: TypeAlias = Literal["holds", "unclear", "violates", "nothing passes", "promised", "no risk asked"]


@dataclass(frozen=True, kw_only=True)
class DomainCheck:
    """What a threshold does in one domain.

    Attributes:
        domain: Its name; None for all of a split together.
        n_prompts: Labeled prompts.
        n_passed: Those let through.
        base_rate: Failure rate of all of them.
        rate: Failure rate of those let through, with its 95 % interval; None where nothing is.
        verdict: `violates` where the interval lies above the risk, `holds` where it lies below, else `unclear`;
            `promised` for the prompts that chose the threshold, all together.
    """

    domain: str | None
    n_prompts: int
    n_passed: int
    base_rate: float
    rate: Interval | None
    verdict: DomainVerdict


@dataclass(frozen=True, kw_only=True)
class SplitCheck:
    """What a threshold does in one split.

    Attributes:
        split: In distribution, the prompts that chose the threshold; else domains that the metamodels never saw, each
            screened by a fit that left it out.
        total: All prompts together.
        domains: Each domain.
    """

    split: Split
    total: DomainCheck
    domains: tuple[DomainCheck, ...]

    @property
    def violating(self) -> tuple[str, ...]:
        """Domains whose failure rate lies above the risk, interval and all."""
        return tuple(str(check.domain) for check in self.domains if check.verdict == "violates")


def check_split(
    split: Split,
    scores: FloatArray,
    losses: FloatArray,
    domains: Sequence[str],
    *,
    threshold: float,
    risk: float | None,
    is_promised: bool = False,
) -> SplitCheck:
    """Apply a threshold to the prompts of a split, all of them and domain by domain.

    Args:
        split: Which one.
        scores: Predicted probability of failure, [n], n >= 1.
        losses: Share of each prompt's samples that fail, [n].
        domains: Domain of each prompt, n of them.
        threshold: Largest score that is let through.
        risk: Largest failure rate, or None where none was asked for.
        is_promised: Whether the threshold was chosen on these prompts to hold the risk on all of them together.
    """
    names = np.asarray(domains, dtype=object)

    def check(name: str | None) -> DomainCheck:
        mine = np.ones(len(losses), dtype=np.bool_) if name is None else names == name
        passed = mine & (scores <= threshold)
        rate = rate_interval(float(losses[passed].sum()), int(passed.sum()))
        return DomainCheck(
            domain=name,
            n_prompts=int(mine.sum()),
            n_passed=int(passed.sum()),
            base_rate=float(losses[mine].mean()),
            rate=rate,
            verdict="promised" if name is None and is_promised else _verdict(rate, risk),
        )

    found = [check(name) for name in sorted(set(domains))]
    return SplitCheck(split=split, total=check(None), domains=tuple(found))


def _verdict(rate: Interval | None, risk: float | None) -> DomainVerdict:
    if risk is None:
        return "no risk asked"
    if rate is None:
        return "nothing passes"
    if rate.low > risk:
        return "violates"
    return "holds" if rate.high <= risk else "unclear"
