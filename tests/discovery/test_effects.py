"""Effects within domains against a direct fit, their errors by simulation, and residuals against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from metamodel.discovery.effects import WithinDomains
from metamodel.discovery.residuals import Cell, Measure, measures_of
from metamodel.information import entropy_bits, prompt_cross_entropies_bits
from metamodel.labels import Binary, Categorical, Count, LabelSpace


def cell_of(space: LabelSpace, counts: np.ndarray, probabilities: np.ndarray) -> Cell:
    """Return a cell of all its prompts."""
    return Cell(
        primary="p",
        behavior="b",
        split="in_distribution",
        metamodel="m",
        space=space,
        rows=np.arange(len(counts)),
        counts=counts,
        probabilities=probabilities,
    )


def test_effect_is_the_coefficient_of_a_regression_with_domain_dummies() -> None:
    """The effect and its cluster-robust error must be what least squares on slice and dummies gives."""
    rng = np.random.default_rng(0)
    domains, clusters = rng.integers(0, 4, 200), rng.integers(0, 60, 200)
    members = rng.random((200, 3)) < 0.3
    y = rng.normal(size=200) + 0.7 * members[:, 0] + domains
    found = WithinDomains(domains, clusters).effects(y, np.zeros(200), members)
    for number in range(3):
        design = np.column_stack([members[:, number], np.eye(4)[domains]]).astype(float)
        coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
        inverse = np.linalg.inv(design.T @ design)
        scores = design * (y - design @ coefficients)[:, None]
        sums = np.stack([scores[clusters == cluster].sum(axis=0) for cluster in np.unique(clusters)])
        fewer = min(len(np.unique(clusters[members[:, number] == side])) for side in (True, False))
        error = np.sqrt((inverse @ (sums.T @ sums) @ inverse)[0, 0] * fewer / (fewer - 1))
        assert found.values[number] == pytest.approx(coefficients[0])
        assert found.errors[number] == pytest.approx(error)
        assert found.degrees[number] == fewer - 1


def test_sides_differ_by_the_effect() -> None:
    """Inside and outside are shown with the weights of the effect, or the printed figures would contradict it."""
    rng = np.random.default_rng(1)
    domains, inside, y = rng.integers(0, 3, 90), rng.random(90) < 0.4, rng.normal(size=90)
    within = WithinDomains(domains, np.arange(90))
    there, elsewhere = within.sides(y, inside)
    assert there - elsewhere == pytest.approx(within.effects(y, np.zeros(90), inside[:, None]).values[0])


def test_a_slice_that_is_a_domain_has_no_effect_within_domains() -> None:
    """What cannot be told from a domain must not be reported as a slice."""
    domains = np.repeat([0, 1], 50)
    found = WithinDomains(domains, np.arange(100)).effects(np.arange(100.0), np.zeros(100), (domains == 1)[:, None])
    assert np.isnan(found.values[0])
    assert found.p_values(1.0)[0] == 1.0


def test_a_rare_outcome_that_never_came_is_no_discovery() -> None:
    """Forty prompts without an outcome of 5 % are chance (p = 0.13), though nothing varies among them."""
    q = np.full(400, 0.05)
    labels = np.zeros(400)
    labels[40::18] = 1
    inside = np.arange(400) < 40
    within = WithinDomains(np.zeros(400, dtype=int), np.arange(400))
    implied = within.implied_variances(labels - q, q * (1 - q), 1.0)
    assert within.effects(labels - q, implied, inside[:, None]).p_values(-1.0)[0] > 0.05
    assert within.effects(labels - q, 0 * implied, inside[:, None]).p_values(-1.0)[0] < 0.001


def test_errors_hold_their_level_with_clusters() -> None:
    """With near-duplicates that share their label, one test in twenty may reject at 5 %, not one in three."""
    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(100), 6)
    rejected, naive = 0, 0
    for _ in range(400):
        q = np.full(600, 0.3)
        labels = (rng.random(100) < 0.3)[clusters].astype(float)
        inside = (rng.random(100) < 0.3)[clusters]
        for groups in (clusters, np.arange(600)):
            within = WithinDomains(clusters % 3, groups)
            implied = within.implied_variances(labels - q, q * (1 - q), 1.0)
            p = within.effects(labels - q, implied, inside[:, None]).p_values(1.0)[0]
            if groups is clusters:
                rejected += p < 0.05
            else:
                naive += p < 0.05
    assert rejected <= 32  # 400 draws at 5 %: 20, and 2.8 standard errors
    assert naive > 60


def test_surprise_is_cross_entropy_less_entropy() -> None:
    """Excess surprise is what evaluate charges a prompt less what the metamodel itself expects to be charged."""
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.ones(3), size=50)
    counts = rng.multinomial(4, probabilities)
    surprise, *rates = measures_of(cell_of(Categorical(classes=("a", "b", "c")), counts, probabilities))
    expected = prompt_cross_entropies_bits(counts, probabilities) - entropy_bits(probabilities)
    assert surprise.values == pytest.approx(expected)
    assert [rate.outcome for rate in rates] == ["a", "b", "c"]
    assert sum(rate.values for rate in rates) == pytest.approx(np.zeros(50))


@pytest.mark.parametrize("space", [Binary(), Categorical(classes=("a", "b", "c")), Count(edges=(1, 2, 5))])
def test_every_residual_has_mean_zero_and_the_stated_variance_under_the_metamodel(space: LabelSpace) -> None:
    """A residual that a calibrated metamodel leaves must not depend on the prompt: else every slice is a discovery."""
    rng = np.random.default_rng(4)
    n_outcomes = len(space.outcomes)
    probabilities = rng.dirichlet(np.ones(n_outcomes), size=20)
    by_outcome: list[list[Measure]] = []
    for outcome in range(n_outcomes):
        counts = np.tile(np.eye(n_outcomes, dtype=int)[outcome], (20, 1))
        by_outcome.append(list(measures_of(cell_of(space, counts, probabilities))))
    for number, measure in enumerate(by_outcome[0]):
        values = np.stack([by_outcome[outcome][number].values for outcome in range(n_outcomes)], axis=1)
        assert (probabilities * values).sum(axis=1) == pytest.approx(np.zeros(20), abs=1e-9)
        assert (probabilities * values**2).sum(axis=1) == pytest.approx(measure.variances)
