"""Half-written and damaged files: readers refuse them, the next writer sets them aside."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from metamodel.errors import RunError
from metamodel.store.rows import prompts_to_table
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Prompt


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Return a run with two shards of prompts."""
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config={})
    for text in ("one", "two"):
        run.write_shard("prompts", prompts_to_table([Prompt.create(text, domain="d")]))
    return run


def shard_file(run: RunDirectory, name: str) -> Path:
    """Return the file of a shard."""
    assert run.local_path is not None
    (file,) = (run.local_path / "prompts").glob(f"{name}-*.parquet")
    return file


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_shard_is_refused_then_set_aside(
    run: RunDirectory, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No reader sees wrong rows, and one bad file costs its own rows only."""
    file = shard_file(run, "000000")
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "truncated" else content[:-9] + b"x" + content[-8:])
    with pytest.raises(RunError, match=r"000000.*(damaged|missing)"):
        run.read("prompts")
    with caplog.at_level(logging.WARNING), run.lock() as repairs:
        assert run.read("prompts")["text"].to_pylist() == ["two"]
    assert len(repairs) == 1
    assert "1 rows will be made again" in caplog.text
    assert run.local_path is not None
    assert (run.local_path / "quarantine").exists() == (damage != "missing")


def test_files_that_no_manifest_names_do_not_exist(run: RunDirectory) -> None:
    """A shard whose writer was killed before the manifest is neither read nor kept."""
    stray = shard_file(run, "000000").with_name("000002-deadbeef.parquet")
    stray.write_bytes(b"half a shard")
    temporary = stray.with_name(".tmp-0000-x.parquet")
    temporary.write_bytes(b"")
    assert run.read("prompts").num_rows == 2
    with run.lock() as repairs:
        assert repairs == ()
    assert not stray.exists()
    assert not temporary.exists()


def test_a_damaged_manifest_is_named(run: RunDirectory) -> None:
    """A manifest that cannot be read stops reader and writer before rows are lost or drawn twice."""
    assert run.local_path is not None
    (run.local_path / "prompts" / "_manifest.json").write_text("{")
    with pytest.raises(RunError, match=r"_manifest\.json is damaged"):
        run.read("prompts")
    with pytest.raises(RunError, match=r"_manifest\.json is damaged"), run.lock():
        pass


def test_other_tools_read_the_folder_as_one_data_set(run: RunDirectory) -> None:
    """Pyarrow's own reader passes over the manifest, so notebooks need nothing of ours."""
    import pyarrow.parquet as pq

    assert run.local_path is not None
    assert sorted(pq.read_table(run.local_path / "prompts")["text"].to_pylist()) == ["one", "two"]


def test_wrong_columns_are_a_bug(run: RunDirectory) -> None:
    """A stage that forgets a column fails at once instead of writing rows that nobody can read."""
    with pytest.raises(KeyError):
        run.write_shard("labels", run.read("prompts"))
