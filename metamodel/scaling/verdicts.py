"""Does a score get worse with size, or over training, and does one reverse the other?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from metamodel.scaling.model import MAIN_TERMS, TaskFit, Term

Direction = Literal["inverse", "improves", "none"]
Reversal = Literal["yes", "unclear", "no"]
WHAT: Final[dict[Term, str]] = {"parameters": "with size", "tokens": "over training"}


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How a score moves along one predictor.

    Attributes:
        term: "parameters" (with size) or "tokens" (over training).
        direction: "inverse" where the score gets worse, "improves" where it gets better, each only if the term is
            significant after adjustment; "none" else. It holds at the mean of the other predictor's logarithm.
        low_slope: Slope, in score for one standard deviation, where the other predictor is smallest.
        low_p: p of it, not adjusted.
        high_slope: Slope where the other predictor is largest.
        high_p: p of it, not adjusted.
        reversal: Whether the slope changes its sign within the range of the other predictor. "yes" where the
            interaction is significant after adjustment and the slopes at both ends differ from zero at the same level;
            "unclear" where the sign changes without that; "no" else.
        reverses_at: The tokens, or parameters, at which it does; None where it does not.
    """

    term: Term
    direction: Direction
    low_slope: float
    low_p: float
    high_slope: float
    high_p: float
    reversal: Reversal
    reverses_at: float | None


def trends(task: TaskFit, p_adjusted: dict[Term, float], *, alpha: float, lower_is_better: bool) -> dict[Term, Trend]:
    """Return how a task's score moves along each of its predictors.

    Args:
        task: Its regression.
        p_adjusted: p of each term after adjustment.
        alpha: Level at which a term is significant.
        lower_is_better: Whether a lower score is a better one.
    """
    return {
        term: _trend(task, term, p_adjusted, alpha=alpha, lower_is_better=lower_is_better)
        for term in MAIN_TERMS
        if term in task.terms
    }


def _trend(task: TaskFit, term: Term, p_adjusted: dict[Term, float], *, alpha: float, lower_is_better: bool) -> Trend:
    main = task.test(term).estimate
    direction: Direction = "none"
    if p_adjusted[term] <= alpha:
        direction = "improves" if (main < 0) == lower_is_better else "inverse"
    if "interaction" not in task.terms:
        p = task.test(term).p
        return Trend(
            term=term,
            direction=direction,
            low_slope=main,
            low_p=p,
            high_slope=main,
            high_p=p,
            reversal="no",
            reverses_at=None,
        )
    other = task.predictors["tokens" if term == "parameters" else "parameters"]
    low, high = task.slope(term, other_z=other.low), task.slope(term, other_z=other.high)
    reversal: Reversal = "no"
    reverses_at = None
    if low.estimate * high.estimate < 0:
        reverses_at = other.at(-main / task.test("interaction").estimate)
        is_clear = max(p_adjusted["interaction"], low.p, high.p) <= alpha
        reversal = "yes" if is_clear else "unclear"
    return Trend(
        term=term,
        direction=direction,
        low_slope=low.estimate,
        low_p=low.p,
        high_slope=high.estimate,
        high_p=high.p,
        reversal=reversal,
        reverses_at=reverses_at,
    )
