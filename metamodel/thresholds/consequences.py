"""What follows from a threshold: domain by domain, in money and seconds, and beside other ways of sorting.

Shapes: n = judged prompts with a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from metamodel.dataset import PrimaryDataset
from metamodel.errors import ConfigError, UnknownNameError, nearest_name_hint
from metamodel.metric_rows import Split
from metamodel.report.baselines import baseline_names
from metamodel.thresholds.choice import Choice, Request
from metamodel.thresholds.costs import (
    Expense,
    Prices,
    cross_fitted_costs,
    expense,
    passed_costs,
    stopped_costs,
)
from metamodel.thresholds.domains import SplitCheck, check_split
from metamodel.thresholds.judged import JudgedPrompts, Target, judged_prompts, losses_of
from metamodel.thresholds.risk_control import passed_counts
from metamodel.thresholds.savings import SavingsRow, oracle_row, random_row, savings_row
from metamodel.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from metamodel.config import RunConfig

_CALLS = Prices(primary=1.0)


def fallback_losses(
    request: Request, target: Target, datasets: Mapping[str, PrimaryDataset], judged: JudgedPrompts
) -> FloatArray | None:
    """Return the share of samples in which the fallback fails on each prompt, [n]; None where it is not in the run.

    A prompt without a label of the fallback counts as the fallback's mean.

    Raises:
        UnknownNameError: The run has no such primary model.
        ConfigError: It is the primary model itself, or has no label of these prompts.
    """
    name = request.fallback
    if not name:
        return None
    if name not in datasets:
        raise UnknownNameError(
            f"fallback: the run has no primary model named {name!r}: {nearest_name_hint(name, datasets)}"
        )
    losses = losses_of(datasets[name].prompts.labels[target.behavior], target.failing, judged.rows)
    if name == target.dataset.primary or np.isnan(losses).all():
        problem = f"fallback is {name}, must be another primary model with labels of the same prompts"
        raise ConfigError([problem], source="threshold")
    return np.where(np.isnan(losses), np.nanmean(losses), losses)


def both_costs(prices: Prices, judged: JudgedPrompts, fallback: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return what each prompt costs where it is let through, and where it is stopped, [n] each."""
    known = np.zeros_like(judged.losses) if fallback is None else fallback
    return passed_costs(prices, judged.losses), stopped_costs(prices, known)


def break_even(request: Request, fallback: FloatArray | None) -> float | None:
    """Return the probability of failure from which stopping is cheaper, were probabilities right; None unpriced.

    Formula: (price of the fallback + its failures - price of the primary model) / price of a failure.
    """
    prices = request.prices
    if prices is None or not prices.failure:
        return None
    failing = 0.0 if fallback is None else float(fallback.mean())
    return (prices.fallback + failing * prices.failure - prices.primary) / prices.failure


def split_checks(
    choice: Choice, target: Target, predictions: pd.DataFrame, judged: JudgedPrompts
) -> Iterator[SplitCheck]:
    """Yield what a threshold does on the prompts that chose it, and on domains that were held out.

    Without a threshold that holds, nothing is let through and there is nothing to check.
    """
    if choice.threshold is None:
        return
    parts: dict[Split, JudgedPrompts] = {target.fit.fold.split: judged}
    if target.fit.fold.split == "in_distribution":
        parts["held_out_domain"] = judged_prompts(
            predictions, target, metamodel=choice.metamodel, split="held_out_domain"
        )
    for split, part in parts.items():
        if len(part.rows):
            yield check_split(
                split,
                part.scores,
                part.losses,
                part.domains,
                threshold=choice.threshold,
                risk=None if choice.guarantee is None else choice.guarantee.risk,
                is_promised=part is judged and choice.guarantee is not None,
            )


def savings_rows(
    choice: Choice,
    target: Target,
    predictions: pd.DataFrame,
    judged: JudgedPrompts,
    fallback: FloatArray | None,
    config: RunConfig,
) -> Iterator[SavingsRow]:
    """Yield what sorting is worth by this metamodel, by the run's others but baselines, by an oracle and by lot."""
    n_draws, seed = config.evaluation.n_bootstrap, choice.request.seed
    split = target.fit.fold.split
    rivals = [name for name in config.metamodels if name not in {choice.metamodel, *baseline_names(config)}]
    for name in (choice.metamodel, *rivals):
        one = judged_prompts(predictions, target, metamodel=name, split=split)
        if not np.array_equal(one.rows, judged.rows):
            continue
        yield savings_row(name, one.scores, judged.losses, fallback_losses=fallback, n_draws=n_draws, seed=seed)
    yield oracle_row(judged.losses, fallback_losses=fallback, n_draws=n_draws, seed=seed)
    yield random_row(judged.losses, fallback_losses=fallback, n_draws=n_draws, seed=seed)


def expenses(
    choice: Choice, judged: JudgedPrompts, fallback: FloatArray | None, *, held: NDArray[np.bool_], n_draws: int
) -> Iterator[Expense]:
    """Yield calls of the primary model, money and seconds a prompt, with the pre-screen and without one.

    Where the threshold was chosen for its cost, every prompt is priced by one of the thresholds that hold the risk that
    was chosen without it.
    """
    asked = choice.request
    if choice.threshold is None:
        return
    is_passed = judged.scores <= choice.threshold
    for unit, prices in (("calls", _CALLS), ("price", asked.prices), ("seconds", asked.seconds)):
        if prices is None:
            continue
        passed, stopped = both_costs(prices, judged, fallback)
        screened = np.where(is_passed, passed, stopped)
        if unit == "price" and prices.failure is not None:
            counts = passed_counts(judged.scores, judged.losses)
            screened = cross_fitted_costs(counts, passed, stopped, allowed=held, seed=asked.seed)
        yield expense(unit, screened=screened, primary=passed, fallback=stopped, n_draws=n_draws, seed=asked.seed)
