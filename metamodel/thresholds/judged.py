"""From a run's predictions and labels to scores and losses: what each prompt was given, and what it cost.

Shapes: n = judged prompts with a label, k = samples a prompt, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from metamodel.dataset import ALL_PRIMARIES, PrimaryDataset
from metamodel.errors import ConfigError, RunError, UnknownNameError, nearest_name_hint
from metamodel.labels import Binary, LabelTable, task_name, task_parts
from metamodel.metric_rows import Split
from metamodel.thresholds.choice import Request
from metamodel.train import Fit, fits_named
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.store.run_directory import RunDirectory

DEFAULT_FAILURE = "yes"


@dataclass(frozen=True, kw_only=True)
class JudgedPrompts:
    """Prompts that a metamodel was judged on.

    Attributes:
        rows: Their row numbers in the dataset, [n].
        scores: Predicted probability of failure, [n].
        losses: Share of the samples that fail, [n].
        domains: Domain of each, n of them.
        n_samples: Most labels of one prompt.
        n_unlabeled: Prompts without a label, left out.
    """

    rows: IntArray
    scores: FloatArray
    losses: FloatArray
    domains: tuple[str, ...]
    n_samples: int
    n_unlabeled: int


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whose failure of what is screened for, and by which fit.

    Attributes:
        fit: The fit that is deployed; its fold says which prompts judge it.
        dataset: The primary model's labeled prompts.
        behavior: Name of the behavior.
        task: The behavior as the metamodel names it.
        failing: Codes of the outcomes that count as failure.
    """

    fit: Fit
    dataset: PrimaryDataset
    behavior: str
    task: str
    failing: tuple[int, ...]

    @property
    def labels(self) -> LabelTable:
        """Labels of the behavior."""
        return self.dataset.prompts.labels[self.behavior]

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the outcomes that count as failure."""
        return tuple(self.labels.space.outcomes[code] for code in self.failing)


def find_target(
    metamodel: str, request: Request, *, fits: Sequence[Fit], datasets: Mapping[str, PrimaryDataset]
) -> Target:
    """Return what a request speaks of.

    Args:
        metamodel: A name in the config, which means its fit on the in_distribution fold; or the name of a fit's folder.
        request: Names the behavior, the primary model and the failures.
        fits: All of the run.
        datasets: Labeled prompts by primary model.

    Raises:
        UnknownNameError: The run has no such metamodel, behavior, primary model or outcome.
        ConfigError: The request leaves open which of several is meant.
    """
    named, behavior = task_parts(request.behavior)
    if named and request.primary not in {"", named}:
        problem = f"behavior is {request.behavior}, primary is {request.primary}: they name two primary models"
        raise ConfigError([problem], source="threshold")
    wanted = named or request.primary
    candidates = fits_named(fits, metamodel)
    across = candidates[0].dataset.primary == ALL_PRIMARIES
    known = list(datasets) if across else [fit.dataset.primary for fit in candidates]
    if not wanted and len(known) > 1:
        problem = f"primary is missing: choose one of {', '.join(known)}"
        raise ConfigError([problem], source="threshold")
    primary = wanted or known[0]
    _check_known("primary model", primary, known)
    _check_known("behavior", behavior, datasets[primary].prompts.labels)
    table = datasets[primary].prompts.labels[behavior]
    return Target(
        fit=next(fit for fit in candidates if fit.dataset.primary in {primary, ALL_PRIMARIES}),
        dataset=datasets[primary],
        behavior=behavior,
        task=task_name(primary, behavior) if across else behavior,
        failing=_failing(behavior, table, request.failures),
    )


def read_predictions(run: RunDirectory, primary: str, behavior: str) -> pd.DataFrame:
    """Return what all metamodels of a run predicted of one behavior of one primary model.

    Raises:
        RunError: The run has not been evaluated.
    """
    table = run.read("predictions", shard_names=[primary]).to_pandas()
    mine: pd.DataFrame = table[(table["behavior"] == behavior) & (table["primary"] == primary)]
    if mine.empty:
        raise RunError(f"{run.path} has no predictions of {behavior} of {primary}: run `metamodel evaluate` first")
    return mine


def judged_prompts(predictions: pd.DataFrame, target: Target, *, metamodel: str, split: Split) -> JudgedPrompts:
    """Return the scores and losses of the prompts of a split that a metamodel's fits were judged on.

    Args:
        predictions: Of the target's primary model and behavior.
        target: Whose failure.
        metamodel: Name of the metamodel in the config.
        split: Which kind of fold.
    """
    import pandas as pd

    mine = predictions[(predictions["metamodel"] == metamodel) & (predictions["split"] == split)]
    rows = pd.Index(target.dataset.prompt_ids).get_indexer(pd.Index(mine["prompt_id"]))
    probabilities = np.array(mine["probabilities"].to_list(), dtype=np.float64).reshape(len(mine), -1)
    n_outcomes = len(target.labels.space.outcomes)
    if (rows < 0).any() or (len(mine) and probabilities.shape[1] != n_outcomes):
        raise RunError("predictions do not fit the labels: run `metamodel evaluate` again")
    if len(mine) and not np.isfinite(probabilities).all():
        raise RunError(f"{metamodel} predicted what is no number: run `metamodel train` and `metamodel evaluate` again")
    counts = target.labels.counts[rows]
    labeled = counts.sum(axis=1) > 0
    failing = list(target.failing)
    counts, scores = counts[labeled], np.clip(probabilities[:, failing].sum(axis=1), 0, 1)[labeled]
    n_labels = counts.sum(axis=1)
    rows = rows[labeled].astype(np.int64)
    return JudgedPrompts(
        rows=rows,
        scores=scores,
        losses=counts[:, failing].sum(axis=1) / n_labels,
        domains=tuple(target.dataset.prompts.domains[row] for row in rows),
        n_samples=int(n_labels.max(initial=0)),
        n_unlabeled=int((~labeled).sum()),
    )


def losses_of(table: LabelTable, failing: Sequence[int], rows: IntArray) -> FloatArray:
    """Return the share of each prompt's samples that fail, NaN without a label, [n]."""
    counts = table.counts[rows]
    with np.errstate(invalid="ignore"):
        losses: FloatArray = counts[:, list(failing)].sum(axis=1) / counts.sum(axis=1)
    return losses


def _failing(behavior: str, table: LabelTable, failures: Sequence[str]) -> tuple[int, ...]:
    outcomes = table.space.outcomes
    if not failures and not isinstance(table.space, Binary):
        problem = f"failure is missing: {behavior} is not binary, say which outcomes count: {', '.join(outcomes)}"
        raise ConfigError([problem], source="threshold")
    wanted = list(dict.fromkeys(failures)) or [DEFAULT_FAILURE]
    for outcome in wanted:
        _check_known(f"outcome of {behavior}", outcome, outcomes)
    if len(wanted) == len(outcomes):
        raise ConfigError([f"failure names every outcome of {behavior}: leave out what is fine"], source="threshold")
    return tuple(outcomes.index(outcome) for outcome in wanted)


def _check_known(what: str, name: str, known: Mapping[str, object] | Sequence[str]) -> None:
    if name not in known:
        raise UnknownNameError(f"the run has no {what} named {name!r}: {nearest_name_hint(name, known)}")
