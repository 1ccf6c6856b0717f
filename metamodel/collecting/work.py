"""What there is to do for one primary model, and what has been done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from metamodel.collecting.failures import FailureLog
from metamodel.primaries.capabilities import DrawRequest
from metamodel.store.keys import BoolArray, GenerationKeys, KeyIndex, keys_of
from metamodel.store.rows import prompts_from_table
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Sampling

if TYPE_CHECKING:
    import pyarrow as pa

OnProgress: TypeAlias = Callable[[str, int, int], None]


@dataclass(kw_only=True)
class Work:
    """One primary model's share of a collect.

    Attributes:
        run: Where everything goes.
        name: Name of the primary model.
        keys: Hashes its keys.
        sampling: How outputs are drawn.
        n_prompts: Prompts of the run.
        generated: Keys of all generations in the run; grows as rows are drawn.
        failed: Keys of the samples that failed and are not tried again; grows as well.
        failures: Its rows in errors/.
        on_progress: Called with its name, how many samples are done, and how many are wanted.
        n_found: Wanted generations that the run had already.
        n_drawn: Generations that were added.
        n_done: Samples that are generations or failures.
    """

    run: RunDirectory
    name: str
    keys: GenerationKeys
    sampling: Sampling
    n_prompts: int
    generated: KeyIndex
    failed: KeyIndex = field(default_factory=KeyIndex)
    failures: FailureLog
    on_progress: OnProgress | None = None
    n_found: int = 0
    n_drawn: int = 0
    n_done: int = 0

    @property
    def n_wanted(self) -> int:
        """Samples times prompts."""
        return self.n_prompts * self.sampling.n_samples

    @cached_property
    def prompt_ids(self) -> KeyIndex:
        """Ids of the run's prompts; read when they are first asked for."""
        ids = KeyIndex()
        for part in self.run.iterate("prompts", ["prompt_id"]):
            ids.add(keys_of(part["prompt_id"].to_pylist()))
        return ids

    def advance(self, n_more: int) -> None:
        """Count samples as done and tell."""
        self.n_done += n_more
        if self.on_progress is not None:
            self.on_progress(self.name, self.n_done, self.n_wanted)

    def missing(self) -> Iterator[DrawRequest]:
        """Yield a request for what each prompt lacks, reading prompts as they are asked for; counts what is there."""
        for shard in self.run.shards("prompts"):
            ids = self.run.read_shard("prompts", shard, ["prompt_id"])["prompt_id"].to_pylist()
            is_there, is_done = self._state(ids)
            self.n_found += int(is_there.sum())
            self.advance(int(is_done.sum()))
            needy = np.flatnonzero(~is_done.all(axis=1))
            if len(needy):
                yield from _requests(self.run.read_shard("prompts", shard).take(needy), ~is_done[needy])

    def lacking(self) -> Iterator[tuple[list[str], list[int]]]:
        """Yield prompt ids and samples that are neither generations nor failures, without reading prompts' texts."""
        for part in self.run.iterate("prompts", ["prompt_id"]):
            ids = part["prompt_id"].to_pylist()
            _, is_done = self._state(ids)
            rows, samples = np.nonzero(~is_done)
            yield [ids[row] for row in rows], samples.tolist()

    def _state(self, ids: list[str]) -> tuple[BoolArray, BoolArray]:
        """Say of each prompt's samples whether they are generations, and whether they are that or failed, [p, k]."""
        n_samples = self.sampling.n_samples
        samples = list(range(n_samples)) * len(ids)
        keys = self.keys.keys((prompt_id for prompt_id in ids for _ in range(n_samples)), samples)
        is_there = self.generated.contains(keys)
        is_done = is_there | self.failed.contains(keys)
        return is_there.reshape(-1, n_samples), is_done.reshape(-1, n_samples)


def _requests(prompts: pa.Table, lacks: BoolArray) -> Iterator[DrawRequest]:
    for prompt, row in zip(prompts_from_table(prompts), lacks, strict=True):
        yield DrawRequest(prompt=prompt, samples=tuple(np.flatnonzero(row).tolist()))
