"""Rates of behaviors at each checkpoint, and their regression on size and training.

Shapes: m = prompts with a label, s = checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from metamodel.bootstrap import CONFIDENCE, bootstrap_means, percentile_levels
from metamodel.checkpoints.lasting import Checkpoint
from metamodel.scaling.table import ScalingTable
from metamodel.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from metamodel.protocols import Featurizer
    from metamodel.scaling.stage import Scaling, TermRow

MEAN_OVER_DOMAINS: Final = "mean over domains"
Movement = Literal["rises", "falls", "none"]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often a behavior occurs, or its mean, in one domain at one checkpoint.

    Attributes:
        behavior: Name of the behavior; of a categorical one, with the class behind a colon.
        domain: Name of the domain, or MEAN_OVER_DOMAINS, where each domain counts once.
        primary: Name of the primary model.
        parameters: Its parameters.
        tokens: Tokens it has read.
        n_prompts: Prompts with a label.
        rate: Mean over prompts of the mean over samples.
        low: Lower end of its 95 % interval over prompts.
        high: Upper end of it.
    """

    behavior: str
    domain: str
    primary: str
    parameters: float
    tokens: float
    n_prompts: int
    rate: float
    low: float
    high: float

    @property
    def task(self) -> str:
        """Behavior and domain, as the regression calls them."""
        return task_of(self.behavior, self.domain)

    def to_dict(self) -> dict[str, str | float]:
        """Return it ready for JSON and CSV."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Movements:
    """Whether a behavior rises or falls in one domain, along both predictors.

    Attributes:
        behavior: Name of the behavior.
        domain: Name of the domain, or MEAN_OVER_DOMAINS.
        over_training: Direction along log10 tokens, at the mean size, where the term is significant after adjustment.
        with_size: Direction along log10 parameters, at the mean of log10 tokens.
        interaction: Direction of the product: "falls" means that larger models fall more (or rise less) in training.
        is_inverse: Whether a score that should rise falls over training; None where the behavior is no score.
        tokens: The regression's row.
        parameters: The regression's row.
        product: The regression's row.
    """

    behavior: str
    domain: str
    over_training: Movement
    with_size: Movement
    interaction: Movement
    is_inverse: bool | None
    tokens: TermRow | None
    parameters: TermRow | None
    product: TermRow | None

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return asdict(self)


def task_of(behavior: str, domain: str) -> str:
    """Name a behavior in a domain as a task.

    >>> task_of("correct", "memo_trap")
    'correct, memo_trap'
    """
    return f"{behavior}, {domain}"


def is_score(featurizer: Featurizer) -> bool:
    """Say whether a behavior's label is better when it is higher: it compares the output with gold answers."""
    return "references" in featurizer.needs and featurizer.space.kind in ("binary", "real")


def rates_of(
    behavior: str, labels: pd.DataFrame, checkpoints: Mapping[str, Checkpoint], *, n_draws: int, seed: int
) -> Iterator[Rate]:
    """Yield a behavior's rate at every checkpoint, in every domain and as the mean over domains.

    Intervals come from a bootstrap over prompts. Where all prompts of a domain agree it has no spread, and the interval
    is Clopper and Pearson's (1934) for that many prompts.

    Args:
        behavior: Name of the behavior.
        labels: A row a label: `primary`, `domain`, `prompt_id`, `value`.
        checkpoints: The primary models, by name.
        n_draws: Bootstrap draws.
        seed: Fixes them.
    """
    means = labels.groupby(["primary", "domain", "prompt_id"], observed=True)["value"].mean()
    for primary, checkpoint in checkpoints.items():
        if primary not in means.index.get_level_values(0):
            continue
        mine = means.loc[primary]
        parts = {str(domain): one.to_numpy(dtype=np.float64) for domain, one in mine.groupby(level=0, observed=True)}
        draws, values, n_prompts = [], [], 0
        for number, (domain, shares) in enumerate(sorted(parts.items())):
            drawn = bootstrap_means(shares[:, None], n_draws=n_draws, seed=seed + number)[:, 0]  # [draws]
            rate = float(shares.mean())
            low, high = _ends(drawn, shares)
            draws.append(drawn)
            values.append(rate)
            n_prompts += len(shares)
            yield _rate(behavior, domain, checkpoint, len(shares), rate, low, high)
        if len(parts) > 1:
            low, high = np.quantile(np.mean(draws, axis=0), ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
            rate = float(np.mean(values))
            ends = min(float(low), rate), max(float(high), rate)
            yield _rate(behavior, MEAN_OVER_DOMAINS, checkpoint, n_prompts, rate, *ends)


def rates_table(rates: Sequence[Rate], *, source: str) -> ScalingTable:
    """Return rates as the table that `metamodel.scaling.stage.scaling` regresses, a task a behavior and domain.

    Whether a lower score is better is left open: `movements` reads off the sign.
    """
    return ScalingTable(
        source=source,
        columns={"score": "rate", "parameters": "parameters", "tokens": "tokens", "task": "behavior, domain"},
        guessed=(),
        tasks=[rate.task for rate in rates],
        scores=np.array([rate.rate for rate in rates]),
        log_parameters=np.log10([rate.parameters for rate in rates]),
        log_tokens=np.log10([rate.tokens for rate in rates]),
        clusters=None,
        lower_is_better={rate.task: False for rate in rates},
        more={},
        n_read=len(rates),
        dropped={},
    )


def movements(found: Scaling, rates: Iterable[Rate], scores: frozenset[str]) -> list[Movements]:
    """Say of every behavior and domain that could be regressed whether it rises or falls.

    Args:
        found: The regression.
        rates: What was regressed.
        scores: Behaviors of which a higher rate is better.
    """
    rows = {(row.task, row.term): row for row in found.rows}
    moved = []
    for behavior, domain in dict.fromkeys((rate.behavior, rate.domain) for rate in rates):
        task = task_of(behavior, domain)
        if task not in found.fits:
            continue
        tokens, parameters = rows.get((task, "tokens")), rows.get((task, "parameters"))
        product = rows.get((task, "interaction"))
        over_training = _movement(tokens)
        moved.append(
            Movements(
                behavior=behavior,
                domain=domain,
                over_training=over_training,
                with_size=_movement(parameters),
                interaction=_movement(product),
                is_inverse=over_training == "falls" if behavior in scores else None,
                tokens=tokens,
                parameters=parameters,
                product=product,
            )
        )
    return moved


def _movement(row: TermRow | None) -> Movement:
    if row is None or not row.is_significant:
        return "none"
    return "rises" if row.estimate > 0 else "falls"


def _ends(drawn: FloatArray, shares: FloatArray) -> tuple[float, float]:
    """Return the ends of a rate's interval from its draws, [draws], and the prompts' shares, [m]."""
    rate, n_prompts = float(shares.mean()), len(shares)
    if np.ptp(shares) == 0:
        if rate in (0.0, 1.0):
            # The ends where all of n agree: the tail 2.5 % is (1 - p)^n.
            room = 1 - ((1 - CONFIDENCE) / 2) ** (1 / n_prompts)
            return (0.0, room) if rate == 0 else (1 - room, 1.0)
        return rate, rate
    stretch = math.sqrt(n_prompts / (n_prompts - 1))
    low, high = np.quantile(rate + stretch * (drawn - rate), percentile_levels(n_prompts - 1))
    return min(float(low), rate), max(float(high), rate)


def _rate(
    behavior: str, domain: str, checkpoint: Checkpoint, n_prompts: int, rate: float, low: float, high: float
) -> Rate:
    return Rate(
        behavior=behavior,
        domain=domain,
        primary=checkpoint.primary,
        parameters=checkpoint.parameters,
        tokens=checkpoint.tokens,
        n_prompts=n_prompts,
        rate=rate,
        low=low,
        high=high,
    )
