"""Choose a head for one behavior on left-out domains, calibrate it there, fit it on everything.

Shapes: m = labeled prompts, d = features, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from metamodel.protocols import FitContext
from metamodel.types import FloatArray, IntArray
from trainers.fitting.calibration import Calibration, fit_calibration
from trainers.fitting.choice import predict_out_of_fold
from trainers.fitting.domain_folds import domain_folds, surprise_share
from trainers.heads.family import AverageHead, Head, HeadFamily, fit_strength
from trainers.heads.outcomes import cross_entropy_bits, kept_inside, smoothed_prior

# Joins the names of families whose heads are averaged.
AND = "+"


@dataclass(frozen=True, kw_only=True)
class HeadOptions:
    """What is tried and on how much.

    Attributes:
        families: Families of heads by name, the simplest first.
        averages: Whether the mean of the best head of every family is tried too; their tensors must differ in name.
        choosing_prompts: Most prompts that head, strength and calibration are chosen on, drawn evenly.
        fitting_prompts: Most prompts that the chosen head is fitted on, drawn evenly.
    """

    families: Mapping[str, HeadFamily]
    averages: bool
    choosing_prompts: int
    fitting_prompts: int


class FittedHead(NamedTuple):
    """What is kept of one behavior.

    Attributes:
        name: Its family, or several joined by "+".
        head: Fitted on everything.
        calibration: Fitted where the head was chosen.
    """

    name: str
    head: Head
    calibration: Calibration


class _Candidate(NamedTuple):
    """One strength of one family."""

    family: str
    position: int


def fit_head(
    features: FloatArray,
    shares: FloatArray,
    texts: Sequence[str],
    domains: Sequence[str],
    *,
    options: HeadOptions,
    context: FitContext,
) -> FittedHead:
    """Return the head that costs the fewest bits on left-out domains, fitted on all domains.

    Args:
        features: Standardized features, [m, d].
        shares: Outcome shares, [m, c].
        texts: Texts, m of them.
        domains: Their domains.
        options: What is tried and on how much.
        context: Says whether whole domains are left out, and the seed.
    """
    few = _drawn(len(shares), options.choosing_prompts, context.seed)
    chosen, calibration = _choose(
        features[few], shares[few], [texts[row] for row in few], [domains[row] for row in few], options, context
    )
    many = _drawn(len(shares), options.fitting_prompts, context.seed)
    heads = [
        fit_strength(options.families[one.family], features[many], shares[many], one.position, seed=context.seed)
        for one in chosen
    ]
    return FittedHead(
        name=AND.join(one.family for one in chosen),
        head=heads[0] if len(heads) == 1 else AverageHead(parts=tuple(heads)),
        calibration=calibration.with_surprise(surprise_share(domains, expects_shift=context.expects_shift)),
    )


def _choose(
    features: FloatArray,
    shares: FloatArray,
    texts: Sequence[str],
    domains: Sequence[str],
    options: HeadOptions,
    context: FitContext,
) -> tuple[list[_Candidate], Calibration]:
    """Return the candidates to average, one or several, and their calibration."""
    candidates: list[_Candidate] = []

    def fit_and_predict(fitting: IntArray, judging: IntArray) -> list[FloatArray]:
        prior, predictions = smoothed_prior(shares[fitting]), []
        candidates.clear()
        for name, family in options.families.items():
            for position, head in enumerate(family.fit(features[fitting], shares[fitting], seed=context.seed)):
                candidates.append(_Candidate(name, position))
                predictions.append(head.predict(features[judging], prior))
        return predictions

    folds = domain_folds(texts, domains, expects_shift=context.expects_shift, seed=context.seed)
    predicted = predict_out_of_fold(fit_and_predict, shares, folds)
    if predicted is None:
        return [_Candidate(next(iter(options.families)), 0)], Calibration()
    judged_shares = shares[predicted.judged]

    def bits(positions: Sequence[int]) -> float:
        return cross_entropy_bits(judged_shares, kept_inside(_mean(predicted.candidates, positions)))

    alone = [bits([position]) for position in range(len(candidates))]
    trials = [[int(np.argmin(alone))]]
    if options.averages:
        mine = {name: [p for p, one in enumerate(candidates) if one.family == name] for name in options.families}
        trials.append([min(positions, key=alone.__getitem__) for positions in mine.values()])
    best = min(trials, key=bits)
    predictions = _mean(predicted.candidates, best)
    return [candidates[p] for p in best], fit_calibration(predictions, predicted.priors, judged_shares)


def _mean(predictions: Sequence[FloatArray], positions: Sequence[int]) -> FloatArray:
    mean: FloatArray = np.mean([predictions[position] for position in positions], axis=0)
    return mean


def _drawn(n: int, most: int, seed: int) -> IntArray:
    """Return row numbers, rising: all, or a random draw of the most allowed."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])
