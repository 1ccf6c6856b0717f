"""Thresholds that hold a risk: the bounds against references, and the promise by simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import beta, binom

from metamodel.thresholds.intervals import rate_interval
from metamodel.thresholds.limits import prompts_needed, smallest_risk
from metamodel.thresholds.risk_control import (
    Bound,
    PassedCounts,
    bentkus_p_values,
    betting_p_values,
    binomial_p_values,
    conformal_thresholds,
    fewest_prompts,
    fixed_sequence,
    held_thresholds,
    passed_counts,
    rounded_up,
    start_count,
)
from metamodel.types import FloatArray

Population = Callable[[np.random.Generator, int], tuple[FloatArray, FloatArray]]

RISK, CONFIDENCE, N_DRAWS = 0.2, 0.9, 1000
# Violations are binomial: three standard deviations above what is promised.
MOST_VIOLATIONS = N_DRAWS * (1 - CONFIDENCE) + 3 * np.sqrt(N_DRAWS * CONFIDENCE * (1 - CONFIDENCE))


def calibrated(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Scores that are the failure probabilities."""
    scores = rng.beta(1, 2, n)
    return scores, scores


def overconfident(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Scores that promise far too little failure."""
    scores = rng.beta(1, 2, n)
    return scores**3, scores


def useless(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Scores that know nothing, and a failure rate just above the risk, where a false promise is easiest."""
    return rng.random(n), np.full(n, RISK + 1e-6)


def tied(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Scores of five values only."""
    scores = rng.integers(0, 5, n) / 10
    return scores, scores + 0.1


def one_score(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """One score for all, and a failure rate just above the risk."""
    del rng
    return np.full(n, 0.3), np.full(n, RISK + 1e-6)


def misleading(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Scores that fall as failures become likelier."""
    scores = rng.random(n)
    return scores, 0.35 - 0.3 * scores


POPULATIONS = (calibrated, overconfident, useless, tied, one_score, misleading)


def chosen(counts: PassedCounts, losses: FloatArray, bound: Bound) -> float | None:
    """Return the loosest threshold that holds."""
    held = held_thresholds(counts, losses, risk=RISK, confidence=CONFIDENCE, min_coverage=0.1, bound=bound)
    return float(counts.thresholds[held][-1]) if held.any() else None


def violations(population: Population, *, n_samples: int, bound: Bound, n_prompts: int = 300) -> tuple[int, int]:
    """Return in how many draws the true failure rate let through is above the risk, and in how many anything is."""
    rng = np.random.default_rng(0)
    many, rates = population(rng, 200_000)
    order = np.argsort(many, kind="stable")
    true_rates = rates[order].cumsum() / np.arange(1, len(many) + 1)
    n_violations = n_found = 0
    for _ in range(N_DRAWS):
        scores, failing = population(rng, n_prompts)
        losses = rng.binomial(n_samples, failing) / n_samples
        threshold = chosen(passed_counts(scores, losses), losses, bound)
        if threshold is None:
            continue
        n_found += 1
        n_violations += true_rates[np.searchsorted(many[order], threshold, side="right") - 1] > RISK
    return int(n_violations), n_found


@pytest.mark.slow
@pytest.mark.parametrize("population", POPULATIONS)
def test_the_promise_holds_for_single_labels(population: Population) -> None:
    """In 1,000 draws the true failure rate is above the risk at most as often as promised, whatever the scores know."""
    n_violations, n_found = violations(population, n_samples=1, bound="binomial")
    assert n_violations <= MOST_VIOLATIONS
    if population in {calibrated, overconfident, tied}:
        assert n_found > 0.5 * N_DRAWS


@pytest.mark.slow
@pytest.mark.parametrize("population", [calibrated, useless, tied])
@pytest.mark.parametrize("bound", ["betting", "bentkus"])
def test_the_promise_holds_for_several_samples(population: Population, bound: Bound) -> None:
    """The same where a loss is the mean of four samples of one prompt."""
    assert violations(population, n_samples=4, bound=bound)[0] <= MOST_VIOLATIONS


def test_the_promise_is_not_far_too_careful() -> None:
    """On useless scores at the risk nearly all that is allowed to go wrong does: the exact tail wastes little."""
    n_violations, _ = violations(one_score, n_samples=1, bound="binomial")
    assert n_violations > 0.5 * N_DRAWS * (1 - CONFIDENCE)


def test_conformal_risk_control_holds_in_expectation() -> None:
    """Over 1,000 draws, the mean share of all prompts that is let through and fails is within the risk, and near it."""
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(N_DRAWS):
        scores, failing = calibrated(rng, 100)
        losses = (rng.random(100) < failing).astype(np.float64)
        counts = passed_counts(scores, losses)
        held = conformal_thresholds(counts, risk=0.1)
        threshold = counts.thresholds[held][-1] if held.any() else -1.0
        # The share let through and failing is the integral of s f(s) up to t, f the density of Beta(1, 2).
        shares.append(beta.cdf(max(threshold, 0), 2, 2) / 3)
    assert 0.08 < np.mean(shares) < 0.1 + 3 * np.std(shares) / np.sqrt(N_DRAWS)


def test_binomial_tail_against_scipy() -> None:
    """The p-value is scipy's binomial tail, and testing it is comparing Clopper and Pearson's bound with the risk."""
    n_passed = np.array([1, 10, 100, 1000, 1000, 3])
    failures = np.array([0.0, 3.0, 2.0, 31.0, 1000.0, 3.0])
    p_values = binomial_p_values(n_passed, failures, 0.05)
    assert p_values == pytest.approx(binom.cdf(failures, n_passed, 0.05), abs=1e-12)
    upper = beta.ppf(0.95, failures[:4] + 1, n_passed[:4] - failures[:4])
    assert ((p_values[:4] <= 0.05) == (upper <= 0.05)).all()
    interval = rate_interval(2.0, 100)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((beta.ppf(0.025, 2, 99), beta.ppf(0.975, 3, 98)))


def test_against_mapie() -> None:
    """MAPIE's Hoeffding-Bentkus p-values and fixed-sequence testing are ours, where both apply."""
    pytest.importorskip("mapie.risk_control", reason="mapie is not installed")
    from mapie.risk_control.fwer_control import FWERFixedSequenceTesting, control_fwer
    from mapie.risk_control.methods import compute_hoeffding_bentkus_p_value

    rng = np.random.default_rng(2)
    scores, failing = calibrated(rng, 500)
    losses = rng.binomial(4, failing) / 4
    counts = passed_counts(scores, losses)
    theirs = compute_hoeffding_bentkus_p_value(counts.rates, counts.n_passed.astype(float), RISK)[:, 0]
    ours = bentkus_p_values(counts.n_passed, counts.failures, RISK)
    # MAPIE multiplies the rate by the count again, and so rounds some whole numbers of failures up by one.
    same = np.ceil(counts.rates * counts.n_passed) == np.ceil(counts.failures)
    assert same.mean() > 0.9
    assert ours[same] == pytest.approx(np.minimum(theirs, 1.0)[same], abs=1e-9)
    start = int(np.searchsorted(counts.n_passed, 60))
    rejected = control_fwer(ours[start:], 0.1, FWERFixedSequenceTesting(n_starts=1))
    found = np.flatnonzero(fixed_sequence(ours, start=start, level=0.1)) - start
    assert found.tolist() == sorted(rejected.tolist())
    assert len(found)


def test_betting_is_tighter_where_samples_are_averaged() -> None:
    """Losses that vary little are worth more to the betting bound than to one that does not look at how they vary."""
    losses = np.tile([0.0, 0.25, 0.25, 0.0], 50)
    counts = passed_counts(np.full(200, 0.5), losses)
    betting = betting_p_values(counts, losses, RISK)[0]
    assert betting < 0.2 * bentkus_p_values(counts.n_passed, counts.failures, RISK)[0]
    assert betting == betting_p_values(counts, losses[::-1].copy(), RISK)[0]


def test_betting_is_an_e_value() -> None:
    """With a mean loss at the risk, the expected wealth is 1: exactly, by summing over all outcomes."""
    n_prompts = 6
    total = 0.0
    for failures in range(n_prompts + 1):
        losses = (np.arange(n_prompts) < failures).astype(np.float64)
        p_value = betting_p_values(passed_counts(np.full(n_prompts, 0.5), losses), losses, 0.3)[0]
        total += binom.pmf(failures, n_prompts, 0.3) * (p_value <= 0.4)
    assert total <= 0.4


def test_thresholds_are_round_numbers_that_let_ties_through_whole() -> None:
    """No score lies above the threshold it was rounded to, none far below, and equal scores are never split."""
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.random(500), 10.0 ** -rng.uniform(0, 9, 500), [0.0, 1.0, 0.1, 0.7]])
    rounded = rounded_up(scores)
    assert (rounded >= scores).all()
    assert (rounded[scores > 1e-9] <= scores[scores > 1e-9] * 1.0011).all()
    assert all(float(f"{value:.4g}") == pytest.approx(value, rel=1e-12) for value in rounded)
    counts = passed_counts(np.array([0.2, 0.1, 0.2, 0.2]), np.array([1.0, 0.0, 0.0, 0.0]))
    assert counts.n_passed.tolist() == [1, 4]


def test_too_few_prompts_hold_nothing() -> None:
    """With fewer prompts than a failure-free start takes, nothing holds; with one more, something does."""
    fewest = fewest_prompts(0.05, 0.95)
    for n_prompts, holds in ((10, False), (fewest - 1, False), (fewest, True)):
        losses = np.zeros(n_prompts)
        counts = passed_counts(np.linspace(0, 0.1, n_prompts), losses)
        held = held_thresholds(counts, losses, risk=0.05, confidence=0.95, min_coverage=0.1, bound="binomial")
        assert held.any() == holds
    assert start_count(10, risk=0.05, confidence=0.95, min_coverage=0.1) is None


def test_what_would_hold() -> None:
    """The smallest risk that is named holds, the next smaller does not, and the prompts it takes are about enough."""
    rng = np.random.default_rng(4)
    scores, failing = calibrated(rng, 300)
    losses = (rng.random(300) < failing).astype(np.float64)
    counts = passed_counts(scores, losses)
    smallest = smallest_risk(counts, losses, confidence=0.9, min_coverage=0.3, bound="binomial")
    assert smallest is not None
    for risk, holds in ((smallest, True), (smallest - 0.001, False)):
        held = held_thresholds(counts, losses, risk=risk, confidence=0.9, min_coverage=0.3, bound="binomial")
        assert held.any() == holds
    needed = prompts_needed(counts, risk=smallest - 0.02, confidence=0.9, min_coverage=0.3)
    assert needed is not None
    times = -(-needed // 300)
    more = passed_counts(np.tile(scores, times), np.tile(losses, times))
    held = held_thresholds(
        more, np.tile(losses, times), risk=smallest - 0.02, confidence=0.9, min_coverage=0.3, bound="binomial"
    )
    assert held.any()
    assert prompts_needed(counts, risk=0.001, confidence=0.9, min_coverage=0.3) is None


@pytest.mark.parametrize("scores", [np.array([]), np.array([np.nan]), np.array([1.5])])
def test_what_is_no_probability_is_refused(scores: FloatArray) -> None:
    """A score that is no number from 0 to 1 must not be sorted anywhere."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        passed_counts(scores, np.zeros(len(scores)))
