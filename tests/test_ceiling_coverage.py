"""The interval of the noise ceiling holds the truth where that is hardest: rare, certain or many outcomes, few prompts.

The whole study is `benchmarks/ceiling.py`. Here are the cells in which some interval of an earlier kind fell short of
93 %, or came close to it. A test fails where so many misses would be drawn with a chance of at most 1 % were the
coverage 93 %.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.special import psi

from metamodel.ceiling import Ceiling, noise_ceiling
from metamodel.information import entropy_bits
from metamodel.types import FloatArray, IntArray

PROMISED, CHANCE, GRID_ERROR_BITS = 0.93, 0.01, 1e-3

Draw = Callable[[np.random.Generator], IntArray]


def rare(n_outcomes: int, rate: float) -> FloatArray:
    """Return shares of which the first has all but the rate."""
    return np.append(1 - rate, np.full(n_outcomes - 1, rate / (n_outcomes - 1)))


def certain(shares: FloatArray, n_prompts: int, k: int) -> tuple[float, Draw]:
    """Return prompts that each have one outcome for certain: the ceiling is the entropy of the shares."""
    return float(entropy_bits(shares)), lambda rng: k * rng.multinomial(1, shares, size=n_prompts)


def alike(shares: FloatArray, n_prompts: int, k: int) -> tuple[float, Draw]:
    """Return prompts that all share one distribution: the ceiling is 0."""
    return 0.0, lambda rng: rng.multinomial(k, np.tile(shares, (n_prompts, 1)))


def spread(parameters: FloatArray, n_prompts: int, k: int, *, kept: float = 1.0) -> tuple[float, Draw]:
    """Return prompts whose distributions are a Dirichlet distribution's; a share of the samples may be missing."""
    total, mean = parameters.sum(), parameters / parameters.sum()
    within = float((mean * (psi(total + 1) - psi(parameters + 1))).sum() / np.log(2))

    def draw(rng: np.random.Generator) -> IntArray:
        n_kept = rng.binomial(k, kept, size=n_prompts)
        return rng.multinomial(n_kept, rng.dirichlet(parameters, size=n_prompts)).astype(np.int64)

    return float(entropy_bits(mean)) - within, draw


def mixed(rate: float, yes: float, n_prompts: int, k: int) -> tuple[float, Draw]:
    """Return prompts of which a few say yes with some probability, and the others never."""
    total = rate * yes
    truth = entropy_bits(np.array([1 - total, total])) - rate * entropy_bits(np.array([1 - yes, yes]))

    def draw(rng: np.random.Generator) -> IntArray:
        n_yes = rng.binomial(k, yes * (rng.random(n_prompts) < rate))
        return np.column_stack([k - n_yes, n_yes]).astype(np.int64)

    return float(truth), draw


FALLING = 1 / np.arange(1, 25) / (1 / np.arange(1, 25)).sum()
TAILED = stats.nbinom.pmf(np.arange(24), 1, 0.2) / stats.nbinom.cdf(23, 1, 0.2)

# Truth and draws, whether decoding is greedy, and data sets drawn.
CELLS: dict[str, tuple[tuple[float, Draw], bool, int]] = {
    "binary, greedy, 5 % yes": (certain(rare(2, 0.05), 50, 1), True, 400),
    "binary, greedy, 2 % yes": (certain(rare(2, 0.02), 50, 1), True, 400),
    "binary, certain, 5 % yes, k 8": (certain(rare(2, 0.05), 50, 8), False, 400),
    "binary, 5 % at 0.6, k 2": (mixed(0.05, 0.6, 50, 2), False, 300),
    "binary, all alike at 0.05, k 2": (alike(rare(2, 0.05), 50, 2), False, 300),
    "three, rare Dirichlet, k 2": (spread(2 * rare(3, 0.05), 50, 2), False, 200),
    "ten, rare Dirichlet, k 2": (spread(2 * rare(10, 0.05), 50, 2), False, 200),
    "ten, rare Dirichlet, k 8": (spread(2 * rare(10, 0.05), 50, 8), False, 200),
    "ten, certain, 5 % rare, k 2": (certain(rare(10, 0.05), 50, 2), False, 200),
    "ten, all alike, k 32": (alike(FALLING[:10] / FALLING[:10].sum(), 50, 32), False, 200),
    "ten, sparse, 30 % missing, k 2": (spread(np.full(10, 0.1), 50, 2, kept=0.7), False, 200),
    "ten, rare, many prompts": (certain(rare(10, 0.0005), 5000, 1), True, 100),
    "twenty-four, greedy, falling": (certain(FALLING, 50, 1), True, 300),
    "twenty-four, greedy, long tail": (certain(TAILED, 50, 1), True, 300),
}


@pytest.mark.parametrize("name", CELLS)
def test_the_interval_holds_the_truth(name: str) -> None:
    """At least 93 % of the 95 % intervals hold I(F; X), beyond the noise of the simulation."""
    (truth, draw), is_greedy, n_sets = CELLS[name]
    rng = np.random.default_rng(7)
    known: dict[bytes, Ceiling | None] = {}
    misses = 0
    for _ in range(n_sets):
        counts = draw(rng)
        key = counts[np.lexsort(counts.T)].tobytes()
        if key not in known:
            known[key] = noise_ceiling(counts, is_deterministic=is_greedy)
        ceiling = known[key]
        assert ceiling is not None
        misses += not ceiling.low_bits - GRID_ERROR_BITS <= truth <= ceiling.high_bits + GRID_ERROR_BITS
    assert misses <= stats.binom.isf(CHANCE, n_sets, 1 - PROMISED), f"{misses} misses of {n_sets}"


@pytest.mark.parametrize("name", ["binary, greedy, 5 % yes", "ten, rare Dirichlet, k 8"])
def test_the_interval_is_not_bought_by_width(name: str) -> None:
    """Where events are rare the upper end still lies below what any label of that many outcomes could reach."""
    (truth, draw), is_greedy, _ = CELLS[name]
    counts = [draw(np.random.default_rng(seed)) for seed in range(20)]
    ceilings = [noise_ceiling(one, is_deterministic=is_greedy) for one in counts]
    highs = [ceiling.high_bits for ceiling in ceilings if ceiling is not None]
    assert np.mean(highs) < truth + 0.55
