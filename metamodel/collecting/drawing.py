"""Draw what is missing: requests stream to the engine, outcomes stream to shards."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import Self

import numpy as np

from metamodel.collecting.work import Work
from metamodel.engines.base import Engine
from metamodel.protocols import PrimaryModel
from metamodel.store import pieces
from metamodel.store.keys import BoolArray, KeyIndex, Keys, hex_of
from metamodel.store.rows import generations_to_table
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Failure, Generation, Outcome

SHARD_SECONDS = 15.0
# The small shards that slow draws leave are made few after so many.
_FLUSHES_BEFORE_MERGE = 64
_BYTES_PER_TOKEN = 8


def draw_missing(work: Work, primary: PrimaryModel, engine: Engine) -> None:
    """Draw every sample that is neither a generation nor a failure; what is drawn is kept whatever happens."""
    requests = work.missing()
    first = next(requests, None)
    if first is None:
        return  # the model need not even be loaded
    with (
        _Shards(work) as shards,
        closing(_generator(engine.draw(primary, chain([first], requests), work.sampling))) as batches,
    ):
        for batch in batches:
            _take(work, batch, shards)


def merge_small_shards(run: RunDirectory) -> None:
    """Make few shards of many small ones."""
    run.merge_small_shards("generations", full_rows=pieces.SHARD_ROWS, full_bytes=pieces.SHARD_BYTES)


class _Shards:
    """Outcomes on their way to disk: a shard when there are enough for one, and after some seconds anyway."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._rows: list[Generation] = []
        self._n_bytes = self._n_flushes = 0
        self._since_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Also when interrupted: what is drawn is kept.
        try:
            self._flush()
        finally:
            self._work.failures.flush()

    def add(self, generations: Iterable[Generation], failures: Iterable[Failure]) -> None:
        for row in generations:
            self._rows.append(row)
            self._n_bytes += len(row.text or "") + _BYTES_PER_TOKEN * len(row.token_ids or ())
            if len(self._rows) >= pieces.SHARD_ROWS or self._n_bytes >= pieces.SHARD_BYTES:
                self._flush()
        self._work.failures.add(failures)
        if time.monotonic() - self._since_s >= SHARD_SECONDS:
            self._flush()
            self._work.failures.flush()

    def _flush(self) -> None:
        # Emptied first: after a failed write (a full disk) a second try would only fail again.
        rows, self._rows, self._n_bytes = self._rows, [], 0
        self._since_s = time.monotonic()
        if rows:
            self._work.run.write_shard("generations", generations_to_table(rows))
            self._n_flushes += 1
            if self._n_flushes % _FLUSHES_BEFORE_MERGE == 0:
                merge_small_shards(self._work.run)


def _take(work: Work, batch: Sequence[Outcome], shards: _Shards) -> None:
    """Keep what is new of a batch: a model that draws no less than all samples also draws those that are there."""
    keys = work.keys.keys((row.prompt_id for row in batch), (row.sample for row in batch))
    is_failure = np.array([isinstance(row, Failure) for row in batch], dtype=np.bool_)
    drawn = _added(work.generated, keys, ~is_failure)
    failed = _added(work.failed, keys, is_failure & ~work.generated.contains(keys))
    names = hex_of(keys)
    # Counted first: the flush that `add` may come to must find the report right.
    work.n_drawn += len(drawn)
    work.advance(len(drawn) + len(failed))
    outcomes = [(row, batch[row]) for row in drawn]
    shards.add(
        (replace(item, primary=work.name, key=names[row]) for row, item in outcomes if isinstance(item, Generation)),
        (item for item in (batch[row] for row in failed) if isinstance(item, Failure)),
    )


def _added(index: KeyIndex, keys: Keys, candidates: BoolArray) -> list[int]:
    """Add candidates' keys; return the rows of those that were new."""
    rows = np.flatnonzero(candidates)
    added: list[int] = rows[index.add(keys[rows])].tolist()
    return added


def _generator(batches: Iterator[list[Outcome]]) -> Generator[list[Outcome]]:
    """Return an iterator that can be closed, whatever an engine gives."""
    yield from batches
