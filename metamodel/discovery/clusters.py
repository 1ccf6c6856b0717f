"""Conditions about which prompts are alike: clusters of TF-IDF vectors, named by their words.

Shapes: n = prompts, w = words used, d = dimensions.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.discovery.conditions import Condition, Conditions, members_from
from metamodel.discovery.tokens import Tokens
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Coarse topics and finer ones.
N_CLUSTERS: Final = (8, 16, 32)
_DIMENSIONS: Final = 48
_MOST_WORDS: Final = 20_000
_FITTED_PROMPTS: Final = 20_000
_N_NAMING_WORDS: Final = 4


def cluster_conditions(tokens: Tokens, *, least: int, seed: int) -> Conditions:
    """Return one condition a cluster: k-means of unit vectors (TF-IDF of words, 48 dimensions by SVD), for three k.

    Labels are not looked at. A cluster is named by the words that set it apart.

    Args:
        tokens: Words of n prompts.
        least: Fewest prompts in a cluster, and fewest outside.
        seed: Fixes the clusters.
    """
    weighted = _tf_idf(tokens)
    conditions: list[Condition] = []
    columns = []
    if min(weighted.shape) > _DIMENSIONS:
        vectors = _vectors(weighted, seed)
        for n_clusters in N_CLUSTERS:
            if tokens.n_prompts < n_clusters * 2 * least:
                continue
            assigned = _assigned(vectors, n_clusters, seed)
            for number in range(n_clusters):
                column = assigned == number
                if least <= int(column.sum()) <= tokens.n_prompts - least:
                    name = f"cluster {number + 1} of {n_clusters} ({_naming_words(column, weighted, tokens)})"
                    conditions.append(
                        Condition(kind="clusters", source="clusters", met=f"in {name}", unmet=f"not in {name}")
                    )
                    columns.append(column)
    return Conditions(conditions=conditions, members=members_from(columns, tokens.n_prompts))


def _tf_idf(tokens: Tokens) -> csr_array:
    """Return log-scaled counts by inverse document frequency, rows of length one, [n, w]; rare words have no column."""
    from scipy.sparse import csr_array, diags_array

    shape = (tokens.n_prompts, len(tokens.words))
    counts = csr_array((np.ones(len(tokens.numbers)), (tokens.owners, tokens.numbers)), shape=shape)
    counts.sum_duplicates()
    document_counts = np.bincount(counts.indices, minlength=shape[1])
    # Words beyond the commonest, and those of a single prompt, get no weight; columns keep their numbers for naming.
    rank = np.argsort(-document_counts, kind="stable")[:_MOST_WORDS]
    weights = np.zeros(shape[1])
    weights[rank] = np.log((1 + shape[0]) / (1 + document_counts[rank])) + 1
    weights[document_counts < 2] = 0  # noqa: PLR2004 - a word of one prompt makes no prompts alike
    counts.data = (1 + np.log(counts.data)) * weights[counts.indices]
    lengths = np.sqrt((counts**2).sum(axis=1))
    return csr_array(diags_array(1 / np.where(lengths > 0, lengths, 1)) @ counts)


def _vectors(weighted: csr_array, seed: int) -> FloatArray:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    fitted_rows = np.random.default_rng(seed).permutation(weighted.shape[0])[:_FITTED_PROMPTS]
    decomposition = TruncatedSVD(_DIMENSIONS, n_iter=3, random_state=seed).fit(weighted[np.sort(fitted_rows)])
    vectors: FloatArray = normalize(decomposition.transform(weighted))
    return vectors


def _assigned(vectors: FloatArray, n_clusters: int, seed: int) -> IntArray:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    means = MiniBatchKMeans(n_clusters, n_init=3, batch_size=2048, random_state=seed)
    with warnings.catch_warnings():
        # Fewer different prompts than clusters leave some empty, which is no harm here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        assigned: IntArray = means.fit(vectors).labels_.astype(np.int64)
    return assigned


def _naming_words(column: np.ndarray, weighted: csr_array, tokens: Tokens) -> str:
    lift = np.asarray(weighted[column].mean(axis=0)).ravel() - np.asarray(weighted[~column].mean(axis=0)).ravel()
    best = np.argsort(-lift, kind="stable")[:_N_NAMING_WORDS]
    return ", ".join(f"“{tokens.words[number]}”" for number in best)
