"""Which behaviors move when a primary model's weights do, and which metamodels' predictions stop holding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from metamodel.config import build_config
from metamodel.errors import RunError
from metamodel.perturbations.labels import PromptMeans
from metamodel.perturbations.lineage import derived_models
from metamodel.perturbations.predictions import StoredPredictions
from metamodel.perturbations.rows import BehaviorChange, Moved, PredictionChange
from metamodel.scaling.adjusting import Adjustment, adjusted

if TYPE_CHECKING:
    from metamodel.store.run_directory import RunDirectory

OnProgress: TypeAlias = Callable[[str, int, int], None]


def moved(
    run: RunDirectory, *, adjust: Adjustment = "holm", alpha: float = 0.05, on_progress: OnProgress | None = None
) -> Moved:
    """Compare every perturbed primary model of a run with its original, on the same prompts.

    Raises:
        RunError: The run has no perturbed model, lacks an original, or has no labels.
    """
    config = build_config(run.config, source=f"{run.path}/run.json")
    derived = derived_models(config)
    labels = PromptMeans(run, config)
    predicted = StoredPredictions(run, config) if run.shard_names("predictions") else None
    behaviors: list[BehaviorChange] = []
    predictions: list[PredictionChange] = []
    for position, one in enumerate(derived):
        if on_progress:
            on_progress(one.name, position, len(derived))
        behaviors += labels.changes(one)
        if predicted is not None:
            predictions += predicted.changes(one)
    if on_progress:
        on_progress("done", len(derived), len(derived))
    if not behaviors:
        raise RunError(f"{run.path}: no prompt has a label of a perturbed model and its original: nothing to compare")
    notes = [] if predicted is not None else ["no predictions are stored: run `metamodel train` and `evaluate` first"]
    return Moved(
        derived=tuple(derived),
        behaviors=tuple(_judged_behaviors(behaviors, adjust=adjust, alpha=alpha)),
        predictions=tuple(_judged_predictions(predictions, adjust=adjust, alpha=alpha)),
        adjust=adjust,
        alpha=alpha,
        notes=(*notes, *labels.notes()),
    )


def _judged_behaviors(rows: Sequence[BehaviorChange], *, adjust: Adjustment, alpha: float) -> Iterator[BehaviorChange]:
    """Yield the rows with adjusted p: those of all prompts are one family, those of domains another."""
    held = _adjusted_within({id(row): (row.domain is None, row.p) for row in rows}, adjust)
    for row in rows:
        p = held[id(row)]
        yield replace(row, p_adjusted=p, moves=p <= alpha)


def _judged_predictions(
    rows: Sequence[PredictionChange], *, adjust: Adjustment, alpha: float
) -> Iterator[PredictionChange]:
    held = _adjusted_within({id(row): (row.split, row.p) for row in rows}, adjust)
    for row in rows:
        p = held[id(row)]
        verdict = row.verdict
        if p <= alpha and verdict == "no change shown":
            verdict = "stronger" if row.change_bits > 0 else "weaker" if row.derived_low_bits > 0 else "lost"
        yield replace(row, p_adjusted=p, verdict=verdict)


def _adjusted_within(tests: Mapping[int, tuple[object, float]], adjust: Adjustment) -> dict[int, float]:
    held: dict[int, float] = {}
    for family in dict.fromkeys(family for family, _ in tests.values()):
        keys = [key for key, (mine, _) in tests.items() if mine == family]
        values = adjusted(np.array([tests[key][1] for key in keys]), adjust)
        held |= dict(zip(keys, values.tolist(), strict=True))
    return held
