"""Which prompts and outputs are scored against one another.

Shapes: n = prompts, k = samples a prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metamodel.errors import RunError
from metamodel.generations import iterate_generations
from metamodel.metric_rows import Split
from metamodel.splits import hashed_shares
from metamodel.types import FloatArray

if TYPE_CHECKING:
    from metamodel.config import RunConfig
    from metamodel.dataset import PrimaryDataset
    from metamodel.store.run_directory import RunDirectory

# By metamodel and behavior, then by prompt id.
PredictedByPrompt = dict[tuple[str, str], dict[str, FloatArray]]


@dataclass(frozen=True, kw_only=True)
class DrawnOutput:
    """One stored output.

    Attributes:
        row: Row of its prompt in the run's dataset.
        sample: Its index among the prompt's samples.
        token_ids: Its tokens: with the end token where the model ended it, without one where the limit cut it.
        logprobs: Natural log-probability of each token as stored when it was drawn; None where that was not stored.
    """

    row: int
    sample: int
    token_ids: tuple[int, ...]
    logprobs: FloatArray | None


def predicted_prompt_ids(run: RunDirectory, split: Split) -> set[str]:
    """Return the ids of the prompts that metamodels predicted on a kind of split."""
    import pyarrow.compute as pc

    found: set[str] = set()
    for part in run.iterate("predictions", columns=["split", "prompt_id"]):
        mine = part.filter(pc.equal(part["split"], split))
        found.update(pc.unique(mine["prompt_id"]).to_pylist())
    return found


def choose_split(run: RunDirectory, split: Split | None) -> Split | None:
    """Return the split whose predictions are taken: held-out domains where there are any; None without predictions.

    Raises:
        RunError: There are no predictions on the split that was asked for.
    """
    wanted: tuple[Split, ...] = (split,) if split else ("held_out_domain", "in_distribution")
    for one in wanted:
        if predicted_prompt_ids(run, one):
            return one
    if split:
        raise RunError(f"{run.path} has no predictions on the split {split}: run `metamodel evaluate` first")
    return None


def choose_prompts(dataset: PrimaryDataset, allowed: set[str] | None, *, n_prompts: int, seed: int) -> list[int]:
    """Return rows of prompts, as many of each domain as of any other while they last, no text twice.

    Args:
        dataset: Prompts to choose from.
        allowed: Only these ids; None allows all.
        n_prompts: Most prompts.
        seed: Together with the texts it fixes the choice.
    """
    texts, domains = dataset.prompts.texts, dataset.prompts.domains
    order = np.argsort(hashed_shares(texts, seed=seed, purpose="cross-scoring"), kind="stable")
    waiting: dict[str, list[int]] = {domain: [] for domain in sorted(set(domains))}
    seen: set[str] = set()
    for row in order.tolist():
        if (allowed is None or dataset.prompt_ids[row] in allowed) and texts[row] not in seen:
            seen.add(texts[row])
            waiting[domains[row]].append(row)
    ranked = [(place, domain, row) for domain, rows in waiting.items() for place, row in enumerate(rows)]
    return sorted(row for _, _, row in sorted(ranked)[:n_prompts])


def read_outputs(
    run: RunDirectory, config: RunConfig, dataset: PrimaryDataset, rows: Iterable[int], *, n_outputs: int
) -> dict[str, list[DrawnOutput]]:
    """Return the first outputs of the chosen prompts by primary model, in the order of the rows."""
    row_of = {dataset.prompt_ids[row]: row for row in rows}
    found: dict[str, list[DrawnOutput]] = {name: [] for name in config.primaries}
    for frame in iterate_generations(run, config):
        mine = frame[frame["prompt_id"].isin(row_of) & (frame["sample"] < n_outputs)]
        for one in mine.to_dict("records"):
            if one["token_ids"] is None or not len(one["token_ids"]):
                continue
            logprobs = one["logprobs"]
            output = DrawnOutput(
                row=row_of[one["prompt_id"]],
                sample=int(one["sample"]),
                token_ids=tuple(map(int, one["token_ids"])),
                logprobs=None if logprobs is None else np.asarray(logprobs, dtype=np.float64),
            )
            found[str(one["primary"])].append(output)
    return {name: sorted(outputs, key=lambda one: (one.row, one.sample)) for name, outputs in found.items()}


def read_predictions(
    run: RunDirectory, primary: str, split: Split, prompt_ids: Sequence[str], *, metamodels: Sequence[str]
) -> PredictedByPrompt:
    """Return what metamodels predicted of one primary model for some prompts.

    Args:
        run: The run.
        primary: Name of the primary model.
        split: Kind of split.
        prompt_ids: Which prompts.
        metamodels: Names of the metamodels; empty for all.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(list(prompt_ids))
    found: PredictedByPrompt = {}
    columns = ["metamodel", "behavior", "primary", "split", "prompt_id", "probabilities"]
    for part in run.iterate("predictions", columns=columns):
        keep = pc.and_(pc.equal(part["primary"], primary), pc.equal(part["split"], split))
        for one in part.filter(pc.and_(keep, pc.is_in(part["prompt_id"], value_set=wanted))).to_pylist():
            if not metamodels or one["metamodel"] in metamodels:
                place = (str(one["metamodel"]), str(one["behavior"]))
                found.setdefault(place, {})[str(one["prompt_id"])] = np.asarray(one["probabilities"], dtype=np.float64)
    return found


def metamodel_names(predicted: Iterable[Mapping[tuple[str, str], object]]) -> list[str]:
    """Return the names of all metamodels with predictions, sorted."""
    return sorted({metamodel for one in predicted for metamodel, _ in one})
