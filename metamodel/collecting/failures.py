"""A primary model's rows in errors/: written as they come, dropped when they no longer hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metamodel.store.keys import BoolArray, GenerationKeys, KeyIndex, Keys, keys_of
from metamodel.store.pieces import SHARD_ROWS, bounded_tables
from metamodel.store.rows import table_from_rows
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Failure, Sampling, content_hash

if TYPE_CHECKING:
    import pyarrow as pa

STEM = "collect-"
_MOST_SHARDS = 64


class StandingFailures(NamedTuple):
    """Failures that hold.

    Attributes:
        keys: Key of each sample that failed, [n, 2].
        is_final: Whether trying it again cannot help, [n].
    """

    keys: Keys
    is_final: BoolArray

    @property
    def n_final(self) -> int:
        """How many are final."""
        return int(self.is_final.sum())

    @property
    def n_retryable(self) -> int:
        """How many are worth another try."""
        return len(self.is_final) - self.n_final


class FailureLog:
    """The samples of one primary model that could not be drawn.

    Its shards carry the primary model's name and a hash of its identity and the sampling, so that failures of another
    revision or at another limit are told apart.
    """

    def __init__(self, run: RunDirectory, *, primary: str, identity: str, sampling: Sampling) -> None:
        """Attach; touches nothing."""
        self._run, self._primary = run, primary
        # A hash before the name: no name can be the beginning of another one's shards.
        self._of_primary = f"{STEM}{content_hash(primary)[:8]}-"
        self._of_these = f"{self._of_primary}{primary[:100]}-{content_hash(identity, sampling.fingerprint())[:8]}-"
        self._pending: list[Failure] = []

    def add(self, failures: Iterable[Failure]) -> None:
        """Write failures, many at a time."""
        for failure in failures:
            self._pending.append(failure)
            if len(self._pending) >= SHARD_ROWS:
                self.flush()

    def flush(self) -> None:
        """Write what has been added."""
        rows, self._pending = self._pending, []
        if rows:
            self._write(table_from_rows("errors", (self._row(failure) for failure in rows)))

    def tidy(
        self, keys: GenerationKeys, *, generated: KeyIndex, prompts: Callable[[], KeyIndex], n_samples: int
    ) -> StandingFailures:
        """Drop rows that no longer hold: of samples drawn since or not wanted, of other samplings, doubled ones.

        Args:
            keys: Hashes keys of this primary model and sampling.
            generated: Keys of all generations in the run.
            prompts: Returns the ids of the run's prompts; only called where something failed.
            n_samples: Samples wanted of each.
        """
        shards = self._run.shard_names("errors")
        names = [name for name in shards if name.startswith(self._of_primary)]
        if not names:
            return StandingFailures(keys.keys([], []), np.empty(0, dtype=np.bool_))
        parts = self._run.read("errors", shard_names=[name for name in names if name.startswith(self._of_these)])
        ids, samples = parts["prompt_id"].to_pylist(), parts["sample"].to_pylist()
        found = keys.keys(ids, samples)
        # The last row of a sample says how it stands: the index keeps the first, so it reads backwards.
        is_last = KeyIndex().add(found[::-1])[::-1]
        stands = is_last & ~generated.contains(found) & prompts().contains(keys_of(ids))
        stands &= parts["sample"].to_numpy() < n_samples
        if not stands.all() or len(names) > _MOST_SHARDS or not all(name.startswith(self._of_these) for name in names):
            kept = bounded_tables([parts.filter(stands)])
            self._run.rewrite("errors", kept, prefix=self._of_primary, stem=self._of_these)
        is_final = parts["is_final"].to_numpy(zero_copy_only=False).astype(np.bool_)
        return StandingFailures(found[stands], is_final[stands])

    def _write(self, rows: pa.Table) -> None:
        used = [name for name in self._run.shard_names("errors") if name.startswith(self._of_these)]
        number = max((int(name.rsplit("-", 1)[1]) for name in used), default=-1) + 1
        self._run.write_shard("errors", rows, name=f"{self._of_these}{number:06d}")

    def _row(self, failure: Failure) -> dict[str, object]:
        return {
            "stage": "collect",
            "prompt_id": failure.prompt_id,
            "primary": self._primary,
            "sample": failure.sample,
            "behavior": None,
            "reason": failure.reason,
            "is_final": failure.is_final,
        }


def not_recorded(
    prompt_ids: Iterable[str], samples: Iterable[int], reasons: Mapping[tuple[str, int], str]
) -> Iterator[Failure]:
    """Yield the failures of samples that a log does not hold: asking it again cannot help."""
    for place in zip(prompt_ids, samples, strict=True):
        prompt_id, sample = place
        yield Failure(
            prompt_id=prompt_id, sample=sample, reason=reasons.get(place, "no output recorded"), is_final=True
        )
