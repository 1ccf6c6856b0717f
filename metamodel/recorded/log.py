"""An opened log: its primary models, its prompts as tables, its outputs as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from metamodel.errors import DataError, nearest_name_hint
from metamodel.recorded.digests import DigestArray, digests_of_ids, hex_ids
from metamodel.recorded.files import LogFile, content_digest
from metamodel.recorded.index import CONFLICTING, FAILED, USED, CodeArray, LogIndex
from metamodel.recorded.problems import Problems
from metamodel.recorded.rows import OUTPUT_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

    from metamodel.recorded.contents import Contents

_MOST_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log of outputs, read as often as needed and never held in memory.

    Attributes:
        path: As the user named it.
        format: Name of its format.
        files: The files that it was read from.
        make_contents: Reads the rows, those of formats that are parsed once included.
        problems: Rows that cannot be used; known once the index is.
    """

    path: str
    format: str
    files: tuple[LogFile, ...]
    make_contents: Callable[[Problems], Contents]
    problems: Problems = field(default_factory=Problems)

    @cached_property
    def contents(self) -> Contents:
        """Its rows."""
        return self.make_contents(self.problems)

    @cached_property
    def index(self) -> LogIndex:
        """What the log holds, found in one pass.

        Raises:
            DataError: It cannot be read, or has no row that can be used.
        """
        index = self.contents.index(self.problems)
        if not (index.rows.status == USED).any() and not (index.rows.status == FAILED).any():
            reason = self.problems.summary() if self.problems.n_rows else "it has no row"
            raise DataError(f"{self.path} ({self.format}) holds nothing that can be used: {reason}")
        return index

    @cached_property
    def digest(self) -> str:
        """Hash of the files' content."""
        return content_digest(self.files)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of the primary models.

        Raises:
            DataError: It cannot be read, or names none.
        """
        models = self.contents.models()
        # The index knows what is wrong with a log in which nothing can be used.
        return models or self.index.rows.models

    def check_model(self, model: str | None) -> str:
        """Return the model that is meant: the one named, or the log's only one.

        Raises:
            DataError: It is not in the log, or none is named and the log has several.
        """
        if model is None:
            if len(self.models) != 1:
                some = ", ".join(self.models[:_MOST_NAMED])
                raise DataError(f"{self.path} holds {len(self.models)} models: name one with model: {some}")
            return self.models[0]
        if model not in self.models:
            raise DataError(f"{self.path} holds no outputs of {model!r}: {nearest_name_hint(model, self.models)}")
        return model

    def prompt_tables(self) -> Iterator[pa.Table]:
        """Yield each prompt once, with the columns of the `prompts` table, in the order of the log."""
        digests = self.index.prompt_digests
        for table, codes in self.contents.prompts():
            yield _prompts_table(table, digests[codes])

    def output_tables(self, model: str, prompt_ids: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield a model's outputs with the columns of the `generations` table, but key and primary.

        Args:
            model: Its name in the log.
            prompt_ids: Only outputs for these prompts; all without.
        """
        index = self.index
        chosen = index.rows_of(model, USED)
        if prompt_ids is not None:
            chosen &= np.isin(index.prompt_codes, index.codes_of(digests_of_ids(prompt_ids)))
        for rows, table in self.contents.outputs(chosen, OUTPUT_COLUMNS):
            digests = index.prompt_digests[index.prompt_codes[rows]]
            yield _outputs_table(table, digests, index.rows.samples[rows])

    def failure_reasons(self, model: str) -> dict[tuple[str, int], str]:
        """Return why outputs are not there that the log has rows of, by prompt id and sample."""
        index = self.index
        chosen = index.rows_of(model, FAILED, CONFLICTING)
        reasons: dict[tuple[str, int], str] = {}
        if not chosen.any():
            return reasons
        for rows, table in self.contents.outputs(chosen, ("place", "failure")):
            ids = hex_ids(index.prompt_digests[index.prompt_codes[rows]]).to_pylist()
            for row, prompt_id, place, failure in zip(
                rows.tolist(), ids, table["place"].to_pylist(), table["failure"].to_pylist(), strict=True
            ):
                at = (prompt_id, int(index.rows.samples[row]))
                if index.rows.status[row] == FAILED:
                    reasons[at] = f"{place}: {failure}"
                elif at in reasons:
                    reasons[at] += f"; {place}"
                else:
                    reasons[at] = f"the log holds several outputs that differ: {place}"
        return reasons


def _prompts_table(table: pa.Table, digests: DigestArray) -> pa.Table:
    import pyarrow as pa

    from metamodel.store.schemas import schema_of

    n_rows = len(table)
    columns = {
        "prompt_id": hex_ids(digests),
        **{name: table[name] for name in ("domain", "text", "references", "choices", "attributes")},
        "origin_id": pa.nulls(n_rows, pa.string()),
        "variant": pa.array([""]).take(pa.array(np.zeros(n_rows, dtype=np.int32))),
    }
    schema = schema_of("prompts")
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _outputs_table(table: pa.Table, digests: DigestArray, samples: CodeArray) -> pa.Table:
    import pyarrow as pa

    from metamodel.store.schemas import schema_of

    schema = pa.schema([column for column in schema_of("generations") if column.name not in ("key", "primary")])
    columns = {
        "prompt_id": hex_ids(digests),
        "sample": pa.array(samples, pa.int32()),
        "seed": pa.nulls(len(table), pa.int64()),
        "text": table["output"],
        **{name: table[name] for name in ("token_ids", "logprobs", "finish_reason", "n_tokens", "metadata")},
    }
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)
