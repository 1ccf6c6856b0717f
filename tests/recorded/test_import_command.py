"""`metamodel import`: what it says of a log, and that the config it writes runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metamodel.cli import app
from metamodel.config import load_config
from metamodel.errors import MetamodelError
from metamodel.pipeline import run_stages

WriteLines = Callable[[str, Sequence[Mapping[str, object]]], str]


@pytest.fixture
def log(write_lines: WriteLines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Return a log of two models in two domains, with values of all kinds."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "prompt": f"{n} + 1 =",
            "domain": f"d{n % 2}",
            "model": f"lab/{model}",
            "output": f"{n + shift}",
            "answer": str(n + 1),
            "correct": shift == 1,
            "letter": "AB"[n % 2],
            "share": n / 10,
            "length": n,
            "note": {"free": f"{n}" * 80},
        }
        for n in range(8)
        for shift, model in enumerate(("a", "b"))
    ]
    return write_lines("answers.jsonl", rows)


def call(*arguments: str) -> str:
    """Run the command and return what it prints."""
    finished = CliRunner().invoke(app, ["import", *arguments], catch_exceptions=False)
    assert finished.exit_code == 0
    return finished.output


def test_the_config_it_writes_runs(log: str) -> None:
    """A log becomes a run in two commands, with the values that it records as behaviors."""
    printed = call(log, "--name", "mine")
    assert "2 domains: d0 4, d1 4" in printed
    config = load_config("mine.yaml")
    assert list(config.primaries) == ["a", "b"]
    assert list(config.behaviors) == [
        "recorded-correct",
        "recorded-length",
        "recorded-letter",
        "recorded-share",
        "correct",
        "ngram_copy",
        "repetition_loop",
        "empty",
    ]
    run = run_stages(config, ["collect", "featurize"], quiet=True)
    labels = run.read("labels").to_pandas()
    assert len(labels) == 8 * 16
    assert labels["value"].notna().all()


def test_json_is_complete(log: str) -> None:
    """Programs get the same as people, and --dry-run writes nothing."""
    found = json.loads(call(log, "--json", "--dry-run"))
    assert found["config"] is None
    assert not list(Path().glob("*.yaml"))
    assert (found["format"], found["n_rows"], found["n_prompts"], found["domains"]) == (
        "table",
        16,
        8,
        {"d0": 4, "d1": 4},
    )
    assert found["values"] == {
        "correct": "binary",
        "length": "count",
        "letter": "categorical",
        "note.free": "other",
        "share": "real",
    }
    assert found["models"][0] == {
        "name": "a",
        "model": "lab/a",
        "n_outputs": 8,
        "n_unanswered": 0,
        "n_repeated": 0,
        "n_conflicting": 0,
        "n_failed": 0,
    }


def test_columns_can_be_named(write_lines: WriteLines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Columns given on the command line stand in the config."""
    monkeypatch.chdir(tmp_path)
    path = write_lines("log.jsonl", [{"q": "Why?", "r": "So."}])
    call(path, "--column", "prompt=q", "--column", "output=r", "--out", "job.yaml")
    config = load_config("job.yaml")
    assert next(config.sources[0].prompts(0)).text == "Why?"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing does not exist"),
        (["answers.jsonl", "--column", "prompt"], "must read FIELD=COLUMN"),
        (["answers.jsonl", "--column", "promt=q"], "did you mean prompt"),
        (["answers.jsonl", "--format", "inspct"], "did you mean inspect"),
        (["answers.jsonl", "--out", "answers.jsonl"], "exists already"),
    ],
)
def test_mistakes_are_one_sentence(log: str, arguments: list[str], message: str) -> None:
    """A mistyped command changes nothing and says what to do."""
    assert log
    with pytest.raises(MetamodelError, match=message):
        CliRunner().invoke(app, ["import", *arguments], catch_exceptions=False)
