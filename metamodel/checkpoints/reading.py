"""Labels and predictions of all checkpoints, lined up prompt by prompt.

Predictions are those that `metamodel evaluate` stored: each was made by a fit that had not seen the prompt, or its
whole domain, so that any checkpoint's labels of the same prompt may judge it.

Shapes: m = judged prompts, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from metamodel.checkpoints.drift import Judged
from metamodel.checkpoints.lasting import Chain, ChainKey, Checkpoint
from metamodel.dataset import PrimaryDataset
from metamodel.errors import RunError
from metamodel.metric_rows import SPLITS, Split
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory

Place: TypeAlias = tuple[str, str, Split]  # metamodel, behavior, split


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What one metamodel predicted of one behavior on one split.

    Attributes:
        row_of: Row of each judged prompt in `probabilities`, by its id.
        probabilities: Outcome probabilities, [m, c].
    """

    row_of: Mapping[str, int]
    probabilities: FloatArray


@dataclass(frozen=True, kw_only=True)
class Member:
    """A checkpoint with its labels and with the predictions of the metamodels trained on them.

    Attributes:
        checkpoint: Which one.
        dataset: Its labeled prompts.
        predicted: Predictions by metamodel, behavior and split.
        base_rate: Name of the metamodel that is the base rate; None where the run has none.
    """

    checkpoint: Checkpoint
    dataset: PrimaryDataset
    predicted: Mapping[Place, Predicted]
    base_rate: str | None


def read_member(run: RunDirectory, config: RunConfig, dataset: PrimaryDataset, checkpoint: Checkpoint) -> Member:
    """Read a checkpoint's stored predictions.

    Raises:
        RunError: The run has none.
    """
    if checkpoint.primary not in run.shard_names("predictions"):
        raise RunError(f"{run.path} has no predictions for {checkpoint.primary}: run `metamodel evaluate` first")
    table = run.read("predictions", shard_names=[checkpoint.primary]).to_pandas()
    table = table[table["metamodel"].isin(list(config.metamodels))]
    predicted: dict[Place, Predicted] = {}
    for (metamodel, behavior, split), group in table.groupby(["metamodel", "behavior", "split"], sort=False):
        predicted[str(metamodel), str(behavior), split] = Predicted(
            row_of={prompt_id: row for row, prompt_id in enumerate(group["prompt_id"])},
            probabilities=np.stack(group["probabilities"].to_list()),
        )
    kinds = {name: spec["kind"] for name, spec in config.specs("metamodels").items()}
    base_rate = next((name for name, kind in kinds.items() if kind == "base_rate"), None)
    return Member(checkpoint=checkpoint, dataset=dataset, predicted=predicted, base_rate=base_rate)


def chains_of(members: Sequence[Member]) -> Iterator[Chain]:
    """Yield the chains of all series: checkpoints by rising tokens, on the prompts that all of them were judged on.

    A metamodel or behavior that a checkpoint lacks is left out for its series, as is a series of one checkpoint.
    """
    series: dict[str, list[Member]] = {}
    for member in sorted(members, key=lambda one: (one.checkpoint.parameters, one.checkpoint.tokens)):
        series.setdefault(member.checkpoint.series, []).append(member)
    for name, mine in series.items():
        if len(mine) < 2:  # noqa: PLR2004 - an earlier and a later one
            continue
        for split in SPLITS:
            for metamodel, behavior, other in mine[0].predicted:
                if other == split and all((metamodel, behavior, split) in one.predicted for one in mine):
                    key = ChainKey(series=name, metamodel=metamodel, behavior=behavior, split=split)
                    chain = _chain(key, mine)
                    if chain is not None:
                        yield chain


def _chain(key: ChainKey, members: Sequence[Member]) -> Chain | None:
    place: Place = (key.metamodel, key.behavior, key.split)
    spaces = {member.dataset.prompts.labels[key.behavior].space for member in members}
    ids = [
        prompt_id
        for prompt_id in members[0].predicted[place].row_of
        if all(prompt_id in member.predicted[place].row_of for member in members)
    ]
    if not ids or len(spaces) > 1:
        return None
    domain_of = dict(zip(members[0].dataset.prompt_ids, members[0].dataset.prompts.domains, strict=True))
    domains = np.array([domain_of[prompt_id] for prompt_id in ids])
    everything: list[IntArray] = [np.arange(len(ids))]
    apart: list[IntArray] = [np.flatnonzero(domains == domain) for domain in np.unique(domains)]
    return Chain(
        key=key,
        checkpoints=[member.checkpoint for member in members],
        judged=[_judged(member, key, ids) for member in members],
        strata=everything if key.split == "in_distribution" else apart,
    )


def _judged(member: Member, key: ChainKey, ids: Sequence[str]) -> Judged:
    row_of = {prompt_id: row for row, prompt_id in enumerate(member.dataset.prompt_ids)}
    rows = np.array([row_of[prompt_id] for prompt_id in ids], dtype=np.int64)
    base = None
    if member.base_rate is not None:
        base = member.predicted.get((member.base_rate, key.behavior, key.split))
    return Judged(
        counts=member.dataset.prompts.labels[key.behavior].counts[rows],
        probabilities=_taken(member.predicted[key.metamodel, key.behavior, key.split], ids),
        base_rates=None if base is None else _taken(base, ids),
    )


def _taken(predicted: Predicted, ids: Sequence[str]) -> FloatArray:
    rows = [predicted.row_of[prompt_id] for prompt_id in ids]
    taken: FloatArray = predicted.probabilities[rows]
    return taken
