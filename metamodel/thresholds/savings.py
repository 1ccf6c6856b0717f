"""What sorting prompts by a score is worth, whatever the threshold: risk against coverage, and as a router.

Risk against coverage: prompts are let through from the lowest score up. AURC is the mean over prompts of the failure
rate among those let through no later (Geifman, Uziel and El-Yaniv, *Bias-Reduced Uncertainty Estimation for Deep Neural
Classifiers*, 2018).

As a router (Ong et al., *RouteLLM*, 2024, arXiv 2406.18665, section 2): prompts with the highest scores go to the
strong model, here the fallback; the others stay with the weak one, here the primary model. With F(c) the failure rate
of what the user gets when a share c of the calls goes to the strong model, the performance gap recovered is
PGR(c) = (F_weak - F(c)) / (F_weak - F_strong); APGR is its mean over c; CPT(x) is the smallest c with PGR(c) >= x.
Deviations: APGR is the integral over all c, not the mean over ten of them; prompts of one score are routed by lot among
themselves, so that no order among them is invented; a fallback whose failures are unknown is taken never to fail.

Shapes in this file: n = prompts, g = groups of prompts with one score, b = bootstrap draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from metamodel.bootstrap import Interval, bootstrap_weights
from metamodel.thresholds.intervals import draws_interval
from metamodel.types import FloatArray, IntArray

CURVE_POINTS: Final = 40
# Where a share of the draws has no gap between the models, the rest would say too little of how wide it is.
_UNDEFINED_SHARE: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class SavingsRow:
    """What one way of sorting is worth, with 95 % intervals of a bootstrap over prompts.

    Attributes:
        name: A metamodel, `random` or `oracle`.
        aurc: Area under risk against coverage; lower is better.
        apgr: Mean share of the gap between primary model and fallback that is recovered, 0.5 by lot; None where the
            fallback is not better than the primary model.
        cpt50: Share of the calls that go to the fallback until half the gap is recovered.
        cpt80: The same for four fifths of it.
        coverage: Shares of the prompts let through, rising.
        risk: Failure rate among them.
        risk_low: Lower ends of its intervals.
        risk_high: Upper ends.
        fallback_share: Shares of the calls that go to the fallback, rising.
        failure_rate: Failure rate of what the user gets then.
    """

    name: str
    aurc: Interval
    apgr: Interval | None
    cpt50: Interval | None
    cpt80: Interval | None
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    risk_low: tuple[float, ...]
    risk_high: tuple[float, ...]
    fallback_share: tuple[float, ...]
    failure_rate: tuple[float, ...]


class _Curve(NamedTuple):
    """Of each draw: failures let through and coverage at group ends, and the same for the fallback, [b, 1 + g] each."""

    coverage: FloatArray
    failures: FloatArray
    fallback_failures: FloatArray


def savings_row(
    name: str,
    scores: FloatArray,
    losses: FloatArray,
    *,
    fallback_losses: FloatArray | None = None,
    routing_scores: FloatArray | None = None,
    n_draws: int,
    seed: int = 0,
) -> SavingsRow:
    """Judge one way of sorting.

    Args:
        name: What sorts.
        scores: Prompts with low ones are let through first, [n].
        losses: Share of each prompt's samples that fail, [n].
        fallback_losses: The same for the fallback; None takes it never to fail.
        routing_scores: What a router sorts by, where that is something else.
        n_draws: Bootstrap draws.
        seed: Fixes the draws; the same for all rows, so that they are paired.
    """
    strong = np.zeros_like(losses) if fallback_losses is None else fallback_losses
    groups = _groups(scores)
    routed = groups if routing_scores is None else _groups(routing_scores)
    grid = np.linspace(0, 1, CURVE_POINTS + 1)[1:]
    columns: list[FloatArray] = []
    for weights in (np.full((1, len(losses)), 1 / len(losses)), *_draws(len(losses), n_draws, seed)):
        curve = _curve(weights, groups, losses, strong)
        route = curve if routing_scores is None else _curve(weights, routed, losses, strong)
        columns.append(np.column_stack([_aurc(curve), *_router_figures(route), _risk_at(curve, grid)]))
    values = np.concatenate(columns)  # row 0: all prompts; the others: bootstrap draws
    intervals = [_interval(values[:, place], len(losses)) for place in range(values.shape[1])]
    known = [interval for interval in intervals[4:] if interval is not None]
    whole = _curve(np.full((1, len(losses)), 1 / len(losses)), routed, losses, strong)
    shares = np.linspace(0, 1, CURVE_POINTS + 1)
    aurc, apgr, cpt50, cpt80 = intervals[:4]
    if aurc is None:
        raise ValueError("a savings row needs at least one prompt")
    return SavingsRow(
        name=name,
        aurc=aurc,
        apgr=apgr,
        cpt50=cpt50,
        cpt80=cpt80,
        coverage=tuple(grid.tolist()),
        risk=tuple(point.value for point in known),
        risk_low=tuple(point.low for point in known),
        risk_high=tuple(point.high for point in known),
        fallback_share=tuple(shares.tolist()),
        failure_rate=tuple(np.interp(1 - shares, whole.coverage[0], _user_failures(whole)[0]).tolist()),
    )


def random_row(
    losses: FloatArray, *, fallback_losses: FloatArray | None = None, n_draws: int, seed: int = 0
) -> SavingsRow:
    """Return the row of sorting by lot: one score for all."""
    return savings_row(
        "random", np.zeros_like(losses), losses, fallback_losses=fallback_losses, n_draws=n_draws, seed=seed
    )


def oracle_row(
    losses: FloatArray, *, fallback_losses: FloatArray | None = None, n_draws: int, seed: int = 0
) -> SavingsRow:
    """Return the row of sorting by what really came: no function of the prompt does better on these very samples."""
    gained = None if fallback_losses is None else (1 + losses - fallback_losses) / 2
    return savings_row(
        "oracle",
        losses,
        losses,
        fallback_losses=fallback_losses,
        routing_scores=gained,
        n_draws=n_draws,
        seed=seed,
    )


def _draws(n_prompts: int, n_draws: int, seed: int) -> list[FloatArray]:
    return list(bootstrap_weights(n_prompts, n_draws=n_draws, seed=seed))


def _groups(scores: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the prompts from the lowest score up, [n], and where each group of equal scores ends, [g]."""
    order = np.argsort(scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) > 0, True))
    return order, ends


def _curve(
    weights: FloatArray, groups: tuple[IntArray, IntArray], losses: FloatArray, fallback_losses: FloatArray
) -> _Curve:
    order, ends = groups
    drawn = weights[:, order]  # [b, n]

    def up_to(values: FloatArray) -> FloatArray:
        return np.pad((drawn * values[order]).cumsum(axis=1)[:, ends], ((0, 0), (1, 0)))

    return _Curve(
        coverage=up_to(np.ones_like(losses)), failures=up_to(losses), fallback_failures=up_to(fallback_losses)
    )


def _aurc(curve: _Curve) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        risk = np.where(curve.coverage > 0, curve.failures / curve.coverage, 0.0)[:, 1:]
    area: FloatArray = (np.diff(curve.coverage, axis=1) * risk).sum(axis=1)
    return area


def _risk_at(curve: _Curve, grid: FloatArray) -> FloatArray:
    """Return the failure rate at given coverages, [b, points]; within a group prompts are taken by lot."""
    rows = zip(curve.coverage, curve.failures, strict=True)
    return np.stack([np.interp(grid, coverage, failures) for coverage, failures in rows]) / grid


def _user_failures(curve: _Curve) -> FloatArray:
    """Return the failure rate of what the user gets at each group's end, [b, 1 + g]."""
    failures: FloatArray = curve.failures + curve.fallback_failures[:, -1:] - curve.fallback_failures
    return failures


def _router_figures(curve: _Curve) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return APGR, CPT(50 %) and CPT(80 %) of each draw, [b] each; NaN where the fallback is not better."""
    failures = _user_failures(curve)
    gap = failures[:, -1] - failures[:, 0]  # everything to the primary model, less everything to the fallback
    with np.errstate(invalid="ignore", divide="ignore"):
        recovered = (failures[:, -1:] - failures) / np.where(gap > 0, gap, np.nan)[:, None]
    area = (np.diff(curve.coverage, axis=1) * (recovered[:, 1:] + recovered[:, :-1]) / 2).sum(axis=1)
    cpt50, cpt80 = (_share_until(curve.coverage, recovered, level) for level in (0.5, 0.8))
    return area, cpt50, cpt80


def _share_until(coverage: FloatArray, recovered: FloatArray, level: float) -> FloatArray:
    """Return the smallest share of fallback calls that recovers the level, between groups by interpolation, [b]."""
    shares, gains = 1 - coverage[:, ::-1], recovered[:, ::-1]  # both begin at nothing
    reached = np.maximum((gains >= level).argmax(axis=1), 1)[:, None]
    ends = [np.take_along_axis(values, reached - back, axis=1)[:, 0] for values in (shares, gains) for back in (1, 0)]
    share_before, share_after, gain_before, gain_after = ends
    with np.errstate(invalid="ignore", divide="ignore"):
        step = (level - gain_before) / (gain_after - gain_before)
    found: FloatArray = share_before + np.clip(step, 0, 1) * (share_after - share_before)
    return found


def _interval(values: FloatArray, n_prompts: int) -> Interval | None:
    if not np.isfinite(values[0]) or np.mean(~np.isfinite(values)) > _UNDEFINED_SHARE:
        return None
    return draws_interval(float(values[0]), values[1:], n_prompts=n_prompts)
