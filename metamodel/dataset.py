"""Read a run's tables back as what stages work on: generations to label, labels to train on.

Shapes: n = prompts, k = samples a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metamodel.errors import RunError
from metamodel.generations import iterate_generations
from metamodel.labels import MISSING_CODE, LabeledPrompts, LabelSpace, LabelTable, label_space_from_dict, task_name
from metamodel.store.run_directory import RunDirectory

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.config import RunConfig

# In the names of metamodels that were fitted on several primary models at once; no primary model's begins with a dot.
ALL_PRIMARIES = ".all"

__all__ = [
    "ALL_PRIMARIES",
    "PrimaryDataset",
    "current_generations",
    "iterate_generations",
    "joined_dataset",
    "label_spaces",
    "read_datasets",
    "read_prompts",
]


@dataclass(frozen=True, kw_only=True)
class PrimaryDataset:
    """All prompts of a run with one primary model's labels.

    Attributes:
        primary: Name of the primary model.
        prompt_ids: One id a prompt, n of them, in the order of `prompts`.
        prompts: Texts, domains and labels.
    """

    primary: str
    prompt_ids: tuple[str, ...]
    prompts: LabeledPrompts


def read_prompts(run: RunDirectory) -> pd.DataFrame:
    """Return the run's prompts, one row each, in the order they were drawn.

    Raises:
        RunError: No prompt has been stored yet.
    """
    prompts: pd.DataFrame = run.read("prompts").to_pandas()
    if prompts.empty:
        raise RunError(f"{run.path} has no prompts: run `metamodel collect` first")
    return prompts.drop_duplicates("prompt_id", ignore_index=True)


def current_generations(run: RunDirectory, config: RunConfig) -> pd.DataFrame:
    """Return the generations that the config asks for, joined with their prompts, all at once.

    `iterate_generations` gives them piece by piece, in another order.

    Returns:
        A frame sorted by primary model, prompt and sample, with the columns of `generations` and the prompt's: `prompt`
        (its text), `domain`, `references`, `choices`, `attributes`, `origin_id`, `variant`.

    Raises:
        RunError: Nothing was collected for one of the config's primary models.
    """
    import pandas as pd

    joined = pd.concat(list(iterate_generations(run, config)), ignore_index=True)
    order = pd.Categorical(joined["primary"], categories=list(config.primaries))
    return (
        joined.assign(_order=order)
        .sort_values(["_order", "prompt_id", "sample"], ignore_index=True)
        .drop(columns="_order")
    )


def label_spaces(run: RunDirectory, config: RunConfig) -> dict[str, LabelSpace]:
    """Return the label space of each of the config's behaviors, as stored with the labels.

    Raises:
        RunError: A behavior has no labels yet.
    """
    facts = run.facts.get("behaviors")
    stored = facts if isinstance(facts, dict) else {}
    missing = [name for name in config.behaviors if name not in stored]
    if missing:
        raise RunError(f"{run.path} has no labels of {', '.join(missing)}: run `metamodel featurize` first")
    return {name: label_space_from_dict(stored[name]["space"]) for name in config.behaviors}


def read_datasets(run: RunDirectory, config: RunConfig) -> dict[str, PrimaryDataset]:
    """Return the labeled prompts of every primary model of the config, by its name."""
    spaces = label_spaces(run, config)
    prompts = read_prompts(run)
    # Changed versions only define labels of their origin: to train on one and judge on the other would leak.
    prompts = prompts[prompts["origin_id"].isna()].reset_index(drop=True)
    labels = run.read("labels", shard_names=list(spaces)).to_pandas()
    return {
        primary: _primary_dataset(primary, prompts, labels[labels["primary"] == primary], spaces)
        for primary in config.primaries
    }


def joined_dataset(datasets: Mapping[str, PrimaryDataset]) -> PrimaryDataset:
    """Return the prompts with the labels of all primary models, each behavior under its `task_name`."""
    prompt_ids = {dataset.prompt_ids for dataset in datasets.values()}
    if len(prompt_ids) != 1:
        raise ValueError("the primary models' datasets must hold the same prompts in the same order")
    first = next(iter(datasets.values()))
    labels = {
        task_name(primary, behavior): table
        for primary, dataset in datasets.items()
        for behavior, table in dataset.prompts.labels.items()
    }
    prompts = LabeledPrompts(texts=first.prompts.texts, domains=first.prompts.domains, labels=labels)
    return PrimaryDataset(primary=ALL_PRIMARIES, prompt_ids=first.prompt_ids, prompts=prompts)


def _primary_dataset(
    primary: str, prompts: pd.DataFrame, labels: pd.DataFrame, spaces: Mapping[str, LabelSpace]
) -> PrimaryDataset:
    import pandas as pd

    row_of = pd.Index(prompts["prompt_id"])
    tables = {}
    for name, space in spaces.items():
        mine = labels[(labels["behavior"] == name) & labels["prompt_id"].isin(row_of)]
        n_samples = int(mine["sample"].max()) + 1 if len(mine) else 1
        codes = np.full((len(prompts), n_samples), MISSING_CODE, dtype=np.int64)
        values = mine["value"].to_numpy(dtype=np.float64, na_value=np.nan)
        codes[row_of.get_indexer(mine["prompt_id"]), mine["sample"].to_numpy()] = space.encode(values)
        tables[name] = LabelTable(space=space, codes=codes)
    return PrimaryDataset(
        primary=primary,
        prompt_ids=tuple(prompts["prompt_id"]),
        prompts=LabeledPrompts(texts=tuple(prompts["text"]), domains=tuple(prompts["domain"]), labels=tables),
    )
