"""From a file to the rows that a regression takes: scores of models of known size, trained on known numbers of tokens.

Shapes: n = rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.errors import DataError, nearest_name_hint
from metamodel.scaling.columns import (
    NONE,
    SIZE_ROLES,
    TASK_PARTS,
    Role,
    SizeRole,
    guess,
    is_lower_better,
    is_share,
    named,
    plain_name,
)
from metamodel.scaling.reading import numbers, read_frame, texts
from metamodel.types import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

BoolArray: TypeAlias = NDArray[np.bool_]

_PERCENT: Final = 100.0


@dataclass(frozen=True, kw_only=True)
class TableQuery:
    """Which columns and rows of a table are meant.

    Attributes:
        score: Column of the score or behavior; None guesses, here and below.
        parameters: Column of the model's size; "none" leaves it and the interaction out.
        tokens: Column of the tokens trained on; "none" leaves it and the interaction out.
        task: Columns whose values together name a task; empty guesses.
        cluster: Column of what rows belong together by.
        where: Value that a column must have, by column.
        lower_is_better: Whether a lower score is a better one; None goes by the metric's name.
        score_range: Smallest and largest score that can be; None takes 0 and 1, or 0 and 100, where the metric's name
            says that it is a share, and else checks nothing.
        more: Further columns of numbers to read, for the check of the metric.
    """

    score: str | None = None
    parameters: str | None = None
    tokens: str | None = None
    task: Sequence[str] = ()
    cluster: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    lower_is_better: bool | None = None
    score_range: tuple[float, float] | None = None
    more: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ScalingTable:
    """Scores with what they are explained by.

    Attributes:
        source: Name of the file.
        columns: Column of each role, those of the task joined by a comma; roles without one are not there.
        guessed: Roles whose column was guessed.
        tasks: Task of each row, n of them.
        scores: Score of each row, [n].
        log_parameters: log10 of the parameters, [n]; None where they were left out.
        log_tokens: log10 of the tokens, [n]; None where they were left out.
        clusters: What each row belongs to, n of them; None without such a column.
        lower_is_better: Whether the task's lower score is a better one, by task.
        more: Further columns of numbers, [n] each, NaN allowed.
        n_read: Rows of the file that `where` admits.
        dropped: How many of them were left out, by reason.
    """

    source: str
    columns: Mapping[Role, str]
    guessed: Sequence[Role]
    tasks: Sequence[str]
    scores: FloatArray
    log_parameters: FloatArray | None
    log_tokens: FloatArray | None
    clusters: Sequence[str] | None
    lower_is_better: Mapping[str, bool]
    more: Mapping[str, FloatArray]
    n_read: int
    dropped: Mapping[str, int]

    @cached_property
    def rows_of(self) -> Mapping[str, IntArray]:
        """Numbers of the rows of each task, the tasks sorted by name."""
        rows: dict[str, list[int]] = {task: [] for task in sorted(set(self.tasks))}
        for row, task in enumerate(self.tasks):
            rows[task].append(row)
        return {task: np.array(mine, dtype=np.int64) for task, mine in rows.items()}


def read_table(path: Path, query: TableQuery) -> ScalingTable:
    """Read a table and leave out, counted, the rows that cannot be used.

    Raises:
        DataError: The file cannot be read, a column is missing or holds no number, a score lies outside its range, or
            no row is left.
    """
    frame = _admitted(read_frame(path), query.where, path)
    roles, guessed = _roles(frame, query, path)
    sizes = {role: _column(frame, roles, role, path) for role in SIZE_ROLES if role in roles}
    scores = _column(frame, roles, "score", path)
    if not sizes:
        raise DataError(f"{path}: parameters and tokens are both left out: there is nothing to explain the score by")
    task_columns, metrics = _task_columns(frame, query, roles["score"], path)
    tasks = _task_names(frame, task_columns, roles["score"])
    kept, dropped = _usable(scores, sizes)
    if not kept.any():
        raise DataError(f"{path}: no row is left of {len(frame)} ({_reasons(dropped)})")
    _check_range(scores[kept], [metrics[place] for place in np.flatnonzero(kept)], query.score_range, path)
    lower = {task: is_lower_better(metric) for task, metric in zip(tasks, metrics, strict=True)}
    if task_columns:
        roles["task"] = ", ".join(task_columns)
        guessed = guessed if query.task else [*guessed, "task"]
    clusters = texts(frame[roles["cluster"]]) if "cluster" in roles else None
    places = np.flatnonzero(kept)
    return ScalingTable(
        source=path.name,
        columns=roles,
        guessed=guessed,
        tasks=[tasks[place] for place in places],
        scores=scores[kept],
        log_parameters=np.log10(sizes["parameters"][kept]) if "parameters" in sizes else None,
        log_tokens=np.log10(sizes["tokens"][kept]) if "tokens" in sizes else None,
        clusters=None if clusters is None else [clusters[place] for place in places],
        lower_is_better=lower if query.lower_is_better is None else dict.fromkeys(lower, query.lower_is_better),
        more={name: _more(frame, name, path)[kept] for name in query.more},
        n_read=len(frame),
        dropped=dropped,
    )


def _admitted(frame: pd.DataFrame, where: Mapping[str, str], path: Path) -> pd.DataFrame:
    for column, wanted in where.items():
        if column not in frame.columns:
            raise DataError(f"{path} has no column {column!r} (--where): {nearest_name_hint(column, frame.columns)}")
        present = texts(frame[column])
        if wanted not in present:
            known = sorted(set(present))
            raise DataError(f"{path}: no row has {column}={wanted} (--where): {nearest_name_hint(wanted, known[:30])}")
        frame = frame[[value == wanted for value in present]].reset_index(drop=True)
    return frame


def _roles(frame: pd.DataFrame, query: TableQuery, path: Path) -> tuple[dict[Role, str], list[Role]]:
    """Return the column of each role but the task's, and which were guessed."""
    columns = list(frame.columns)
    asked: dict[Role, str | None] = {
        "score": query.score or (query.more[0] if query.more else None),
        "parameters": query.parameters,
        "tokens": query.tokens,
        "cluster": query.cluster,
    }
    roles: dict[Role, str] = {}
    guessed: list[Role] = []
    for role, name in asked.items():
        if name == NONE and role != "score":
            continue
        found = named(role, name, columns, str(path)) if name is not None else guess(role, columns)
        if found is not None:
            roles[role] = found
            guessed += [role] if name is None else []
        elif role != "cluster":
            way_out = "" if role == "score" else f", or leave it out with --{role} {NONE}"
            raise DataError(
                f"{path} has no column that is plainly the {role}: name it with --{role} COLUMN{way_out}; "
                f"there are {', '.join(columns)}"
            )
    taken = [roles[role] for role in ("score", "parameters", "tokens") if role in roles]
    if len(set(taken)) < len(taken):
        raise DataError(f"{path}: score, parameters and tokens are {', '.join(taken)}: must be different columns")
    return roles, guessed


def _column(frame: pd.DataFrame, roles: Mapping[Role, str], role: Role, path: Path) -> FloatArray:
    column = frame[roles[role]]
    values = numbers(column, with_units=role != "score")
    if np.isnan(values).all():
        shown = next((text for text in texts(column) if text.strip()), "")
        raise DataError(
            f"{path}: column {roles[role]!r} ({role}) holds no number, but {shown[:60]!r}: name another with --{role}"
        )
    return values


def _more(frame: pd.DataFrame, name: str, path: Path) -> FloatArray:
    if name not in frame.columns:
        raise DataError(f"{path} has no column {name!r} (--mirage): {nearest_name_hint(name, frame.columns)}")
    values = numbers(frame[name])
    if np.isnan(values).all():
        raise DataError(f"{path}: column {name!r} (--mirage) holds no number")
    return values


def _task_columns(frame: pd.DataFrame, query: TableQuery, score: str, path: Path) -> tuple[list[str], list[str]]:
    """Return the columns that name a task, and the name of each row's metric."""
    columns = list(frame.columns)
    parts = [column for column in columns if plain_name(column) in TASK_PARTS]
    varying = [column for column in parts if len(set(texts(frame[column]))) > 1]
    if query.task:
        chosen = [named("task", column, columns, str(path)) for column in query.task]
    else:
        task = guess("task", columns)
        chosen = [*([task] if task else []), *varying]
    metric = next((column for column in parts if plain_name(column).startswith("metric")), None)
    return chosen, [score] * len(frame) if metric is None else texts(frame[metric])


def _task_names(frame: pd.DataFrame, columns: Sequence[str], score: str) -> list[str]:
    if not columns:
        return [score] * len(frame)
    parts = zip(*(texts(frame[column]) for column in columns), strict=True)
    return [", ".join(part for part in row if part) or "(no name)" for row in parts]


def _usable(scores: FloatArray, sizes: Mapping[SizeRole, FloatArray]) -> tuple[BoolArray, dict[str, int]]:
    """Return which rows can be used, [n], and how many cannot, by the first reason."""
    kept = np.ones(len(scores), dtype=np.bool_)
    dropped: dict[str, int] = {}
    reasons = [("score missing or no finite number", ~np.isfinite(scores))]
    for role, values in sizes.items():
        reasons += [
            (f"{role} missing or no finite number", ~np.isfinite(values)),
            (f"{role} not above 0, which has no logarithm", values <= 0),
        ]
    for reason, is_wrong in reasons:
        n_wrong = int((kept & is_wrong).sum())
        if n_wrong:
            dropped[reason] = n_wrong
            kept &= ~is_wrong
    return kept, dropped


def _check_range(
    scores: FloatArray, metrics: Sequence[str], score_range: tuple[float, float] | None, path: Path
) -> None:
    """Refuse a score that cannot be."""
    if score_range is not None:
        _refuse_outside(scores, *score_range, "--range", path)
        return
    names = np.asarray(metrics)
    for metric in sorted(set(metrics)):
        if is_share(metric):
            mine = scores[names == metric]
            # A share above 1 among percentages is one of them; a single one among shares is a mistake.
            high = _PERCENT if np.median(mine) > 1 else 1.0
            _refuse_outside(mine, 0.0, high, f"{metric!r} is a share", path)


def _refuse_outside(scores: FloatArray, low: float, high: float, why: str, path: Path) -> None:
    outside = (scores < low) | (scores > high)
    if outside.any():
        raise DataError(
            f"{path}: {int(outside.sum())} scores lie outside {low:g} to {high:g} ({why}), the first is "
            f"{scores[outside][0]:g}: mend the table, or give the range with --range LOW HIGH"
        )


def _reasons(dropped: Mapping[str, int]) -> str:
    return "; ".join(f"{count}: {reason}" for reason, count in dropped.items())
