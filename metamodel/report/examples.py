"""Which prompts the report shows: the surest predictions and the greatest surprises of each behavior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metamodel.analysis.loops import find_loop
from metamodel.information import prompt_cross_entropies_bits
from metamodel.labels import LabelTable
from metamodel.report.inputs import PromptExample
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

N_SUREST = 4
N_SURPRISES = 4


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One metamodel's predictions of one behavior on m prompts.

    Attributes:
        metamodel: Who predicted.
        behavior: Name of the behavior.
        primary: Name of the primary model.
        prompt_ids: Ids of the prompts, m of them.
        labels: Their labels.
        probabilities: What was predicted, [m, c].
    """

    metamodel: str
    behavior: str
    primary: str
    prompt_ids: tuple[str, ...]
    labels: LabelTable
    probabilities: FloatArray


def pick_examples(judged: Judged, generations: pd.DataFrame) -> Iterator[PromptExample]:
    """Yield the prompts with the surest predictions, right or wrong, and those whose labels surprised the most.

    Args:
        judged: Predictions and labels.
        generations: The primary model's outputs, as `current_generations` gives them.
    """
    outcomes = judged.labels.space.outcomes
    by_prompt = generations.groupby("prompt_id", sort=False)
    for row in _interesting_rows(judged.labels.counts, judged.probabilities):
        drawn = by_prompt.get_group(judged.prompt_ids[row])
        codes = judged.labels.codes[row][: len(drawn)]
        output = str(drawn["text"].iloc[0])
        loop = find_loop(output)
        yield PromptExample(
            prompt=str(drawn["prompt"].iloc[0]),
            domain=str(drawn["domain"].iloc[0]),
            primary=judged.primary,
            behavior=judged.behavior,
            metamodel=judged.metamodel,
            probabilities=dict(zip(outcomes, judged.probabilities[row].tolist(), strict=True)),
            labels=[outcomes[code] if code >= 0 else None for code in codes],
            output=output,
            loop=(loop.onset, loop.period) if loop else None,
        )


def _interesting_rows(counts: IntArray, probabilities: FloatArray) -> list[int]:
    labeled = np.flatnonzero(counts.sum(axis=1) > 0)
    if len(labeled) == 0:
        return []
    surprise = prompt_cross_entropies_bits(counts[labeled], probabilities[labeled])
    surest = labeled[np.argsort(-probabilities[labeled, -1], kind="stable")][:N_SUREST]
    surprising = labeled[np.argsort(-surprise, kind="stable")][:N_SURPRISES]
    return list(dict.fromkeys([*surest.tolist(), *surprising.tolist()]))
