"""What a log holds, found in one pass: its prompts, its primary models, and which rows count.

Some bytes a row are kept, never a text. Shapes in this file: n = rows, p = prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metamodel.recorded.digests import DigestArray, keys_of
from metamodel.recorded.problems import MOST_SHOWN
from metamodel.types import IntArray

if TYPE_CHECKING:
    import pyarrow as pa

# What becomes of a row.
USED: Final = 0
BAD: Final = 1  # it cannot be read, or speaks of a prompt that is not there
REPEATED: Final = 2  # says again what an earlier row says
CONFLICTING: Final = 3  # says of the same output something else than another row
FAILED: Final = 4  # says that there is no output

StatusArray: TypeAlias = NDArray[np.int8]
BoolArray: TypeAlias = NDArray[np.bool_]
CodeArray: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What is known of each row of a table of outputs.

    Attributes:
        models: Names of the primary models, in the order they occur.
        model_codes: Position in `models`, [n]; -1 where the row names none.
        samples: Index among the samples of the prompt, from 0, [n].
        status: USED, BAD, REPEATED, CONFLICTING or FAILED, [n].
    """

    models: tuple[str, ...]
    model_codes: CodeArray
    samples: CodeArray
    status: StatusArray


@dataclass(frozen=True, kw_only=True)
class LogIndex:
    """A log's contents by number of row.

    Attributes:
        rows: What is known of each row.
        prompt_digests: Digest of each prompt's id, [p, 16].
        prompt_codes: Position of the row's prompt in `prompt_digests`, [n]; any where the row is BAD.
    """

    rows: Rows
    prompt_digests: DigestArray
    prompt_codes: CodeArray

    def rows_of(self, model: str, *statuses: int) -> BoolArray:
        """Say of each row whether it is the model's and has one of the statuses, [n]; ValueError for no such model."""
        chosen: BoolArray = (self.rows.model_codes == self.rows.models.index(model)) & np.isin(
            self.rows.status, statuses
        )
        return chosen

    @property
    def n_samples(self) -> int:
        """Most samples that any prompt has."""
        counted = self.rows.samples[self.rows.status != BAD]
        return int(counted.max()) + 1 if len(counted) else 1

    def n_unanswered(self, model: str) -> int:
        """Return the number of prompts that a model has no output for."""
        return len(self.prompt_digests) - len(np.unique(self.prompt_codes[self.rows_of(model, USED)]))

    def codes_of(self, digests: DigestArray) -> IntArray:
        """Return the positions of those of some prompts that are in the log."""
        keys = keys_of(self.prompt_digests)
        positions: IntArray = np.flatnonzero(np.isin(keys, keys_of(digests)))
        return positions


@dataclass
class RowColumns:
    """What is known of the rows while it is gathered, a piece at a time.

    Attributes:
        models: Code of each primary model.
        bad: What is wrong with the first rows that cannot be used, by number of row.
    """

    models: dict[str, int] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)
    _model_codes: list[CodeArray] = field(default_factory=list)
    _samples: list[CodeArray] = field(default_factory=list)
    _status: list[StatusArray] = field(default_factory=list)

    def add(self, models: pa.ChunkedArray, samples: CodeArray, status: StatusArray, bad: Mapping[int, str]) -> None:
        """Add a piece; new names of models get new codes."""
        self.bad |= dict(islice(bad.items(), max(MOST_SHOWN - len(self.bad), 0)))
        named = models.combine_chunks().dictionary_encode()
        chunks = named.chunks if hasattr(named, "chunks") else [named]
        for chunk in chunks:
            known = [self.models.setdefault(name, len(self.models)) for name in chunk.dictionary.to_pylist() if name]
            codes = np.array([*known, -1], dtype=np.int32)
            self._model_codes.append(codes[np.asarray(chunk.indices.fill_null(-1), dtype=np.int64)])
        self._samples.append(samples)
        self._status.append(status)

    def joined(self) -> Rows:
        """Return all pieces as one; samples are counted from 0 also where the log counts from 1."""
        status = np.concatenate([*self._status, np.empty(0, np.int8)])
        samples = np.concatenate([*self._samples, np.empty(0, np.int32)])
        counted = samples[status != BAD]
        return Rows(
            models=tuple(self.models),
            model_codes=np.concatenate([*self._model_codes, np.empty(0, np.int32)]),
            samples=samples - 1 if len(counted) and counted.min() == 1 else samples,
            status=status,
        )


def recurring_rows(rows: Rows, prompt_codes: CodeArray) -> IntArray:
    """Return the rows that share prompt, model and sample with another one, ordered so that such rows are neighbors."""
    usable = np.flatnonzero((rows.status == USED) | (rows.status == FAILED))
    columns = (rows.samples[usable], rows.model_codes[usable], prompt_codes[usable])
    order = np.lexsort(columns)  # stable: among rows that are alike the earlier ones come first
    same = np.ones(max(len(usable) - 1, 0), dtype=np.bool_)
    for column in columns:
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    if not len(usable):
        return usable
    recurs = np.concatenate([same, [False]]) | np.concatenate([[False], same])
    recurring: IntArray = usable[order[recurs]]
    return recurring


def judge_recurring(index: LogIndex, contents: Mapping[int, bytes]) -> None:
    """Set the status of rows that share a place: all but the first REPEATED where all say the same, else CONFLICTING.

    Args:
        index: Its rows are changed in place.
        contents: Hash of what each of `recurring_rows` says.
    """
    rows = index.rows
    groups: dict[tuple[int, int, int], list[int]] = {}
    for row in sorted(contents):
        place = (int(index.prompt_codes[row]), int(rows.model_codes[row]), int(rows.samples[row]))
        groups.setdefault(place, []).append(row)
    for group in groups.values():
        if len({contents[row] for row in group}) == 1:
            rows.status[group[1:]] = REPEATED
        else:
            rows.status[group] = CONFLICTING
