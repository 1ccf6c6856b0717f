"""Take outputs that exist already into a run: whole tables, without a Python object a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from metamodel.collecting.failures import not_recorded
from metamodel.collecting.work import Work
from metamodel.errors import DataError
from metamodel.primaries.capabilities import ExplainsMissing, ReadsRecords
from metamodel.store.keys import BoolArray, KeyIndex, Keys, hex_column, keys_of
from metamodel.store.pieces import bounded_tables
from metamodel.store.schemas import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 3


def import_records(work: Work, primary: ReadsRecords) -> None:
    """Write the records of the run's prompts and samples; what has none is a failure that no retry can mend.

    Raises:
        DataError: Two records are of the same prompt and sample.
    """
    seen = KeyIndex()
    for table in bounded_tables(_fresh_rows(work, primary, seen)):
        work.run.write_shard("generations", table)
        work.n_drawn += table.num_rows
        work.advance(table.num_rows)
    if len(seen) < work.n_wanted:
        _note_missing(work, primary.missing_reasons() if isinstance(primary, ExplainsMissing) else {})
    work.n_found = len(seen) - work.n_drawn
    work.advance(work.n_wanted - work.n_done)


def _note_missing(work: Work, reasons: Mapping[tuple[str, int], str]) -> None:
    for prompt_ids, samples in work.lacking():
        work.failures.add(not_recorded(prompt_ids, samples, reasons))
        work.failed.add(work.keys.keys(prompt_ids, samples))
    work.failures.flush()


def _fresh_rows(work: Work, primary: ReadsRecords, seen: KeyIndex) -> Iterator[pa.Table]:
    """Yield the rows of `generations` that the run wants and lacks; keys of all that it wants go to `seen`."""
    for table in primary.records(work.sampling):
        samples = table["sample"].to_numpy()
        is_wanted = (samples < work.sampling.n_samples) & work.prompt_ids.contains(
            keys_of(table["prompt_id"].to_pylist())
        )
        wanted = table if is_wanted.all() else table.filter(is_wanted)
        keys = work.keys.keys(wanted["prompt_id"].to_pylist(), wanted["sample"].to_pylist())
        _refuse_doubles(work, wanted, seen.add(keys))
        is_new = work.generated.add(keys)
        if not is_new.any():
            continue
        yield _with_keys(wanted if is_new.all() else wanted.filter(is_new), keys[is_new], work.name)


def _refuse_doubles(work: Work, table: pa.Table, is_first: BoolArray) -> None:
    if is_first.all():
        return
    doubled = table.take(np.flatnonzero(~is_first)[:_SHOWN]).select(["prompt_id", "sample"]).to_pylist()
    shown = "; ".join(f"prompt {row['prompt_id']}, sample {row['sample']}" for row in doubled)
    raise DataError(
        f"the records of {work.name} hold {int((~is_first).sum())} or more outputs twice ({shown}): which one counts "
        "cannot be guessed, so remove the others, or number them as samples"
    )


def _with_keys(table: pa.Table, keys: Keys, primary: str) -> pa.Table:
    import pyarrow as pa

    schema = schema_of("generations")
    columns = {"key": hex_column(keys), "primary": pa.repeat(pa.scalar(primary), table.num_rows)}
    return pa.table(
        [columns[name] if name in columns else table[name] for name in schema.names],
        names=schema.names,
    ).cast(schema)
