"""Outputs that exist already, as a primary model: what a run gets of them, and what it hears where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metamodel.config import build_config
from metamodel.errors import ConfigError, DataError
from metamodel.pipeline import run_stages
from metamodel.primaries.capabilities import DrawsSamples, ExplainsMissing, HasMembers, ReadsRecords
from metamodel.primaries.recorded_model import NO_OUTPUT, RecordedModel
from metamodel.prompts.recorded_prompts import RecordedPrompts
from metamodel.protocols import PrimaryModel, PromptSource
from metamodel.types import Failure, Generation, Prompt, Sampling


def write_log(path: Path) -> str:
    """Write a log of two models: a answers all of four prompts twice, b leaves some out and contradicts itself."""
    rows = [
        {
            "prompt": f"{n} + 1 =",
            "domain": f"d{n % 2}",
            "model": "lab/a 1",
            "sample": sample,
            "output": f"{n}.{sample}",
            "acc": n % 2,
        }
        for n in range(4)
        for sample in range(2)
    ]
    b = {"prompt": "0 + 1 =", "domain": "d0", "model": "lab/b", "sample": 0, "acc": 1}
    rows += [{**b, "output": "x"}, {**b, "output": "y"}, {**b, "prompt": "1 + 1 =", "domain": "d1", "output": "z"}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def raw_config(log: str, **primary: object) -> dict[str, object]:
    """Return a config over a log as plain data."""
    return {
        "name": "logs",
        "directory": f"{log}.run",
        "prompts": {"n_prompts": None, "sources": [{"kind": "recorded", "path": log}]},
        "primaries": [{"kind": "recorded", "path": log, **primary}],
        "behaviors": [{"kind": "recorded", "field": "acc"}],
        "metamodels": [{"kind": "base_rate"}],
        "sampling": {"n_samples": 2},
    }


def test_components_keep_their_promises(tmp_path: Path) -> None:
    """Stages look for these abilities by protocol."""
    log = write_log(tmp_path / "log.jsonl")
    model = RecordedModel(path=log, model="lab/b")
    for protocol in (PrimaryModel, DrawsSamples, ReadsRecords, ExplainsMissing, HasMembers):
        assert isinstance(model, protocol)
    assert isinstance(RecordedPrompts(path=log), PromptSource)


def test_every_request_gets_its_output_or_a_reason(tmp_path: Path) -> None:
    """No request is left without an answer, and a sample is never another one's."""
    log = write_log(tmp_path / "log.jsonl")
    prompts = [*RecordedPrompts(path=log).prompts(seed=0), Prompt.create("never asked", domain="d0")]
    outcomes = {
        name: {
            (row.prompt_id, row.sample): row
            for batch in RecordedModel(path=log, model=name).generate(prompts, Sampling(n_samples=2))
            for row in batch
        }
        for name in ("lab/a 1", "lab/b")
    }
    assert all(len(rows) == 2 * len(prompts) for rows in outcomes.values())
    for number, prompt in enumerate(prompts[:4]):
        for sample in range(2):
            row = outcomes["lab/a 1"][prompt.id, sample]
            assert isinstance(row, Generation)
            assert (row.text, row.seed, row.n_tokens) == (f"{number}.{sample}", None, None)
            assert row.metadata == {"acc": number % 2}
    b = outcomes["lab/b"]
    conflict, missing = b[prompts[0].id, 0], b[prompts[4].id, 1]
    assert isinstance(conflict, Failure)
    assert "differ" in conflict.reason
    assert isinstance(missing, Failure)
    assert (missing.reason, missing.is_final) == (NO_OUTPUT, True)
    found = b[prompts[1].id, 0]
    assert isinstance(found, Generation)
    assert found.text == "z"


def test_records_are_what_draw_gives(tmp_path: Path) -> None:
    """The fast way into a run and the ordinary one bring the same rows."""
    log = write_log(tmp_path / "log.jsonl")
    model = RecordedModel(path=log, model="lab/a 1")
    prompts = list(RecordedPrompts(path=log).prompts(seed=0))
    for n_samples in (1, 2):
        sampling = Sampling(n_samples=n_samples)
        drawn = {
            (row.prompt_id, row.sample, row.text)
            for batch in model.generate(prompts, sampling)
            for row in batch
            if isinstance(row, Generation)
        }
        read = [row for table in model.records(sampling) for row in table.to_pylist()]
        assert len(read) == len(drawn) == 4 * n_samples
        assert {(row["prompt_id"], row["sample"], row["text"]) for row in read} == drawn


def test_one_entry_becomes_all_models_of_the_log(tmp_path: Path) -> None:
    """The resolved config names every model of a log, under names that a run can use, and builds the same again."""
    log = write_log(tmp_path / "log.jsonl")
    config = build_config(raw_config(log))
    assert list(config.primaries) == ["a-1", "b"]
    listed = config.specs("primaries")
    assert listed["a-1"]["model"] == "lab/a 1"
    assert build_config(config.resolved).resolved == config.resolved
    assert list(build_config(raw_config(log, model="lab/b")).primaries) == ["b"]
    assert list(build_config(raw_config(log, name="old")).primaries) == ["old-a-1", "old-b"]


def test_a_log_that_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    """A config may be written before its log is there; one that cannot be read is a problem with its key path."""
    config = build_config(raw_config(str(tmp_path / "later.jsonl")))
    assert list(config.primaries) == ["recorded"]
    (tmp_path / "log.txt").write_text("?", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"primaries.0: .*log.txt is no log that can be read"):
        build_config(raw_config(str(tmp_path / "log.txt")))
    log = write_log(tmp_path / "log.jsonl")
    with pytest.raises(DataError, match=r"holds no outputs of 'lab/c': did you mean lab/b"):
        next(RecordedModel(path=log, model="lab/c").records(Sampling()))
    with pytest.raises(ValueError, match=r"columns\.promt: unknown key, did you mean prompt"):
        RecordedModel(path=log, columns={"promt": "q"})


def test_identity_follows_the_content(tmp_path: Path) -> None:
    """A copy of a log elsewhere has the same outputs, a changed one others."""
    first = RecordedModel(path=write_log(tmp_path / "log.jsonl"), model="lab/b").identity
    (tmp_path / "copy").mkdir()
    copied = write_log(tmp_path / "copy" / "log.jsonl")
    assert RecordedModel(path=copied, model="lab/b").identity == first
    assert RecordedModel(path=copied, model="lab/a 1").identity != first
    with Path(copied).open("a", encoding="utf-8") as file:
        file.write('\n{"prompt": "new", "output": "n", "model": "lab/b"}')
    assert RecordedModel(path=copied, model="lab/b").identity != first


def test_a_run_holds_every_row_or_its_reason(tmp_path: Path) -> None:
    """Collect and featurize over a log: outputs, labels from what it says, and an error for each output it lacks."""
    log = write_log(tmp_path / "log.jsonl")
    run = run_stages(build_config(raw_config(log)), ["collect", "featurize"], quiet=True)
    rows = run.read("generations").to_pylist()
    assert sorted((row["primary"], row["text"]) for row in rows if row["primary"] == "b") == [("b", "z")]
    assert sum(row["primary"] == "a-1" for row in rows) == 8
    errors = [row for row in run.read("errors").to_pylist() if row["stage"] == "collect"]
    assert len(errors) == 7
    assert {row["primary"] for row in errors} == {"b"}
    assert sorted(row["reason"] == NO_OUTPUT for row in errors) == [False, *[True] * 6]
    labels = {(row["primary"], row["key"]): row["value"] for row in run.read("labels").to_pylist()}
    for row in rows:
        assert labels[row["primary"], row["key"]] == json.loads(row["metadata"])["acc"]
