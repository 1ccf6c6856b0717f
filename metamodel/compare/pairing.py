"""The labels of one behavior in two runs, prompt by prompt: the same generations, or others.

Shapes: n = prompts labeled in both runs, c = outcomes of the behavior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from metamodel.information import empirical_distributions
from metamodel.labels import MISSING_CODE, LabelSpace
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

# same: the same generations with the same labels. relabeled: the same generations, labeled in another way.
# other: other generations, of another primary model, revision or sampling.
Relation: TypeAlias = Literal["same", "relabeled", "other"]

# Where two runs share fewer of their prompts' generations than this, their labels count as different.
_LEAST_SHARED: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class PairedLabels:
    """Labels of the prompts that both runs labeled.

    Attributes:
        relation: How the labels of the two runs are related.
        prompt_ids: The prompts, n of them.
        old_counts: How often each outcome was drawn in the old run, [n, c].
        new_counts: The same in the new run, [n, c]. Where the relation is "same", both hold the shared labels alone.
    """

    relation: Relation
    prompt_ids: pd.Index[str]
    old_counts: IntArray
    new_counts: IntArray

    def places(self, prompt_ids: pd.Index[str]) -> IntArray:
        """Return which row each prompt is, -1 for one that is not here."""
        return np.asarray(self.prompt_ids.get_indexer(prompt_ids), dtype=np.int64)


def pair_labels(old: pd.DataFrame, new: pd.DataFrame, space: LabelSpace) -> PairedLabels:
    """Bring the labels of two runs together.

    Two labels are of the same generation if their keys are equal: the same primary model and revision, prompt,
    sampling, seed and sample. A run with more samples a prompt than the other is compared on those that both have.

    Args:
        old: prompt_id, key and value of each label in the old run.
        new: The same of the new run.
        space: Label space of both.
    """
    import pandas as pd

    old, new = _labeled(old, space), _labeled(new, space)
    both = pd.Index(old["prompt_id"].unique())
    both = both[both.isin(new["prompt_id"])]
    merged = old.merge(new, on=["prompt_id", "key"], suffixes=("_old", "_new"))
    is_equal = (merged["code_old"] == merged["code_new"]).to_numpy()
    n_outcomes = len(space.outcomes)
    if not is_equal.all():
        relation: Relation = "relabeled"
    elif merged["prompt_id"].nunique() >= _LEAST_SHARED * max(len(both), 1):
        shared = pd.Index(merged["prompt_id"].unique())
        counts = _counts(shared, merged["prompt_id"], merged["code_old"], n_outcomes)
        return PairedLabels(relation="same", prompt_ids=shared, old_counts=counts, new_counts=counts)
    else:
        relation = "other"
    return PairedLabels(
        relation=relation,
        prompt_ids=both,
        old_counts=_counts(both, old["prompt_id"], old["code"], n_outcomes),
        new_counts=_counts(both, new["prompt_id"], new["code"], n_outcomes),
    )


@dataclass(frozen=True, kw_only=True)
class PairedRates:
    """What two sets of labels say of each prompt.

    Attributes:
        old_shares: Share of each outcome among a prompt's old labels, [n, c].
        new_shares: Share of each outcome among its new labels, [n, c].
    """

    old_shares: FloatArray
    new_shares: FloatArray

    @property
    def agreement(self) -> FloatArray:
        """How often an old and a new label of the prompt, drawn at random, are equal, [n]."""
        agreed: FloatArray = (self.old_shares * self.new_shares).sum(axis=1)
        return agreed

    @property
    def chance_agreement(self) -> float:
        """How often they would be if prompts were exchanged at random."""
        return float((self.old_shares.mean(axis=0) * self.new_shares.mean(axis=0)).sum())

    @property
    def distance(self) -> float:
        """Half the summed absolute differences of the mean shares: total variation, from 0 to 1."""
        return float(np.abs(self.old_shares.mean(axis=0) - self.new_shares.mean(axis=0)).sum() / 2)


def paired_rates(old_counts: IntArray, new_counts: IntArray) -> PairedRates:
    """Return the shares of outcomes of prompts labeled in both runs, [n, c] each."""
    return PairedRates(old_shares=empirical_distributions(old_counts), new_shares=empirical_distributions(new_counts))


def _labeled(labels: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    """Return the labels that are not missing, with their outcome codes, one a generation."""
    codes = space.encode(labels["value"].to_numpy(dtype=np.float64, na_value=np.nan))
    frame = labels.assign(code=codes)[["prompt_id", "key", "code"]]
    return frame[frame["code"] != MISSING_CODE].drop_duplicates(["prompt_id", "key"])


def _counts(prompts: pd.Index[str], owners: pd.Series[str], codes: pd.Series[int], n_outcomes: int) -> IntArray:
    import pandas as pd

    rows = prompts.get_indexer(pd.Index(owners))
    counts = np.zeros((len(prompts), n_outcomes), dtype=np.int64)
    is_there = rows >= 0
    np.add.at(counts, (rows[is_there], codes.to_numpy()[is_there]), 1)
    return counts
