"""Accuracy over the samples of a prompt: how often, and whether at least once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import comb
from typing import ClassVar, TypeAlias

import numpy as np

from metamodel.config.components import build_component
from metamodel.labels import Binary, LabelSpace, Real
from metamodel.protocols import Featurizer
from metamodel.types import FloatArray, GenerationBatch, Need

Spec: TypeAlias = str | Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class _MatchedSamples:
    """Samples judged by another behavior; what the behaviors of this file share."""

    matcher: Spec = field(default="correct", hash=False)
    k: int = 2

    reads_prompt: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse too small a k, and a matcher that is no binary behavior."""
        if self.k < 1:
            raise ValueError(f"k is {self.k}, must be at least 1")
        if not isinstance(self._judge.space, Binary):
            message = f"matcher {self.matcher!r} has {self._judge.space.kind} labels, must have binary ones"
            raise ValueError(message)  # noqa: TRY004 - a mistake in a config, which pydantic reports as it does values

    @cached_property
    def _judge(self) -> Featurizer:
        judge: Featurizer = build_component("featurizers", self.matcher, at="matcher")
        return judge

    @cached_property
    def needs(self) -> tuple[Need, ...]:
        """Declare what the matcher needs, and the other samples."""
        return tuple(dict.fromkeys((*self._judge.needs, "siblings")))

    def _judged(self, batch: GenerationBatch) -> list[tuple[list[int], int, int]]:
        """Return each prompt's rows, how many of them have a label, and how many are right."""
        right = self._judge.label(batch)
        counted = []
        for rows in batch.sibling_groups():
            labels = right[rows]
            counted.append((rows, int(np.sum(~np.isnan(labels))), int(np.nansum(labels))))
        return counted


@dataclass(frozen=True, kw_only=True)
class SampledAccuracy(_MatchedSamples):
    """Share of a prompt's samples that are right; missing with fewer than k judged samples.

    f(x) = c / n, with n judged samples of the prompt, c of them right. Every sample of a prompt has the same label.

    Label space: real, 10 equal bins of [0, 1]. Needs: what the matcher needs, the other samples. Reads the prompt.
    Source: pass@1 of Chen et al. (2021), averaged over samples.

    Attributes:
        matcher: Binary behavior that says whether a sample is right: a kind, or a mapping with `kind` and fields.
        k: Fewest samples.

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["4", "5", "4", "9"], prompt_ids=["a", "a", "a", "b"], references=[["4"]] * 4)
    >>> SampledAccuracy().label(batch)
    array([0.66666667, 0.66666667, 0.66666667,        nan])
    """

    space: ClassVar[LabelSpace] = Real()

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the share of right samples of each row's prompt, NaN with fewer than k, [n]."""
        labels = np.full(len(batch), np.nan)
        for rows, n_judged, n_right in self._judged(batch):
            if n_judged >= self.k:
                labels[rows] = n_right / n_judged
        return labels


@dataclass(frozen=True, kw_only=True)
class PassAtK(_MatchedSamples):
    """Probability that at least one of k samples is right, without bias; missing with fewer than k judged samples.

    f(x) = 1 - C(n - c, k) / C(n, k), with n >= k judged samples of the prompt, c of them right: the share of the sets
    of k of the n samples that hold a right one. Every sample of a prompt has the same label.

    Label space: real, 10 equal bins of [0, 1]. Needs: what the matcher needs, the other samples. Reads the prompt.
    Source: Chen et al., Evaluating Large Language Models Trained on Code (2021), equation 1.

    Attributes:
        matcher: Binary behavior that says whether a sample is right: a kind, or a mapping with `kind` and fields.
        k: Samples drawn.

    >>> from metamodel.text import text_batch
    >>> batch = text_batch(["4", "5", "6"], prompt_ids=["a", "a", "a"], references=[["4"]] * 3)
    >>> PassAtK(k=2).label(batch), PassAtK(k=4).label(batch)
    (array([0.66666667, 0.66666667, 0.66666667]), array([nan, nan, nan]))
    """

    space: ClassVar[LabelSpace] = Real()

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return pass@k of each row's prompt, NaN with fewer than k samples, [n]."""
        labels = np.full(len(batch), np.nan)
        for rows, n_judged, n_right in self._judged(batch):
            if n_judged >= self.k:
                labels[rows] = 1 - comb(n_judged - n_right, self.k) / comb(n_judged, self.k)
        return labels
