"""Collect from records: whole tables come in, what is missing or doubled is told, nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from metamodel.collect import CollectReport, collect
from metamodel.errors import DataError
from metamodel.store.rows import generations_from_table
from metamodel.store.run_directory import RunDirectory
from metamodel.store.schemas import schema_of
from metamodel.types import Outcome, Prompt, Sampling, generation_key

PROMPTS = [Prompt.create(f"prompt {index}", domain="d") for index in range(10)]
SAMPLING = Sampling(n_samples=2)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A log of (prompt, sample) pairs, read in tables of a few rows."""

    rows: tuple[tuple[str, int], ...]
    table_rows: int = 6
    breaks_after: int = 10**9
    reasons: tuple[tuple[tuple[str, int], str], ...] = ()

    @property
    def identity(self) -> str:
        """Return a fixed name."""
        return "log"

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[list[Outcome]]:
        """Collect must not come here: records are read as tables."""
        del prompts, sampling
        raise AssertionError

    def missing_reasons(self) -> dict[tuple[str, int], str]:
        """Return what the log says of outputs that it lacks."""
        return dict(self.reasons)

    def records(self, sampling: Sampling) -> Iterator[pa.Table]:
        """Yield the rows."""
        del sampling
        fields = [field for field in schema_of("generations") if field.name not in ("key", "primary")]
        for begin in range(0, len(self.rows), self.table_rows):
            if begin >= self.breaks_after:
                raise KeyboardInterrupt
            part = self.rows[begin : begin + self.table_rows]
            known = {
                "prompt_id": [prompt_id for prompt_id, _ in part],
                "sample": [sample for _, sample in part],
                "text": [f"{prompt_id} {sample}" for prompt_id, sample in part],
                "metadata": ["{}"] * len(part),
            }
            columns = [pa.array(known.get(field.name, [None] * len(part)), type=field.type) for field in fields]
            yield pa.table(columns, schema=pa.schema(fields))


ALL = tuple((prompt.id, sample) for sample in range(2) for prompt in PROMPTS)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Return a fresh run."""
    return RunDirectory.create_or_open(str(tmp_path / "r"), config={})


def collected(run: RunDirectory, recorded: Recorded, **options: object) -> CollectReport:
    """Collect from records."""
    settings = {"primaries": {"p": recorded}, "prompts": PROMPTS, "sampling": SAMPLING} | options
    return collect(run, **settings)  # type: ignore[arg-type] # one dictionary for arguments of several types


def test_records_come_in_once(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record that the run wants is a generation with its key, in shards of bounded length, and only once."""
    monkeypatch.setattr("metamodel.store.pieces.SHARD_ROWS", 4)
    others = (("f" * 32, 0), *((prompt.id, 2) for prompt in PROMPTS))
    calls: list[tuple[str, int, int]] = []
    for n_drawn in (20, 0):
        report = collected(run, Recorded(rows=(*others, *ALL)), on_progress=lambda *call: calls.append(call))
        assert (report.primaries["p"].n_drawn, report.primaries["p"].n_found) == (n_drawn, 20 - n_drawn)
        assert calls[-1] == ("p", 20, 20)
    rows = generations_from_table(run.read("generations"))
    assert sorted((row.prompt_id, row.sample) for row in rows) == sorted(ALL)
    for row in rows:
        assert row.text == f"{row.prompt_id} {row.sample}"
        assert row.key == generation_key(
            primary_identity="log", prompt_id=row.prompt_id, sampling=SAMPLING, sample=row.sample
        )
    assert {shard.n_rows for shard in run.shards("generations")} == {4}
    assert run.read("errors").num_rows == 0


def test_what_a_log_lacks_is_a_failure_for_good(run: RunDirectory) -> None:
    """A prompt without its record is reported, and asking again does not help."""
    for retry in (False, True):
        log = Recorded(rows=ALL[3:], reasons=((ALL[0], "timed out"),))
        report = collected(run, log, retry_errors=retry).primaries["p"]
        assert (report.n_failed_final, report.n_failed_retryable, report.n_left) == (3, 0, 0)
    rows = run.read("errors").to_pylist()
    assert sorted((row["prompt_id"], row["sample"]) for row in rows) == sorted(ALL[:3])
    assert sorted(row["reason"] for row in rows) == ["no output recorded", "no output recorded", "timed out"]


@pytest.mark.parametrize("table_rows", [6, 40])
def test_a_doubled_record_is_refused(run: RunDirectory, table_rows: int) -> None:
    """Which of two records counts is not guessed, whether they stand in one table or far apart."""
    with pytest.raises(DataError, match=f"outputs twice .prompt {ALL[0][0]}, sample 0.*cannot be guessed"):
        collected(run, Recorded(rows=(*ALL, ALL[0]), table_rows=table_rows))


def test_an_interrupted_import_goes_on(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was imported before the interrupt is neither lost nor doubled."""
    monkeypatch.setattr("metamodel.store.pieces.SHARD_ROWS", 4)
    with pytest.raises(KeyboardInterrupt):
        collected(run, Recorded(rows=ALL, breaks_after=12))
    n_kept = run.read("generations").num_rows
    assert 0 < n_kept < 20
    report = collected(run, Recorded(rows=ALL)).primaries["p"]
    assert (report.n_found, report.n_drawn) == (n_kept, 20 - n_kept)
    assert sorted((row.prompt_id, row.sample) for row in generations_from_table(run.read("generations"))) == sorted(ALL)
