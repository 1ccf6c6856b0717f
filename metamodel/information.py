"""Entropies in bits: how much a label varies, and how much of it a metamodel predicts.

Ground floor: pure functions over numpy arrays, with nothing of the project but the array types.

Shapes in this file: n = prompts, m = prompts with at least one label (m <= n), c = outcomes of the label space.

Every prompt counts equally: the mean over the samples inside a prompt first, then the mean over prompts. A prompt
without any label is left out. So a prompt with two labels weighs as much as one with twenty, and prompts are the
clusters that the bootstrap draws.

Source: Holtzman, West, Zettlemoyer, *Generative Models as a Complex Systems Science* (2023), equations 3 to 6.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from metamodel.types import FloatArray, IntArray

# A metamodel must never say "impossible" about something that happens: its cross-entropy would be infinite, which no
# mean, interval or JSON file can carry. Such a label costs 40 bits instead, so it still shows in every mean. The rest
# of the distribution keeps its probabilities; it then sums to at most 1 + c * 2^-40, and the cross-entropy is
# understated by less than c * 1.4e-12 bits.
FLOOR_BITS: Final = 40
PROBABILITY_FLOOR: Final = 2.0**-FLOOR_BITS

# float32 softmax over thousands of outcomes stays well inside; anything further off is not a distribution.
_SUM_TOLERANCE: Final = 1e-5


def entropy_bits(probabilities: FloatArray, axis: int = -1) -> FloatArray:
    """Return Shannon's entropy of distributions, sum of -p log2 p, with 0 log 0 = 0.

    Source: Shannon, *A Mathematical Theory of Communication* (1948).

    Args:
        probabilities: Distributions along `axis`, each summing to one.
        axis: The axis of outcomes; it is summed away.

    Returns:
        Bits, in the shape of `probabilities` without `axis`.

    >>> entropy_bits(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    logs = np.log2(p, out=np.zeros_like(p), where=p > 0)
    # Adding 0 turns the -0.0 of a certain outcome into 0.0.
    bits: FloatArray = -(p * logs).sum(axis=axis) + 0.0
    return bits


def empirical_distributions(counts: IntArray) -> FloatArray:
    """Return the shares of the outcomes among each labeled prompt's samples.

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].

    Returns:
        Distributions, [m, c]; prompts without a label are left out.

    >>> empirical_distributions(np.array([[1, 3], [0, 0], [2, 0]])).tolist()
    [[0.25, 0.75], [1.0, 0.0]]
    """
    labeled = _checked_counts(counts)
    labeled = labeled[labeled.sum(axis=1) > 0]
    shares: FloatArray = labeled / labeled.sum(axis=1, keepdims=True)  # [m, c]
    return shares


def labeled_pairs(counts: IntArray, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the empirical distributions of the labeled prompts, [m, c], and what was predicted for them, [m, c].

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].
        probabilities: Predicted distribution of each prompt, [n, c].

    Raises:
        ValueError: The shapes differ, a count is negative, or a row is not a probability distribution.
    """
    predicted = np.asarray(probabilities, dtype=np.float64)
    drawn = _checked_counts(counts)
    if predicted.shape != drawn.shape:
        raise ValueError(f"counts have shape {drawn.shape}, probabilities {predicted.shape}: they must be equal")
    if not (predicted >= 0).all() or not (np.abs(predicted.sum(axis=1) - 1) <= _SUM_TOLERANCE).all():
        raise ValueError("probabilities must be at least 0, and each row must sum to 1")
    return empirical_distributions(drawn), predicted[drawn.sum(axis=1) > 0]


def label_entropy_bits(counts: IntArray) -> float | None:
    """Return H(F): the entropy of the best constant prediction for these very labels.

    H(F) = H(mean over prompts of each prompt's empirical distribution). It is the smallest cross-entropy that any
    constant reaches on this split. As an estimate of the population's entropy it is too low by about
    (c - 1) / (2 n ln 2) bits (Miller 1955); it stays uncorrected, because the cross-entropy that it is compared with is
    measured on the same labels. Intervals account for it (`metamodel.bootstrap`).

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].

    Returns:
        Bits, or None without any label.

    >>> label_entropy_bits(np.array([[4, 0], [0, 1]]))
    1.0
    """
    shares = empirical_distributions(counts)
    return float(entropy_bits(shares.mean(axis=0))) if len(shares) else None


def prompt_cross_entropies_bits(counts: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return each labeled prompt's mean of -log2 q(f given x) over its samples.

    A probability below `PROBABILITY_FLOOR` = 2^-40 counts as 2^-40: a label that was called impossible costs 40 bits,
    not infinitely many.

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c].
        probabilities: Predicted distribution of each prompt, [n, c].

    Returns:
        Bits, [m], in the order of the prompts; prompts without a label are left out.

    Raises:
        ValueError: As `labeled_pairs`.

    >>> prompt_cross_entropies_bits(np.array([[1, 1], [0, 2]]), np.array([[0.5, 0.5], [0.75, 0.25]])).tolist()
    [1.0, 2.0]
    """
    shares, predicted = labeled_pairs(counts, probabilities)
    bits: FloatArray = -(shares * np.log2(np.maximum(predicted, PROBABILITY_FLOOR))).sum(axis=1) + 0.0
    return bits


def cross_entropy_bits(counts: IntArray, probabilities: FloatArray) -> float | None:
    """Return the mean over prompts of -log2 q(f given x), or None without any label.

    It is at least H(F given B(X)) in expectation, whatever B the metamodel reads (Gibbs' inequality). Floor, shapes and
    errors are those of `prompt_cross_entropies_bits`.

    >>> cross_entropy_bits(np.array([[1, 1], [0, 2]]), np.array([[0.5, 0.5], [0.75, 0.25]]))
    1.5
    """
    bits = prompt_cross_entropies_bits(counts, probabilities)
    return float(bits.mean()) if len(bits) else None


def reduction_bits(counts: IntArray, probabilities: FloatArray) -> float | None:
    """Return the bits gained over the best constant of the evaluated split: H(F) less the cross-entropy.

    Source: Holtzman et al. (2023), equation 3: a lower bound on I(F; B(X)). Never clipped: a metamodel worse than the
    best constant has a negative reduction. Shapes and errors are those of `prompt_cross_entropies_bits`.

    Returns:
        Bits, or None without any label.

    >>> reduction_bits(np.array([[4, 0], [0, 4]]), np.array([[0.5, 0.5], [0.5, 0.5]]))
    0.0
    """
    entropy, cross_entropy = label_entropy_bits(counts), cross_entropy_bits(counts, probabilities)
    return None if entropy is None or cross_entropy is None else entropy - cross_entropy


def count_impossible_labels(counts: IntArray, probabilities: FloatArray) -> int:
    """Return how many labels were given a probability below the floor, each of which was charged 40 bits.

    >>> count_impossible_labels(np.array([[1, 2]]), np.array([[1.0, 0.0]]))
    2
    """
    below = np.asarray(probabilities, dtype=np.float64) < PROBABILITY_FLOOR
    return int(_checked_counts(counts)[below].sum())


def _checked_counts(counts: IntArray) -> IntArray:
    drawn = np.asarray(counts)
    if drawn.ndim != 2 or drawn.shape[1] < 1 or (drawn < 0).any():  # noqa: PLR2004 - prompts and outcomes
        raise ValueError(f"counts must be whole numbers >= 0 of shape [prompts, outcomes], got shape {drawn.shape}")
    return drawn
