"""Domains on which a metamodel is off as a whole: what a slice within domains cannot show.

Shapes: m = labeled prompts of a domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from metamodel.discovery.effects import CONFIDENCE
from metamodel.discovery.found import DomainEffect, Figure
from metamodel.discovery.residuals import Cell, Measure
from metamodel.types import FloatArray, IntArray

_FEWEST_CLUSTERS = 3


def domain_effects(
    cell: Cell, surprise: Measure, domains: IntArray, clusters: IntArray, names: Sequence[str]
) -> Iterator[tuple[DomainEffect, float]]:
    """Yield each domain's mean excess surprise with its interval and p, not yet corrected.

    The variance is the larger of the cluster-robust one and what the metamodel's probabilities imply for samples that
    are all the same, as in `metamodel.discovery.effects`.

    Args:
        cell: Labels and predictions.
        surprise: Its excess surprise.
        domains: Domain number of every prompt of the run.
        clusters: Cluster number of every prompt of the run.
        names: Name of each domain.
    """
    from scipy.special import stdtr, stdtrit

    of_prompt = domains[cell.rows]
    for number in np.unique(of_prompt).tolist():
        mine = of_prompt == number
        values = surprise.values[mine]
        mean, error, n_clusters = _clustered_mean(values, surprise.variances[mine], clusters[cell.rows][mine])
        if n_clusters < _FEWEST_CLUSTERS or error == 0:
            continue
        reach = float(stdtrit(n_clusters - 1, (1 + CONFIDENCE) / 2)) * error
        effect = DomainEffect(
            primary=cell.primary,
            behavior=cell.behavior,
            split=cell.split,
            metamodel=cell.metamodel,
            domain=names[number],
            n_prompts=len(values),
            bits=Figure(value=mean, low=mean - reach, high=mean + reach),
        )
        yield effect, 2 * float(stdtr(n_clusters - 1, -abs(mean) / error))


def _clustered_mean(values: FloatArray, variances: FloatArray, clusters: IntArray) -> tuple[float, float, int]:
    """Return the mean, its standard error and the number of clusters."""
    _, of_value = np.unique(clusters, return_inverse=True)
    n_clusters = int(of_value.max()) + 1
    mean = float(values.mean())
    sums = np.bincount(of_value, weights=values - mean)
    robust = float((sums**2).sum()) * n_clusters / max(n_clusters - 1, 1)
    implied = float((np.bincount(of_value, weights=np.sqrt(variances)) ** 2).sum())
    return mean, float(np.sqrt(max(robust, implied))) / len(values), n_clusters
