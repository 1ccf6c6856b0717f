"""Recorded: what a log says of an output, taken as the label: its own score, answer, count."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from metamodel.labels import DEFAULT_COUNT_EDGES, Binary, Categorical, Count, LabelSpace, Real
from metamodel.types import FloatArray, GenerationBatch, JSONValue, Need

Values: TypeAlias = Literal["binary", "categorical", "count", "real"]
Source: TypeAlias = Literal["metadata", "attributes"]

# Inspect writes C and I; the others are how tables write truth values.
_YES = ("true", "yes", "1", "c", "correct")
_NO = ("false", "no", "0", "i", "incorrect")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A value that the source of the output recorded, such as lm-eval's `acc`; missing where there is none.

    f(x, y) = the value at `field` in what the source says of the output (its metadata) or of its prompt (its
    attributes), read as the declared label space says. A value outside of it is missing, never rounded or guessed.

    Label space: as declared. Needs: metadata or attributes. Counts as reading the prompt unless told otherwise: a
    recorded score may have compared with anything.
    Source: whoever wrote the log.

    Attributes:
        field: Name of the value; points lead into objects and lists ("scores.match", "choice_logprobs.0").
        values: Kind of the label space: binary, categorical, count or real.
        source: "metadata" (of the output) or "attributes" (of its prompt).
        classes: The classes, where the values are categorical; any other value is missing.
        yes: Texts that mean 1, where the values are binary, in lower case.
        no: Texts that mean 0.
        edges: Bins of counts, as of the label space count.
        low: Lower end of the real bins.
        high: Upper end of the real bins.
        n_bins: Number of real bins.
        reads_prompt: Whether the value is more than a function of the output alone.

    >>> from metamodel.text import text_batch
    >>> Recorded(field="acc").label(text_batch(["", "", ""], metadata=[{"acc": 1.0}, {"acc": False}, {}]))
    array([ 1.,  0., nan])
    """

    field: str = "correct"
    values: Values = "binary"
    source: Source = "metadata"
    classes: tuple[str, ...] = ()
    yes: tuple[str, ...] = _YES
    no: tuple[str, ...] = _NO
    edges: tuple[int, ...] = DEFAULT_COUNT_EDGES
    low: float = 0.0
    high: float = 1.0
    n_bins: int = 10
    reads_prompt: bool = True

    def __post_init__(self) -> None:
        """Refuse a label space that means nothing."""
        problems = []
        if not self.field:
            problems.append("field is empty, must name a value")
        if self.values not in get_args(Values):
            problems.append(f"values is {self.values!r}, must be one of {', '.join(get_args(Values))}")
        if self.source not in get_args(Source):
            problems.append(f"source is {self.source!r}, must be one of {', '.join(get_args(Source))}")
        if (self.values == "categorical") != bool(self.classes):
            problems.append(f"classes is {list(self.classes)}, must list the classes where values is categorical only")
        if len(set(self.classes)) < len(self.classes):
            problems.append(f"classes is {list(self.classes)}, must name each class once")
        both = sorted(set(self.yes) & set(self.no))
        if both:
            problems.append(f"yes and no both hold {', '.join(both)}")
        if not self.edges or self.edges[0] < 1 or any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            problems.append(f"edges is {list(self.edges)}, must rise from 1 or more")
        if not self.low < self.high or self.n_bins < 2:  # noqa: PLR2004 - one bin tells nothing
            problems.append(
                f"low is {self.low}, high {self.high}, n_bins {self.n_bins}: must be low < high, n_bins >= 2"
            )
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def space(self) -> LabelSpace:
        """The declared label space."""
        if self.values == "categorical":
            return Categorical(classes=self.classes)
        if self.values == "count":
            return Count(edges=self.edges)
        if self.values == "real":
            return Real(low=self.low, high=self.high, n_bins=self.n_bins)
        return Binary()

    @property
    def needs(self) -> tuple[Need, ...]:
        """Metadata of the output, or attributes of its prompt."""
        return (self.source,)

    def label(self, batch: GenerationBatch) -> FloatArray:
        """Return the recorded values, NaN where there is none of the declared kind, [n]."""
        read: dict[Values, Callable[[JSONValue], float]] = {
            "binary": self._binary,
            "categorical": self._class,
            "count": _count,
            "real": _real,
        }
        rows = batch.metadata if self.source == "metadata" else batch.attributes
        return np.array([read[self.values](_value_at(row, self.field)) for row in rows], dtype=np.float64)

    def _binary(self, value: JSONValue) -> float:
        if isinstance(value, str):
            text = value.strip().lower()
            return 1.0 if text in self.yes else 0.0 if text in self.no else math.nan
        return float(value) if isinstance(value, bool | int | float) and value in (0, 1) else math.nan

    def _class(self, value: JSONValue) -> float:
        if value is None or isinstance(value, list | dict):
            return math.nan
        text = str(value)
        return float(self.classes.index(text)) if text in self.classes else math.nan


def _count(value: JSONValue) -> float:
    is_count = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and value == value // 1
    return float(value) if is_count else math.nan  # type: ignore[arg-type] # a number by the line above


def _real(value: JSONValue) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else math.nan  # type: ignore[arg-type] # a number by the line above


def _value_at(row: Mapping[str, JSONValue], path: str) -> JSONValue:
    """Return the value at a path; a key that itself holds points is found first."""
    if path in row:
        return row[path]
    here: JSONValue = dict(row)
    for part in path.split("."):
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            return None
    return here
