"""How far a prompt lies from the training prompts: a distance that no metamodel is asked for.

Two views of the features in `familiarity_features` are added up, each as the surprise of finding a training prompt
farther out: the Mahalanobis distance of all features (Lee et al., A simple unified framework for detecting
out-of-distribution samples, 2018, there on hidden states), and how rare the prompt's words are. A prompt's
unfamiliarity is the share of held-out prompts that lie nearer: a conformal p-value turned round (Vovk, Gammerman,
Shafer, Algorithmic learning in a random world, 2005, chapter 2; Laxhammar, Conformal anomaly detection, 2014).

Shapes: n = texts, m = held-out texts, d = features, k = kinds of pieces, b = buckets, q = steps of a distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from metamodel.errors import DataError
from metamodel.screen.familiarity_features import (
    N_FEATURES,
    UNSEEN_WORDS,
    WORD_SURPRISE,
    Codes,
    Packed,
    count_holding,
    lookup_table,
    surprise_codes,
    text_features,
)
from metamodel.screen.familiarity_file import N_STEPS, read_familiarity, write_familiarity
from metamodel.types import FloatArray

# More prompts sharpen neither table nor distribution much, and fill the tables' buckets.
MOST_TRAIN_TEXTS: Final = 8192
MOST_HELD_OUT_TEXTS: Final = 8192
# A feature that hardly varies in training must not make a prompt infinitely far.
_LEAST_SPREAD: Final = 1e-3
_RIDGE: Final = 1e-2
_PIECE_TEXTS: Final = 1024
_SURPRISES: Final = np.linspace(0, 7, N_STEPS)


@dataclass(frozen=True, kw_only=True, eq=False)
class Familiarity:
    """Knows the training prompts of a metamodel, apart from it.

    Attributes:
        limit: Unfamiliarity above which a prompt is warned of; 1 where too few prompts were held out to hold the rate.
        false_alarm_rate: Largest share of prompts like the held-out ones that is warned of, on average over held-out
            sets of this size.
        codes: Surprise of each bucket, [k, b].
        center: Mean of each feature over the training prompts, [d].
        spread: Standard deviation of each, [d].
        whitening: Square root of the inverse covariance of the standardized features, [d, d].
        steps: Rising values of both views over the training prompts, at equal steps of log survival, [2, q].
        held_out: Rising distances of the held-out prompts, [m].
    """

    limit: float
    false_alarm_rate: float
    codes: Codes
    center: FloatArray
    spread: FloatArray
    whitening: FloatArray
    steps: FloatArray
    held_out: FloatArray

    @classmethod
    def fit(
        cls,
        train_texts: Sequence[str],
        held_out_texts: Sequence[str],
        *,
        false_alarm_rate: float = 0.05,
        seed: int = 0,
    ) -> Familiarity:
        """Learn the training prompts, and from prompts like them how far is usual.

        Args:
            train_texts: Training prompts.
            held_out_texts: Prompts of the same distribution, none of them a training prompt.
            false_alarm_rate: Share of such prompts that may be warned of.
            seed: Of the choice among very many prompts.

        Raises:
            DataError: Either holds no prompt.
            ValueError: The rate is no share.
        """
        if not 0 < false_alarm_rate < 1:
            raise ValueError(f"false_alarm_rate is {false_alarm_rate}, must be above 0 and below 1")
        for name, texts in (("train_texts", train_texts), ("held_out_texts", held_out_texts)):
            if not texts:
                raise DataError(f"{name} is empty, must hold at least one prompt")
        rng = np.random.default_rng(seed)
        train = _sample(train_texts, MOST_TRAIN_TEXTS, rng)
        held_out = _sample(held_out_texts, MOST_HELD_OUT_TEXTS, rng)
        n_holding = count_holding(train)
        # Each training prompt is judged by the others: by itself it would know all its own pieces.
        features = text_features(train, lookup_table(surprise_codes(n_holding - 1, len(train))))
        center, spread = features.mean(axis=0), np.maximum(features.std(axis=0), _LEAST_SPREAD)
        whitening = _whitening((features - center) / spread)
        views = _views(features, center, spread, whitening)
        unscored = cls(
            limit=_limit(len(held_out), false_alarm_rate),
            false_alarm_rate=false_alarm_rate,
            codes=surprise_codes(n_holding, len(train)),
            center=center,
            spread=spread,
            whitening=whitening,
            steps=np.stack([_steps(view) for view in views]),
            held_out=np.zeros(0),
        )
        return replace(unscored, held_out=np.sort(unscored.distances(held_out)))

    @property
    def held_out_unfamiliarity(self) -> FloatArray:
        """What each held-out prompt itself would be told, rising, [m]: what a monitor of drift compares with."""
        return self._ranks(self.held_out)

    def unfamiliarity(self, texts: Sequence[str]) -> FloatArray:
        """Return the share of held-out prompts that lie nearer than each text, [n], from 0 to below 1.

        It is 1 - p with the conformal p-value p = (1 + held-out prompts at least as far) / (1 + m), so that a prompt
        like the held-out ones has P(p <= a) <= a for every a. It depends on the text alone.
        """
        return self._ranks(self.distances(texts))

    def distances(self, texts: Sequence[str]) -> FloatArray:
        """Return how far each text lies from the training prompts, [n], in nats."""
        parts = [np.zeros(0)]
        for start in range(0, len(texts), _PIECE_TEXTS):
            features = text_features(texts[start : start + _PIECE_TEXTS], self._table)
            views = _views(features, self.center, self.spread, self.whitening)
            parts.append(_surprises(views, self.steps).sum(axis=0))
        return np.concatenate(parts)

    def save(self, path: Path) -> None:
        """Write one safetensors file; `load` reads it back with the same values bit for bit."""
        write_familiarity(path, tensors=self._tensors(), false_alarm_rate=self.false_alarm_rate)

    @classmethod
    def load(cls, path: Path) -> Familiarity:
        """Read what `save` wrote; the file may come from anyone.

        Raises:
            DataError: It cannot be read or says something else.
        """
        codes, floats, false_alarm_rate = read_familiarity(path)
        limit = _limit(len(floats["held_out"]), false_alarm_rate)
        return cls(limit=limit, false_alarm_rate=false_alarm_rate, codes=codes, **floats)

    @cached_property
    def _table(self) -> Packed:
        return lookup_table(self.codes)

    def _tensors(self) -> Mapping[str, FloatArray | Codes]:
        return {name: getattr(self, name) for name in ("codes", "center", "spread", "whitening", "steps", "held_out")}

    def _ranks(self, distances: FloatArray) -> FloatArray:
        ranks: FloatArray = np.searchsorted(self.held_out, distances, side="left") / (len(self.held_out) + 1)
        return ranks


def _sample(texts: Sequence[str], most: int, rng: np.random.Generator) -> list[str]:
    """Return the texts, or so many of them as are used, in their order."""
    if len(texts) <= most:
        return list(texts)
    return [texts[row] for row in np.sort(rng.choice(len(texts), size=most, replace=False))]


def _limit(n_held_out: int, false_alarm_rate: float) -> float:
    """Return the unfamiliarity above which p is at most the rate; values are whole numbers divided by m + 1."""
    first_far = math.ceil((1 - false_alarm_rate) * (n_held_out + 1) - 1e-9)
    # Halfway between two values, so that rounding never decides; nothing can be farther than n_held_out prompts.
    return 1.0 if first_far > n_held_out else (first_far - 0.5) / (n_held_out + 1)


def _whitening(standardized: FloatArray) -> FloatArray:
    """Return W with W W' the inverse of the covariance, [d, d], so that the norm of z W is Mahalanobis' distance."""
    covariance = standardized.T @ standardized / len(standardized) + _RIDGE * np.eye(N_FEATURES)
    whitening: FloatArray = np.linalg.cholesky(np.linalg.inv(covariance))
    return whitening


def _views(features: FloatArray, center: FloatArray, spread: FloatArray, whitening: FloatArray) -> FloatArray:
    """Return the squared Mahalanobis distance and the rarity of the words, [2, n].

    Products are summed row by row: a matrix product may round differently in another batch.
    """
    standardized = (features - center) / spread
    whitened = (standardized[:, :, None] * whitening).sum(axis=1)  # [n, d]
    whitened *= whitened
    return np.stack([whitened.sum(axis=1), standardized[:, WORD_SURPRISE] + standardized[:, UNSEEN_WORDS]])


def _steps(view: FloatArray) -> FloatArray:
    """Return the values of a view that survive at exp(-0) to exp(-7), [q]."""
    steps: FloatArray = np.quantile(view, 1 - np.exp(-_SURPRISES))
    return np.maximum.accumulate(steps)


def _surprises(views: FloatArray, steps: FloatArray) -> FloatArray:
    """Return -log of the share of training prompts farther out, [2, n]; beyond all of them it grows logarithmically."""
    last = steps[:, -1:]
    beyond = np.maximum(views - last, 0)
    beyond /= np.maximum(last - steps[:, :1], _LEAST_SPREAD)
    surprises = np.log1p(beyond)
    surprises *= _SURPRISES[-1]
    for row, view in enumerate(views):
        surprises[row] += np.interp(view, steps[row], _SURPRISES)
    return surprises
