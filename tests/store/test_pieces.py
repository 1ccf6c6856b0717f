"""Shards of bounded size, and small ones made few."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamodel.store import shards
from metamodel.store.pieces import bounded_tables
from metamodel.store.rows import prompts_from_table, prompts_to_table
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Prompt


@given(st.lists(st.lists(st.text(max_size=40), max_size=9), max_size=9), st.integers(1, 12), st.integers(20, 400))
def test_tables_are_cut_without_losing_a_row(texts: list[list[str]], most_rows: int, most_bytes: int) -> None:
    """No piece is longer or larger than asked for, unless one row alone is, and rows keep their order."""
    parts = list(
        bounded_tables(
            (pa.table({"x": pa.array(part, type=pa.string())}) for part in texts),
            most_rows=most_rows,
            most_bytes=most_bytes,
        )
    )
    assert [text for part in parts for text in part["x"].to_pylist()] == [text for part in texts for text in part]
    for part in parts:
        assert 0 < part.num_rows <= most_rows
        assert part.num_rows == 1 or sum(len(text.encode()) for text in part["x"].to_pylist()) <= most_bytes


def prompts(*numbers: int) -> list[Prompt]:
    """Return one prompt a number."""
    return [Prompt.create(f"prompt {number}", domain="d") for number in numbers]


def stored(run: RunDirectory) -> list[str]:
    """Return the stored texts in order."""
    return [prompt.text for prompt in prompts_from_table(run.read("prompts"))]


def test_small_shards_are_merged_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small shards become full ones, long and named ones stay, and no file is left over."""
    monkeypatch.setattr(shards, "_MERGED_AT_ONCE", 5)
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config={})
    run.write_shard("prompts", prompts_to_table(prompts(*range(6))))
    run.write_shard("prompts", prompts_to_table(prompts(6)), name="named")
    for number in range(7, 11):
        run.write_shard("prompts", prompts_to_table(prompts(number)))
    before = run.shard_names("prompts")
    run.merge_small_shards("prompts", full_rows=10, full_bytes=10**6)
    assert run.shard_names("prompts") == before
    for number in range(11, 20):
        run.write_shard("prompts", prompts_to_table(prompts(number)))
    run.merge_small_shards("prompts", full_rows=10, full_bytes=10**6)
    assert [shard.n_rows for shard in run.shards("prompts")] == [6, 1, 10, 3]
    assert stored(run) == [f"prompt {number}" for number in range(20)]
    assert len(list((tmp_path / "r" / "prompts").glob("*.parquet"))) == 4


def test_a_rewrite_is_one_step(tmp_path: Path) -> None:
    """Until the last new shard is there readers see the old ones; what is equal is not written anew."""
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config={})
    for numbers in ((0, 1), (2, 3)):
        run.write_shard("prompts", prompts_to_table(prompts(*numbers)), name=f"x-{numbers[0] // 2:06d}")
    run.write_shard("prompts", prompts_to_table(prompts(9)), name="other")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "r" / "prompts").glob("x-000000-*")}

    def parts(*, breaks: bool) -> Iterator[pa.Table]:
        for numbers in ((0, 1), (4,), (5,)):
            assert stored(run) == ["prompt 0", "prompt 1", "prompt 2", "prompt 3", "prompt 9"]
            yield prompts_to_table(prompts(*numbers))
            if breaks and numbers == (4,):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.rewrite("prompts", parts(breaks=True), prefix="x-")
    run.rewrite("prompts", parts(breaks=False), prefix="x-")
    assert stored(run) == ["prompt 9", "prompt 0", "prompt 1", "prompt 4", "prompt 5"]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    with run.lock() as repairs:
        assert repairs == ()
    assert len(list((tmp_path / "r" / "prompts").glob("*.parquet"))) == 4
