"""Least squares against closed forms, other libraries, the direct formula and simulated coverage; p adjustment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metamodel.scaling.adjusting import ADJUSTMENTS, adjusted
from metamodel.scaling.model import fit_task
from metamodel.scaling.regression import least_squares
from metamodel.types import FloatArray, IntArray

# Norris (NIST, Statistical Reference Datasets, linear regression, lower difficulty): y, x and certified values.
NORRIS = (
    "0.1 0.2 338.8 337.4 118.1 118.2 888.0 884.6 9.2 10.1 228.1 226.5 668.5 666.3 998.5 996.3 449.1 448.6 778.9 777.0 "
    "559.2 558.2 0.3 0.4 0.1 0.6 778.1 775.5 668.8 666.9 339.3 338.0 448.9 447.5 10.8 11.6 557.7 556.0 228.3 228.1 "
    "998.0 995.8 888.8 887.6 119.6 120.2 0.3 0.3 0.6 0.3 557.6 556.8 339.3 339.1 888.0 887.2 998.5 999.0 778.9 779.0 "
    "10.2 11.1 117.6 118.3 228.9 229.2 668.4 669.1 449.2 448.9 0.2 0.5"
)


def example(n_rows: int = 60, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return a design with a constant and three terms, and a response."""
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n_rows), rng.normal(size=(n_rows, 3))])
    return design, design @ np.array([1.0, 0.5, -0.3, 0.0]) + rng.normal(size=n_rows)


def test_certified_values() -> None:
    """The National Institute's certified estimates and errors must come out to nine digits."""
    values = np.array(NORRIS.split(), dtype=np.float64).reshape(-1, 2)
    fit = least_squares(np.column_stack([np.ones(len(values)), values[:, 1]]), values[:, 0])
    assert fit.estimates == pytest.approx([-0.262323073774029, 1.00211681802045], rel=1e-9)
    errors = np.sqrt(np.diag(fit.covariance))
    assert errors == pytest.approx([0.232818234301152, 0.429796848199937e-03], rel=1e-9)
    assert fit.df == 34
    assert fit.r_squared == pytest.approx(0.999993745883712, rel=1e-9)


def test_one_predictor_is_linregress() -> None:
    """With one predictor t, p and the interval are those of scipy's simple regression."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=25)
    y = 0.4 * x + rng.normal(size=25)
    found = least_squares(np.column_stack([np.ones(25), x]), y).test(np.array([0.0, 1.0]))
    known = stats.linregress(x, y)
    assert found.estimate == pytest.approx(known.slope, rel=1e-10)
    assert found.standard_error == pytest.approx(known.stderr, rel=1e-10)
    assert found.p == pytest.approx(known.pvalue, rel=1e-9)
    half = stats.t.ppf(0.975, 23) * known.stderr
    assert (found.low, found.high) == pytest.approx((known.slope - half, known.slope + half), rel=1e-9)


def test_several_predictors_are_scikit_learns() -> None:
    """The estimates are those of scikit-learn's LinearRegression."""
    from sklearn.linear_model import LinearRegression

    design, response = example()
    known = LinearRegression().fit(design[:, 1:], response)
    assert least_squares(design, response).estimates == pytest.approx([known.intercept_, *known.coef_], rel=1e-9)


def test_clustered_errors_are_the_direct_formula() -> None:
    """The sandwich equals Liang and Zeger's formula written cluster by cluster with explicit inverses."""
    design, response = example()
    clusters: IntArray = np.arange(60) % 9
    fit = least_squares(design, response, clusters=clusters)
    bread = np.linalg.inv(design.T @ design)
    residuals = response - design @ (bread @ design.T @ response)
    meat = np.zeros((4, 4))
    for cluster in range(9):
        mine = clusters == cluster
        meat += design[mine].T @ np.outer(residuals[mine], residuals[mine]) @ design[mine]
    factor = 9 / 8 * 59 / 56
    assert fit.covariance == pytest.approx(factor * bread @ meat @ bread, rel=1e-9)
    assert (fit.df, fit.n_clusters) == (8, 9)


def test_clusters_of_one_are_whites_errors() -> None:
    """With a cluster a row the factor becomes n / (n - k): White's errors with one correction (HC1)."""
    design, response = example()
    fit = least_squares(design, response, clusters=np.arange(60))
    bread = np.linalg.inv(design.T @ design)
    residuals = response - design @ fit.estimates
    white = 60 / 56 * bread @ (design.T * residuals**2 @ design) @ bread
    assert fit.covariance == pytest.approx(white, rel=1e-9)


def test_clustered_intervals_cover_where_plain_ones_do_not() -> None:
    """With 100 clusters that share their noise and predictor, clustered intervals cover the truth; plain ones fail."""
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    n_runs, slope = 400, np.array([0.0, 1.0])
    clusters: IntArray = np.repeat(np.arange(100), 8)
    for _ in range(n_runs):
        x = rng.normal(size=100)[clusters]
        y = 0.3 * x + rng.normal(size=100)[clusters] + rng.normal(size=800)
        design = np.column_stack([np.ones(800), x])
        for place, groups in enumerate((None, clusters)):
            found = least_squares(design, y, clusters=groups).test(slope)
            covered[place] += found.low <= 0.3 <= found.high
    plain, clustered = covered / n_runs
    assert plain < 0.75
    assert 0.91 < clustered < 0.98


@settings(max_examples=30, deadline=None)
@given(st.floats(-50, 50), st.floats(0.01, 100), st.floats(-5, 5))
def test_t_of_the_product_does_not_depend_on_units(shift: float, scale: float, lift: float) -> None:
    """Other units of size and score may not move t of any term: all predictors are standardized."""
    rng = np.random.default_rng(2)
    sizes, tokens, scores = rng.normal(9, 1, 40), rng.normal(10, 1, 40), rng.normal(size=40)
    first = fit_task("a", scores, sizes, tokens)
    second = fit_task("a", lift + scale * scores, sizes + shift, tokens)
    for term in first.terms:
        assert second.test(term).t == pytest.approx(first.test(term).t, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("design", "response", "clusters", "message"),
    [
        (np.ones((2, 2)), [0.0, 1.0], None, "2 rows for 2 coefficients"),
        (np.column_stack([np.ones(6), np.arange(6), 2 * np.arange(6)]), range(6), None, "rank deficiency"),
        (np.column_stack([np.ones(6), np.arange(6)]), range(6), None, "exactly"),
        (
            np.column_stack([np.ones(6), np.arange(6)]),
            [0, 1, 0, 1, 1, 1],
            np.zeros(6, np.int64),
            "1 clusters for 2 coefficients",
        ),
    ],
)
def test_what_cannot_be_solved_says_why(
    design: FloatArray, response: list[float], clusters: IntArray | None, message: str
) -> None:
    """Too few rows, dependent terms, an exact fit and a single cluster each name themselves."""
    with pytest.raises(ValueError, match=message):
        least_squares(design, np.array(response, dtype=np.float64), clusters=clusters)


def test_adjusted_values_by_hand() -> None:
    """Each method's values for four tests, computed by hand from its definition."""
    p_values = np.array([0.04, 0.01, 0.03, 0.5])
    # Sorted 0.01 0.03 0.04 0.5: times m / rank, then the smallest of what follows.
    assert adjusted(p_values, "fdr_bh") == pytest.approx([0.16 / 3, 0.04, 0.16 / 3, 0.5])
    assert adjusted(p_values, "by") == pytest.approx(
        np.minimum(1, adjusted(p_values, "fdr_bh") * (1 + 1 / 2 + 1 / 3 + 1 / 4))
    )
    assert adjusted(p_values, "holm") == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert adjusted(p_values, "bonferroni") == pytest.approx([0.16, 0.04, 0.12, 1.0])
    assert adjusted(p_values, "none").tolist() == p_values.tolist()
    assert all(len(adjusted(np.empty(0), method)) == 0 for method in ADJUSTMENTS)
