"""Stage collect: draw what a run wants and does not have yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from metamodel.collecting.drawing import draw_missing, merge_small_shards
from metamodel.collecting.failures import FailureLog, StandingFailures
from metamodel.collecting.fingerprints import shards_fingerprint
from metamodel.collecting.importing import import_records
from metamodel.collecting.origin import record_origin
from metamodel.collecting.reports import CollectReport, CompletionMark, PrimaryReport
from metamodel.collecting.work import OnProgress, Work
from metamodel.draw import distinct_tables, tables_of
from metamodel.engines.base import Engine
from metamodel.engines.local import LocalEngine
from metamodel.primaries.capabilities import ReadsRecords
from metamodel.protocols import PrimaryModel
from metamodel.store.keys import GenerationKeys, KeyIndex, keys_of
from metamodel.store.pieces import bounded_tables
from metamodel.store.run_directory import RunDirectory
from metamodel.types import JSONObject, Prompt, Sampling

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CollectReport", "PrimaryReport", "PromptTables", "collect"]

_PROMPTS_PREFIX = "prompts"


@runtime_checkable
class PromptTables(Protocol):
    """Distinct prompts that come as tables, as `metamodel.draw.DrawnPrompts` gives them."""

    def tables(self) -> Iterator[pa.Table]:
        """Yield rows of `prompts`, a shard's worth at a time."""
        ...


def collect(
    run: RunDirectory,
    *,
    primaries: Mapping[str, PrimaryModel],
    prompts: Iterable[Prompt] | PromptTables,
    sampling: Sampling,
    engine: Engine | None = None,
    retry_errors: bool = False,
    prompts_fingerprint: str | None = None,
    on_progress: OnProgress | None = None,
) -> CollectReport:
    """Draw every generation that is wanted and not in the run yet.

    A killed call loses at most what was drawn since the last shard (seconds); calling it again draws that and no more.
    A sample that failed counts as done: it has its row in errors/.

    Args:
        run: Where prompts, generations and errors are written.
        primaries: Primary models by the name that the run gives them.
        prompts: Inputs, read once and never held; one that occurs twice is drawn once.
        sampling: How outputs are drawn.
        engine: Runs the primary models; None runs them in this process.
        retry_errors: Draw once more what failed and is not final.
        prompts_fingerprint: Determines the prompts (`sources_fingerprint`), so that a rerun need not read them again.
        on_progress: Called with a primary model's name, its generations in the run, and those wanted.

    Raises:
        RunError: If another process writes to the run, or it cannot be written.
        DataError: Records hold an output twice, or a changed prompt comes without its origin.
        MetamodelError: If a primary model cannot be loaded.
    """
    with run.lock():
        identities = {name: primary.identity for name, primary in primaries.items()}
        mark = CompletionMark(
            run=run, prompts_fingerprint=prompts_fingerprint, identities=identities, sampling=sampling
        )
        report = mark.read()
        if report is not None and not (retry_errors and report.n_failed_retryable):
            _tell_finished(report, on_progress)
            return report
        n_prompts = _store_prompts(run, prompts, prompts_fingerprint)
        run.update_facts(primaries=identities)
        merge_small_shards(run)
        generated = _generated(run)
        reports = {}
        for name, primary in primaries.items():
            work = Work(
                run=run,
                name=name,
                keys=GenerationKeys(identities[name], sampling),
                sampling=sampling,
                n_prompts=n_prompts,
                generated=generated,
                failures=FailureLog(run, primary=name, identity=identities[name], sampling=sampling),
                on_progress=on_progress,
            )
            reports[name] = _collect_primary(work, primary, engine or LocalEngine(), retry_errors=retry_errors)
        report = CollectReport(primaries=reports)
        mark.write(report)
        return report


def _collect_primary(work: Work, primary: PrimaryModel, engine: Engine, *, retry_errors: bool) -> PrimaryReport:
    standing = _standing(work)
    work.failed.add(standing.keys[standing.is_final] if retry_errors else standing.keys)
    with record_origin(work, primary):
        if isinstance(primary, ReadsRecords):
            import_records(work, primary)
        else:
            draw_missing(work, primary, engine)
    standing = _standing(work)
    return PrimaryReport(
        n_wanted=work.n_wanted,
        n_found=work.n_found,
        n_drawn=work.n_drawn,
        n_failed_final=standing.n_final,
        n_failed_retryable=standing.n_retryable,
    )


def _tell_finished(report: CollectReport, on_progress: OnProgress | None) -> None:
    if on_progress is not None:
        for name, entry in report.primaries.items():
            on_progress(name, entry.n_wanted, entry.n_wanted)


def _standing(work: Work) -> StandingFailures:
    n_samples = work.sampling.n_samples
    return work.failures.tidy(work.keys, generated=work.generated, prompts=lambda: work.prompt_ids, n_samples=n_samples)


def _generated(run: RunDirectory) -> KeyIndex:
    keys = KeyIndex()
    for part in run.iterate("generations", ["key"]):
        keys.add(keys_of(part["key"].to_pylist()))
    return keys


def _store_prompts(run: RunDirectory, prompts: Iterable[Prompt] | PromptTables, fingerprint: str | None) -> int:
    """Make the run's prompts these, and return how many there are; they are not read where they are stored already."""
    if fingerprint is None or run.facts.get("prompts") != _prompt_facts(run, fingerprint):
        tables = prompts.tables() if isinstance(prompts, PromptTables) else distinct_tables(tables_of(prompts))
        run.rewrite("prompts", bounded_tables(tables), prefix=_PROMPTS_PREFIX, stem=f"{_PROMPTS_PREFIX}-")
        run.update_facts(prompts=_prompt_facts(run, fingerprint))
    return sum(shard.n_rows for shard in run.shards("prompts"))


def _prompt_facts(run: RunDirectory, fingerprint: str | None) -> JSONObject:
    return {"sources": fingerprint, "shards": shards_fingerprint(run, "prompts")}
