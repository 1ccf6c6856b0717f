"""Does a behavior emerge, or does its metric only make it look so? One curve under a linear and a thresholded metric.

Source: Schaeffer, Miranda and Koyejo, *Are Emergent Abilities of Large Language Models a Mirage?* (2023).

Shapes: m = points of a curve, n = rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from metamodel.errors import DataError
from metamodel.scaling.table import ScalingTable
from metamodel.types import FloatArray, IntArray

Along = Literal["parameters", "tokens"]
Finding = Literal["metric", "behavior", "none", "unclear"]
# A jump is a step that holds at least this share of the whole range, and so often the share of an even rise.
_JUMP_SHARE: Final = 0.5
_JUMP_TIMES_EVEN: Final = 2.0
LEAST_POINTS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """How abruptly a curve moves.

    Attributes:
        score: Emergence score: signed range over the root of the median squared step (Srivastava et al., *Beyond the
            Imitation Game*, 2022, as in Schaeffer et al.); None where the median step is 0.
        range: Largest less smallest value.
        step: Number of the largest step in size, from 0: from point `step` to the next.
        share: Share of the range that this step covers.
    """

    score: float | None
    range: float
    step: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Mirage:
    """One curve under two metrics.

    Attributes:
        task: Name of the task.
        along: What rises along the curve: "parameters", each size at its most tokens, or "tokens", of the largest size.
        sizes: Parameters or tokens, m of them, rising.
        linear: Mean of the linear metric at each, [m].
        thresholded: Mean of the thresholded metric at each, [m].
        linear_name: Name of the linear metric.
        thresholded_name: Name of the thresholded one.
        linear_sharpness: How abruptly the linear metric moves.
        thresholded_sharpness: How abruptly the thresholded one does.
        same_step_share: Share of the linear metric's range covered in the step where the thresholded one jumps, in
            the direction of the jump.
        finding: "metric" where the thresholded metric jumps and the linear one covers less than half as large a share
            of its range there; "behavior" where the linear one jumps in that step too; "none" where the thresholded
            one does not jump; "unclear" in between.
    """

    task: str
    along: Along
    sizes: Sequence[float]
    linear: FloatArray
    thresholded: FloatArray
    linear_name: str
    thresholded_name: str
    linear_sharpness: Sharpness
    thresholded_sharpness: Sharpness
    same_step_share: float
    finding: Finding

    @property
    def statement(self) -> str:
        """One sentence: where apparent emergence comes from."""
        if self.thresholded_sharpness.range == 0:
            return f"no apparent emergence: {self.thresholded_name} is {self.thresholded[0]:.3g} everywhere"
        step = self.thresholded_sharpness.step
        where = f"between {self.sizes[step]:.3g} and {self.sizes[step + 1]:.3g} {self.along}"
        jump = f"{self.thresholded_sharpness.share:.0%} of the range of {self.thresholded_name} lies {where}"
        same = f"{self.same_step_share:.0%} of that of {self.linear_name}"
        return {
            "metric": f"{jump}, but only {same}: the apparent emergence comes from the metric",
            "behavior": f"{jump}, and {same}: the behavior itself jumps, whichever metric",
            "unclear": f"{jump}, and {same}: partly the metric, partly the behavior",
            "none": f"no apparent emergence: no more than {jump}",
        }[self.finding]

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {
            "task": self.task,
            "along": self.along,
            "sizes": list(self.sizes),
            "linear": self.linear.tolist(),
            "thresholded": self.thresholded.tolist(),
            "linear_name": self.linear_name,
            "thresholded_name": self.thresholded_name,
            "linear_emergence": self.linear_sharpness.score,
            "thresholded_emergence": self.thresholded_sharpness.score,
            "jump_from": self.sizes[self.thresholded_sharpness.step],
            "jump_to": self.sizes[self.thresholded_sharpness.step + 1],
            "jump_share": self.thresholded_sharpness.share,
            "same_step_share": self.same_step_share,
            "finding": self.finding,
            "statement": self.statement,
        }


def sharpness(values: FloatArray) -> Sharpness:
    """Return how abruptly a curve moves.

    Formula: sign(argmax - argmin) * (max - min) / sqrt(median of squared steps).

    Args:
        values: The curve, at least 2 points, [m].

    >>> sharpness(np.array([0.0, 1.0, 2.0, 3.0])).score, sharpness(np.array([0.0, 0.1, 0.2, 0.9])).step
    (3.0, 2)
    """
    steps = np.diff(values)
    spread = float(np.ptp(values))
    middle = float(np.sqrt(np.median(steps**2)))
    sign = 1.0 if values.argmax() >= values.argmin() else -1.0
    largest = int(np.abs(steps).argmax())
    return Sharpness(
        score=sign * spread / middle if middle > 0 else None,
        range=spread,
        step=largest,
        share=float(abs(steps[largest]) / spread) if spread > 0 else 0.0,
    )


def compare(
    task: str,
    along: Along,
    sizes: Sequence[float],
    linear: FloatArray,
    thresholded: FloatArray,
    *,
    names: tuple[str, str],
) -> Mirage:
    """Set a curve under a linear metric beside the same under a thresholded one.

    Args:
        task: Name of the task.
        along: What `sizes` are.
        sizes: Rising, m of them.
        linear: Values of the linear metric, [m].
        thresholded: Values of the thresholded one, [m].
        names: Names of the two metrics.
    """
    of_linear, of_thresholded = sharpness(linear), sharpness(thresholded)
    step = of_thresholded.step
    toward = np.sign(np.diff(thresholded)[step])
    same = float(toward * np.diff(linear)[step] / of_linear.range) if of_linear.range > 0 else 0.0
    least = max(_JUMP_SHARE, _JUMP_TIMES_EVEN / (len(sizes) - 1))
    finding: Finding = "unclear"
    if of_thresholded.share < least:
        finding = "none"
    elif same < of_thresholded.share / 2:
        finding = "metric"
    elif same >= least:
        finding = "behavior"
    return Mirage(
        task=task,
        along=along,
        sizes=sizes,
        linear=linear,
        thresholded=thresholded,
        linear_name=names[0],
        thresholded_name=names[1],
        linear_sharpness=of_linear,
        thresholded_sharpness=of_thresholded,
        same_step_share=same,
        finding=finding,
    )


def mirages(
    table: ScalingTable, *, columns: tuple[str, str] | None = None, threshold: float | None = None
) -> list[Mirage]:
    """Compare two metrics on every task's curves over size and over training.

    Args:
        table: With the columns of the metrics among `more`, where they are columns.
        columns: Columns of the linear and of the thresholded metric.
        threshold: In place of columns: the score is the linear metric, and the thresholded one is 1 where it is at
            least this good, else 0.

    Raises:
        DataError: No task has a curve of `LEAST_POINTS` points.
        ValueError: Neither columns nor a threshold is given.
    """
    found = []
    for task, rows_of_task in table.rows_of.items():
        linear, thresholded, names = _metrics(table, task, columns, threshold)
        missing = np.isnan(linear[rows_of_task]) | np.isnan(thresholded[rows_of_task])
        for along, rows, logs in _curves(table, rows_of_task[~missing]):
            points, places = np.unique(logs, return_inverse=True)
            if len(points) >= LEAST_POINTS:
                sizes = [float(10.0**point) for point in points]
                means = [_means(values[rows], places) for values in (linear, thresholded)]
                found.append(compare(task, along, sizes, means[0], means[1], names=names))
    if not found:
        raise DataError(
            f"{table.source}: no task has {LEAST_POINTS} sizes or token counts with both metrics: "
            "there is no curve to compare"
        )
    return found


def _metrics(
    table: ScalingTable, task: str, columns: tuple[str, str] | None, threshold: float | None
) -> tuple[FloatArray, FloatArray, tuple[str, str]]:
    """Return both metrics of all rows, [n] each, and their names."""
    if columns is not None:
        return table.more[columns[0]], table.more[columns[1]], columns
    if threshold is None:
        raise ValueError("columns or a threshold must be given")
    score = table.columns["score"]
    if table.lower_is_better[task]:
        return table.scores, (table.scores <= threshold).astype(np.float64), (score, f"{score} <= {threshold:g}")
    return table.scores, (table.scores >= threshold).astype(np.float64), (score, f"{score} >= {threshold:g}")


def _curves(table: ScalingTable, rows: IntArray) -> Iterator[tuple[Along, IntArray, FloatArray]]:
    """Yield the rows of a task's two curves, and the logarithms along them."""
    sizes, tokens = table.log_parameters, table.log_tokens
    if not len(rows):
        return
    if sizes is None or tokens is None:
        if sizes is not None:
            yield "parameters", rows, sizes[rows]
        if tokens is not None:
            yield "tokens", rows, tokens[rows]
        return
    most = {size: tokens[rows][sizes[rows] == size].max() for size in np.unique(sizes[rows])}
    last = rows[[tokens[row] == most[sizes[row]] for row in rows]]
    yield "parameters", last, sizes[last]
    largest = rows[sizes[rows] == sizes[rows].max()]
    yield "tokens", largest, tokens[largest]


def _means(values: FloatArray, places: IntArray) -> FloatArray:
    means: FloatArray = np.bincount(places, weights=values) / np.bincount(places)
    return means
