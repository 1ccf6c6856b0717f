"""Confidence: how likely the primary model found what it said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np

from metamodel.information import entropy_bits
from metamodel.labels import LabelSpace, Real
from metamodel.types import FloatArray, GenerationBatch, JSONValue, Need

EntropySource: TypeAlias = Literal["siblings", "choices", "recorded"]
MarginScale: TypeAlias = Literal["logprob", "probability"]

_CHOICE_LOGPROBS = "choice_logprobs"
_RECORDED_ENTROPY = "first_token_entropy"
_FEWEST_CHOICES = 2


@dataclass(frozen=True, kw_only=True)
class MeanLogprob:
    """Mean natural log-probability of the output's tokens; missing where the source does not tell them.

    f(x, y) = (1 / |y|) * sum over t of ln p(y_t given x, y_<t), under the model at temperature 1, over all tokens
    drawn, the end token included. Missing for an output without tokens too.

    Label space: real, -4 to 0 in 16 bins. Needs: log-probabilities. Reads more than the output (the model's own
    probabilities).
    Source: the length-normalized log-likelihood of Malinin and Gales, Uncertainty Estimation in Autoregressive
    Structured Prediction (2021).

    >>> from metamodel.text import text_batch
    >>> MeanLogprob().label(text_batch(["yes", "no"], logprobs=[[-0.5, -1.5], None]))
    array([-1., nan])
    """

    space: ClassVar[LabelSpace] = Real(low=-4.0, high=0.0, n_bins=16)
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("logprobs",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the mean, NaN where it is unknown, [n]."""
        return np.array([_mean(logprobs) for logprobs in batch.logprobs], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """Perplexity of the output under the primary model that drew it; missing where the source tells no probabilities.

    f(x, y) = exp(-(1 / |y|) * sum over t of ln p(y_t given x, y_<t)), under the model at temperature 1, over all tokens
    drawn, the end token included. Missing for an output without tokens too.

    Label space: real, 1 to 11 in 20 bins. Needs: log-probabilities. Reads more than the output (the model's own
    probabilities).
    Source: Jelinek et al., Perplexity, a measure of the difficulty of speech recognition tasks (1977).

    >>> from metamodel.text import text_batch
    >>> Perplexity().label(text_batch(["yes", "no"], logprobs=[[-0.5, -1.5], None])).round(3)
    array([2.718,   nan])
    """

    space: ClassVar[LabelSpace] = Real(low=1.0, high=11.0, n_bins=20)
    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("logprobs",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the perplexity, NaN where it is unknown, [n]."""
        means = np.array([_mean(logprobs) for logprobs in batch.logprobs], dtype=np.float64)
        # Beyond e^700 lies infinity, which no mean over labels can carry.
        perplexities: FloatArray = np.exp(np.minimum(-means, 700.0))
        return perplexities


@dataclass(frozen=True, kw_only=True)
class FirstTokenEntropy:
    """Entropy of how the answer begins, in bits: of the first answer token, or the nearest thing that is known.

    f(x) = -sum over w of p(w given x) log2 p(w given x), with p from one of three sources:

    - "siblings": w is the first word, p its share among the prompt's samples (plug-in, so at most log2 of their number
      and too low on average); missing without siblings;
    - "choices": w is a choice, p the softmax of the recorded "choice_logprobs": the first token's own entropy where
      choices are single tokens, restricted to them;
    - "recorded": what the source's metadata holds as "first_token_entropy", in bits.

    Where the source of p is absent the label is missing.

    Label space: real, 0 to 4 in 16 bins. Needs: sibling samples, or metadata. Reads more than the output.
    Source: predictive entropy; Kadavath et al., Language Models (Mostly) Know What They Know (2022).

    Attributes:
        source: "siblings", "choices" or "recorded".

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["Yes, it is", "no"], prompt_ids=["a", "a"], metadata=[{"choice_logprobs": [-1, -1]}, {}])
    >>> FirstTokenEntropy().label(batch), FirstTokenEntropy(source="choices").label(batch)
    (array([1., 1.]), array([ 1., nan]))
    """

    source: EntropySource = "siblings"

    space: ClassVar[LabelSpace] = Real(low=0.0, high=4.0, n_bins=16)
    reads_prompt: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse an unknown source."""
        if self.source not in get_args(EntropySource):
            raise ValueError(f"source is {self.source!r}, must be one of {', '.join(get_args(EntropySource))}")

    @property
    def needs(self) -> tuple[Need, ...]:
        """Declare what the source of probabilities is."""
        return ("text", "siblings") if self.source == "siblings" else ("metadata",)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the entropy, NaN where it is unknown, [n]."""
        if self.source == "siblings":
            return _first_word_entropies(batch)
        one = _choice_entropy if self.source == "choices" else _recorded_entropy
        return np.array([one(metadata) for metadata in batch.metadata], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ChoiceMargin:
    """How far the likeliest of the prompt's choices is ahead of the second; missing where no likelihoods are recorded.

    f(x) = l1 - l2 for the two greatest of the choices' log-likelihoods ("logprob", in nats), or the difference of their
    softmax over all choices ("probability"). Missing for fewer than two choices.

    Label space: real, 0 to 5 in 20 bins; 0 to 1 in 10 bins for probabilities. Needs: metadata "choice_logprobs", as the
    primary model `score` records it. Reads more than the output.
    Source: the margin of Scheffer et al., Active Hidden Markov Models for Information Extraction (2001).

    Attributes:
        scale: "logprob" or "probability".

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["A", "B"], metadata=[{"choice_logprobs": [-1.0, -3.5, -9.0]}, {}])
    >>> ChoiceMargin().label(batch)
    array([2.5, nan])
    """

    scale: MarginScale = "logprob"

    reads_prompt: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("metadata",)

    def __post_init__(self) -> None:
        """Refuse an unknown scale."""
        if self.scale not in get_args(MarginScale):
            raise ValueError(f"scale is {self.scale!r}, must be one of {', '.join(get_args(MarginScale))}")

    @property
    def space(self) -> LabelSpace:
        """Declare the label space."""
        return Real() if self.scale == "probability" else Real(low=0.0, high=5.0, n_bins=20)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the margin, NaN where it is unknown, [n]."""
        labels = np.full(len(batch), np.nan)
        for row, metadata in enumerate(batch.metadata):
            logprobs = _choice_logprobs(metadata)
            if logprobs is not None:
                values = _softmax(logprobs) if self.scale == "probability" else logprobs
                second, first = np.sort(values)[-2:]
                labels[row] = first - second
        return labels


def _mean(logprobs: Sequence[float] | None) -> float:
    if logprobs is None or not len(logprobs):
        return np.nan
    return float(np.mean(np.asarray(logprobs, dtype=np.float64)))


def _first_word_entropies(batch: GenerationBatch) -> FloatArray:
    labels = np.full(len(batch), np.nan)
    for rows in batch.sibling_groups():
        if len(rows) > 1:
            counts = Counter("".join(batch.texts[row].split(maxsplit=1)[:1]) for row in rows)
            labels[rows] = entropy_bits(np.array(sorted(counts.values())) / len(rows))
    return labels


def _choice_logprobs(metadata: Mapping[str, JSONValue]) -> FloatArray | None:
    """Return the recorded log-likelihoods, None unless they are two or more finite numbers."""
    told = metadata.get(_CHOICE_LOGPROBS)
    if not isinstance(told, (list, tuple)) or len(told) < _FEWEST_CHOICES or not all(map(_is_number, told)):
        return None
    logprobs = np.array(told, dtype=np.float64)
    return logprobs if np.isfinite(logprobs).all() else None


def _choice_entropy(metadata: Mapping[str, JSONValue]) -> float:
    logprobs = _choice_logprobs(metadata)
    return np.nan if logprobs is None else float(entropy_bits(_softmax(logprobs)))


def _recorded_entropy(metadata: Mapping[str, JSONValue]) -> float:
    told = metadata.get(_RECORDED_ENTROPY)
    return float(told) if isinstance(told, (int, float)) and _is_number(told) and told >= 0 else np.nan


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _softmax(logprobs: FloatArray) -> FloatArray:
    weights = np.exp(logprobs - logprobs.max())
    shares: FloatArray = weights / weights.sum()
    return shares
