"""Functions of the prompt that are judged: the domain, what metamodels predict, and the behaviors themselves.

Shapes: n = prompts, k = samples a prompt, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metamodel.information import empirical_distributions, entropy_bits, reduction_bits
from metamodel.labels import LabelTable
from metamodel.output_information.estimator import CrossScores, Influenced
from metamodel.output_information.explained import Partition, Settings
from metamodel.output_information.partitions import (
    bins_within,
    clustered_bins,
    clustered_within,
    compact,
    positions,
    quantile_bins,
)
from metamodel.output_information.results import LabelRow
from metamodel.output_information.sample import PredictedByPrompt
from metamodel.types import FloatArray, IntArray

_LN2 = float(np.log(2))


@dataclass(frozen=True, kw_only=True)
class JudgedSample:
    """The prompts of one matrix with their labels and what metamodels predict.

    Attributes:
        prompt_ids: Ids of the prompts, n of them.
        domains: Number of each prompt's domain, [n].
        labels: Labels of all samples by behavior, over the same prompts.
        reads_prompt: By behavior, whether its label is more than a function of the output.
        n_scored: How many of each prompt's samples were scored; the others tell the behavior.
        is_greedy: Whether the only sample is a function of the prompt.
        predicted: Predictions by metamodel and behavior.
    """

    prompt_ids: Sequence[str]
    domains: IntArray
    labels: Mapping[str, LabelTable]
    reads_prompt: Mapping[str, bool]
    n_scored: int
    is_greedy: bool
    predicted: PredictedByPrompt

    def predictions(self, metamodel: str) -> dict[str, FloatArray]:
        """Return a metamodel's predictions of these prompts by behavior, [n, c] each, where there are all of them."""
        return {
            behavior: np.stack([mine[name] for name in self.prompt_ids])
            for (owner, behavior), mine in self.predicted.items()
            if owner == metamodel and behavior in self.labels and all(name in mine for name in self.prompt_ids)
        }


def partitions_of(sample: JudgedSample, *, n_bins: int, seed: int) -> Iterator[Partition]:
    """Yield the domain, the behaviors, and every metamodel's prediction of each behavior and of all together."""
    if len(np.unique(sample.domains)) > 1:
        yield Partition(reader="domain", bins=sample.domains, within=None)
    for behavior, table in sample.labels.items():
        values = _told_by_other_samples(sample, table)
        if values is not None:
            yield _partition_of_behavior(sample, behavior, values, n_bins)
    for metamodel in sorted({metamodel for metamodel, _ in sample.predicted}):
        predictions = sample.predictions(metamodel)
        for behavior, probabilities in predictions.items():
            table = sample.labels[behavior]
            values = positions(probabilities, table.space)
            yield Partition(
                reader="metamodel",
                metamodel=metamodel,
                behavior=behavior,
                reads_prompt=sample.reads_prompt[behavior],
                bins=quantile_bins(values, n_bins=n_bins),
                within=bins_within(values, sample.domains, n_bins=n_bins),
                reduction_bits=reduction_bits(table.counts, probabilities),
            )
        if len(predictions) > 1:
            features = np.sqrt(np.concatenate(list(predictions.values()), axis=1))
            yield Partition(
                reader="metamodel",
                metamodel=metamodel,
                bins=clustered_bins(features, n_bins=n_bins, seed=seed),
                within=clustered_within(features, sample.domains, n_bins=n_bins, seed=seed),
            )


def label_rows(sample: JudgedSample, settings: Settings, output_entropy: Influenced) -> list[LabelRow]:
    """Return how many bits of the whole output each label is, most first.

    Formula: I(Y; F) = H(F) for a label F that is a function of the output Y. H(F) is that of the mean over prompts of
    each prompt's labels.

    Args:
        sample: The prompts with labels.
        settings: Draws of the intervals.
        output_entropy: H(Y) of the same prompts.
    """
    rows = []
    for behavior, table in sample.labels.items():
        scored = LabelTable(space=table.space, codes=table.codes[:, : sample.n_scored])
        counts = scored.counts
        if not counts.sum():
            continue
        entropy = _label_entropy(counts)
        share = None
        if output_entropy.bits > 0:
            share = settings.figure(entropy, output_entropy, combine=lambda draws: draws[..., 0] / draws[..., 1])
        rows.append(
            LabelRow(
                behavior=behavior,
                reads_prompt=sample.reads_prompt[behavior],
                n_labeled=int(counts.sum()),
                entropy_bits=settings.figure(entropy),
                share=share,
            )
        )
    return sorted(rows, key=lambda row: -row.entropy_bits.value)


def output_entropy(cross: CrossScores) -> Influenced:
    """Return H(Y) for X uniform over the sampled prompts: the mean of -log2 p(y) over drawn outputs."""
    top = cross.scores.max(axis=1)
    logs = top + np.log(np.exp(cross.scores - top[:, None]).mean(axis=1))  # [m]
    values = -logs / _LN2
    bits = float(cross.weights @ values)
    # p(y) rises with the weight of whoever gives y: the derivative of -log2 p(y) is (1 - p(y given x) / p(y)) / ln 2.
    influence = cross.by_source(values) + cross.weights @ (1 - cross.ratios) / _LN2
    return Influenced(bits, influence - influence.mean())


def _label_entropy(counts: IntArray) -> Influenced:
    """Return H(F) over labeled prompts, with the influence of each prompt; an unlabeled one has none."""
    is_labeled = counts.sum(axis=1) > 0
    shares = empirical_distributions(counts)
    mean = shares.mean(axis=0)
    logs = -np.log2(mean, out=np.zeros_like(mean), where=mean > 0)
    bits = float(entropy_bits(mean))
    influence = np.zeros(len(counts))
    influence[is_labeled] = (shares @ logs - bits) * len(counts) / is_labeled.sum()
    return Influenced(bits, influence)


def _told_by_other_samples(sample: JudgedSample, table: LabelTable) -> FloatArray | None:
    """Return where each prompt's behavior lies, [n], NaN without a label; None where no label is left to tell it.

    Labels of scored outputs would give the output away, so they are left out; but under greedy decoding the label is a
    function of the prompt.
    """
    codes = table.codes if sample.is_greedy else table.codes[:, sample.n_scored :]
    counts = LabelTable(space=table.space, codes=codes).counts  # [n, c]
    is_labeled = counts.sum(axis=1) > 0
    if not is_labeled.any():
        return None
    values = np.full(len(counts), np.nan)
    values[is_labeled] = positions(empirical_distributions(counts), table.space)
    return values


def _partition_of_behavior(sample: JudgedSample, behavior: str, values: FloatArray, n_bins: int) -> Partition:
    """Bin a behavior; prompts without a label are a bin of their own."""
    is_missing = np.isnan(values)
    filled = np.where(is_missing, 0.0, values)
    bins, within = (np.where(is_missing, n_bins, 0) for _ in range(2))
    known = ~is_missing
    bins[known] = quantile_bins(filled[known], n_bins=n_bins)
    within[known] = bins_within(filled[known], sample.domains[known], n_bins=n_bins)
    return Partition(
        reader="behavior",
        behavior=behavior,
        reads_prompt=sample.reads_prompt[behavior],
        bins=compact(bins),
        within=within,
    )
