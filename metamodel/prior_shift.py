"""Prior-shift correction: adapt predictions to an unlabeled target's own outcome rates.

Where the outcomes' rates differ from training but each outcome's prompts look the same (label shift), the rates can be
estimated from predictions of unlabeled target prompts, and the predictions corrected by Bayes' rule. Neither is known
to hold out of distribution: the correction is an option, and reported apart. A corrected prediction depends on all
target prompts together.

Shapes: n = target prompts, c = outcomes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metamodel.types import FloatArray, IntArray

# Behind a metamodel's name, where its predictions were corrected; no name in a config holds a plus sign.
PRIOR_SHIFT_SUFFIX = "+prior_shift"
# The training prior counts as much as all target prompts: predictions that know little turn a small error of their mean
# into a large one of the rates (by 1 / (share of the labels' variance that they explain)), and this bounds it by 1.
PRIOR_STRENGTH = 1.0
_MOST_STEPS = 1000
_TOLERANCE = 1e-8


class PriorShift(NamedTuple):
    """What the target prompts say about their outcomes' rates.

    Attributes:
        prior: Estimated rates, [c]; the training prior where they say too little.
        evidence_bits: Code length of the predictions' evidence that the estimate saves, all prompts together.
        is_identified: Whether that is more than the estimate costs to describe.
    """

    prior: FloatArray
    evidence_bits: float
    is_identified: bool


def estimated_prior(probabilities: FloatArray, prior: FloatArray, *, strength: float = PRIOR_STRENGTH) -> PriorShift:
    """Estimate the outcome rates of unlabeled target prompts.

    Expectation maximization of Saerens, Latinne and Decaestecker, Adjusting the Outputs of a Classifier to New a Priori
    Probabilities (2002), equations 2.4 and 2.9: it maximizes the sum of log(sum of p_j * rate_j / prior_j). Ours are
    two guards, since the rates are not identifiable from predictions that hardly differ: the training prior stands for
    `strength` * n prompts more, so that a flat likelihood keeps it; and the estimate is dropped unless it saves more
    than (c - 1) / 2 * log2(n) bits, what its c - 1 numbers cost (Schwarz, Estimating the Dimension of a Model, 1978).

    Args:
        probabilities: Predictions of the target prompts, [n, c].
        prior: Training prior, [c], without zeros.
        strength: Weight of the training prior, as a share of n, 0 or more.

    Raises:
        ValueError: The shapes do not fit, the prior has a zero or the strength is negative.
    """
    n, c = probabilities.shape
    if prior.shape != (c,) or (prior <= 0).any():
        raise ValueError(f"prior is {prior.tolist()}, must be {c} numbers above 0")
    if not strength >= 0:
        raise ValueError(f"strength is {strength}, must be 0 or more")
    if not n:
        return PriorShift(prior=prior, evidence_bits=0.0, is_identified=False)
    estimate = prior / prior.sum()
    likelihood = probabilities / prior  # [n, c], up to a factor a row
    for _ in range(_MOST_STEPS):
        duties = likelihood * estimate
        duties /= duties.sum(axis=1, keepdims=True)
        new = (duties.sum(axis=0) + strength * n * prior) / (n * (1 + strength))
        new /= new.sum()
        has_settled = np.abs(new - estimate).max() < _TOLERANCE
        estimate = new
        if has_settled:
            break
    evidence_bits = float(np.log2((likelihood @ estimate) / (likelihood @ prior)).sum())
    is_identified = evidence_bits > (c - 1) / 2 * np.log2(max(n, 2))
    return PriorShift(
        prior=estimate if is_identified else prior, evidence_bits=evidence_bits, is_identified=bool(is_identified)
    )


def training_prior(counts: IntArray) -> FloatArray:
    """Return the mean outcome distribution of labeled prompts with half a prompt added to each outcome, [c].

    Args:
        counts: How often each outcome was drawn for each prompt, [n, c]; a prompt without labels is left out.
    """
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts[totals[:, 0] > 0] / totals[totals[:, 0] > 0]
    m, c = shares.shape
    prior: FloatArray = (shares.sum(axis=0) + 0.5) / (m + c / 2)
    return prior


def corrected(probabilities: FloatArray, prior: FloatArray, target_prior: FloatArray) -> FloatArray:
    """Return p_j * target_j / prior_j, normalized over outcomes, [n, c]: Bayes' rule under other outcome rates.

    >>> corrected(np.array([[0.5, 0.5]]), np.array([0.5, 0.5]), np.array([0.2, 0.8])).round(3).tolist()
    [[0.2, 0.8]]
    """
    weighted = np.ascontiguousarray(probabilities * (target_prior / prior))
    normalized: FloatArray = weighted / weighted.sum(axis=1, keepdims=True)
    return normalized


def prior_shift_corrected(
    probabilities: FloatArray, prior: FloatArray, *, strength: float = PRIOR_STRENGTH
) -> FloatArray:
    """Return the predictions of target prompts corrected to the rates that these prompts themselves suggest, [n, c].

    Args:
        probabilities: Predictions of the target prompts, [n, c].
        prior: Training prior, [c], without zeros.
        strength: As in `estimated_prior`.
    """
    return corrected(probabilities, prior, estimated_prior(probabilities, prior, strength=strength).prior)
