"""Draw a run's prompts from its sources, piece by piece: a million of them never sit in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from metamodel.config import RunConfig
from metamodel.errors import DataError
from metamodel.prompts.base import iterate_unique
from metamodel.protocols import PromptSource
from metamodel.splits import Fold, PromptMarks, folds_of_marks, mark_prompts
from metamodel.store.keys import KeyIndex, Keys, hex_of, keys_of
from metamodel.store.pieces import bounded_tables
from metamodel.store.rows import prompts_from_table, prompts_to_table
from metamodel.types import Prompt

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE_PROMPTS = 1024


@runtime_checkable
class ReadsPromptTables(Protocol):
    """A prompt source that ends and can give its prompts as whole tables."""

    def prompt_tables(self) -> Iterator[pa.Table]:
        """Yield tables with the columns of `prompts`, in bounded pieces."""
        ...


@dataclass(frozen=True, kw_only=True)
class DrawnPrompts:
    """The distinct prompts that a config's sources give, drawn anew each time they are asked for.

    Attributes:
        config: A run's config.
    """

    config: RunConfig

    def tables(self) -> Iterator[pa.Table]:
        """Yield rows of `prompts` in pieces of a shard's size, in the order of the sources.

        Raises:
            DataError: A source yields nothing, or never ends where all of it is asked for; or a changed version comes
                without its origin.
        """
        return bounded_tables(distinct_tables(_of_sources(self.config)))

    def __iter__(self) -> Iterator[Prompt]:
        """Yield the prompts one by one."""
        for table in self.tables():
            yield from prompts_from_table(table)


@dataclass(frozen=True, kw_only=True)
class PromptSurvey:
    """What can be said of prompts without holding their texts.

    Attributes:
        n_by_domain: Number of prompts of each domain, changed versions not counted.
        n_changed: Number of changed versions.
        marks: What decides which of the prompts train and which judge; changed versions do neither.
    """

    n_by_domain: dict[str, int]
    n_changed: int
    marks: PromptMarks

    @property
    def n_prompts(self) -> int:
        """All prompts, changed versions included."""
        return len(self.marks) + self.n_changed


def draw_prompts(config: RunConfig) -> list[Prompt]:
    """Return the distinct prompts of all sources at once, in the order of the sources.

    Raises:
        DataError: A source yields nothing, or never ends where all of it is asked for.
    """
    return list(DrawnPrompts(config=config))


def survey_prompts(config: RunConfig) -> PromptSurvey:
    """Go through the prompts of all sources once, keeping some 50 bytes of each.

    Raises:
        DataError: A source yields nothing, or never ends where all of it is asked for.
    """
    tally = _Tally()
    marks = mark_prompts(tally.own(DrawnPrompts(config=config).tables()), seed=config.seed)
    return PromptSurvey(n_by_domain=dict(sorted(tally.domains.items())), n_changed=tally.n_changed, marks=marks)


def survey_folds(config: RunConfig, survey: PromptSurvey) -> list[Fold]:
    """Return the folds that a config asks for over its prompts.

    Raises:
        DataError: A fold has nothing to train on, or a held-out domain does not exist.
    """
    plan = config.splits
    return folds_of_marks(
        survey.marks,
        test_share=plan.test_share,
        validation_share=plan.validation_share,
        in_distribution=plan.in_distribution,
        held_out_domains=plan.held_out_domains,
        seed=config.seed,
    )


def config_folds(config: RunConfig, prompts: Iterable[Prompt]) -> list[Fold]:
    """Return the folds that a config asks for over given prompts.

    Raises:
        DataError: A fold has nothing to train on, or a held-out domain does not exist.
    """
    tally = _Tally()
    marks = mark_prompts(tally.own(tables_of(prompts)), seed=config.seed)
    return survey_folds(config, PromptSurvey(n_by_domain=dict(tally.domains), n_changed=tally.n_changed, marks=marks))


def distinct_tables(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the first row of each prompt id.

    Raises:
        DataError: A changed version's origin is not among the prompts.
    """
    import pyarrow.compute as pc

    known, origins = KeyIndex(), KeyIndex()
    for table in tables:
        is_new = known.add(keys_of(table["prompt_id"].to_pylist()))
        origins.add(keys_of(pc.drop_null(table["origin_id"]).to_pylist()))
        yield table if is_new.all() else table.filter(is_new)
    missing: Keys = origins.keys[~known.contains(origins.keys)]
    if len(missing):
        raise DataError(
            f"{len(missing)} changed prompts come without the prompt that they are a version of "
            f"({', '.join(hex_of(missing[:3]))}): a source of changed versions must yield their origins as well"
        )


def tables_of(prompts: Iterable[Prompt]) -> Iterator[pa.Table]:
    """Yield prompts as rows of `prompts`, some at a time."""
    remaining = iter(prompts)
    while piece := list(islice(remaining, _PIECE_PROMPTS)):
        yield prompts_to_table(piece)


def _of_sources(config: RunConfig) -> Iterator[pa.Table]:
    for source in config.sources:
        is_empty = True
        for table in _of_source(source, config):
            is_empty &= table.num_rows == 0
            yield table
        if is_empty:
            raise DataError(f"prompt source {source} yields no prompt")


def _of_source(source: PromptSource, config: RunConfig) -> Iterator[pa.Table]:
    if not isinstance(source, ReadsPromptTables):
        return tables_of(iterate_unique(source, config.n_prompts, config.seed))
    if config.n_prompts is None:
        return source.prompt_tables()
    return _first_of_each_domain(distinct_tables(source.prompt_tables()), config.n_prompts)


def _first_of_each_domain(tables: Iterable[pa.Table], n_prompts: int) -> Iterator[pa.Table]:
    n_taken: Counter[str] = Counter()
    for table in tables:
        is_taken = np.zeros(table.num_rows, dtype=np.bool_)
        for row, domain in enumerate(table["domain"].to_pylist()):
            if n_taken[domain] < n_prompts:
                n_taken[domain] += 1
                is_taken[row] = True
        yield table.filter(is_taken)


@dataclass
class _Tally:
    domains: Counter[str] = field(default_factory=Counter)
    n_changed: int = 0

    def own(self, tables: Iterable[pa.Table]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
        """Yield texts and domains of the prompts that are no changed versions, and count all."""
        import pyarrow.compute as pc

        for table in tables:
            own = table.filter(pc.is_null(table["origin_id"]))
            self.n_changed += table.num_rows - own.num_rows
            domains = own["domain"].to_pylist()
            self.domains.update(domains)
            yield own["text"].to_pylist(), domains
