"""The run directory as stages see it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from metamodel.errors import RunError
from metamodel.store.rows import prompts_from_table, prompts_to_table
from metamodel.store.run_directory import RunDirectory
from metamodel.types import Prompt

CONFIG = {"name": "a", "seed": 3, "sampling": {"n_samples": 2}, "domains": ("x", "y")}


def prompts(*texts: str) -> list[Prompt]:
    """Return one prompt a text."""
    return [Prompt.create(text, domain="d", references=["r"], attributes={"n": 1, "kind": "k"}) for text in texts]


@pytest.fixture(params=["local", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a fresh place on the local disk and on a remote-like filesystem."""
    return str(tmp_path / "runs" / "r") if request.param == "local" else f"memory://{tmp_path.name}-{id(tmp_path)}/r"


def test_a_new_run_records_where_it_comes_from(path: str) -> None:
    """Versions, time, config, its hash and the seed stand in run.json from the start."""
    facts = RunDirectory.create_or_open(path, config=CONFIG).facts
    assert facts["schema_version"] == 2
    assert facts["seed"] == 3
    assert str(facts["created_utc"]).endswith("+00:00")
    assert isinstance(facts["packages"], dict)
    assert facts["packages"]["pyarrow"]
    assert len(str(facts["config_hash"])) == 32


def test_the_same_config_reopens_a_run(path: str) -> None:
    """A rerun with an equal config, tuples for lists included, finds its own run."""
    first = RunDirectory.create_or_open(path, config=CONFIG)
    first.write_text("metrics.json", "[]")
    again = RunDirectory.create_or_open(path, config={**CONFIG, "domains": ["x", "y"]})
    assert again.read_text("metrics.json") == "[]"
    assert again.facts == first.facts


def test_another_config_is_refused_with_what_differs(path: str) -> None:
    """Two configs never share a run by accident, and the message says where they part."""
    RunDirectory.create_or_open(path, config=CONFIG)
    changed = {"name": "a", "seed": 3, "sampling": {"n_samples": 4}, "domains": ["x", "z"], "new": True}
    with pytest.raises(
        RunError, match=r"domains\[1\]: \"y\" -> \"z\"; new: .* -> true; sampling.n_samples: 2 -> 4.*--resume"
    ):
        RunDirectory.create_or_open(path, config=changed)


def test_resume_adopts_the_other_config_and_remembers_the_old_one(path: str) -> None:
    """A run that went on under another config can still say what it began with."""
    RunDirectory.create_or_open(path, config=CONFIG)
    RunDirectory.create_or_open(path, config={**CONFIG, "seed": 4}, resume=True)
    run = RunDirectory.open(path)
    history = run.facts["config_history"]
    assert run.config["seed"] == run.facts["seed"] == 4
    assert isinstance(history, list)
    assert history[0]["config"]["seed"] == 3
    assert history[0]["changes"] == ["seed: 3 -> 4"]
    assert "seed: 4" in run.read_text("config.yaml")


def test_rows_come_back_as_they_went(path: str) -> None:
    """Null bytes, emoji and lone surrogates survive storage or are replaced, never crash it."""
    run = RunDirectory.create_or_open(path, config=CONFIG)
    run.write_shard("prompts", prompts_to_table(prompts("a\0b", "😀 é")))
    run.write_shard("prompts", prompts_to_table(prompts("x\ud800y")))
    read = prompts_from_table(run.read("prompts"))
    assert [prompt.text for prompt in read] == ["a\0b", "😀 é", "x\ufffdy"]
    assert read[0] == prompts("a\0b")[0]
    assert [part.num_rows for part in run.iterate("prompts")] == [2, 1]
    assert run.read("prompts", columns=["domain"]).column_names == ["domain"]
    assert run.read("labels").num_rows == 0


def test_a_named_shard_replaces_itself_alone(path: str) -> None:
    """Recomputing one behavior's labels leaves the others and their order."""
    run = RunDirectory.create_or_open(path, config=CONFIG)
    for name, text in [("first", "1"), ("second", "2"), ("first", "3")]:
        run.write_shard("prompts", prompts_to_table(prompts(text)), name=name)
    assert run.shard_names("prompts") == ["first", "second"]
    assert [prompt.text for prompt in prompts_from_table(run.read("prompts"))] == ["3", "2"]
    assert run.read("prompts", shard_names=["second"])["text"].to_pylist() == ["2"]
    run.clear("prompts")
    assert run.read("prompts").num_rows == 0


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a b", "a//b", "-x", "a\0"])
def test_names_cannot_leave_the_run(tmp_path: Path, name: str) -> None:
    """A name from a config or a caller never reaches a file outside of the run."""
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config=CONFIG)
    with pytest.raises(RunError, match="must be 1 to 200"):
        run.write_text(name, "")
    with pytest.raises(RunError, match="must be 1 to 200"):
        run.write_shard("prompts", prompts_to_table([]), name=name)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """A mistyped path never mixes a run into somebody's files."""
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(RunError, match=r"not a run directory .*thesis\.tex"):
        RunDirectory.create_or_open(str(tmp_path), config=CONFIG)
    with pytest.raises(RunError, match="is a file"):
        RunDirectory.create_or_open(str(tmp_path / "thesis.tex"), config=CONFIG)
    with pytest.raises(RunError, match=r"no run\.json"):
        RunDirectory.open(str(tmp_path))
    with pytest.raises(RunError, match="protocol"):
        RunDirectory.open("nosuchprotocol://x")


@pytest.mark.parametrize("content", ["", '{"schema_version": 2', "[]", '{"schema_version": 2, "config": 3}'])
def test_a_damaged_run_json_is_named(tmp_path: Path, content: str) -> None:
    """A half-written or hand-edited run.json gives one clear line, not a traceback."""
    RunDirectory.create_or_open(str(tmp_path / "r"), config=CONFIG)
    (tmp_path / "r" / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        RunDirectory.create_or_open(str(tmp_path / "r"), config=CONFIG)


def test_a_run_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """Files of an unknown schema are not misread."""
    RunDirectory.create_or_open(str(tmp_path / "r"), config=CONFIG)
    facts = json.loads((tmp_path / "r" / "run.json").read_text())
    (tmp_path / "r" / "run.json").write_text(json.dumps(facts | {"schema_version": 99}))
    with pytest.raises(RunError, match="schema version 99"):
        RunDirectory.open(str(tmp_path / "r"))


def test_a_run_killed_while_it_began_can_begin_again(tmp_path: Path) -> None:
    """Left-overs of the first second do not block the folder for ever."""
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".tmp-1234-run.json").write_text("{")
    assert RunDirectory.create_or_open(str(tmp_path), config=CONFIG).config["seed"] == 3


@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "permission denied")],
)
def test_a_failed_write_corrupts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, advice: str
) -> None:
    """A full or read-only disk ends in advice, with all earlier rows intact and no temporary file left."""
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config=CONFIG)
    run.write_shard("prompts", prompts_to_table(prompts("kept")))
    before = sorted(path.name for path in (tmp_path / "r").rglob("*"))

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("metamodel.store.storage.os.fsync", fail)
        with pytest.raises(RunError, match=advice):
            run.write_shard("prompts", prompts_to_table(prompts("lost")))
        with pytest.raises(RunError, match=advice):
            run.update_facts(x=1)
    assert sorted(path.name for path in (tmp_path / "r").rglob("*")) == before
    assert RunDirectory.open(str(tmp_path / "r")).read("prompts")["text"].to_pylist() == ["kept"]


def test_a_missing_text_says_which_stage_to_run(tmp_path: Path) -> None:
    """Reading what no stage has written yet is the user's mistake, not a bug."""
    run = RunDirectory.create_or_open(str(tmp_path / "r"), config=CONFIG)
    assert not run.exists("metrics.json")
    with pytest.raises(RunError, match=r"metrics\.json does not exist"):
        run.read_text("metrics.json")
