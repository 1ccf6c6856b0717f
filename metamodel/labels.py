"""Label spaces and labels.

Ground floor: nothing here imports another module of the project but `metamodel.types`.

Shapes in this file: n = prompts, k = samples a prompt, c = outcomes of a label space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from metamodel.types import FloatArray, IntArray

MISSING_CODE = -1
# No name in a config holds it.
TASK_SEPARATOR = "/"

# A label space is a finite list of outcomes: binary and categorical labels have one an answer, counts and reals one a
# bin. The bins are part of the featurizer's definition and never depend on data, so that two metamodels, folds or runs
# always speak about bits of the same variable.


@dataclass(frozen=True, kw_only=True)
class Binary:
    """Labels 0 and 1."""

    kind: Literal["binary"] = "binary"

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the two outcomes."""
        return ("no", "yes")

    def encode(self, values: FloatArray) -> IntArray:
        """Return outcome codes, MISSING_CODE for NaN."""
        return _checked_codes(values, n_outcomes=2, space="binary")


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """Labels are indices into `classes`."""

    classes: tuple[str, ...]
    kind: Literal["categorical"] = "categorical"

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.classes

    def encode(self, values: FloatArray) -> IntArray:
        """Return class indices, MISSING_CODE for NaN."""
        return _checked_codes(values, n_outcomes=len(self.classes), space="categorical")


# 0 to 4 alone, then two bins an octave: fine where short outputs differ, coarse where a token more means nothing.
DEFAULT_COUNT_EDGES = (1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 2049, 4097)


@dataclass(frozen=True, kw_only=True)
class Count:
    """Labels are whole numbers >= 0; bits refer to the bin that a label falls in.

    Attributes:
        edges: Rising lower ends of all bins but the first, which begins at 0.
    """

    edges: tuple[int, ...] = DEFAULT_COUNT_EDGES
    kind: Literal["count"] = "count"

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the bins, as ranges.

        >>> Count(edges=(1, 3)).outcomes
        ('0', '1-2', '3+')
        """
        starts = (0, *self.edges)
        ends = (*(edge - 1 for edge in self.edges), None)
        return tuple(_range_name(start, end) for start, end in zip(starts, ends, strict=True))

    def encode(self, values: FloatArray) -> IntArray:
        """Return bin indices, MISSING_CODE for NaN."""
        return _binned_codes(values, np.asarray(self.edges, dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class Real:
    """Labels are real; bits refer to one of `n_bins` equal bins of [low, high], the outer two open-ended."""

    low: float = 0.0
    high: float = 1.0
    n_bins: int = 10
    kind: Literal["real"] = "real"

    @cached_property
    def edges(self) -> tuple[float, ...]:
        """Inner bin edges, n_bins - 1 of them."""
        return tuple(float(edge) for edge in np.linspace(self.low, self.high, self.n_bins + 1)[1:-1])

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the bins, by their lower ends."""
        starts = (self.low, *self.edges)
        return tuple(f"from {start:g}" for start in starts)

    def encode(self, values: FloatArray) -> IntArray:
        """Return bin indices, MISSING_CODE for NaN."""
        return _binned_codes(values, np.asarray(self.edges, dtype=np.float64))


LabelSpace: TypeAlias = Binary | Categorical | Count | Real


def task_name(primary: str, behavior: str) -> str:
    """Name a behavior of one primary model among those of several.

    >>> task_name("gpt2", "empty")
    'gpt2/empty'
    """
    return f"{primary}{TASK_SEPARATOR}{behavior}"


def task_parts(task: str) -> tuple[str, str]:
    """Return the primary model and the behavior that `task_name` joined; no primary model where there is none.

    >>> task_parts("gpt2/empty"), task_parts("empty")
    (('gpt2', 'empty'), ('', 'empty'))
    """
    primary, _, behavior = task.rpartition(TASK_SEPARATOR)
    return primary, behavior


def label_space_to_dict(space: LabelSpace) -> dict[str, object]:
    """Return a JSON-ready description that `label_space_from_dict` reads back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(space).items()}


def label_space_from_dict(description: Mapping[str, object]) -> LabelSpace:
    """Rebuild a label space; raises ValueError for an unknown kind or field.

    >>> label_space_from_dict({"kind": "categorical", "classes": ["a", "b"]})
    Categorical(classes=('a', 'b'), kind='categorical')
    """
    spaces = {"binary": Binary, "categorical": Categorical, "count": Count, "real": Real}
    kind = description.get("kind")
    if not isinstance(kind, str) or kind not in spaces:
        raise ValueError(f"label space kind is {kind!r}, must be one of {', '.join(spaces)}")
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in description.items()}
    try:
        space: LabelSpace = spaces[kind](**fields)
    except TypeError as error:
        raise ValueError(f"label space {kind}: {error}") from error
    return space


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """All labels of one behavior over n prompts.

    Attributes:
        space: The label space.
        codes: Outcome code of each sample, [n, k]; MISSING_CODE where a sample has no label.
    """

    space: LabelSpace
    codes: IntArray

    @cached_property
    def counts(self) -> IntArray:
        """How often each outcome was drawn for each prompt, [n, c]."""
        n_prompts, n_outcomes = self.codes.shape[0], len(self.space.outcomes)
        counts = np.zeros((n_prompts, n_outcomes), dtype=np.int64)
        rows, columns = np.nonzero(self.codes != MISSING_CODE)
        np.add.at(counts, (rows, self.codes[rows, columns]), 1)
        return counts

    def take(self, rows: IntArray) -> LabelTable:
        """Return the labels of the given prompts."""
        return LabelTable(space=self.space, codes=self.codes[rows])


@dataclass(frozen=True, kw_only=True)
class LabeledPrompts:
    """What a trainer sees: n inputs and the labels of one or several behaviors.

    Attributes:
        texts: Prompt texts, n of them.
        domains: Domain of each prompt, n of them. Only `domain_tag` may look at it to predict.
        labels: One table a behavior, each over the same n prompts.
    """

    texts: tuple[str, ...]
    domains: tuple[str, ...]
    labels: Mapping[str, LabelTable]

    def __len__(self) -> int:
        """Return the number of prompts n."""
        return len(self.texts)

    def take(self, rows: Sequence[int] | IntArray) -> LabeledPrompts:
        """Return the given prompts with their labels, in the given order."""
        index = np.asarray(rows, dtype=np.int64)
        return LabeledPrompts(
            texts=tuple(self.texts[row] for row in index),
            domains=tuple(self.domains[row] for row in index),
            labels={name: table.take(index) for name, table in self.labels.items()},
        )


def _checked_codes(values: FloatArray, *, n_outcomes: int, space: str) -> IntArray:
    present = ~np.isnan(values)
    codes = np.full(values.shape, MISSING_CODE, dtype=np.int64)
    codes[present] = values[present].astype(np.int64)
    wrong = present & ((codes != values) | (codes < 0) | (codes >= n_outcomes))
    if wrong.any():
        raise ValueError(f"a {space} label is {values[wrong][0]}, must be a whole number from 0 to {n_outcomes - 1}")
    return codes


def _binned_codes(values: FloatArray, edges: FloatArray) -> IntArray:
    present = ~np.isnan(values)
    codes = np.full(values.shape, MISSING_CODE, dtype=np.int64)
    codes[present] = np.searchsorted(edges, values[present], side="right")
    return codes


def _range_name(start: int, end: int | None) -> str:
    if end is None:
        return f"{start}+"
    return str(start) if start == end else f"{start}-{end}"
