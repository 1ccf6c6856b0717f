"""Stage evaluate: every metamodel judged on the prompts that its fold left out.

Shapes: m = judged prompts, c = outcomes of a behavior.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from metamodel.cards.stage import write_cards
from metamodel.comparisons import PairedDifference, comparisons_to_json
from metamodel.dataset import ALL_PRIMARIES, PrimaryDataset, read_datasets
from metamodel.errors import DataError
from metamodel.feature_cache import stored_under
from metamodel.labels import task_name
from metamodel.metamodels import load_metamodel
from metamodel.metric_rows import MetricsRow, Split, rows_to_json
from metamodel.prior_shift import PRIOR_SHIFT_SUFFIX, prior_shift_corrected, training_prior
from metamodel.scoring import PrimaryScorer
from metamodel.store.schemas import schema_of
from metamodel.train import Fit, planned_fits
from metamodel.types import IntArray, Predictions

if TYPE_CHECKING:
    import pyarrow as pa

    from metamodel.config import RunConfig
    from metamodel.store.run_directory import RunDirectory


@dataclass(frozen=True, kw_only=True)
class JudgedPrompts:
    """What one metamodel predicted on one kind of split, all folds of it together.

    Attributes:
        metamodel: Name of the trainer in the config.
        split: Which kind of fold.
        rows: Row numbers of the judged prompts in the dataset, [m].
        predictions: Outcome probabilities of every behavior, [m, c] each.
    """

    metamodel: str
    split: Split
    rows: IntArray
    predictions: Predictions


def evaluate(
    run: RunDirectory, config: RunConfig, *, on_progress: Callable[[str, int, int], None] | None = None
) -> list[MetricsRow]:
    """Predict with every saved metamodel, score the predictions, write predictions/, cards and both JSON files.

    Raises:
        RunError: A metamodel of the config has not been trained.
    """
    datasets = read_datasets(run, config)
    fits = list(planned_fits(datasets, config))
    n_steps = len(datasets) + sum(len(datasets) if fit.dataset.primary == ALL_PRIMARIES else 1 for fit in fits)
    across: dict[str, Predictions] = {}  # of what was fitted on all primary models: predicted once
    rows: list[MetricsRow] = []
    comparisons: list[PairedDifference] = []
    step = 0
    run.clear("predictions")
    for primary, dataset in datasets.items():
        judged: list[JudgedPrompts] = []
        for metamodel in config.metamodels:
            mine = [f for f in fits if f.metamodel == metamodel and f.dataset.primary in (primary, ALL_PRIMARIES)]
            for split, group in groupby(mine, key=lambda fit: fit.fold.split):
                same_kind = list(group)
                if on_progress:
                    on_progress(f"{metamodel} predicts {primary}, {split}", step, n_steps)
                predicted = across if same_kind[0].dataset.primary == ALL_PRIMARIES else {}
                judged.append(_judge(run, same_kind, dataset, predicted))
                judged += [_prior_shifted(judged[-1], same_kind, dataset)] if config.evaluation.prior_shift else []
                step += len(same_kind)
        run.write_shard("predictions", _prediction_table(dataset, judged), name=primary)
        if on_progress:
            on_progress(f"scores of {primary}", step, n_steps)
        scorer = PrimaryScorer(dataset=dataset, config=config)
        rows += [row for one in judged for row in scorer.rows(one.metamodel, one.split, one.rows, one.predictions)]
        for split in dict.fromkeys(one.split for one in judged):
            same_split = [one for one in judged if one.split == split]
            predictions = {one.metamodel: one.predictions for one in same_split}
            comparisons += scorer.comparisons(split, same_split[0].rows, predictions)
        step += 1
    run.write_text("comparisons.json", comparisons_to_json(comparisons))
    run.write_text("metrics.json", rows_to_json(rows))
    write_cards(run, config, fits, rows)
    if on_progress:
        on_progress("done", n_steps, n_steps)
    return rows


def _judge(
    run: RunDirectory, fits: Sequence[Fit], dataset: PrimaryDataset, predicted: dict[str, Predictions]
) -> JudgedPrompts:
    """Let the folds' metamodels predict the prompts that they were not fitted on, or take what they predicted before.

    Args:
        run: Where they are saved.
        fits: One metamodel's fits, on all folds of one kind.
        dataset: The primary model that is judged.
        predicted: Predictions by the name of the fit; new ones are added.
    """
    parts: list[Predictions] = []
    for fit in fits:
        if fit.name not in predicted:
            judged = fit.dataset.prompts.take(fit.fold.test)
            fitted = load_metamodel(run.metamodel_folder(fit.name))
            with stored_under(run.feature_folder):
                predicted[fit.name] = fitted.predict(judged.texts, domains=judged.domains)
        is_across = fit.dataset.primary == ALL_PRIMARIES
        wanted = {name: task_name(dataset.primary, name) if is_across else name for name in dataset.prompts.labels}
        missing = [task for task in wanted.values() if task not in predicted[fit.name]]
        if missing:
            raise DataError(
                f"metamodel {fit.name} does not predict {', '.join(missing)}: run `metamodel train` with this config"
            )
        parts.append({name: predicted[fit.name][task] for name, task in wanted.items()})
    return JudgedPrompts(
        metamodel=fits[0].metamodel,
        split=fits[0].fold.split,
        rows=np.concatenate([fit.fold.test for fit in fits]),
        predictions={name: np.concatenate([part[name] for part in parts]) for name in dataset.prompts.labels},
    )


def _prior_shifted(judged: JudgedPrompts, fits: Sequence[Fit], dataset: PrimaryDataset) -> JudgedPrompts:
    """Correct what was predicted to the outcome rates that each fold's judged prompts suggest, without their labels.

    Args:
        judged: What one metamodel predicted on all folds of one kind.
        fits: Its fits on these folds, in the same order.
        dataset: The primary model that is judged.
    """
    ends = np.cumsum([len(fit.fold.test) for fit in fits])[:-1]
    predictions = {}
    for name, table in dataset.prompts.labels.items():
        parts = []
        for fit, values in zip(fits, np.split(judged.predictions[name], ends), strict=True):
            known = table.take(np.concatenate([fit.fold.train, fit.fold.validation]))
            parts.append(prior_shift_corrected(values, training_prior(known.counts)))
        predictions[name] = np.concatenate(parts)
    return replace(judged, metamodel=f"{judged.metamodel}{PRIOR_SHIFT_SUFFIX}", predictions=predictions)


def _prediction_table(dataset: PrimaryDataset, judged: Sequence[JudgedPrompts]) -> pa.Table:
    import pyarrow as pa

    tables = []
    for one in judged:
        domains = [dataset.prompts.domains[row] for row in one.rows]
        prompt_ids = [dataset.prompt_ids[row] for row in one.rows]
        for behavior, probabilities in one.predictions.items():
            columns = {
                "metamodel": [one.metamodel] * len(one.rows),
                "behavior": [behavior] * len(one.rows),
                "primary": [dataset.primary] * len(one.rows),
                "split": [one.split] * len(one.rows),
                "domain": domains,
                "prompt_id": prompt_ids,
                "probabilities": list(probabilities),
            }
            tables.append(pa.table(columns, schema=schema_of("predictions")))
    return pa.concat_tables(tables)
