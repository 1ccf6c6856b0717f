"""Which behaviors come together: mutual information between labels of the same output, in bits.

Shapes: n = outputs, b = behaviors.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metamodel.labels import MISSING_CODE
from metamodel.types import FloatArray, IntArray

_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class CoOccurrence:
    """Mutual information between the behaviors of one primary model. All matrices are [b, b] and symmetric.

    Attributes:
        primary: Name of the primary model.
        behaviors: Names, b of them.
        bits: I(A; B) over all outputs; on the diagonal H(A). NaN where no output has both labels.
        bits_within_domains: I(A; B given the domain): what is left once the domain is known; on the diagonal H(A given
            the domain).
        n_labels: Outputs that have both labels.
    """

    primary: str
    behaviors: Sequence[str]
    bits: FloatArray
    bits_within_domains: FloatArray
    n_labels: IntArray

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON: a null where nothing has both labels."""
        return {
            "primary": self.primary,
            "behaviors": list(self.behaviors),
            "bits": _nullable(self.bits),
            "bits_within_domains": _nullable(self.bits_within_domains),
            "n_labels": self.n_labels.tolist(),
        }


def co_occurrence(
    primary: str, codes: Mapping[str, IntArray], domains: IntArray, n_outcomes: Mapping[str, int]
) -> CoOccurrence:
    """Return the mutual information between all pairs of behaviors.

    Args:
        primary: Name of the primary model.
        codes: Outcome codes of each behavior over the same outputs, MISSING_CODE where missing, [n] each.
        domains: Number of each output's domain, [n].
        n_outcomes: Number of outcomes of each behavior.
    """
    names = list(codes)
    ends = np.cumsum([0, *(n_outcomes[name] for name in names)])
    blocks = [slice(begin, end) for begin, end in itertools.pairwise(ends)]
    joint = _joint_counts(codes, domains, ends)
    pooled = joint.sum(axis=0)
    bits, within = np.full((len(names), len(names)), np.nan), np.full((len(names), len(names)), np.nan)
    n_labels = np.zeros((len(names), len(names)), dtype=np.int64)
    for i in range(len(names)):
        for j in range(i, len(names)):
            table = pooled[blocks[i], blocks[j]]
            n_labels[i, j] = n_labels[j, i] = n = int(table.sum())
            if n:
                bits[i, j] = bits[j, i] = mutual_information_bits(table)
                within[i, j] = within[j, i] = _conditional_bits(joint[:, blocks[i], blocks[j]])
    return CoOccurrence(primary=primary, behaviors=names, bits=bits, bits_within_domains=within, n_labels=n_labels)


def _joint_counts(codes: Mapping[str, IntArray], domains: IntArray, ends: IntArray) -> IntArray:
    """Return how often each pair of outcomes occurs in each domain, [domains, m, m], m outcomes of all behaviors.

    A product of one-hot rows counts all pairs at once; a missing label is a row of zeros, which counts in none.
    """
    n_domains, n_outcomes = int(domains.max(initial=-1)) + 1, int(ends[-1])
    joint = np.zeros((n_domains, n_outcomes, n_outcomes), dtype=np.int64)
    for domain in range(n_domains):
        rows = np.flatnonzero(domains == domain)
        for begin in range(0, len(rows), _ROWS_AT_ONCE):
            chunk = rows[begin : begin + _ROWS_AT_ONCE]
            ones = np.zeros((len(chunk), n_outcomes), dtype=np.float32)
            for begin_column, values in zip(ends, codes.values(), strict=False):
                present = np.flatnonzero(values[chunk] != MISSING_CODE)
                ones[present, begin_column + values[chunk][present]] = 1
            joint[domain] += (ones.T @ ones).astype(np.int64)  # [m, m]; whole numbers this small are exact
    return joint


def _conditional_bits(by_domain: IntArray) -> float:
    """Return I(A; B given the domain) from one table a domain."""
    sizes = by_domain.sum(axis=(1, 2))
    found = [mutual_information_bits(table) * size for table, size in zip(by_domain, sizes, strict=True) if size]
    return float(sum(found) / sizes.sum())


def mutual_information_bits(counts: IntArray) -> float:
    """Return I(A; B) = H(A) + H(B) - H(A, B) from a table of counts, with Miller and Madow's correction.

    Each entropy's plug-in estimate is raised by (outcomes that occur - 1) / (2 n ln 2): without it, independent labels
    would share (a - 1)(b - 1) / (2 n ln 2) bits. The estimate may fall below zero by chance and is not clipped. Outputs
    count as independent; several samples of a prompt are not quite.
    Source: Miller, Note on the Bias of Information Estimates (1955).

    >>> mutual_information_bits(np.array([[500, 0], [0, 500]])) > 0.99
    True
    """
    n = counts.sum()
    return _entropy(counts.sum(axis=1), n) + _entropy(counts.sum(axis=0), n) - _entropy(counts.ravel(), n)


def _entropy(counts: IntArray, n: int) -> float:
    p = counts[counts > 0] / n
    return float(-(p * np.log2(p)).sum() + (len(p) - 1) / (2 * n * np.log(2)))


def _nullable(matrix: FloatArray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(float(value), 6) for value in row] for row in matrix]
