"""The decision between classes: exact tests, planted classes found, errors at most the level."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from metamodel.corpus.decision import (
    CLASSES,
    ClusteredRate,
    State,
    clustered_rate,
    heterogeneity_p,
    possible_classes,
    tail_p,
)
from metamodel.scaling.adjusting import adjusted

FLOOR = 0.05
N_SEEDS = 100


def shares_of(rate: float, n: int, rng: np.random.Generator, *, k: int = 1, correlation: float = 0.0) -> np.ndarray:
    """Draw the shares of clusters of k texts; within a cluster texts agree as a beta-binomial's do."""
    if correlation and 0 < rate < 1:
        size = 1 / correlation - 1
        rates = rng.beta(rate * size, (1 - rate) * size, size=n)
        return rng.binomial(k, rates) / k
    return rng.binomial(k, rate, size=n) / k


def classes_of(
    corpus: float, contexts: list[float], rng: np.random.Generator, *, n_behaviors: int = 5, **options: float
) -> list[str]:
    """Classify behaviors with the same rates, as the stage does."""
    k = int(options.get("k", 1))
    n = int(options.get("n", 400))
    correlation = options.get("correlation", 0.0)
    rates: list[list[ClusteredRate]] = []
    for _ in range(n_behaviors):
        drawn = [shares_of(rate, n, rng, k=k, correlation=correlation) for rate in (corpus, *contexts)]
        rates.append([clustered_rate(values, n_texts=n * k, floor=FLOOR) for values in drawn])
    held = adjusted(np.array([rate.p for row in rates for rate in row]), "holm").reshape(n_behaviors, -1)
    found = []
    for row, p_values in zip(rates, held, strict=True):
        states = [rate.state(p, alpha=0.05) for rate, p in zip(row, p_values, strict=True)]
        possible = possible_classes(states[0], states[1:])
        found.append(possible[0] if len(possible) == 1 else "undecided")
    return found


PLANTED = [
    ("shared", 0.4, [0.3, 0.5, 0.2]),
    ("contingent", 0.4, [0.3, 0.005, 0.3]),
    ("unexpressed", 0.4, [0.005, 0.0, 0.005]),
    ("idiosyncratic", 0.003, [0.3, 0.2, 0.0]),
    ("neither", 0.003, [0.0, 0.005, 0.0]),
]


@pytest.mark.parametrize(("planted", "corpus", "contexts"), PLANTED)
@pytest.mark.parametrize(("k", "correlation"), [(1, 0.0), (4, 0.3)])
def test_planted_classes_are_found(
    planted: str, corpus: float, contexts: list[float], k: int, correlation: float
) -> None:
    """With 400 clusters a place, all of five behaviors must get their class in at least 95 of 100 draws."""
    rng = np.random.default_rng(7)
    n_found = 0
    for _ in range(N_SEEDS):
        found = classes_of(corpus, contexts, rng, k=k, correlation=correlation)
        assert set(found) <= {planted, "undecided"}
        n_found += found == [planted] * 5
    assert n_found >= 95


@pytest.mark.parametrize(("k", "correlation"), [(1, 0.0), (4, 0.3), (4, 0.9)])
def test_at_the_floor_nothing_is_claimed(k: int, correlation: float) -> None:
    """Rates exactly at the floor are neither present nor absent: any class is an error, in at most 5 of 100 draws.

    400 draws: 32 errors are beyond what a true level of 5 % gives in 99.6 % of cases.
    """
    rng = np.random.default_rng(3)
    errors = 0
    for _ in range(400):
        found = classes_of(FLOOR, [FLOOR] * 3, rng, n_behaviors=2, n=120, k=k, correlation=correlation)
        errors += any(kind != "undecided" for kind in found)
    assert errors <= 31


@pytest.mark.parametrize(("k", "correlation"), [(1, 0.0), (4, 0.3), (4, 0.9)])
@pytest.mark.parametrize("rate", [0.04, 0.06])
def test_single_claims_hold_their_level(rate: float, k: int, correlation: float) -> None:
    """A single place is misjudged with at most the level's probability, whatever the dependence within clusters."""
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(500):
        values = shares_of(rate, 150, rng, k=k, correlation=correlation)
        found = clustered_rate(values, n_texts=150 * k, floor=FLOOR)
        wrong += (found.p_present if rate < FLOOR else found.p_absent) <= 0.05
    assert wrong <= 25 + 12


@pytest.mark.parametrize(("n", "hits"), [(50, 0), (50, 3), (400, 40), (7, 7)])
def test_binary_tests_are_the_exact_binomial_ones(n: int, hits: int) -> None:
    """The p values and intervals agree with scipy's exact test and Clopper and Pearson's interval."""
    values = np.arange(n) < hits
    found = clustered_rate(values.astype(np.float64), n_texts=n, floor=FLOOR)
    assert found.p_present == pytest.approx(binomtest(hits, n, FLOOR, alternative="greater").pvalue)
    assert found.p_absent == pytest.approx(binomtest(hits, n, FLOOR, alternative="less").pvalue)
    low = beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)


def test_bounds_for_shares_are_never_below_the_exact_p() -> None:
    """For shares that happen to be 0 and 1 the general bounds must be wider than the exact tests."""
    for n, mean, floor in product((20, 300), (0.0, 0.02, 0.2, 0.6), (0.01, 0.1, 0.5)):
        rounded = round(mean * n) / n
        for upper in (True, False):
            exact = tail_p(n, rounded, floor, is_binary=True, upper=upper)
            assert tail_p(n, rounded, floor, is_binary=False, upper=upper) >= exact - 1e-12


def test_intervals_cover() -> None:
    """95 % intervals of correlated shares hold the rate in at least 95 of 100 draws."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(100):
        values = shares_of(0.1, 60, rng, k=3, correlation=0.5)
        found = clustered_rate(values, n_texts=180, floor=FLOOR)
        assert found.rate is not None
        assert found.low <= found.rate <= found.high
        covered += found.low <= 0.1 <= found.high
    assert covered >= 95


def test_classes_follow_from_every_completion() -> None:
    """What is possible equals what filling in every unclear place by hand gives."""

    def by_hand(corpus: str, contexts: tuple[str, ...]) -> str:
        if corpus == "present":
            if set(contexts) == {"present"}:
                return "shared"
            return "contingent" if "present" in contexts else "unexpressed"
        return "idiosyncratic" if "present" in contexts else "neither"

    states: tuple[State, ...] = ("present", "absent", "unclear")
    for n_contexts in (1, 2, 3):
        for places in product(states, repeat=1 + n_contexts):
            choices = [("present", "absent") if state == "unclear" else (state,) for state in places]
            expected = {by_hand(filled[0], filled[1:]) for filled in product(*choices)}
            assert possible_classes(places[0], list(places[1:])) == tuple(name for name in CLASSES if name in expected)


def test_heterogeneity_has_its_level_and_sees_differences() -> None:
    """Equal rates are called different in about 5 of 100 draws, unlike ones nearly always."""
    rng = np.random.default_rng(1)

    def draw(*rates: float) -> float:
        return heterogeneity_p([rng.binomial(1, rate, size=80) * 1.0 for rate in rates], n_draws=99)

    assert sum(draw(0.2, 0.2, 0.2) <= 0.05 for _ in range(100)) <= 12
    assert sum(draw(0.1, 0.4, 0.4) <= 0.05 for _ in range(20)) >= 18
    assert heterogeneity_p([np.zeros(5), np.zeros(5)]) == 1.0
    assert heterogeneity_p([np.ones(5)]) == 1.0


def test_no_text_decides_nothing() -> None:
    """A place without a label is unclear, and its interval says so."""
    found = clustered_rate(np.empty(0), n_texts=0, floor=FLOOR)
    assert (found.rate, found.low, found.high, found.p) == (None, 0.0, 1.0, 1.0)
    assert found.state(found.p, alpha=0.05) == "unclear"
