"""From a table of scores to one row a task and term, with verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np

from metamodel.errors import DataError
from metamodel.scaling.adjusting import Adjustment, adjusted
from metamodel.scaling.model import TaskFit, Term, fit_task
from metamodel.scaling.table import ScalingTable
from metamodel.scaling.verdicts import Direction, Reversal, Trend, trends
from metamodel.types import FloatArray, IntArray

Errors = Literal["plain", "clustered"]
DEFAULT_ALPHA: Final = 0.05
_FEW_CLUSTERS: Final = 30


@dataclass(frozen=True, kw_only=True)
class TermRow:
    """One term of one task.

    Attributes:
        task: Name of the task.
        term: "parameters", "tokens" or "interaction".
        estimate: Change of the score for one standard deviation of the predictor (of the product, for the
            interaction).
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        standard_error: Standard error of the estimate.
        per_decade: The estimate for a tenfold size, at the mean of the other predictor's logarithm.
        t: Estimate over standard error.
        df: Degrees of freedom of t.
        p: Two-sided p.
        p_adjusted: The same, adjusted over all terms of all tasks.
        is_significant: Whether the adjusted p is at most alpha.
        direction: "inverse", "improves" or "none", as `Trend.direction`; None of the interaction.
        reversal: "yes", "unclear" or "no", as `Trend.reversal`; None of the interaction.
        reverses_at: Tokens (of the term parameters) or parameters (of the term tokens) where the slope changes sign.
        n_rows: Rows of the task.
        n_clusters: Clusters of the task; None with plain errors.
        r_squared: Share of the score's variance that all terms explain.
        errors: "plain" or "clustered".
        lower_is_better: Whether a lower score is a better one.
    """

    task: str
    term: Term
    estimate: float
    low: float
    high: float
    standard_error: float
    per_decade: float
    t: float
    df: int
    p: float
    p_adjusted: float
    is_significant: bool
    direction: Direction | None
    reversal: Reversal | None
    reverses_at: float | None
    n_rows: int
    n_clusters: int | None
    r_squared: float
    errors: Errors
    lower_is_better: bool

    def to_dict(self) -> dict[str, str | float | bool | None]:
        """Return it ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How the tasks of a table scale.

    Attributes:
        table: What was read.
        rows: One a task and term.
        fits: Regression of each task.
        trends: Trend of each task along each predictor.
        skipped: Why a task has no row, by task.
        errors: Kind of the errors.
        adjust: How p was adjusted.
        alpha: Level of the verdicts.
    """

    table: ScalingTable
    rows: Sequence[TermRow]
    fits: Mapping[str, TaskFit]
    trends: Mapping[str, Mapping[Term, Trend]]
    skipped: Mapping[str, str]
    errors: Errors
    adjust: Adjustment
    alpha: float

    def notes(self) -> list[str]:
        """Return what a reader must know: guessed columns, rows and tasks left out, doubts about the errors."""
        table = self.table
        found = [
            "columns: "
            + "; ".join(
                f"{role} = {name}{' (guessed)' if role in table.guessed else ''}"
                for role, name in table.columns.items()
                if role != "cluster" or self.errors == "clustered"
            ),
            f"{len(table.scores)} rows of {table.n_read}",
        ]
        found += [f"{count} rows left out: {reason}" for reason, count in table.dropped.items()]
        found += [f"task {task} left out: {reason}" for task, reason in self.skipped.items()]
        lower = sorted(task for task in self.fits if table.lower_is_better[task])
        if lower:
            found.append(f"lower is better in {len(lower)} of {len(self.fits)} tasks, such as {lower[0]}")
        return found + self._doubts()

    def _doubts(self) -> list[str]:
        doubts = []
        table = self.table
        n_clusters = [fit.fit.n_clusters for fit in self.fits.values() if fit.fit.n_clusters is not None]
        if n_clusters and min(n_clusters) < _FEW_CLUSTERS:
            doubts.append(
                f"{min(n_clusters)} clusters are few: below about {_FEW_CLUSTERS} clustered errors are too small"
            )
        keys = list(zip(table.tasks, *_listed(table.log_parameters), *_listed(table.log_tokens), strict=True))
        n_repeated = len(keys) - len(set(keys))
        if n_repeated and self.errors == "plain":
            doubts.append(
                f"{n_repeated} rows repeat the task and sizes of another: plain errors take them as independent, "
                "--errors clustered does not"
            )
        return doubts


def scaling(
    table: ScalingTable, *, errors: Errors = "plain", adjust: Adjustment = "fdr_bh", alpha: float = DEFAULT_ALPHA
) -> Scaling:
    """Regress every task's score on the models' sizes, and say which scale inversely.

    Args:
        table: Scores and sizes.
        errors: "clustered" needs a column of clusters.
        adjust: How p is adjusted over all terms of all tasks.
        alpha: Level at which an adjusted p is significant.

    Raises:
        DataError: There is no column of clusters, or no task can be regressed; the first reason is named.
    """
    if errors == "clustered" and table.clusters is None:
        raise DataError(f"{table.source} has no column of clusters, such as model: name it with --cluster COLUMN")
    clusters = None if errors == "plain" or table.clusters is None else _numbered(table.clusters)
    fits: dict[str, TaskFit] = {}
    skipped: dict[str, str] = {}
    for task, mine in table.rows_of.items():
        try:
            fits[task] = fit_task(
                task,
                table.scores[mine],
                None if table.log_parameters is None else table.log_parameters[mine],
                None if table.log_tokens is None else table.log_tokens[mine],
                clusters=None if clusters is None else clusters[mine],
            )
        except ValueError as error:
            skipped[task] = str(error)
    if not fits:
        task, reason = next(iter(skipped.items()))
        more = "" if len(skipped) == 1 else f"; none of the {len(skipped)} tasks can be regressed"
        raise DataError(f"{table.source}, task {task}: {reason}{more}")
    places = [(task, term) for task, fit in fits.items() for term in fit.terms]
    p_values = np.array([fits[task].test(term).p for task, term in places])
    p_adjusted: dict[str, dict[Term, float]] = {task: {} for task in fits}
    for (task, term), p in zip(places, adjusted(p_values, adjust).tolist(), strict=True):
        p_adjusted[task][term] = p
    found = {
        task: trends(fit, p_adjusted[task], alpha=alpha, lower_is_better=table.lower_is_better[task])
        for task, fit in fits.items()
    }
    rows = [
        _row(fits[task], term, p_adjusted[task][term], found[task].get(term), errors, alpha, table)
        for task, term in places
    ]
    return Scaling(
        table=table, rows=rows, fits=fits, trends=found, skipped=skipped, errors=errors, adjust=adjust, alpha=alpha
    )


def _row(
    fit: TaskFit,
    term: Term,
    p_adjusted: float,
    trend: Trend | None,
    errors: Errors,
    alpha: float,
    table: ScalingTable,
) -> TermRow:
    tested = fit.test(term)
    return TermRow(
        task=fit.task,
        term=term,
        estimate=tested.estimate,
        low=tested.low,
        high=tested.high,
        standard_error=tested.standard_error,
        per_decade=tested.estimate * fit.per_decade(term),
        t=tested.t,
        df=fit.fit.df,
        p=tested.p,
        p_adjusted=p_adjusted,
        is_significant=p_adjusted <= alpha,
        direction=trend.direction if trend else None,
        reversal=trend.reversal if trend else None,
        reverses_at=trend.reverses_at if trend else None,
        n_rows=fit.fit.n_rows,
        n_clusters=fit.fit.n_clusters,
        r_squared=fit.fit.r_squared,
        errors=errors,
        lower_is_better=table.lower_is_better[fit.task],
    )


def _numbered(names: Sequence[str]) -> IntArray:
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)


def _listed(values: FloatArray | None) -> list[list[float]]:
    return [] if values is None else [values.tolist()]
