"""The rows of a log as they lie: prompt and output in one row, or prompts in one table and outputs in another.

Shapes in this file: n = rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from metamodel.recorded.digests import DIGEST_BYTES, DigestArray, KeyArray, keys_of, prompt_digests, text_keys
from metamodel.recorded.index import (
    BAD,
    FAILED,
    USED,
    BoolArray,
    CodeArray,
    LogIndex,
    RowColumns,
    StatusArray,
    judge_recurring,
    recurring_rows,
)
from metamodel.recorded.problems import Problems
from metamodel.recorded.prompt_codes import distinct_prompts, told_apart, with_several_items
from metamodel.recorded.readers import RowReader
from metamodel.recorded.rows import OUTPUT_COLUMNS, PROMPT_COLUMNS
from metamodel.types import IntArray

if TYPE_CHECKING:
    import pyarrow as pa

# Numbers of rows, or positions of prompts, and what stands there.
Piece: TypeAlias = tuple[IntArray, "pa.Table"]


class Contents(Protocol):
    """All rows of a log."""

    def models(self) -> tuple[str, ...]:
        """Return the names of the primary models in the order they occur, without reading anything else."""
        ...

    def index(self, problems: Problems) -> LogIndex:
        """Read what tells rows apart and say what there is; rows that cannot be used go to `problems`."""
        ...

    def prompts(self) -> Iterator[tuple[pa.Table, IntArray]]:
        """Yield each prompt once, with its position in the index, which must have been made."""
        ...

    def outputs(self, chosen: BoolArray, columns: Sequence[str]) -> Iterator[Piece]:
        """Yield the numbers of the chosen rows, and the rows with some columns."""
        ...


@dataclass
class OneTable:
    """Every row holds its prompt.

    Attributes:
        rows: The table.
    """

    rows: RowReader
    _code_of_first: CodeArray = field(default_factory=lambda: np.empty(0, np.int32))

    def models(self) -> tuple[str, ...]:
        """Return the names of the primary models."""
        return _models(self.rows)

    def index(self, problems: Problems) -> LogIndex:
        """Read what tells rows apart and say what there is."""
        found = RowColumns()
        pieces: list[DigestArray] = []
        columns = [name for name in PROMPT_COLUMNS if name != "item"]
        for start, table in self.rows.pieces([*columns, "model", "sample", "failure"]):
            has_prompt = _is_filled(table["text"]) & _is_filled(table["domain"])
            samples = _numbers(table["sample"])
            bad = _bad_rows(table, has_prompt, samples, "its prompt is empty")
            found.add(table["model"], samples, _status(table, bad), _shifted(bad, start))
            pieces.append(prompt_digests(_without_nulls(table)))
        rows = found.joined()
        _report(self.rows, found, rows.status, problems)
        digests = np.concatenate([*pieces, _NO_DIGESTS])
        del pieces
        usable = rows.status != BAD
        prompts = distinct_prompts(digests, usable)
        recurring = recurring_rows(rows, prompts.codes)
        if len(recurring) and self._tell_apart(digests, recurring):
            prompts = distinct_prompts(digests, usable)
            recurring = recurring_rows(rows, prompts.codes)
        self._code_of_first = np.full(len(digests), -1, dtype=np.int32)
        self._code_of_first[prompts.first_rows] = np.arange(len(prompts.first_rows))
        index = LogIndex(rows=rows, prompt_digests=prompts.digests, prompt_codes=prompts.codes)
        _judge(self, index, recurring)
        return index

    def prompts(self) -> Iterator[tuple[pa.Table, IntArray]]:
        """Yield each prompt once, from the first row that holds it."""
        yield from _prompts(self.rows, self._code_of_first)

    def outputs(self, chosen: BoolArray, columns: Sequence[str]) -> Iterator[Piece]:
        """Yield the numbers of the chosen rows, and the rows with some columns."""
        yield from _chosen_rows(self.rows, chosen, columns)

    def _tell_apart(self, digests: DigestArray, recurring: IntArray) -> bool:
        """Let the log's own ids enter where one model answered several prompts with the same content."""
        keys = keys_of(digests)
        items: dict[int, str | None] = {}
        for rows, table in _chosen_rows(self.rows, _mask(recurring, len(digests)), ["item"]):
            items |= dict(zip(rows.tolist(), table["item"].to_pylist(), strict=True))
        several = with_several_items(keys[list(items)], items.values())
        if not len(several):
            return False
        for rows, table in _chosen_rows(self.rows, np.isin(keys, several), ["item"]):
            told_apart(digests, dict(zip(rows.tolist(), table["item"].to_pylist(), strict=True)))
        return True


@dataclass
class TwoTables:
    """Outputs name their prompt by its id in another table.

    Attributes:
        prompt_rows: The prompts.
        output_rows: The outputs.
    """

    prompt_rows: RowReader
    output_rows: RowReader
    _code_of_first: CodeArray = field(default_factory=lambda: np.empty(0, np.int32))

    def models(self) -> tuple[str, ...]:
        """Return the names of the primary models."""
        return _models(self.output_rows)

    def index(self, problems: Problems) -> LogIndex:
        """Read what tells rows apart and say what there is."""
        items, digests = self._index_prompts(problems)
        found = RowColumns()
        codes: list[CodeArray] = []
        for start, table in self.output_rows.pieces(["item", "model", "sample", "failure"]):
            positions, is_known = _find(items, text_keys(table["item"]))
            samples = _numbers(table["sample"])
            bad = _bad_rows(table, is_known, samples, "its prompt is not in the table of prompts")
            found.add(table["model"], samples, _status(table, bad), _shifted(bad, start))
            codes.append(positions.astype(np.int32))
        prompt_codes = np.concatenate([*codes, np.empty(0, np.int32)])
        rows = found.joined()
        _report(self.output_rows, found, rows.status, problems)
        index = LogIndex(rows=rows, prompt_digests=digests, prompt_codes=prompt_codes)
        _judge(self, index, recurring_rows(index.rows, prompt_codes))
        return index

    def prompts(self) -> Iterator[tuple[pa.Table, IntArray]]:
        """Yield each prompt once, whether there are outputs for it or not."""
        yield from _prompts(self.prompt_rows, self._code_of_first)

    def outputs(self, chosen: BoolArray, columns: Sequence[str]) -> Iterator[Piece]:
        """Yield the numbers of the chosen rows, and the rows with some columns."""
        yield from _chosen_rows(self.output_rows, chosen, columns)

    def _index_prompts(self, problems: Problems) -> tuple[KeyArray, DigestArray]:
        """Return the keys of the prompts' own ids, sorted, and the digests of these prompts."""
        pieces: list[DigestArray] = []
        item_pieces: list[KeyArray] = []
        for _, table in self.prompt_rows.pieces([*PROMPT_COLUMNS, "place"]):
            filled = _is_filled(table["text"]) & _is_filled(table["domain"]) & _is_filled(table["item"])
            for place in table["place"].take(np.flatnonzero(~filled)).to_pylist():
                problems.add(f"{place}: its id, text or domain is empty")
            pieces.append(prompt_digests(_without_nulls(table)))
            item_pieces.append(np.where(filled, text_keys(table["item"]), 0).astype(np.uint64))
        digests, items = np.concatenate([*pieces, _NO_DIGESTS]), np.concatenate([*item_pieces, np.empty(0, np.uint64)])
        known, first = np.unique(items, return_index=True)
        known, first = known[known != 0], first[known != 0]
        _report_redefined(items, keys_of(digests), len(known), problems)
        contents, counts = np.unique(keys_of(digests[first]), return_counts=True)
        shared = np.isin(keys_of(digests), contents[counts > 1]) & _mask(first, len(digests))
        for rows, table in _chosen_rows(self.prompt_rows, shared, ["item"]) if shared.any() else ():
            told_apart(digests, dict(zip(rows.tolist(), table["item"].to_pylist(), strict=True)))
        self._code_of_first = np.full(len(digests), -1, dtype=np.int32)
        self._code_of_first[first] = np.arange(len(first))
        return known, digests[first]


_NO_DIGESTS: DigestArray = np.empty((0, DIGEST_BYTES), np.uint8)


def _models(reader: RowReader) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for _, table in reader.pieces(["model"]):
        found |= dict.fromkeys(name for name in table["model"].unique().to_pylist() if name)
    return tuple(found)


def _report_redefined(items: KeyArray, contents: KeyArray, n_items: int, problems: Problems) -> None:
    """Report ids that stand for several prompts: outputs cannot say which of them they belong to."""
    named = items != 0
    pairs = np.unique(np.stack([items[named], contents[named]], axis=1), axis=0)
    n_redefined = len(pairs) - n_items
    if n_redefined:
        reason = f"{n_redefined} rows of the table of prompts give an id to another prompt than an earlier row"
        problems.add(f"{reason}; the earlier one counts", n_rows=n_redefined)


def _find(sorted_keys: KeyArray, keys: KeyArray) -> tuple[IntArray, BoolArray]:
    """Return where each key stands among sorted ones, and whether it does, [n]."""
    if not len(sorted_keys):
        return np.zeros(len(keys), np.int64), np.zeros(len(keys), np.bool_)
    positions = np.searchsorted(sorted_keys, keys).clip(max=len(sorted_keys) - 1)
    return positions, sorted_keys[positions] == keys


def _judge(contents: Contents, index: LogIndex, recurring: IntArray) -> None:
    """Compare the rows that stand for the same output; only those are read again."""
    if not len(recurring):
        return
    names = (*OUTPUT_COLUMNS, "failure")
    hashes: dict[int, bytes] = {}
    for rows, table in contents.outputs(_mask(recurring, len(index.prompt_codes)), names):
        columns = [table[name].to_pylist() for name in names]
        for row, values in zip(rows.tolist(), zip(*columns, strict=True), strict=True):
            hashes[row] = blake2b(repr(values).encode("utf-8"), digest_size=DIGEST_BYTES).digest()
    judge_recurring(index, hashes)


def _prompts(reader: RowReader, code_of_first: CodeArray) -> Iterator[tuple[pa.Table, IntArray]]:
    columns = [name for name in PROMPT_COLUMNS if name != "item"]
    for rows, table in _chosen_rows(reader, code_of_first >= 0, [*columns, "attributes"]):
        yield table, code_of_first[rows].astype(np.int64)


def _chosen_rows(reader: RowReader, chosen: BoolArray, columns: Sequence[str]) -> Iterator[Piece]:
    for start, table in reader.pieces(columns, lambda begin, end: bool(chosen[begin:end].any())):
        taken = np.flatnonzero(chosen[start : start + len(table)])
        if len(taken):
            yield taken + start, table if len(taken) == len(table) else table.take(taken)


def _mask(rows: IntArray, n_rows: int) -> BoolArray:
    chosen = np.zeros(n_rows, dtype=np.bool_)
    chosen[rows] = True
    return chosen


def _bad_rows(table: pa.Table, has_prompt: BoolArray, samples: CodeArray, without_prompt: str) -> dict[int, str]:
    """Return what is wrong with rows that cannot be used, by their place in the piece."""
    bad: dict[int, str] = {}
    reasons = (
        (samples < 0, "its sample is no number from 0"),
        (~_is_filled(table["model"]), "it names no model"),
        (~has_prompt, without_prompt),
    )
    for rows, reason in reasons:
        bad |= dict.fromkeys(np.flatnonzero(rows).tolist(), reason)
    return bad


def _status(table: pa.Table, bad: Mapping[int, str]) -> StatusArray:
    status = np.full(len(table), USED, dtype=np.int8)
    status[np.asarray(table["failure"].is_valid())] = FAILED
    status[list(bad)] = BAD
    return status


def _shifted(bad: Mapping[int, str], start: int) -> dict[int, str]:
    return {row + start: reason for row, reason in bad.items()}


def _report(reader: RowReader, found: RowColumns, status: StatusArray, problems: Problems) -> None:
    """Report the rows that cannot be used; the first ones are looked up once more for where they stand."""
    n_bad = int((status == BAD).sum())
    if not n_bad:
        return
    shown = _mask(np.array(sorted(found.bad), dtype=np.int64), len(status))
    for rows, table in _chosen_rows(reader, shown, ["place"]):
        for row, place in zip(rows.tolist(), table["place"].to_pylist(), strict=True):
            problems.add(f"{place}: {found.bad[row]}")
    problems.n_rows += n_bad - len(found.bad)


def _is_filled(column: pa.ChunkedArray) -> BoolArray:
    import pyarrow.compute as pc

    filled: BoolArray = np.asarray(pc.fill_null(pc.greater(pc.binary_length(column), 0), fill_value=False))
    return filled


def _numbers(column: pa.ChunkedArray) -> CodeArray:
    return np.asarray(column.fill_null(-1), dtype=np.int32)


def _without_nulls(table: pa.Table) -> pa.Table:
    for name in ("domain", "text"):
        if table[name].null_count:
            table = table.set_column(table.column_names.index(name), name, table[name].fill_null(""))
    return table
