"""What a log holds, for people: models, prompts, domains, what is missing or there twice, what could be a behavior."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING

from metamodel.recorded.index import CONFLICTING, FAILED, REPEATED, USED
from metamodel.recorded.log import Log
from metamodel.recorded.naming import safe_names
from metamodel.types import JSONValue

if TYPE_CHECKING:
    from rich.table import Table

_MOST_VALUES = 64
_MOST_CLASSES = 12
_PIECES_LOOKED_AT = 4
_TRUTHS = ({"true", "false"}, {"yes", "no"}, {"C", "I"}, {"correct", "incorrect"})


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """One primary model of a log.

    Attributes:
        name: Its name in a run.
        model: Its name in the log.
        n_outputs: Outputs that count.
        n_unanswered: Prompts without one.
        n_repeated: Rows that say again what another says; counted once.
        n_conflicting: Rows that differ about the same output; none of them counts.
        n_failed: Rows that say that there is no output.
    """

    name: str
    model: str
    n_outputs: int
    n_unanswered: int
    n_repeated: int
    n_conflicting: int
    n_failed: int


@dataclass(frozen=True, kw_only=True)
class LogSummary:
    """What a log holds.

    Attributes:
        path: As the user named it.
        format: Name of its format.
        n_files: Files read.
        n_rows: Rows of outputs.
        n_unusable: Rows that cannot be used.
        unusable: The first of them, with file and line.
        n_samples: Most samples that any prompt has.
        models: Its primary models.
        domains: Number of prompts of each domain.
        with_text: Whether it holds the outputs' texts.
        known: Of finish_reason, n_tokens, logprobs, references and choices those that some row has.
        values: What is said of outputs: kind of label space of each value, or "other", by its name.
        classes: The classes of each value that is categorical.
    """

    path: str
    format: str
    n_files: int
    n_rows: int
    n_unusable: int
    unusable: tuple[str, ...]
    n_samples: int
    models: tuple[ModelSummary, ...]
    domains: Mapping[str, int]
    with_text: bool
    known: tuple[str, ...]
    values: Mapping[str, str]
    classes: Mapping[str, tuple[str, ...]]

    @property
    def n_prompts(self) -> int:
        """Number of prompts."""
        return sum(self.domains.values())

    def to_dict(self) -> dict[str, object]:
        """Return it ready for JSON."""
        return {**asdict(self), "n_prompts": self.n_prompts}

    def table(self) -> Table:
        """Return the primary models for the terminal."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(title="primary models", title_justify="left")
        is_renamed = any(entry.name != entry.model for entry in self.models)
        table.add_column("name", style="bold", overflow="fold")
        if is_renamed:
            table.add_column("in the log", overflow="fold")
        for column in ("outputs", "missing", "repeated", "differing", "failed"):
            table.add_column(column, justify="right", no_wrap=True)
        for entry in self.models:
            names = (entry.name, entry.model) if is_renamed else (entry.name,)
            counts = (entry.n_outputs, entry.n_unanswered, entry.n_repeated, entry.n_conflicting, entry.n_failed)
            table.add_row(*map(escape, names), *(f"{count:,}" for count in counts))
        return table


def summarize(log: Log) -> LogSummary:
    """Go through a log and say what it holds; what is said of outputs is told from the first rows of each model."""
    domains: Counter[str] = Counter()
    known: set[str] = set()
    for table in log.prompt_tables():
        domains.update(table["domain"].to_pylist())
        known |= {name for name in ("references", "choices") if len(table[name].combine_chunks().flatten())}
    values = _Values()
    with_text = False
    for model in log.models:
        for table in islice(log.output_tables(model), _PIECES_LOOKED_AT):
            with_text |= table["text"].null_count < len(table)
            columns = ("finish_reason", "n_tokens", "logprobs")
            known |= {name for name in columns if table[name].null_count < len(table)}
            for row in table["metadata"].to_pylist():
                values.add(json.loads(row))
    return LogSummary(
        path=log.path,
        format=log.format,
        n_files=len(log.files),
        n_rows=len(log.index.rows.status),
        n_unusable=log.problems.n_rows,
        unusable=tuple(log.problems.shown),
        n_samples=log.index.n_samples,
        models=_models(log),
        domains=dict(sorted(domains.items())),
        with_text=with_text,
        known=tuple(sorted(known)),
        values={name: values.kind(name) for name in values.seen},
        classes={name: values.classes(name) for name in values.seen if values.kind(name) == "categorical"},
    )


def _models(log: Log) -> tuple[ModelSummary, ...]:
    index = log.index
    return tuple(
        ModelSummary(
            name=name,
            model=model,
            n_outputs=int(index.rows_of(model, USED).sum()),
            n_unanswered=index.n_unanswered(model),
            n_repeated=int(index.rows_of(model, REPEATED).sum()),
            n_conflicting=int(index.rows_of(model, CONFLICTING).sum()),
            n_failed=int(index.rows_of(model, FAILED).sum()),
        )
        for model, name in safe_names(log.models).items()
    )


class _Values:
    """The distinct values of each name in the metadata, as long as they are few, and their types."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str | float | bool]] = {}
        self._types: dict[str, set[str]] = {}

    def add(self, row: Mapping[str, JSONValue], prefix: str = "") -> None:
        for key, value in row.items():
            name = f"{prefix}{key}"
            if isinstance(value, dict):
                if prefix.count(".") < 2:  # noqa: PLR2004 - deeper than filters.NAME.metric nobody looks
                    self.add(value, f"{name}.")
                continue
            self._types.setdefault(name, set()).add(type(value).__name__)
            values = self.seen.setdefault(name, set())
            if isinstance(value, str | int | float) and len(values) < _MOST_VALUES:
                values.add(value)

    def kind(self, name: str) -> str:
        """Return the kind of label space that the values fit in; "other" where none is plain."""
        types, values = self._types[name] - {"NoneType"}, self.seen[name]
        if not values or "list" in types:
            return "other"
        if types <= {"bool"} or (types <= {"bool", "int", "float"} and values <= {0, 1}):
            return "binary"
        if types == {"str"}:
            return self._kind_of_texts(values)
        if types == {"int"} and all(isinstance(value, int) and value >= 0 for value in values):
            return "count"
        is_share = types <= {"int", "float"} and all(
            isinstance(value, int | float) and 0 <= value <= 1 for value in values
        )
        return "real" if is_share else "other"

    def _kind_of_texts(self, values: set[str | float | bool]) -> str:
        if any(values <= truths for truths in _TRUTHS):
            return "binary"
        is_short = all(isinstance(value, str) and len(value) <= _MOST_VALUES for value in values)
        return "categorical" if is_short and 1 < len(values) <= _MOST_CLASSES else "other"

    def classes(self, name: str) -> tuple[str, ...]:
        return tuple(sorted(str(value) for value in self.seen[name]))
