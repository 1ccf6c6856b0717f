"""Stage threshold: from a judged run to the rule that a pre-screen decides by.

The threshold is chosen on the prompts that the fit was judged on: nothing was fitted on them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from metamodel.config import build_config
from metamodel.dataset import read_datasets
from metamodel.errors import DataError
from metamodel.thresholds.choice import Choice, Method, Request
from metamodel.thresholds.consequences import (
    both_costs,
    break_even,
    expenses,
    fallback_losses,
    savings_rows,
    split_checks,
)
from metamodel.thresholds.costs import STOP_ALL, cheapest_threshold
from metamodel.thresholds.judged import JudgedPrompts, Target, find_target, judged_prompts, read_predictions
from metamodel.thresholds.limits import prompts_needed, smallest_risk
from metamodel.thresholds.risk_control import (
    Bound,
    PassedCounts,
    conformal_thresholds,
    fewest_prompts,
    held_thresholds,
    passed_counts,
)
from metamodel.train import planned_fits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from metamodel.store.run_directory import RunDirectory
    from metamodel.types import FloatArray


def choose_threshold(run: RunDirectory, metamodel: str, request: Request) -> Choice:
    """Choose the threshold that lets the most prompts through, or costs least, within the risk.

    Args:
        run: A run that was evaluated.
        metamodel: A name in the config, which means its fit on the in_distribution fold; or the name of a fit's folder.
        request: What is asked of the threshold.

    Raises:
        UnknownNameError: The run has no such metamodel, behavior, primary model or outcome.
        ConfigError: The request leaves open which of several is meant.
        RunError: The run has no predictions of it.
        DataError: No judged prompt has a label, or the method does not fit the labels.
    """
    config = build_config(run.config, source=f"{run.path}/run.json")
    datasets = read_datasets(run, config)
    target = find_target(metamodel, request, fits=list(planned_fits(datasets, config)), datasets=datasets)
    predictions = read_predictions(run, target.dataset.primary, target.behavior)
    fit = target.fit
    if fit.fold.held_out_domain is not None:
        predictions = predictions[predictions["domain"] == fit.fold.held_out_domain]
    judged = judged_prompts(predictions, target, metamodel=fit.metamodel, split=fit.fold.split)
    if not len(judged.rows):
        raise DataError(f"no judged prompt has a label of {target.behavior}: run `metamodel evaluate`, or label more")
    request = replace(request, failures=target.failures, method=_method(request.method, judged))
    fallback = fallback_losses(request, target, datasets, judged)
    counts = passed_counts(judged.scores, judged.losses)
    held = _held(counts, judged.losses, request)
    choice = _chosen(target, request, judged, fallback, counts=counts, held=held)
    return replace(
        choice,
        checks=tuple(split_checks(choice, target, predictions, judged)),
        savings=tuple(savings_rows(choice, target, predictions, judged, fallback, config)),
        expenses=tuple(expenses(choice, judged, fallback, held=held, n_draws=config.evaluation.n_bootstrap)),
    )


def _method(method: Method, judged: JudgedPrompts) -> Method:
    if method == "auto":
        return "binomial" if judged.n_samples == 1 else "betting"
    if method == "binomial" and judged.n_samples > 1:
        raise DataError(
            f"method is binomial, which takes one label a prompt, and there are up to {judged.n_samples}: "
            "use betting, or leave it to auto"
        )
    return method


def _chosen(
    target: Target,
    request: Request,
    judged: JudgedPrompts,
    fallback: FloatArray | None,
    *,
    counts: PassedCounts,
    held: NDArray[np.bool_],
) -> Choice:
    """Return the threshold alone, without checks, savings and expenses."""
    wide = counts.coverage >= request.min_coverage
    threshold: float | None = None
    if request.prices is not None and request.prices.failure is not None:
        threshold = cheapest_threshold(counts, *both_costs(request.prices, judged, fallback), allowed=held)
        if request.risk is not None and not held.any():
            threshold = None
    elif (held & wide).any():
        threshold = float(counts.thresholds[np.flatnonzero(held & wide)[-1]])
    passed = judged.scores <= (STOP_ALL if threshold is None else threshold)
    found = Choice(
        task=target.task,
        primary=target.dataset.primary,
        metamodel=target.fit.metamodel,
        fit=target.fit.name,
        request=request,
        n_prompts=len(judged.rows),
        n_samples=judged.n_samples,
        n_unlabeled=judged.n_unlabeled,
        base_rate=float(judged.losses.mean()),
        threshold=threshold,
        coverage=float(passed.mean()),
        failure_rate=float(judged.losses[passed].mean()) if passed.any() else None,
        break_even=break_even(request, fallback),
    )
    if request.risk is None:
        return found
    return _with_limits(found, counts, judged)


def _held(counts: PassedCounts, losses: FloatArray, request: Request) -> NDArray[np.bool_]:
    if request.risk is None:
        return np.ones(len(counts.thresholds), dtype=np.bool_)
    bound = _bound(request.method)
    if bound is None:
        return conformal_thresholds(counts, risk=request.risk) & (counts.coverage >= request.min_coverage)
    return held_thresholds(
        counts,
        losses,
        risk=request.risk,
        confidence=request.confidence,
        min_coverage=request.min_coverage,
        bound=bound,
    )


def _bound(method: Method) -> Bound | None:
    return method if method in {"binomial", "betting", "bentkus"} else None


def _with_limits(choice: Choice, counts: PassedCounts, judged: JudgedPrompts) -> Choice:
    """Add what would hold, and why nothing does where nothing does."""
    asked = choice.request
    bound = _bound(asked.method)
    if asked.risk is None or bound is None:
        problem = f"no threshold keeps the share let through and failing within {asked.risk:g}, in expectation"
        return choice if choice.threshold is not None else replace(choice, problem=problem)
    choice = replace(
        choice,
        smallest_risk=smallest_risk(
            counts, judged.losses, confidence=asked.confidence, min_coverage=asked.min_coverage, bound=bound
        ),
    )
    if choice.threshold is not None:
        return choice
    needed = prompts_needed(counts, risk=asked.risk, confidence=asked.confidence, min_coverage=asked.min_coverage)
    fewest = fewest_prompts(asked.risk, asked.confidence)
    problem = (
        f"no threshold that lets at least {100 * asked.min_coverage:.0f} % of the prompts through holds a failure "
        f"rate of {asked.risk:g} with confidence {asked.confidence:g}"
    )
    if choice.n_prompts < fewest:
        problem += f": there are {choice.n_prompts} labeled prompts, and it takes {fewest} without a failure"
    return replace(choice, problem=problem, prompts_needed=needed)
