"""Which prompts of a slice to show, and their texts.

Shapes: m = prompts of a slice in the half kept aside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from metamodel.discovery.found import Example
from metamodel.discovery.residuals import Cell
from metamodel.errors import RunError
from metamodel.generations import iterate_generations
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.dataset import PrimaryDataset
    from metamodel.store.run_directory import RunDirectory

N_SURPRISING: Final = 3
N_TYPICAL: Final = 2
SHOWN_CHARACTERS: Final = 600


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A prompt to show.

    Attributes:
        why: What it shows.
        row: Its row number in the run.
        outcome: Code of the outcome to show: of those drawn, the least expected.
        prediction: Probability that was given to it.
        residual: What is left of the measure.
    """

    why: Literal["surprising", "typical"]
    row: int
    outcome: int
    prediction: float
    residual: float


def pick_examples(cell: Cell, places: IntArray, residuals: FloatArray, *, sign: int) -> list[Pick]:
    """Return the prompts where the residual stands out most in its direction, then those nearest to the mean.

    Args:
        cell: Labels and predictions.
        places: The slice's prompts in the cell, [m].
        residuals: What is left of the measure, [m].
        sign: Direction of the finding.
    """
    # Equal residuals are told apart by where the prompt stands in the run, so that the same run shows the same prompts.
    extreme = np.lexsort((places, -sign * residuals))[:N_SURPRISING]
    near = np.lexsort((places, np.abs(residuals - residuals.mean())))
    typical = [place for place in near.tolist() if place not in set(extreme.tolist())][:N_TYPICAL]
    kinds: list[tuple[Literal["surprising", "typical"], int]] = [("surprising", int(place)) for place in extreme]
    kinds += [("typical", place) for place in typical]
    picks = []
    for why, number in kinds:
        place = places[number]
        drawn = np.flatnonzero(cell.counts[place])
        outcome = int(drawn[np.argmin(cell.probabilities[place][drawn])])
        picks.append(
            Pick(
                why=why,
                row=int(cell.rows[place]),
                outcome=outcome,
                prediction=float(cell.probabilities[place][outcome]),
                residual=float(residuals[number]),
            )
        )
    return picks


def read_examples(
    run: RunDirectory, config: RunConfig, datasets: Mapping[str, PrimaryDataset], wanted: Sequence[Wanted]
) -> list[list[Example]]:
    """Return the examples of each finding with prompts and outputs.

    Args:
        run: A collected run; one whose outputs are gone gives None for each.
        config: Its config.
        datasets: Prompts and labels by primary model.
        wanted: What to show of each finding.
    """
    outputs = _outputs(run, config, datasets, wanted)
    found = []
    for one in wanted:
        prompts = datasets[one.primary].prompts
        table = prompts.labels[one.behavior]
        examples = []
        for pick in one.picks:
            prompt_id = datasets[one.primary].prompt_ids[pick.row]
            sample = int(np.flatnonzero(table.codes[pick.row] == pick.outcome)[0])
            output = outputs.get((one.primary, prompt_id, sample))
            examples.append(
                Example(
                    why=pick.why,
                    prompt_id=prompt_id,
                    domain=prompts.domains[pick.row],
                    prompt=_cut(prompts.texts[pick.row]),
                    output=None if output is None else _cut(output),
                    label=table.space.outcomes[pick.outcome],
                    prediction=pick.prediction,
                    residual=pick.residual,
                )
            )
        found.append(examples)
    return found


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to show of one finding."""

    primary: str
    behavior: str
    picks: Sequence[Pick]


def _outputs(
    run: RunDirectory, config: RunConfig, datasets: Mapping[str, PrimaryDataset], wanted: Sequence[Wanted]
) -> dict[tuple[str, str, int], str]:
    ids = {datasets[one.primary].prompt_ids[pick.row] for one in wanted for pick in one.picks}
    if not ids:
        return {}
    found: dict[tuple[str, str, int], str] = {}
    try:
        for piece in iterate_generations(run, config):
            mine = piece[piece["prompt_id"].isin(ids) & piece["text"].notna() & piece["origin_id"].isna()]
            keys = zip(mine["primary"], mine["prompt_id"], mine["sample"].astype(int), strict=True)
            found |= dict(zip(keys, mine["text"].astype(str), strict=True))
    except RunError:
        # A run may come without its outputs: they are shown beside the figures, which do not need them.
        return {}
    return found


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
