"""How much of a new primary model's behavior is known after a few labeled prompts of it.

The headline trainer is fitted on all but a few primary models; each of these is then added from some of its training
prompts, and judged beside the same trainer's adaptation to all of its training prompts.

Shapes: t = judged prompts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from quality_ours import HEADLINE, OURS, SEED, TrainerWay
from quality_scores import Judged, score
from quality_sets import RealSet, Split

from metamodel.labels import LabeledPrompts, task_name
from metamodel.protocols import Adapts, FitContext
from metamodel.types import FloatArray, IntArray

LEAST_MODELS = 8
N_NEW_MODELS = 5
N_DRAWS = 10
# Of the left-out domains so many are passed over for each that is measured.
EVERY = 4
SIZES = (20, 100)
BEHAVIOR = "correct"


def new_model_figures(real: RealSet) -> dict[str, Any]:
    """Return new_model_100_share and new_model_20_share; nothing for a set with few primary models."""
    way = OURS.get(HEADLINE)
    if len(real.models) < LEAST_MODELS or BEHAVIOR not in real.labels or not isinstance(way, TrainerWay):
        return {}
    new = tuple(real.models[:: len(real.models) // N_NEW_MODELS][:N_NEW_MODELS])
    known = tuple(model for model in real.models if model not in new)
    figures: dict[str, Any] = {"new_models": list(new)}
    by_kind: dict[str, dict[int | None, list[tuple[float, float]]]] = {"random": {}, "out": {}}
    for split in (*real.splits[:-1:EVERY], real.splits[-1]):
        fitted = way.fit(real.labeled(split.train, known), split)
        if not isinstance(fitted, Adapts):
            return {}
        found = by_kind["out" if split.is_shift else "random"]
        for model in new:
            for size in (*SIZES, None):
                found.setdefault(size, []).extend(_scores(real, split, fitted, model, size))
    for kind, found in by_kind.items():
        everything = np.array(found[None])
        for size in SIZES:
            few = np.array(found[size])
            figures |= {
                f"{kind}_new_model_{size}_bits": round(float(few[:, 1].mean()), 4),
                f"{kind}_new_model_{size}_auroc": round(float(few[:, 0].mean()), 4),
            }
            if kind == "random":
                figures[f"new_model_{size}_share"] = round(float(few[:, 1].mean() / everything[:, 1].mean()), 3)
        figures |= {
            f"{kind}_new_model_all_bits": round(float(everything[:, 1].mean()), 4),
            f"{kind}_new_model_all_auroc": round(float(everything[:, 0].mean()), 4),
        }
    print(figures)
    return figures


def _scores(real: RealSet, split: Split, fitted: Adapts, model: str, size: int | None) -> list[tuple[float, float]]:
    """Return AUROC and bits after adapting to `size` prompts, for several draws of them; to all of them, once."""
    column = real.models.index(model)
    labels = real.labels[BEHAVIOR][:, column]
    rows = split.train[~np.isnan(labels[split.train])]
    rng = np.random.default_rng([SEED, column])
    draws = [rng.choice(rows, size, replace=False) for _ in range(N_DRAWS)] if size is not None else [rows]
    return [_score(real, split, fitted, model, chosen) for chosen in draws]


def _score(real: RealSet, split: Split, fitted: Adapts, model: str, rows: IntArray) -> tuple[float, float]:
    task = task_name(model, BEHAVIOR)
    labeled = real.labeled(rows, (model,))
    mine = LabeledPrompts(texts=labeled.texts, domains=labeled.domains, labels={task: labeled.labels[task]})
    adapted = fitted.adapt(mine, context=FitContext(seed=SEED, expects_shift=split.is_shift))
    probabilities: FloatArray = adapted.predict([real.texts[row] for row in split.test])[task][:, 1]
    labels = real.labels[BEHAVIOR][split.test, real.models.index(model)]
    scores = score([Judged(name=split.name, labels=labels[:, None], probabilities=probabilities[:, None])], n_draws=1)
    return float(scores.auroc.values[0]), float(scores.bits.values[0])
