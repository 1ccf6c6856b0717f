"""Bits gained on rare events: the interval holds the truth although hardly any event was drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from metamodel.bootstrap import reduction_interval
from metamodel.rare_reductions import FEW_EVENTS, highest_rare_reduction


@pytest.mark.parametrize("rate", [0.02, 0.05])
def test_the_truth_is_not_above_the_interval(rate: float) -> None:
    """Of 50 prompts with one or three events expected, intervals hold the 0 bits of a constant at least at 93 %."""
    rng = np.random.default_rng(0)
    predicted = np.tile([1 - rate, rate], (50, 1))
    misses = 0
    for seed in range(100):
        yes = rng.binomial(1, rate, size=50)
        interval = reduction_interval(np.column_stack([1 - yes, yes]), predicted, n_draws=100, seed=seed)
        assert interval is not None
        misses += not interval.low <= 1e-9 or not interval.high >= 0
    assert misses <= stats.binom.isf(0.01, 100, 0.07)


def test_no_event_leaves_room_for_a_few() -> None:
    """Where nothing was seen the end is the best rate up to Garwood's limit, at the prediction of the prompts."""
    counts, predicted = np.array([[1, 0]] * 50), np.tile([0.98, 0.02], (50, 1))
    rates = np.linspace(0, 1 - np.exp(-stats.chi2.ppf(0.975, 2) / 2 / 50), 2001)
    cross_entropies = -(1 - rates) * np.log2(0.98) - rates * np.log2(0.02)
    expected = (stats.entropy([1 - rates, rates], base=2) - cross_entropies).max()
    assert highest_rare_reduction(counts, predicted) == pytest.approx(expected, abs=2e-3)


def test_many_events_are_left_to_the_bootstrap() -> None:
    """Nothing is widened where the bootstrap knows enough, nor made up for a single prompt."""
    counts = np.array([[1, 0]] * 50 + [[0, 1]] * FEW_EVENTS)
    assert highest_rare_reduction(counts, np.full((len(counts), 2), 0.5)) is None
    assert highest_rare_reduction(counts[:1], np.full((1, 2), 0.5)) is None
