"""What the figures say in words, decided by intervals alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from metamodel.comparisons import PairedDifference
from metamodel.metric_rows import (
    SPLITS,
    MetricsRow,
    Split,
    best_row,
    domain_rows,
    mean_rows,
    names,
    select,
    worst_domain,
)

Grade: TypeAlias = Literal["good", "mixed", "bad", "undefined"]
Outcome: TypeAlias = Literal["beats", "ties", "loses", "undefined"]

PRIOR = "base_rate"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A sentence, and how good the news is."""

    grade: Grade
    text: str


@dataclass(frozen=True, kw_only=True)
class SummaryLine:
    """One behavior of one primary model on one split.

    Attributes:
        primary: Name of the primary model.
        behavior: Name of the behavior.
        split: The split.
        trained: The trained metamodel that gains the most bits, or None where none has a figure.
        baseline: The baseline that gains the most bits, or None.
        worst: The trained one's worst domain, or None.
        n_domains: How many single domains have a row.
        verdict: What follows.
    """

    primary: str
    behavior: str
    split: Split
    trained: MetricsRow | None
    baseline: MetricsRow | None
    worst: MetricsRow | None
    n_domains: int
    verdict: Verdict


def summarize(
    rows: Sequence[MetricsRow], *, baselines: Sequence[str], comparisons: Sequence[PairedDifference] = ()
) -> list[SummaryLine]:
    """Return a line for each primary model, behavior and split that has rows, held-out domains first."""
    lines = []
    for primary in names(rows, "primary"):
        for behavior in names(select(rows, primary=primary), "behavior"):
            for split in SPLITS:
                group = select(rows, primary=primary, behavior=behavior, split=split)
                if group:
                    lines.append(_line(group, baselines=baselines, comparisons=comparisons))
    return lines


def _line(
    group: Sequence[MetricsRow], *, baselines: Sequence[str], comparisons: Sequence[PairedDifference]
) -> SummaryLine:
    means = mean_rows(group)
    trained = best_row(row for row in means if row.metamodel not in baselines)
    rivals = [row for row in means if row.metamodel in baselines]
    return SummaryLine(
        primary=group[0].primary,
        behavior=group[0].behavior,
        split=group[0].split,
        trained=trained,
        baseline=best_row(rivals),
        worst=worst_domain(select(group, metamodels=[trained.metamodel])) if trained else None,
        n_domains=len(names(domain_rows(group), "domain")),
        verdict=judge(trained, rivals, comparisons=comparisons),
    )


def judge(
    trained: MetricsRow | None, baselines: Sequence[MetricsRow], *, comparisons: Sequence[PairedDifference] = ()
) -> Verdict:
    """Say whether a trained metamodel beats the baselines on the same prompts.

    It beats one if the 95 % interval of their paired difference lies above zero; without a paired difference, if its
    own interval lies above the baseline's, which asks for more. Whoever's interval lies above zero beats every
    constant and so `base_rate`, the prior.
    """
    if trained is None:
        return Verdict(grade="undefined", text="undefined: no trained metamodel has a figure here")
    if trained.reduction_low_bits is None or trained.reduction_high_bits is None:
        return Verdict(grade="undefined", text="undefined: no interval for the bits gained")
    outcomes = {rival.metamodel: compare(trained, rival, comparisons=comparisons) for rival in baselines}
    above_zero = trained.reduction_low_bits > 0
    if above_zero and PRIOR in outcomes:
        # The prior is a constant, and zero is what the best of all constants gains.
        outcomes[PRIOR] = "beats"
    if outcomes.get(PRIOR, "beats" if above_zero else "ties") in ("ties", "loses"):
        worse = outcomes.get(PRIOR) == "loses"
        return Verdict(grade="bad", text="worse than the prior" if worse else "no better than the prior")
    return _against_baselines(outcomes, above_zero=above_zero)


def _against_baselines(outcomes: dict[str, Outcome], *, above_zero: bool) -> Verdict:
    lost = [name for name, outcome in outcomes.items() if outcome == "loses"]
    tied = [name for name, outcome in outcomes.items() if outcome == "ties"]
    unknown = [name for name, outcome in outcomes.items() if outcome == "undefined"]
    parts = [f"loses to {_listed(lost)}"] if lost else []
    parts += [f"does not beat {_listed(tied)}"] if tied else []
    if parts:
        return Verdict(grade="bad" if lost else "mixed", text="; ".join(parts))
    if unknown:
        return Verdict(grade="undefined", text=f"undefined against {_listed(unknown)}: no interval")
    if not above_zero:
        text = "beats every baseline, yet not the best constant" if outcomes else "no better than the best constant"
        return Verdict(grade="mixed", text=text)
    return Verdict(grade="good", text="beats every baseline" if outcomes else "gains bits; no baseline was run")


def compare(row: MetricsRow, rival: MetricsRow, *, comparisons: Sequence[PairedDifference] = ()) -> Outcome:
    """Compare two metamodels of one cell by their paired difference, else by whether their intervals overlap."""
    for difference in (*comparisons, *(one.mirrored() for one in comparisons)):
        place = (difference.metamodel, difference.rival, difference.behavior, difference.primary, difference.split)
        if place == (row.metamodel, rival.metamodel, row.behavior, row.primary, row.split):
            return _outcome(difference.low_bits, 0.0, 0.0, difference.high_bits)
    ends = (row.reduction_low_bits, rival.reduction_high_bits, rival.reduction_low_bits, row.reduction_high_bits)
    low, rival_high, rival_low, high = ends
    if low is None or rival_high is None or rival_low is None or high is None:
        return "undefined"
    return _outcome(low, rival_high, rival_low, high)


def _outcome(low: float, rival_high: float, rival_low: float, high: float) -> Outcome:
    if low > rival_high:
        return "beats"
    return "loses" if high < rival_low else "ties"


def _listed(found: Sequence[str]) -> str:
    """Return names as a phrase.

    >>> _listed(["base_rate", "domain_tag", "prompt_length"])
    'base_rate, domain_tag and prompt_length'
    """
    return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
