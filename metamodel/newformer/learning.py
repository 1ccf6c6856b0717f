"""What labels of the new primary model are worth: learning curves, on known and on left-out domains.

Every way is judged on the prompts that the fold left out, on which nothing was fitted. Labels are drawn from the fold's
training prompts; a known metamodel was fitted on those with its own primary model's labels, so to bend it labels are
drawn from the fold's validation prompts. Smaller draws are parts of larger ones.

Shapes: n = prompts, m = judged prompts, c = outcomes, r = draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from metamodel.errors import DataError
from metamodel.labels import LabeledPrompts, task_name, task_parts
from metamodel.metamodels import load_metamodel
from metamodel.newformer.recalibration import fit_recalibration
from metamodel.newformer.results import Way
from metamodel.protocols import Adapts, FitContext, Metamodel, Trainer
from metamodel.splits import Fold
from metamodel.types import FloatArray, IntArray, Predictions

if TYPE_CHECKING:
    from metamodel.transfer.opening import Source

# A trainer needs some of its labels to stop and to calibrate.
_VALIDATION_SHARE: Final = 0.2
_FLOOR: Final = 1e-9
# Predictions of each draw for the judged prompts of one fold, [m, c] a behavior.
Drawn: TypeAlias = list[Predictions]


@dataclass(frozen=True, kw_only=True, eq=False)
class Knowledge:
    """What the known runs can say of the new run's prompts, from the fits of one fold.

    Attributes:
        logs: Natural logarithms of each known metamodel's probabilities for all prompts of the fold's validation and
            test, by its primary model, [n, c] a behavior.
        adaptable: Metamodels that can be adapted, with the behaviors they know.
    """

    logs: Mapping[str, Mapping[str, FloatArray]] = field(default_factory=dict)
    adaptable: Sequence[Adapts] = ()


def known_fits(sources: Sequence[Source], fold: Fold, prompts: LabeledPrompts) -> Knowledge:
    """Let the known fits of a fold predict its validation and test prompts, which they were not fitted on.

    Args:
        sources: Metamodels of runs that divided the same prompts in the same way.
        fold: The fold.
        prompts: All prompts.
    """
    rows = np.concatenate([fold.validation, fold.test])
    texts, domains = [prompts.texts[row] for row in rows], [prompts.domains[row] for row in rows]
    logs: dict[str, dict[str, FloatArray]] = {}
    predicted: dict[str, Predictions] = {}
    adaptable: dict[str, Adapts] = {}
    for source in sources:
        name = source.opened.fit_name(source.metamodel, source.primary, fold)
        place = f"{source.opened.run.path}/{name}"
        if place not in predicted:
            fitted = load_metamodel(source.opened.run.metamodel_folder(name))
            predicted[place] = fitted.predict(texts, domains=domains)
            if isinstance(fitted, Adapts) and source.metamodel in source.opened.across:
                adaptable[place] = fitted
        is_across = source.metamodel in source.opened.across
        mine: dict[str, FloatArray] = {}
        for behavior, table in prompts.labels.items():
            task = task_name(source.primary, behavior) if is_across else behavior
            if task in predicted[place]:
                whole = np.zeros((len(prompts), len(table.space.outcomes)))
                whole[rows] = np.log(np.maximum(predicted[place][task], _FLOOR))
                mine[behavior] = whole
        logs[f"{source.metamodel} of {source.name}"] = mine
    return Knowledge(logs=logs, adaptable=tuple(adaptable.values()))


def zero_shot(knowledge: Knowledge, fold: Fold, prompts: LabeledPrompts) -> Predictions:
    """Return the mean of the known metamodels' probabilities for the judged prompts, [m, c] a behavior."""
    found = {}
    for behavior in prompts.labels:
        logs = [mine[behavior][fold.test] for mine in knowledge.logs.values() if behavior in mine]
        if logs:
            found[behavior] = np.mean([np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in logs], axis=0)
    return found


def draws_of(fold: Fold, prompts: LabeledPrompts, *, n_draws: int, seed: int, is_validation: bool) -> list[IntArray]:
    """Return so many orders of the rows that may be labeled, those without any label left out."""
    pool = fold.validation if is_validation else fold.train
    is_labeled = np.zeros(len(prompts), dtype=bool)
    for table in prompts.labels.values():
        is_labeled |= table.counts.sum(axis=1) > 0
    rows = pool[is_labeled[pool]]
    rng = np.random.default_rng([seed, is_validation])
    return [rng.permutation(rows) for _ in range(n_draws)]


def from_scratch(trainer: Trainer, rows: IntArray, fold: Fold, prompts: LabeledPrompts, *, seed: int) -> Predictions:
    """Train on labeled prompts alone and predict the judged ones; the first fifth stops and calibrates."""
    n_validation = int(len(rows) * _VALIDATION_SHARE)
    context = FitContext(seed=seed, name="newformer", expects_shift=fold.split == "held_out_domain")
    fitted = trainer.fit(prompts.take(rows[n_validation:]), prompts.take(rows[:n_validation]), context=context)
    return _judged(fitted, fold, prompts)


def adapted(metamodel: Adapts, rows: IntArray, fold: Fold, prompts: LabeledPrompts, *, seed: int) -> Predictions:
    """Add the new primary model to a metamodel of others, and predict the judged prompts; unknown behaviors miss."""
    known = {task_parts(task)[1] for task in getattr(metamodel, "spaces", {})}
    mine = prompts.take(rows)
    labels = {name: table for name, table in mine.labels.items() if name in known}
    if not labels:
        return {}
    labeled = LabeledPrompts(texts=mine.texts, domains=mine.domains, labels=labels)
    try:
        fitted = metamodel.adapt(labeled, context=FitContext(seed=seed, name="newformer"))
    except DataError:  # too few labels for this one
        return {}
    return _judged(fitted, fold, prompts)


def recalibrated(knowledge: Knowledge, rows: IntArray, fold: Fold, prompts: LabeledPrompts) -> Predictions:
    """Bend each known metamodel by the labels; the one that then fits them best predicts, behavior by behavior."""
    found: Predictions = {}
    for behavior, table in prompts.labels.items():
        labeled = rows[table.counts[rows].sum(axis=1) > 0]
        fits = [
            (fit_recalibration(mine[behavior][labeled], table.counts[labeled]), mine[behavior])
            for mine in knowledge.logs.values()
            if behavior in mine
        ]
        if fits:
            best, logs = min(fits, key=lambda fit: fit[0].loss)
            found[behavior] = best.apply(logs[fold.test])
    return found


def curves_of_fold(
    fold: Fold,
    prompts: LabeledPrompts,
    knowledge: Knowledge,
    trainer: Trainer,
    *,
    sizes: Sequence[int],
    n_draws: int,
    seed: int,
    on_step: Callable[[str], None],
) -> Iterator[tuple[Way, int, bool, Drawn]]:
    """Yield way, labeled prompts, whether these are all, and the predictions of each draw for the judged prompts."""
    if knowledge.logs:
        yield "zero-shot", 0, False, [zero_shot(knowledge, fold, prompts)]
    orders = draws_of(fold, prompts, n_draws=n_draws, seed=seed, is_validation=False)
    most = len(orders[0])
    for size in [*(size for size in sizes if size < most), most]:
        drawn = orders[:1] if size == most else orders
        on_step(f"{fold.name}: {size} labels from scratch")
        yield (
            "from scratch",
            size,
            size == most,
            [from_scratch(trainer, rows[:size], fold, prompts, seed=seed + place) for place, rows in enumerate(drawn)],
        )
        for metamodel in knowledge.adaptable[:1]:
            on_step(f"{fold.name}: {size} labels to adapt")
            drawn_adapted = [
                adapted(metamodel, rows[:size], fold, prompts, seed=seed + place) for place, rows in enumerate(drawn)
            ]
            yield "adapted", size, size == most, [one for one in drawn_adapted if one]
    if not knowledge.logs:
        return
    orders = draws_of(fold, prompts, n_draws=n_draws, seed=seed, is_validation=True)
    most = len(orders[0])
    for size in [*(size for size in sizes if size < most), *([most] if most else [])]:
        drawn = orders[:1] if size == most else orders
        yield (
            "recalibrated",
            size,
            size == most,
            [recalibrated(knowledge, rows[:size], fold, prompts) for rows in drawn],
        )


def _judged(metamodel: Metamodel, fold: Fold, prompts: LabeledPrompts) -> Predictions:
    judged = prompts.take(fold.test)
    return metamodel.predict(judged.texts, domains=judged.domains)
