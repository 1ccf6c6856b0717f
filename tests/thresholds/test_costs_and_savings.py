"""What a threshold costs and what sorting is worth, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from metamodel.curves import risk_coverage_curve
from metamodel.thresholds.costs import (
    STOP_ALL,
    Prices,
    cheapest_threshold,
    cross_fitted_costs,
    expense,
    passed_costs,
    stopped_costs,
)
from metamodel.thresholds.domains import check_split
from metamodel.thresholds.risk_control import passed_counts
from metamodel.thresholds.savings import oracle_row, random_row, savings_row

PRICES = Prices(primary=1.0, fallback=3.0, failure=10.0)


def test_the_cheapest_threshold_is_the_break_even_probability() -> None:
    """With right probabilities stopping pays from (fallback - primary) / failure on: 0.2 here."""
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    losses = (rng.random(len(scores)) < scores).astype(np.float64)
    counts = passed_counts(scores, losses)
    passed, stopped = passed_costs(PRICES, losses), stopped_costs(PRICES, np.zeros_like(losses))
    assert cheapest_threshold(counts, passed, stopped) == pytest.approx(0.2, abs=0.02)
    none = np.zeros(len(counts.thresholds), dtype=np.bool_)
    assert cheapest_threshold(counts, passed, stopped, allowed=none) == STOP_ALL
    assert cheapest_threshold(counts, passed, np.full(len(losses), 0.5)) == STOP_ALL
    assert cheapest_threshold(counts, passed, np.full(len(losses), 99.0)) == counts.thresholds[-1]


def test_cross_fitted_costs_do_not_flatter() -> None:
    """On useless scores the threshold's own prompts say that it saves; others say that it does not."""
    own, others = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores, losses = rng.random(100), (rng.random(100) < 0.2).astype(np.float64)
        counts = passed_counts(scores, losses)
        passed, stopped = passed_costs(PRICES, losses), stopped_costs(PRICES, np.zeros(100))
        threshold = cheapest_threshold(counts, passed, stopped)
        own.append(np.where(scores <= threshold, passed, stopped).mean())
        others.append(cross_fitted_costs(counts, passed, stopped, seed=seed).mean())
    # Both actions cost 3 on average, so no threshold is worth anything.
    assert np.mean(own) < 2.85
    assert np.mean(others) == pytest.approx(3.0, abs=0.1)


def test_expenses_add_up() -> None:
    """What is saved is the difference of the means, its interval that of paired prompts."""
    rng = np.random.default_rng(1)
    primary = rng.random(400) * 5
    found = expense("price", screened=primary - 0.5, primary=primary, fallback=np.full(400, 2.0), n_draws=300, seed=0)
    assert found.saved.value == pytest.approx(0.5)
    assert found.saved.high - found.saved.low < 1e-9
    assert found.always_primary.low < 2.5 < found.always_primary.high
    assert found.saved_on_fallback.value == pytest.approx(2.0 - found.screened.value)


@pytest.mark.parametrize("prices", [{"primary": -1.0}, {"primary": 1.0, "fallback": float("nan")}])
def test_prices_are_amounts(prices: dict[str, float]) -> None:
    """A negative price or none at all would make nonsense of every sum."""
    with pytest.raises(ValueError, match="must be a number from 0 up"):
        Prices(**prices)


def test_aurc_is_that_of_the_report() -> None:
    """The area is that of the curve the report draws, for a metamodel that always says the prompt succeeds."""
    rng = np.random.default_rng(2)
    scores = np.round(rng.random(300) * 0.4, 2)
    losses = (rng.random(300) < scores).astype(np.float64)
    counts = np.column_stack([1 - losses, losses]).astype(np.int64)
    known = risk_coverage_curve(counts, np.column_stack([1 - scores, scores])).area
    row = savings_row("own", scores, losses, n_draws=200)
    assert row.aurc.value == pytest.approx(known)
    assert row.aurc.low < row.aurc.value < row.aurc.high


def test_router_figures_against_closed_forms() -> None:
    """By lot APGR is 1/2 and CPT the level itself; an oracle with base rate b and a perfect fallback: 1 - b / 2."""
    losses = (np.arange(1000) % 4 == 0).astype(np.float64)
    lot, best = random_row(losses, n_draws=200), oracle_row(losses, n_draws=200)
    for interval, value in ((lot.apgr, 0.5), (lot.cpt50, 0.5), (lot.cpt80, 0.8), (lot.aurc, 0.25)):
        assert interval is not None
        assert interval.value == pytest.approx(value)
    for interval, value in ((best.apgr, 0.875), (best.cpt50, 0.125), (best.cpt80, 0.2)):
        assert interval is not None
        assert interval.value == pytest.approx(value, abs=1e-9)
    assert best.failure_rate[0] == pytest.approx(0.25)
    assert best.failure_rate[-1] == pytest.approx(0.0)


def test_apgr_against_ten_routed_shares() -> None:
    """The integral is what RouteLLM's mean over shares of strong calls comes to, routed one prompt at a time."""
    rng = np.random.default_rng(3)
    scores = rng.random(500)
    weak = (rng.random(500) < scores).astype(np.float64)
    strong = (rng.random(500) < 0.2).astype(np.float64)
    order = np.argsort(-scores)
    gains = []
    for n_strong in range(501):
        mixed = weak.copy()
        mixed[order[:n_strong]] = strong[order[:n_strong]]
        gains.append((weak.mean() - mixed.mean()) / (weak.mean() - strong.mean()))
    row = savings_row("own", scores, weak, fallback_losses=strong, n_draws=200)
    assert row.apgr is not None
    assert row.cpt50 is not None
    assert row.apgr.value == pytest.approx(np.trapezoid(gains, dx=1 / 500))
    assert row.cpt50.value == pytest.approx(np.argmax(np.array(gains) >= 0.5) / 500, abs=1 / 500)
    mean_of_ten = np.mean([gains[50 * step] for step in range(1, 11)])
    assert row.apgr.value == pytest.approx(mean_of_ten, abs=0.06)


def test_a_fallback_that_is_no_better_has_no_gap() -> None:
    """Where the fallback fails as often there is no gap to recover, and no figure is made up."""
    losses = (np.arange(100) % 2).astype(np.float64)
    row = savings_row("own", np.linspace(0, 1, 100), losses, fallback_losses=losses, n_draws=100)
    assert (row.apgr, row.cpt50, row.cpt80) == (None, None, None)


def test_domains_that_break_the_risk_are_named() -> None:
    """A domain is said to violate where its interval lies above the risk, and to be unclear where it contains it."""
    losses = np.concatenate([np.zeros(100), np.ones(50), np.tile([0.0, 0.0, 0.0, 1.0], 3), [1.0]])
    domains = ["calm"] * 100 + ["wild"] * 50 + ["small"] * 12 + ["shut"]
    scores = np.concatenate([np.full(162, 0.1), [0.9]])
    found = check_split("held_out_domain", scores, losses, domains, threshold=0.5, risk=0.1)
    verdicts = {check.domain: check.verdict for check in found.domains}
    assert verdicts == {"calm": "holds", "wild": "violates", "small": "unclear", "shut": "nothing passes"}
    assert found.violating == ("wild",)
    assert found.total.n_passed == 162
