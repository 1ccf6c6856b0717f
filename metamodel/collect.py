"""Stage collect: draw what a run wants and does not have yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from metamodel.primaries.capabilities import DrawRequest, DrawsSamples
from metamodel.protocols import PrimaryModel
from metamodel.store.rows import generations_to_table, prompts_to_table, table_from_rows
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Failure, Generation, Outcome, Prompt, Sampling, generation_key

OnProgress: TypeAlias = Callable[[str, int, int], None]

_PROMPTS_SHARD = "prompts"
_SHARD_ROWS = 4096
_SHARD_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class PrimaryReport:
    """What collect did for one primary model, in generations.

    Attributes:
        n_wanted: Samples times prompts.
        n_found: Of those, how many the run had already.
        n_drawn: How many were drawn now.
        n_failed: How many cannot be drawn; a row in errors/ each.
    """

    n_wanted: int
    n_found: int
    n_drawn: int
    n_failed: int


@dataclass(frozen=True, kw_only=True)
class CollectReport:
    """What collect did, by name of the primary model."""

    primaries: Mapping[str, PrimaryReport]


def collect(
    run: RunDirectory,
    *,
    primaries: Mapping[str, PrimaryModel],
    prompts: Sequence[Prompt],
    sampling: Sampling,
    on_progress: OnProgress | None = None,
) -> CollectReport:
    """Draw every generation that is wanted and not in the run yet.

    A killed call loses at most what was drawn since the last shard (seconds); calling it again draws that and no more.

    Args:
        run: Where prompts, generations and errors are written.
        primaries: Primary models by the name that the run gives them.
        prompts: Inputs; one that occurs twice is drawn once.
        sampling: How outputs are drawn.
        on_progress: Called with a primary model's name, its generations in the run, and those wanted.

    Raises:
        RunError: If another process writes to the run, or it cannot be written.
        MetamodelError: If a primary model cannot be loaded.
    """
    unique = list({prompt.id: prompt for prompt in prompts}.values())
    with run.lock():
        _write_prompts(run, unique)
        run.update_facts(primaries={name: primary.identity for name, primary in primaries.items()})
        present = {key for part in run.iterate("generations", ["key"]) for key in part["key"].to_pylist()}
        reports = {}
        for name, primary in primaries.items():
            progress = _Progress(name, len(unique) * sampling.n_samples, on_progress)
            reports[name] = _collect_primary(run, name, primary, unique, sampling, present, progress)
        return CollectReport(primaries=reports)


class _Progress:
    def __init__(self, name: str, n_total: int, on_progress: OnProgress | None) -> None:
        self._name, self._n_done, self._n_total, self._on_progress = name, 0, n_total, on_progress

    def advance(self, n_more: int) -> None:
        self._n_done += n_more
        if self._on_progress is not None:
            self._on_progress(self._name, self._n_done, self._n_total)


class _Buffer:
    """Generations on their way to a shard."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._rows: list[Generation] = []
        self._since_s = time.monotonic()

    def add(self, rows: Iterable[Generation]) -> None:
        self._rows.extend(rows)
        if len(self._rows) >= _SHARD_ROWS or time.monotonic() - self._since_s >= _SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        # Emptied first: after a failed write (a full disk) a second try would only fail again.
        rows, self._rows = self._rows, []
        self._since_s = time.monotonic()
        if rows:
            self._run.write_shard("generations", generations_to_table(rows))


def _collect_primary(
    run: RunDirectory,
    name: str,
    primary: PrimaryModel,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    present: set[str],
    progress: _Progress,
) -> PrimaryReport:
    identity = primary.identity
    requests = list(_missing(prompts, identity, sampling, present))
    n_wanted = len(prompts) * sampling.n_samples
    n_missing = _n_samples(requests)
    progress.advance(n_wanted - n_missing)
    failures: list[Failure] = []
    n_drawn = 0
    buffer = _Buffer(run)
    try:
        for batch in _drawn(primary, requests, sampling):
            failures += [row for row in batch if isinstance(row, Failure)]
            fresh = [
                replace(row, primary=name, key=_key(identity, row.prompt_id, sampling, row.sample))
                for row in batch
                if not isinstance(row, Failure)
            ]
            fresh = [row for row in fresh if row.key not in present]
            present.update(row.key for row in fresh)
            buffer.add(fresh)
            n_drawn += len(fresh)
            progress.advance(len(batch))
    finally:
        # Also when interrupted: what is drawn is kept.
        buffer.flush()
    _write_failures(run, name, failures)
    n_failed = len(failures)
    return PrimaryReport(n_wanted=n_wanted, n_found=n_wanted - n_missing, n_drawn=n_drawn, n_failed=n_failed)


def _missing(prompts: Sequence[Prompt], identity: str, sampling: Sampling, present: set[str]) -> Iterator[DrawRequest]:
    for prompt in prompts:
        samples = tuple(
            sample for sample in range(sampling.n_samples) if _key(identity, prompt.id, sampling, sample) not in present
        )
        if samples:
            yield DrawRequest(prompt=prompt, samples=samples)


def _drawn(primary: PrimaryModel, requests: Sequence[DrawRequest], sampling: Sampling) -> Iterator[list[Outcome]]:
    if not requests:
        return iter(())
    if isinstance(primary, DrawsSamples):
        return primary.draw(requests, sampling)
    return primary.generate([request.prompt for request in requests], sampling)


def _write_prompts(run: RunDirectory, prompts: Sequence[Prompt]) -> None:
    table = prompts_to_table(prompts)
    if _PROMPTS_SHARD not in run.shard_names("prompts") or not run.read("prompts").equals(table):
        run.write_shard("prompts", table, name=_PROMPTS_SHARD)


def _write_failures(run: RunDirectory, name: str, failures: Sequence[Failure]) -> None:
    """Write the primary model's shard of errors/, replacing that of an earlier call."""
    shard = f"collect-{name}"
    rows = [
        {
            "stage": "collect",
            "prompt_id": failure.prompt_id,
            "primary": name,
            "sample": failure.sample,
            "behavior": None,
            "reason": failure.reason,
            "is_final": failure.is_final,
        }
        for failure in failures
    ]
    if rows or shard in run.shard_names("errors"):
        run.write_shard("errors", table_from_rows("errors", rows), name=shard)


def _key(identity: str, prompt_id: str, sampling: Sampling, sample: int) -> str:
    return generation_key(primary_identity=identity, prompt_id=prompt_id, sampling=sampling, sample=sample)


def _n_samples(requests: Iterable[DrawRequest]) -> int:
    return sum(len(request.samples) for request in requests)
