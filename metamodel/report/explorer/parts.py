"""The sampled prompts of one primary model with all that is shown of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from metamodel.analysis.loops import find_loop
from metamodel.dataset import PrimaryDataset, iterate_generations
from metamodel.labels import MISSING_CODE
from metamodel.report.explorer.highlights import copied_spans
from metamodel.report.explorer.judged import PromptPredictions, StoredPredictions, best_predictions
from metamodel.report.explorer.names import ExplorerNames
from metamodel.report.explorer.occlusion import PromptKey, WordEffect
from metamodel.report.explorer.rows import ShownOutput, ShownPrompt
from metamodel.report.explorer.sampling import Sampled, sample_prompts

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory

_MOST_OUTPUTS: Final = 4
# A longer output is searched for loops and copies in its beginning, which is all that is shown.
_MOST_CHARACTERS: Final = 20_000


@dataclass(frozen=True, kw_only=True)
class SampledPart:
    """What is shown of one primary model.

    Attributes:
        dataset: Its labeled prompts.
        sampled: The prompts that are shown, those that matter most first.
        n_eligible: Prompts that were judged.
        by_column: Predictions of the sampled prompts, by behavior and metamodel.
    """

    dataset: PrimaryDataset
    sampled: Sequence[Sampled]
    n_eligible: int
    by_column: Mapping[tuple[str, str], PromptPredictions]

    @property
    def rows(self) -> list[int]:
        """Numbers of the sampled prompts."""
        return [one.row for one in self.sampled]


def sampled_part(
    run: RunDirectory, dataset: PrimaryDataset, names: ExplorerNames, *, most: int, seed: int
) -> SampledPart:
    """Sample a primary model's judged prompts and read what was predicted of them.

    Args:
        run: An evaluated run.
        dataset: The primary model's labeled prompts.
        names: Who is shown.
        most: Most prompts.
        seed: Fixes which prompts are random ones.
    """
    stored = StoredPredictions(run, dataset)
    n_prompts = len(dataset.prompt_ids)
    lost, is_judged = {}, np.zeros(n_prompts, dtype=bool)
    for behavior, predictions in best_predictions(stored, names.best_of(dataset.primary)):
        lost[behavior] = np.full(n_prompts, np.nan)
        lost[behavior][predictions.rows] = predictions.bits
        is_judged[predictions.rows] = True
    eligible = np.flatnonzero(is_judged)
    sampled = sample_prompts(dataset.prompts.domains, lost, eligible=eligible, most=most, seed=seed)
    rows = np.array([one.row for one in sampled], dtype=np.int64)
    found = {key: stored.of(key[1], key[0], rows) for key in names.columns}
    return SampledPart(
        dataset=dataset,
        sampled=sampled,
        n_eligible=len(eligible),
        by_column={key: predictions for key, predictions in found.items() if predictions is not None},
    )


def sampled_outputs(
    run: RunDirectory, config: RunConfig, parts: Sequence[SampledPart]
) -> dict[tuple[str, str], pd.DataFrame]:
    """Return sample, text and finish_reason of the sampled prompts' outputs, by primary model and prompt id."""
    import pandas as pd

    wanted = {part.dataset.prompt_ids[row] for part in parts for row in part.rows}
    columns = ["primary", "prompt_id", "sample", "text", "finish_reason"]
    kept = [piece.loc[piece["prompt_id"].isin(wanted), columns] for piece in iterate_generations(run, config)]
    frame = pd.concat(kept, ignore_index=True).sort_values(["primary", "prompt_id", "sample"], ignore_index=True)
    groups = frame.groupby(["primary", "prompt_id"], sort=False)
    return {(str(primary), str(prompt)): group for (primary, prompt), group in groups}


def shown_prompts(
    part: SampledPart,
    names: ExplorerNames,
    outputs: Mapping[tuple[str, str], pd.DataFrame],
    effects: Mapping[tuple[PromptKey, str], Sequence[WordEffect]],
) -> list[ShownPrompt]:
    """Return the sampled prompts of a primary model, ready to be written.

    Args:
        part: The prompts.
        names: What rows name by number.
        outputs: What `sampled_outputs` gave.
        effects: What words do, by prompt and behavior.
    """
    dataset = part.dataset
    places = {key: {row: at for at, row in enumerate(found.rows.tolist())} for key, found in part.by_column.items()}
    shown = []
    for one, mine in zip(part.sampled, _shown_outputs(part, outputs), strict=True):
        at = {key: rows[one.row] for key, rows in places.items() if one.row in rows}
        words = {place: effects.get(((dataset.primary, one.row), name)) for place, name in enumerate(names.behaviors)}
        shown.append(
            ShownPrompt(
                prompt_id=dataset.prompt_ids[one.row],
                primary=names.primaries.index(dataset.primary),
                domain=names.domains.index(dataset.prompts.domains[one.row]),
                split=min((int(part.by_column[key].splits[place]) for key, place in at.items()), default=0),
                surprised_by=names.behaviors.index(one.surprised_by) if one.surprised_by else None,
                text=dataset.prompts.texts[one.row],
                outputs=mine[:_MOST_OUTPUTS],
                n_outputs=len(mine),
                predictions=[
                    part.by_column[key].probabilities[at[key]].tolist() if key in at else None for key in names.columns
                ],
                bits=[float(part.by_column[key].bits[at[key]]) if key in at else None for key in names.columns],
                counts=[table.counts[one.row].tolist() for table in dataset.prompts.labels.values()],
                words={place: found for place, found in words.items() if found is not None},
            )
        )
    return shown


def _shown_outputs(part: SampledPart, outputs: Mapping[tuple[str, str], pd.DataFrame]) -> list[list[ShownOutput]]:
    """Return the outputs of each sampled prompt, with copies from the prompt and loops."""
    dataset = part.dataset
    groups = [outputs.get((dataset.primary, dataset.prompt_ids[row])) for row in part.rows]
    texts = [
        [] if group is None else [_text(text)[:_MOST_CHARACTERS] for text in group["text"].to_list()]
        for group in groups
    ]
    prompts = [dataset.prompts.texts[row] for row, mine in zip(part.rows, texts, strict=True) for _ in mine]
    copied = iter(copied_spans([text for mine in texts for text in mine], prompts))
    found = []
    for row, group, mine in zip(part.rows, groups, texts, strict=True):
        samples = [] if group is None else group["sample"].to_list()
        reasons = [] if group is None else group["finish_reason"].to_list()
        found.append(
            [
                ShownOutput(
                    text=text,
                    finish_reason=_text(reason),
                    copied=next(copied),
                    loop=find_loop(text),
                    codes=_codes(dataset, row, int(sample)),
                )
                for text, reason, sample in zip(mine, reasons, samples, strict=True)
            ]
        )
    return found


def _codes(dataset: PrimaryDataset, row: int, sample: int) -> list[int]:
    """Return the outcome of each behavior of one generation."""
    tables = dataset.prompts.labels.values()
    return [int(table.codes[row, sample]) if sample < table.codes.shape[1] else MISSING_CODE for table in tables]


def _text(value: object) -> str:
    """Return a text, empty where the source does not tell."""
    return value if isinstance(value, str) else ""
