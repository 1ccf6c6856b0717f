"""Trainers inside a trainer: built from their specs, judged where they were not fitted, then fitted on everything.

Shapes: n = prompts, c = outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from metamodel.analysis.composed import Spec
from metamodel.config.components import build_component
from metamodel.errors import ConfigError
from metamodel.labels import LabeledPrompts
from metamodel.protocols import FitContext, Metamodel, Trainer, TrainsAcrossPrimaries
from metamodel.types import FloatArray, JSONValue, Predictions
from trainers.artifacts.members import MOST_DEPTH, MOST_MEMBERS
from trainers.fitting.dense import pooled
from trainers.fitting.domain_folds import DomainFold, domain_folds
from trainers.fitting.stack_pool import JudgedBehavior
from trainers.heads.outcomes import kept_inside, outcome_shares, smoothed_prior

# A list of specs inside a spec is two levels of JSON.
_MOST_JSON_DEPTH = 2 * MOST_DEPTH


class OutOfFold(NamedTuple):
    """What the members predict of prompts in whose folds they were not fitted.

    Attributes:
        prompts: All prompts, n of them.
        predictions: One a member, each [n, c] a behavior; rows that no fold judges hold the prior.
        priors: Prior of the fit that predicted each row, [n, c] a behavior.
        folds: The folds, none where there are too few prompts.
    """

    prompts: LabeledPrompts
    predictions: list[Predictions]
    priors: Predictions
    folds: list[DomainFold]


def build_trainers(specs: Mapping[str, Spec]) -> tuple[Trainer, ...]:
    """Build trainers from their specs by key path.

    Raises:
        ConfigError: What is wrong with any of them.
    """
    if not 1 <= len(specs) <= MOST_MEMBERS:
        raise ConfigError([f"members: lists {len(specs)} trainers, must list from 1 to {MOST_MEMBERS}"])
    built: list[Trainer] = []
    problems: list[str] = []
    for at, spec in specs.items():
        if _is_deep(spec, _MOST_JSON_DEPTH):
            problems.append(f"{at}: trainers are nested more than {MOST_DEPTH} deep")
            continue
        try:
            built.append(build_component("trainers", spec, at=at))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems, source="members")
    return tuple(built)


def trains_across(trainers: Sequence[Trainer]) -> bool:
    """Say whether any of them is fitted on the labels of all primary models together."""
    return any(isinstance(one, TrainsAcrossPrimaries) and one.across_primaries for one in trainers)


def fit_out_of_fold(
    trainers: Sequence[Trainer],
    train: LabeledPrompts,
    validation: LabeledPrompts,
    *,
    context: FitContext,
    n_folds: int,
) -> OutOfFold:
    """Fit every trainer without each fold in turn; under shift the folds are of whole domains."""
    prompts = pooled(train, validation)
    folds = domain_folds(
        prompts.texts, prompts.domains, expects_shift=context.expects_shift, seed=context.seed, n_folds=n_folds
    )
    priors = {
        name: np.tile(smoothed_prior(outcome_shares(table).values), (len(prompts), 1))
        for name, table in prompts.labels.items()
    }
    predictions = [{name: prior.copy() for name, prior in priors.items()} for _ in trainers]
    with _progress(context, len(folds) * len(trainers)) as advance:
        for number, fold in enumerate(folds):
            fitting, stopping = _divided(prompts.take(fold.fit), context, has_validation=len(validation) > 0)
            judged = prompts.take(fold.judge)
            for name, table in prompts.labels.items():
                priors[name][fold.judge] = smoothed_prior(outcome_shares(table.take(fold.fit)).values)
            for position, trainer in enumerate(trainers):
                fitted = trainer.fit(fitting, stopping, context=_inside(context, f"fold{number}-member{position}"))
                for name, values in predicted_by(fitted, judged.texts, judged.domains, prompts).items():
                    predictions[position][name][fold.judge] = values
                advance()
    return OutOfFold(prompts=prompts, predictions=predictions, priors=priors, folds=folds)


def fit_members(
    trainers: Sequence[Trainer], train: LabeledPrompts, validation: LabeledPrompts, *, context: FitContext
) -> tuple[Metamodel, ...]:
    """Fit every trainer on all prompts."""
    with _progress(context, len(trainers)) as advance:
        members = []
        for position, trainer in enumerate(trainers):
            members.append(trainer.fit(train, validation, context=_inside(context, f"member{position}")))
            advance()
    return tuple(members)


def predicted_by(
    member: Metamodel, texts: Sequence[str], domains: Sequence[str] | None, prompts: LabeledPrompts
) -> Predictions:
    """Return what a member predicts of the behaviors that `prompts` has labels of, [n, c] each, without zeros."""
    widths = {name: len(table.space.outcomes) for name, table in prompts.labels.items()}
    return checked_predictions(member.predict(texts, domains=domains), widths, len(texts))


def checked_predictions(predictions: Predictions, widths: Mapping[str, int], n: int) -> Predictions:
    """Return the predictions of the named behaviors, kept off 0 and 1; a faulty member is refused.

    Raises:
        ValueError: The predictions are not [n, c] distributions.
    """
    checked: dict[str, FloatArray] = {}
    for name, width in widths.items():
        values = predictions.get(name)
        if values is None or values.shape != (n, width) or not np.isfinite(values).all():
            raise ValueError(f"a member must predict finite [{n}, {width}] probabilities of {name}")
        checked[name] = kept_inside(np.ascontiguousarray(values, dtype=np.float64))
    return checked


def judged_behavior(found: OutOfFold, name: str) -> tuple[JudgedBehavior, list[str]]:
    """Return one behavior's predictions of the labeled prompts that a fold judged, and these prompts' domains."""
    fold_of = np.full(len(found.prompts), -1, dtype=np.int64)
    for number, fold in enumerate(found.folds):
        fold_of[fold.judge] = number
    rows, shares = outcome_shares(found.prompts.labels[name])
    is_judged = fold_of[rows] >= 0
    kept = rows[is_judged]
    behavior = JudgedBehavior(
        predictions=np.stack([predictions[name][kept] for predictions in found.predictions]),
        prior=found.priors[name][kept],
        shares=shares[is_judged],
        folds=fold_of[kept],
    )
    return behavior, [found.prompts.domains[row] for row in kept]


def _divided(
    prompts: LabeledPrompts, context: FitContext, *, has_validation: bool
) -> tuple[LabeledPrompts, LabeledPrompts]:
    """Divide as the whole was divided: whole domains stop and calibrate where domains will judge."""
    if has_validation:
        for fold in domain_folds(
            prompts.texts, prompts.domains, expects_shift=context.expects_shift, seed=context.seed
        ):
            return prompts.take(fold.fit), prompts.take(fold.judge)
    return prompts, prompts.take([])


def _inside(context: FitContext, name: str) -> FitContext:
    """Return a member's context: its logs stand in a folder of their own, and only the outer bar is drawn."""
    directory = context.directory / name if context.directory is not None else None
    return replace(context, directory=directory, name=f"{context.name}-{name}", progress=False)


@contextmanager
def _progress(context: FitContext, total: int) -> Iterator[Callable[[], None]]:
    """Draw a bar over the members' fits on stderr where the context asks for one; give what moves it on."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=console.is_terminal, disable=not context.progress) as bar:
        task = bar.add_task(f"{context.name}: fits of members", total=total)
        yield lambda: bar.advance(task)


def _is_deep(spec: JSONValue, levels: int) -> bool:
    """Say whether lists and mappings are nested in more than so many levels."""
    if not isinstance(spec, (Mapping, list, tuple)):
        return False
    inner = spec.values() if isinstance(spec, Mapping) else spec
    return levels <= 0 or any(_is_deep(item, levels - 1) for item in inner)
